//! Several answers in one.

use lambda_http::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{ProblemDocument, document, status};
use crate::model::Problem;
use crate::model::send::Outgoing;

/// The answer to one item: what it would have been alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemAnswer<'a> {
    /// HTTP status.
    status: u16,
    /// The message, where it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Outgoing>,
    /// Why not, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemDocument<'a>>,
    /// The item's key had been used before; nothing was sent by this call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

impl<'a> ItemAnswer<'a> {
    /// A message that is sent, or under way.
    pub fn message(outgoing: &'a Outgoing, settled: bool, replayed: bool) -> Self {
        let status = if settled { StatusCode::OK } else { StatusCode::ACCEPTED };
        Self { status: status.as_u16(), message: Some(outgoing), problem: None, replayed }
    }

    /// A problem.
    pub fn problem(problem: &'a Problem, replayed: bool, request_id: &'a str) -> Self {
        let document = document(problem, request_id);
        Self { status: status(problem.code).as_u16(), message: None, problem: Some(document), replayed }
    }
}

/// The answers to all items, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer<'a> {
    /// One for each item.
    pub results: Vec<ItemAnswer<'a>>,
}
