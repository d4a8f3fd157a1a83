//! The Lambda authorizer (developer guide, "Control access to HTTP APIs with AWS Lambda authorizers"):
//! payload format 2.0, simple responses, answers kept by identity source.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::event::ApiRequest;
use super::invoke::Invoke;
use super::route::Match;
use crate::template;

/// API Gateway waits no longer for an authorizer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes of asking the authorizer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Go on, with the authorizer's context.
    Allowed(Value),
    /// 403: the authorizer said no.
    Denied,
    /// 401: an identity source is missing; the authorizer was not asked.
    Unidentified,
    /// 500: the authorizer failed, or its answer is none.
    Failed,
}

/// The authorizer and what it answered lately.
pub(super) struct Gatekeeper {
    authorizer: template::Authorizer,
    answers: Mutex<HashMap<Vec<String>, Kept>>,
}

struct Kept {
    verdict: Verdict,
    until: Instant,
}

/// A simple response.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    is_authorized: bool,
    #[serde(default)]
    context: Value,
}

impl Gatekeeper {
    pub(super) fn new(authorizer: template::Authorizer) -> Self {
        Self { authorizer, answers: Mutex::new(HashMap::new()) }
    }

    /// Whether `request` may go on to `found`. An answer, yes or no, holds for every route
    /// until its time is up, because the identity sources alone are its key; a failure is not kept.
    pub(super) async fn verdict<I: Invoke>(&self, functions: &I, request: &ApiRequest, found: &Match<'_>) -> Verdict {
        let identity: Option<Vec<String>> = self.authorizer.headers.iter().map(|name| request.header(name)).collect();
        let Some(identity) = identity else {
            return Verdict::Unidentified;
        };
        if let Some(verdict) = self.kept(&identity) {
            return verdict;
        }
        let event = request.authorizer_event(found, &identity);
        let verdict = self.ask(functions, event).await;
        if verdict != Verdict::Failed {
            self.keep(identity, &verdict);
        }
        verdict
    }

    async fn ask<I: Invoke>(&self, functions: &I, event: Value) -> Verdict {
        let name = &self.authorizer.function;
        let call = functions.invoke(name, Bytes::from(event.to_string()));
        let answer = match timeout(PATIENCE, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(function = %name, kind = ?error.kind, "the authorizer failed");
                return Verdict::Failed;
            }
            Err(_) => {
                tracing::warn!(function = %name, "the authorizer took more than {PATIENCE:?}");
                return Verdict::Failed;
            }
        };
        match serde_json::from_slice(&answer) {
            Ok(Answer { is_authorized: true, context }) => Verdict::Allowed(context),
            Ok(_) => Verdict::Denied,
            Err(error) => {
                tracing::warn!(function = %name, %error, "the authorizer's answer is no simple response");
                Verdict::Failed
            }
        }
    }

    fn kept(&self, identity: &[String]) -> Option<Verdict> {
        let answers = self.answers();
        let kept = answers.get(identity)?;
        (Instant::now() < kept.until).then(|| kept.verdict.clone())
    }

    /// Keeps an answer, and forgets those whose time is up.
    fn keep(&self, identity: Vec<String>, verdict: &Verdict) {
        let now = Instant::now();
        let mut answers = self.answers();
        answers.retain(|_, kept| now < kept.until);
        if !self.authorizer.ttl.is_zero() {
            answers.insert(identity, Kept { verdict: verdict.clone(), until: now + self.authorizer.ttl });
        }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Vec<String>, Kept>> {
        // Every change is a single step: what a panic left behind is whole.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
