//! Email Service 1.0: `POST /validate-credentials` (contracts A4.4).

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use shared::http::door::renamed;
use shared::http::{Call, Reply, lenient};
use shared::model::account::{AuthInput, ServerInput};
use shared::model::views::ValidateInput;
use shared::model::{FieldError, Problem, Security};
use shared::ops::Tools;

use crate::handler::given;

/// Our pointers in this door's words.
const WORDS: &[(&str, &str)] = &[
    ("/smtp/host", "smtp_host"),
    ("/smtp/port", "smtp_port"),
    ("/smtp/auth/username", "smtp_user"),
    ("/smtp/auth/password", "smtp_pass"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    #[serde(deserialize_with = "lenient::text")]
    smtp_host: Option<String>,
    #[serde(deserialize_with = "lenient::port")]
    smtp_port: Option<u16>,
    #[serde(deserialize_with = "lenient::text")]
    smtp_user: Option<String>,
    #[serde(deserialize_with = "lenient::secret")]
    smtp_pass: Option<SecretString>,
}

/// Probes given credentials; nothing is stored, no stored secret is used, and failure is an answer.
pub(crate) async fn validate(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let asked: Given = call.json()?;
    let smtp = asked.server().map_err(Problem::invalid)?;
    let input = ValidateInput { smtp: Some(smtp), receive: None };
    let probe = given(&tools, &call, input).await.map_err(|problem| renamed(problem, WORDS))?;
    let verdict = probe.smtp.ok_or_else(|| Problem::internal("a probe of the sending side has no verdict on it"))?;
    let message =
        if verdict.success { format!("the credentials are valid: {}", verdict.message) } else { verdict.message };
    Reply::ok(&json!({"success": verdict.success, "message": message}))
}

impl Given {
    /// Without user and password: whether the server relays for us as we are (A4.4/28). TLS follows from the port.
    fn server(self) -> Result<ServerInput, Vec<FieldError>> {
        let missing = |field: &str| FieldError::new(field, "missing", "is required");
        let mut errors = Vec::new();
        if self.smtp_host.is_none() {
            errors.push(missing("smtp_host"));
        }
        if self.smtp_port.is_none() {
            errors.push(missing("smtp_port"));
        }
        let auth = match (self.smtp_user, self.smtp_pass) {
            (None, None) => AuthInput::None,
            (Some(username), password) => AuthInput::Password { username, password },
            (None, Some(_)) => {
                errors.push(FieldError::new("smtp_user", "missing", "belongs to smtp_pass"));
                AuthInput::None
            }
        };
        match (self.smtp_host, self.smtp_port) {
            (Some(host), Some(port)) if errors.is_empty() => Ok(ServerInput {
                host,
                port,
                security: Security::by_port(port),
                verify_certificate: true,
                auth: Some(auth),
            }),
            _ => Err(errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn server(given: Value) -> Result<ServerInput, Vec<String>> {
        let given: Given = serde_json::from_value(given).unwrap();
        given.server().map_err(|errors| errors.into_iter().map(|error| error.pointer).collect())
    }

    /// A4.4/28, A4.4/30.
    #[test]
    fn host_and_port_are_required_and_credentials_are_not() {
        assert_eq!(server(json!({})).unwrap_err(), ["smtp_host", "smtp_port"]);
        assert_eq!(server(json!({"smtp_host": "", "smtp_port": ""})).unwrap_err(), ["smtp_host", "smtp_port"]);
        let relay = server(json!({"smtp_host": "h", "smtp_port": "465", "colour": 1})).unwrap();
        assert!(matches!(relay.auth, Some(AuthInput::None)) && relay.security == Security::Tls && relay.port == 465);
        let known = server(json!({"smtp_host": "h", "smtp_port": 587, "smtp_user": "u", "smtp_pass": "p"})).unwrap();
        assert!(matches!(known.auth, Some(AuthInput::Password { .. })) && known.security == Security::Starttls);
        assert_eq!(server(json!({"smtp_host": "h", "smtp_port": 587, "smtp_pass": "p"})).unwrap_err(), ["smtp_user"]);
    }
}
