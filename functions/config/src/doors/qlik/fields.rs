//! The six flat fields of PATCH, and what they are of an account.

use secrecy::SecretString;
use serde_json::Value;
use shared::model::account::{AccountSecrets, SideSecrets};
use shared::model::{Address, Auth, FieldError, Problem, Security, Server};
use shared::ops::email_config::EmailConfig;

/// Operations of one patch: there are six fields.
const OPERATIONS: usize = 50;

/// Names of security on this wire (A5.2/16).
const SECURITIES: [(&str, Security); 3] =
    [("none", Security::None), ("StartTLS", Security::Starttls), ("SSL/TLS", Security::Tls)];

/// What this door calls a way of securing a connection.
pub(super) fn security_name(security: Security) -> &'static str {
    SECURITIES.iter().find(|(_, known)| *known == security).map_or("none", |(name, _)| name)
}

/// What it means by a name.
pub(super) fn security(name: &str) -> Option<Security> {
    SECURITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, security)| *security)
}

/// What a patch says about the password.
pub(super) enum Password {
    /// Nothing.
    Unchanged,
    /// It is to be this one.
    Given(SecretString),
    /// It is to be forgotten.
    Removed,
}

/// The configuration as PATCH sees it; empty and 0 where it is not set.
pub(super) struct Fields {
    username: String,
    server_address: String,
    server_port: u16,
    security: Option<Security>,
    email_address: String,
    sender_name: Option<String>,
    password: Password,
    verify_certificate: bool,
    /// How it signs in, where that is no password and nobody asks for one.
    auth: Option<Auth>,
}

impl Fields {
    /// Those of what is stored.
    pub(super) fn of(config: &EmailConfig) -> Self {
        let stored = config.settings();
        let server = stored.map(|(_, server)| server);
        let from = config.latest().map(|row| row.account.from.clone());
        let auth = server.map(|server| &server.auth);
        Self {
            username: auth.and_then(Auth::username).unwrap_or_default().to_owned(),
            server_address: server.map(|server| server.host.clone()).unwrap_or_default(),
            server_port: server.map_or(0, |server| server.port),
            security: server.map(|server| server.security),
            email_address: from.as_ref().map(|from| from.address.clone()).unwrap_or_default(),
            sender_name: from.and_then(|from| from.name),
            password: Password::Unchanged,
            verify_certificate: server.is_none_or(|server| server.verify_certificate),
            auth: auth.filter(|auth| !matches!(auth, Auth::Password { .. })).cloned(),
        }
    }

    /// Applies all operations or none.
    pub(super) fn apply(&mut self, operations: &Value) -> Result<(), Problem> {
        let Some(list) = operations.as_array().filter(|list| list.len() <= OPERATIONS) else {
            return Err(wrong("", &format!("expected a JSON Patch: an array of at most {OPERATIONS} operations")));
        };
        for (index, operation) in list.iter().enumerate() {
            let text = |name: &str| operation[name].as_str();
            let value = match text("op") {
                Some("add" | "replace") => match &operation["value"] {
                    Value::String(value) => Some(value.clone()),
                    Value::Number(value) => Some(value.to_string()),
                    _ => return Err(wrong(&format!("/{index}/value"), "expected a string")),
                },
                // Its value is required by the schema and means nothing.
                Some("remove") => None,
                _ => return Err(wrong(&format!("/{index}/op"), "one of replace, remove, add")),
            };
            self.set(text("path").unwrap_or_default(), value)
                .map_err(|(field, words)| wrong(&format!("/{index}/{field}"), words))?;
        }
        Ok(())
    }

