//! Front doors: whose wire format a route speaks, and so in whose envelope a refusal leaves.
//!
//! | door | envelope | differs from [`super::problem`] in |
//! |---|---|---|
//! | native | RFC 9457 | |
//! | EmailEngine | `{statusCode, error, message, code?, fields?, ttl?}` | wrong fields are 400 |
//! | Email Service 1.0 | `{message}` | wrong fields are 400; the header `Tenant` is required |
//! | jetQuery, SuperOffice | `{message, code}`: their seeds name none (decision 26) | |
//! | Qlik | `{errors: [{code, title}]}` | whatever is wrong with a request or fails its validation is 400 |

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use super::problem::status;
use super::{Reply, Route};
use crate::model::{Code, FieldError, Problem};

/// Whose wire format a route speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// Ours.
    #[default]
    Native,
    /// EmailEngine v1.
    EmailEngine,
    /// Email Service 1.0.
    EmailService,
    /// jetQuery Emails.
    JetQuery,
    /// Qlik's transports/email-config.
    Qlik,
    /// SuperOffice's EMail agent.
    SuperOffice,
}

impl Door {
    /// The name of the system whose format it is.
    pub fn system(self) -> &'static str {
        match self {
            Self::Native => "Halfpenny",
            Self::EmailEngine => "EmailEngine v1",
            Self::EmailService => "Email Service 1.0",
            Self::JetQuery => "jetQuery Emails",
            Self::Qlik => "Qlik transports/email-config",
            Self::SuperOffice => "SuperOffice EMail agent",
        }
    }

    /// A refusal in this door's envelope, with this door's status.
    pub fn refusal(self, problem: &Problem, request_id: &str) -> Reply {
        let status = self.status(problem.code);
        let body = match self {
            Self::Native => return Reply::problem(problem, request_id),
            Self::EmailEngine => email_engine(problem, status),
            Self::EmailService => json!({"message": words(problem)}),
            Self::JetQuery => jet_query(problem),
            Self::SuperOffice => json!({"message": words(problem), "code": problem.code}),
            Self::Qlik => qlik(problem),
        };
        Reply::refused(status, &body, problem.retry_after)
    }

    /// Checks what a door asks of every request beyond a valid token.
    pub(super) fn admits(self, tenant_header: Option<&str>) -> Result<(), Problem> {
        // A4.1/3. A token belongs to one tenant: the header is checked against it, and is not what tells tenants apart.
        if self == Self::EmailService && tenant_header.is_none() {
            return Err(Problem::new(Code::MissingTenant, "the header Tenant is required"));
        }
        Ok(())
    }

    fn status(self, code: Code) -> StatusCode {
        match (self, code) {
            (Self::EmailEngine | Self::EmailService, Code::InvalidRequest) => StatusCode::BAD_REQUEST,
            // A5.3/25, A5.3/27.
            (Self::Qlik, Code::InvalidRequest | Code::VerificationFailed | Code::UnsupportedMediaType) => {
                StatusCode::BAD_REQUEST
            }
            _ => status(code),
        }
    }
}

/// Below these paths there is nothing but a door's own: whoever mistypes one of them is told so in the door's words.
const PLACES: [(&str, Door); 3] =
    [("/emailengine/", Door::EmailEngine), ("/api/core/mail/", Door::JetQuery), ("/api/v1/transports/", Door::Qlik)];

/// The door of a route's table entry; where there is none, that of the place.
pub(super) fn of(route: Option<&Route>, path: &str) -> Door {
    let place = || PLACES.iter().find(|(place, _)| path.starts_with(place)).map(|(_, door)| *door);
    route.map(|route| route.door).or_else(place).unwrap_or_default()
}

/// What is wrong, for doors that have one text for all of it, and whose callers know fields and no pointers.
fn words(problem: &Problem) -> String {
    match problem.errors.as_slice() {
        [] => problem.detail.clone(),
        errors => errors.iter().map(in_words).collect::<Vec<_>>().join("; "),
    }
}

