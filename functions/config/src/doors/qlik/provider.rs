//! The body of PUT: a service provider and what it needs (A5.3/27).

use serde_json::{Map, Value, json};
use shared::model::{FieldError, Problem, Security};

use super::fields::security;

/// Microsoft's submission server.
const MICROSOFT: (&str, u16) = ("smtp.office365.com", 587);

/// `from` and `smtp` of an account.
pub(super) fn settings(given: &Value) -> Result<Map<String, Value>, Problem> {
    let config = &given["providerConfig"];
    if !config.is_object() {
        return Err(wrong("/providerConfig", "missing", "expected an object"));
    }
    let smtp = match given["serviceProvider"].as_str() {
        Some("BasicAuth") => basic(config)?,
        Some("Microsoft365") => microsoft(config),
        _ => return Err(wrong("/serviceProvider", "invalid_value", "BasicAuth or Microsoft365")),
    };
    let mut from = json!({"address": config["emailAddress"]});
    if let Some(name) = config["senderName"].as_str().filter(|name| !name.is_empty()) {
        from["name"] = name.into();
    }
    Ok(Map::from_iter([("from".to_owned(), from), ("smtp".to_owned(), smtp)]))
}

/// A server with user name and password.
fn basic(config: &Value) -> Result<Value, Problem> {
    let port = match &config["serverPort"] {
        Value::String(port) => port.parse().ok(),
        port => port.as_u64(),
    };
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or_else(|| wrong("/smtp/port", "invalid_value", "a number from 1 to 65535"))?;
    let security = match &config["securityType"] {
        Value::Null => Security::by_port(port),
        given => given
            .as_str()
            .and_then(security)
            .ok_or_else(|| wrong("/providerConfig/securityType", "invalid_value", "one of none, StartTLS, SSL/TLS"))?,
    };
    let mut auth = json!({"type": "password", "username": config["username"]});
    add(&mut auth, "password", &config["emailPassword"]);
    Ok(json!({"host": config["serverAddress"], "port": port, "security": security, "auth": auth}))
}

/// An application of the tenant's own at Microsoft, which needs nobody's consent (RFC 6749 §4.4).
fn microsoft(config: &Value) -> Value {
    let mut auth = json!({
        "type": "oauth2",
        "provider": "microsoft",
        "grant": "client_credentials",
        "username": config["emailAddress"],
        "clientId": config["clientId"],
        "tenantId": config["providerTenantId"],
    });
    add(&mut auth, "clientSecret", &config["clientSecret"]);
    json!({"host": MICROSOFT.0, "port": MICROSOFT.1, "security": "starttls", "auth": auth})
}

/// A secret that is left out is not changed.
fn add(auth: &mut Value, name: &str, secret: &Value) {
    if !secret.is_null() {
        auth[name] = secret.clone();
    }
}

fn wrong(pointer: &str, code: &str, words: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, code, words)])
}