    fn set(&mut self, path: &str, value: Option<String>) -> Result<(), (&'static str, &'static str)> {
        let clean = |value: Option<String>| {
            let value = value.unwrap_or_default();
            let wrong = ("value", "must not hold control characters");
            if value.chars().any(char::is_control) { Err(wrong) } else { Ok(value) }
        };
        match path {
            "/username" => {
                self.username = clean(value)?;
                self.auth = None;
            }
            "/serverAddress" => self.server_address = clean(value)?,
            "/serverPort" => {
                let port = |value: String| value.parse().ok().filter(|port| *port > 0);
                let wrong = ("value", "a number from 1 to 65535");
                self.server_port = value.map_or(Ok(0), |value| port(value).ok_or(wrong))?;
            }
            "/securityType" => {
                let wrong = ("value", "one of none, StartTLS, SSL/TLS");
                self.security = value.map(|value| security(&value).ok_or(wrong)).transpose()?;
            }
            "/emailAddress" => {
                let address = clean(value)?;
                if !address.is_empty() && !Address::bare(&address).is_valid() {
                    return Err(("value", "a mail address"));
                }
                self.email_address = address;
            }
            "/emailPassword" => {
                let password = clean(value)?;
                let empty = password.is_empty();
                self.password = if empty { Password::Removed } else { Password::Given(password.into()) };
                self.auth = None;
            }
            _ => {
                let paths =
                    "one of /username, /serverAddress, /serverPort, /securityType, /emailAddress, /emailPassword";
                return Err(("path", paths));
            }
        }
        Ok(())
    }

    /// The sender.
    pub(super) fn from(&self) -> Address {
        Address { name: self.sender_name.clone(), address: self.email_address.clone() }
    }

    /// The sending side as it would be stored, complete or not.
    pub(super) fn draft(&self) -> Server {
        let password = Auth::Password { username: self.username.clone(), has_password: false };
        Server {
            host: self.server_address.clone(),
            port: self.server_port,
            security: self.security.unwrap_or_else(|| Security::by_port(self.server_port)),
            verify_certificate: self.verify_certificate,
            auth: self.auth.clone().unwrap_or(password),
        }
    }

    /// Whether the stored password is to be forgotten.
    pub(super) fn forgets(&self) -> bool {
        matches!(self.password, Password::Removed)
    }

    /// The password that was given.
    pub(super) fn password(&self) -> Option<&SecretString> {
        if let Password::Given(password) = &self.password { Some(password) } else { None }
    }

    /// The same as an account's secrets.
    pub(super) fn secrets(&self) -> AccountSecrets {
        let smtp = self.password().cloned().map(SideSecrets::password).unwrap_or_default();
        AccountSecrets { smtp, ..AccountSecrets::default() }
    }
}

fn wrong(pointer: &str, words: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, "invalid_value", words)])
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    fn patched(operations: Value) -> Result<Fields, Problem> {
        let mut fields = Fields::of(&EmailConfig::default());
        fields.apply(&operations).map(|()| fields)
    }

    /// A5.2/16, A5.3/24, A5.3/26.
    #[test]
    fn six_fields_are_set_and_removed() {
        let set = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
        let operations = json!([
            set("/username", json!("ada")),
            set("/serverAddress", json!("smtp.example.com")),
            set("/serverPort", json!("465")),
            set("/emailAddress", json!("ada@example.com")),
            set("/emailPassword", json!("secret")),
        ]);
        let fields = patched(operations).unwrap();
        let server = fields.draft();
        assert_eq!((server.port, server.security, server.auth.username()), (465, Security::Tls, Some("ada")));
        assert_eq!(fields.password().unwrap().expose_secret(), "secret");
        let removed = patched(json!([
            set("/serverPort", json!(25)),
            set("/securityType", json!("none")),
            {"op": "remove", "path": "/serverPort", "value": "25"},
            {"op": "remove", "path": "/emailPassword"},
        ]));
        let removed = removed.unwrap();
        assert_eq!((removed.draft().port, removed.draft().security), (0, Security::None));
        assert!(removed.forgets() && removed.password().is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let add = |path: &str, value: &str| json!([{"op": "add", "path": path, "value": value}]);
        for (operations, pointer) in [
            (json!({}), ""),
            (json!([{"op": "move", "from": "/username", "path": "/emailAddress"}]), "/0/op"),
            (json!([{"op": "add", "path": "/username"}]), "/0/value"),
            (json!([{"op": "add", "path": "/username", "value": true}]), "/0/value"),
            (add("/tenantId", "x"), "/0/path"),
            (add("", "x"), "/0/path"),
            (add("/serverPort", "0"), "/0/value"),
            (add("/serverPort", "65536"), "/0/value"),
            (add("/serverPort", "smtp"), "/0/value"),
            (add("/securityType", "TLS"), "/0/value"),
            (add("/emailAddress", "nobody"), "/0/value"),
            (add("/username", "a\r\nb"), "/0/value"),
        ] {
            let problem = patched(operations.clone()).err().unwrap();
            assert_eq!(problem.errors[0].pointer, pointer, "{operations}");
        }
    }
}