fn in_words(error: &FieldError) -> String {
    match error.pointer.trim_start_matches('/') {
        "" => error.detail.clone(),
        field => format!("{field}: {}", error.detail),
    }
}

/// The same problem with its fields named in a door's words: the first pointer of the table that a field's pointer
/// begins with is replaced. A field that two of ours stand for is named once.
pub fn renamed(problem: Problem, words: &[(&str, &str)]) -> Problem {
    if problem.errors.is_empty() {
        return problem;
    }
    let mut errors: Vec<FieldError> = Vec::new();
    for mut error in problem.errors {
        let word = words.iter().find_map(|(ours, theirs)| Some((theirs, error.pointer.strip_prefix(ours)?)));
        if let Some((theirs, rest)) = word {
            error.pointer = format!("{theirs}{rest}");
        }
        if errors.iter().all(|known| known.pointer != error.pointer) {
            errors.push(error);
        }
    }
    let Problem { detail, errors, .. } = Problem::invalid(errors);
    Problem { code: problem.code, detail, errors, ..problem }
}

/// A1.2/8: with what was said, where that was asked for.
fn jet_query(problem: &Problem) -> Value {
    let mut body = json!({"message": words(problem), "code": problem.code});
    if let Some(trace) = &problem.trace {
        body["trace"] = json!(trace);
    }
    body
}

/// A5.1/2: each error a code and a title, and at least one.
fn qlik(problem: &Problem) -> Value {
    let one = |code: Value, title: &str| json!({"code": code, "title": title});
    let failed = problem.probe.iter().flat_map(|probe| [&probe.smtp, &probe.receive]).flatten();
    let mut errors: Vec<Value> = failed
        .filter(|verdict| !verdict.success)
        .map(|verdict| one(json!(verdict.code), &verdict.message))
        .chain(problem.errors.iter().map(|error| one(json!(error.code), &in_words(error))))
        .collect();
    if errors.is_empty() {
        errors.push(one(json!(problem.code), &problem.detail));
    }
    json!({"errors": errors})
}

/// As EmailEngine's framework writes errors; `fields` name each wrong field as its validator does.
fn email_engine(problem: &Problem, status: StatusCode) -> Value {
    let message = if problem.errors.is_empty() { problem.detail.as_str() } else { "Invalid input" };
    let mut body = json!({
        "statusCode": status.as_u16(),
        "error": status.canonical_reason().unwrap_or("Error"),
        "message": message,
    });
    if !problem.errors.is_empty() {
        // The whole body is called "value" there.
        let field = |pointer: &str| match pointer.trim_start_matches(['/', '?']) {
            "" => "value".to_owned(),
            field => field.replace('/', "."),
        };
        body["fields"] = problem
            .errors
            .iter()
            .map(|error| {
                let path = field(&error.pointer);
                let key = path.rsplit('.').next().unwrap_or_default();
                json!({"message": format!("\"{path}\" {}", error.detail), "key": key})
            })
            .collect();
    }
    if let Some(code) = email_engine_code(problem.code) {
        body["code"] = code.into();
    }
    if let Some(seconds) = problem.retry_after {
        body["ttl"] = seconds.into();
    }
    body
}

