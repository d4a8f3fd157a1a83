//! One request, as a handler sees it.

use std::collections::BTreeMap;

use bytes::Bytes;
use lambda_http::http::{HeaderMap, Method};
use serde::de::DeserializeOwned;

use super::{body, problem::status};
use crate::mail::Deadline;
use crate::model::{AccountId, Code, FieldError, MessageId, Principal, Problem, Tenant, Timestamp};

/// A request whose caller is known and whose route was found.
#[derive(Debug)]
pub struct Call {
    /// Who calls.
    pub principal: Principal,
    /// The method.
    pub method: Method,
    /// Path parameters, percent-decoded.
    pub path: BTreeMap<String, String>,
    /// Query parameters; the last of a repeated one counts.
    pub query: BTreeMap<String, String>,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: Bytes,
    /// Names this request in logs and answers.
    pub request_id: String,
    /// When it came.
    pub now: Timestamp,
    /// When the answer must have left.
    pub deadline: Deadline,
}

impl Call {
    /// The tenant it acts for.
    pub fn tenant(&self) -> &Tenant {
        &self.principal.tenant
    }

    /// The `{account}` of the path: an account that the caller may not touch does not exist for it.
    pub fn account(&self) -> Result<AccountId, Problem> {
        let name = self.path.get("account").cloned().unwrap_or_default();
        let missing = || Problem::new(Code::AccountNotFound, format!("there is no account {name:?}"));
        let account = AccountId::new(name.clone()).map_err(|_| missing())?;
        if self.principal.reaches(&account) { Ok(account) } else { Err(missing()) }
    }

    /// The `{account}` of the path that a PUT creates: a name that breaks the rule is said to.
    pub fn new_account(&self) -> Result<AccountId, Problem> {
        let name = self.path.get("account").cloned().unwrap_or_default();
        AccountId::new(name)
            .map_err(|rule| Problem::invalid(vec![FieldError::new("{account}", "invalid_name", rule.to_string())]))?;
        self.account()
    }

    /// The `{id}` of the path.
    pub fn message_id(&self) -> Result<MessageId, Problem> {
        let id = self.path.get("id").cloned().unwrap_or_default();
        MessageId::new(id).map_err(|_| Problem::new(Code::MessageNotFound, "there is no such message"))
    }

    /// The JSON body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        body::json(self.header("Content-Type")?, &self.body)
    }

    /// The JSON body, or the default where there is none.
    pub fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// A header as text. One that is there and cannot be read is refused, never taken for absent: without its
    /// Idempotency-Key a mail would be sent twice, without its If-Match a change would be overwritten.
    pub fn header(&self, name: &str) -> Result<Option<&str>, Problem> {
        text(&self.headers, name)
    }

    /// Scheme and host that the caller used, for links that lead back here. API Gateway answers for its own names only,
    /// and says how it was reached.
    pub fn origin(&self) -> Option<String> {
        let host = self.header("Host").ok()??;
        let scheme = self.header("X-Forwarded-Proto").ok().flatten().filter(|scheme| *scheme == "https");
        let clean = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        clean.then(|| format!("{}://{host}", scheme.unwrap_or("http")))
    }

    /// A query parameter read as a number within bounds.
    pub fn number(&self, name: &str, default: u32, least: u32, most: u32) -> Result<u32, Problem> {
        let Some(given) = self.query.get(name) else {
            return Ok(default);
        };
        given
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| wrong_parameter(name, &format!("a number from {least} to {most}")))
    }

    /// A query parameter read as `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.query.get(name).map(String::as_str) {
            None => Ok(None),
            Some("true" | "") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(wrong_parameter(name, "true or false")),
        }
    }

    /// A query parameter read as a time.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let read = |text: &String| {
            Timestamp::parse(text)
                .ok_or_else(|| wrong_parameter(name, "a time such as 2026-11-21T07:36:10Z (RFC 3339)"))
        };
        self.query.get(name).map(read).transpose()
    }

    /// Refuses query parameters that the route does not know: a typing mistake must not silently widen a list.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let unknown = |name: &&String| !known.contains(&name.as_str());
        let errors: Vec<_> = self
            .query
            .keys()
            .filter(unknown)
            .map(|name| {
                FieldError::new(
                    format!("?{name}"),
                    "unknown_parameter",
                    format!("unknown; this route takes {}", known.join(", ")),
                )
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
    }
}

/// A header as text; refused where it is there and not printable ASCII.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let refused = |_| Problem::invalid(vec![FieldError::new(name, "invalid_value", "printable ASCII characters only")]);
    headers.get(name).map(|value| value.to_str().map_err(refused)).transpose()
}

/// A query parameter with a wrong value.
pub fn wrong_parameter(name: &str, wanted: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(format!("?{name}"), "invalid_value", format!("expected {wanted}"))])
}

/// Whether a problem is the caller's to mend (4xx) and so no error of ours to log.
pub fn is_callers(problem: &Problem) -> bool {
    status(problem.code).is_client_error()
}