/// EmailEngine's own words for what it has words for.
fn email_engine_code(code: Code) -> Option<&'static str> {
    match code {
        Code::AccountNotFound => Some("AccountNotFound"),
        Code::MessageNotFound => Some("MessageNotFound"),
        Code::NotFound => Some("NotFound"),
        Code::MailAuthFailed => Some("AuthenticationFails"),
        Code::MailConnectFailed | Code::MailServerBusy | Code::MailTlsFailed => Some("ConnectionError"),
        Code::MailServerTimeout => Some("Timeout"),
        Code::HostNotAllowed => Some("EEGRESSBLOCKED"),
        Code::RateLimited => Some("RateLimitExceeded"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(door: Door, problem: &Problem) -> (u16, Value) {
        let reply = door.refusal(problem, "r");
        let status = reply.status();
        let response = reply.into_response();
        (status, serde_json::from_slice(response.body().as_ref()).unwrap())
    }

    /// A4.1/5, A5.1/2, A5.1/4.
    #[test]
    fn every_door_has_its_own_words() {
        let field = Problem::invalid(vec![FieldError::new("/imap/auth/pass", "missing", "give the password")]);
        assert_eq!(
            refused(Door::EmailEngine, &field),
            (
                400,
                json!({"statusCode": 400, "error": "Bad Request", "message": "Invalid input",
                       "fields": [{"message": "\"imap.auth.pass\" give the password", "key": "pass"}]})
            )
        );
        assert_eq!(refused(Door::EmailService, &field), (400, json!({"message": "imap/auth/pass: give the password"})));
        assert_eq!(
            refused(Door::JetQuery, &field),
            (422, json!({"message": "imap/auth/pass: give the password", "code": "invalid_request"}))
        );
        assert_eq!(
            refused(Door::Qlik, &field),
            (400, json!({"errors": [{"code": "missing", "title": "imap/auth/pass: give the password"}]}))
        );
        let forbidden = Problem::new(Code::Forbidden, "Must be a tenant admin");
        assert_eq!(
            refused(Door::Qlik, &forbidden),
            (403, json!({"errors": [{"code": "forbidden", "title": "Must be a tenant admin"}]}))
        );
        assert_eq!(refused(Door::Native, &field).1["requestId"], "r");
        let several = ["smtp_host", "smtp_port"].map(|field| FieldError::new(field, "missing", "is required"));
        assert_eq!(
            refused(Door::EmailService, &Problem::invalid(several.to_vec())).1,
            json!({"message": "smtp_host: is required; smtp_port: is required"}),
            "it has no list that could name them"
        );
        let whole = Problem::invalid(vec![FieldError::new("", "invalid_value", "expected an object")]);
        assert_eq!(refused(Door::EmailEngine, &whole).1["fields"][0]["message"], "\"value\" expected an object");

        let missing = Problem::new(Code::AccountNotFound, "there is none");
        assert_eq!(
            refused(Door::EmailEngine, &missing),
            (
                404,
                json!({"statusCode": 404, "error": "Not Found", "message": "there is none", "code": "AccountNotFound"})
            )
        );
        let limited = Problem::new(Code::RateLimited, "slowly").retry_after(7);
        assert_eq!(refused(Door::EmailEngine, &limited).1["ttl"], 7);
    }

    #[test]
    fn fields_are_named_in_the_words_of_the_door_and_once() {
        let missing = |pointer| FieldError::new(pointer, "missing", "give it");
        let problem = Problem::invalid(vec![missing("/smtp/auth/password"), missing("/receive/auth/password")]);
        let words = [("/smtp/auth/password", "/mail_password"), ("/receive/auth/password", "/mail_password")];
        let problem = renamed(problem, &words);
        assert_eq!(problem.errors, [missing("/mail_password")]);
        assert_eq!(problem.detail, "/mail_password: give it");
        let other = renamed(Problem::new(Code::Conflict, "as it was"), &words);
        assert_eq!(other.detail, "as it was");
    }

    #[test]
    fn a_path_that_is_no_route_is_refused_by_the_door_around_it() {
        for (path, door) in [
            ("/emailengine/v1/nothing", Door::EmailEngine),
            ("/api/core/mail/account", Door::JetQuery),
            ("/api/v1/transports/email-config/", Door::Qlik),
            ("/v1/nothing", Door::Native),
        ] {
            assert_eq!(of(None, path), door, "{path}");
        }
    }

    /// A4.1/3.
    #[test]
    fn only_the_email_service_requires_a_tenant() {
        for (door, header, admitted) in [
            (Door::EmailService, None, false),
            (Door::EmailService, Some("acme"), true),
            (Door::Native, None, true),
            (Door::EmailEngine, None, true),
        ] {
            assert_eq!(door.admits(header).is_ok(), admitted, "{door:?} {header:?}");
        }
    }
}
