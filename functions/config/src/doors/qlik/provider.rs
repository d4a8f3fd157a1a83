//! The body of PUT: a service provider and what it needs (A5.3/27).

use serde_json::{Map, Value, json};
use shared::model::account::{OAuth2, Provider};
use shared::model::{Address, Auth, FieldError, Problem, Security, Server};

use super::fields::security;

/// Microsoft's submission server.
const MICROSOFT: (&str, u16) = ("smtp.office365.com", 587);

/// Our pointers in this door's words.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("/smtp/host", "/providerConfig/serverAddress"),
    ("/smtp/port", "/providerConfig/serverPort"),
    ("/smtp/auth/username", "/providerConfig/username"),
    ("/smtp/auth/password", "/providerConfig/emailPassword"),
    ("/smtp/auth/clientId", "/providerConfig/clientId"),
    ("/smtp/auth/clientSecret", "/providerConfig/clientSecret"),
    ("/smtp/auth/tenantId", "/providerConfig/providerTenantId"),
    ("/from/name", "/providerConfig/senderName"),
    ("/from", "/providerConfig/emailAddress"),
];

/// `from` and `smtp` of an account. What this door has no words for is as it is `stored`, as long as it is about the
/// same server: whether its certificate is checked, and the endpoints of another of Microsoft's clouds.
///
/// # Errors
/// Everything that is missing or of another type, at once.
pub(super) fn settings(given: &Value, stored: Option<&Server>) -> Result<Map<String, Value>, Problem> {
    let provider = given["serviceProvider"].as_str();
    let mut config = Config { given: &given["providerConfig"], errors: Vec::new() };
    if !config.given.is_object() {
        config.wrong("/providerConfig", "missing", "expected an object");
    }
    if !matches!(provider, Some("BasicAuth" | "Microsoft365")) {
        config.wrong("/serviceProvider", "invalid_value", "BasicAuth or Microsoft365");
    }
    config.done()?;
    let address = config.required("emailAddress");
    if !address.is_empty() && !Address::bare(address).is_valid() {
        config.wrong("/providerConfig/emailAddress", "invalid_value", "a mail address");
    }
    let mut from = json!({ "address": address });
    if let Some(name) = config.text("senderName").filter(|name| !name.is_empty()) {
        from["name"] = name.into();
    }
    let smtp = if provider == Some("BasicAuth") { config.basic(stored) } else { config.microsoft(stored) };
    config.done()?;
    Ok(Map::from_iter([("from".to_owned(), from), ("smtp".to_owned(), smtp)]))
}

/// `providerConfig`, and what is wrong with it.
struct Config<'a> {
    given: &'a Value,
    errors: Vec<FieldError>,
}

impl<'a> Config<'a> {
    /// A server with user name and password.
    fn basic(&mut self, stored: Option<&Server>) -> Value {
        let port = self.port();
        let named = self.text("securityType").map(security);
        if named == Some(None) {
            self.wrong("/providerConfig/securityType", "invalid_value", "one of none, StartTLS, SSL/TLS");
        }
        let host = self.required("serverAddress");
        let mut auth = json!({"type": "password", "username": self.required("username")});
        self.add_secret(&mut auth, "password", "emailPassword");
        let checked = stored.is_none_or(|server| server.verify_certificate || !server.host.eq_ignore_ascii_case(host));
        json!({
            "host": host,
            "port": port,
            "security": named.flatten().unwrap_or_else(|| Security::by_port(port)),
            "verifyCertificate": checked,
            "auth": auth,
        })
    }

    /// An application of the tenant's own at Microsoft, which needs nobody's consent (RFC 6749 §4.4).
    fn microsoft(&mut self, stored: Option<&Server>) -> Value {
        let known = stored.and_then(|server| Some((server, microsoft(&server.auth)?)));
        let mut auth = json!({
            "type": "oauth2",
            "provider": "microsoft",
            "grant": "client_credentials",
            "username": self.required("emailAddress"),
            "clientId": self.required("clientId"),
            "tenantId": self.required("providerTenantId"),
        });
        self.add_secret(&mut auth, "clientSecret", "clientSecret");
        let Some((server, oauth2)) = known else {
            return json!({"host": MICROSOFT.0, "port": MICROSOFT.1, "security": "starttls", "auth": auth});
        };
        for (name, value) in [("tokenUrl", &oauth2.token_url), ("scope", &oauth2.scope)] {
            if let Some(value) = value {
                auth[name] = value.as_str().into();
            }
        }
        if let (Some(at), None) = (oauth2.client_secret_expires_at, auth.get("clientSecret")) {
            auth["clientSecretExpiresAt"] = json!(at);
        }
        json!({
            "host": server.host,
            "port": server.port,
            "security": server.security,
            "verifyCertificate": server.verify_certificate,
            "auth": auth,
        })
    }

    /// A number or, as PATCH takes it, a text.
    fn port(&mut self) -> u16 {
        let port = match &self.given["serverPort"] {
            Value::String(port) => port.parse().ok(),
            port => port.as_u64(),
        };
        let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        port.unwrap_or_else(|| {
            self.wrong("/providerConfig/serverPort", "invalid_value", "a number from 1 to 65535");
            0
        })
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = &self.given[name];
        if !value.is_null() && !value.is_string() {
            self.wrong(&format!("/providerConfig/{name}"), "invalid_value", "expected a string");
        }
        value.as_str()
    }

    /// A text; an empty one where it is missing, which is noted.
    fn required(&mut self, name: &str) -> &'a str {
        if self.given[name].is_null() || self.given[name] == "" {
            self.wrong(&format!("/providerConfig/{name}"), "missing", "is required");
        }
        self.text(name).unwrap_or_default()
    }

    /// A secret that is left out is not changed.
    fn add_secret(&mut self, auth: &mut Value, ours: &str, name: &str) {
        if let Some(secret) = self.text(name) {
            auth[ours] = secret.into();
        }
    }

    fn wrong(&mut self, pointer: &str, code: &str, words: &str) {
        if self.errors.iter().all(|error| error.pointer != pointer) {
            self.errors.push(FieldError::new(pointer, code, words));
        }
    }

    fn done(&mut self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(std::mem::take(&mut self.errors))) }
    }
}

/// An application of Microsoft's that signs in for itself.
fn microsoft(auth: &Auth) -> Option<&OAuth2> {
    match auth {
        Auth::OAuth2(oauth2) if oauth2.provider == Provider::Microsoft => Some(oauth2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(given: &Value) -> Vec<String> {
        settings(given, None).unwrap_err().errors.into_iter().map(|error| error.pointer).collect()
    }

    /// A5.3/27.
    #[test]
    fn whatever_is_missing_is_named_at_once_and_in_their_words() {
        assert_eq!(pointers(&json!({})), ["/providerConfig", "/serviceProvider"]);
        assert_eq!(pointers(&json!([])), ["/providerConfig", "/serviceProvider"]);
        let all = |names: &[&str]| names.iter().map(|name| format!("/providerConfig/{name}")).collect::<Vec<_>>();
        let basic =
            json!({"serviceProvider": "BasicAuth", "providerConfig": {"securityType": "TLS", "emailPassword": 5}});
        assert_eq!(
            pointers(&basic),
            all(&["emailAddress", "serverPort", "securityType", "serverAddress", "username", "emailPassword"])
        );
        let microsoft =
            json!({"serviceProvider": "Microsoft365", "providerConfig": {"emailAddress": "nobody", "clientId": 7}});
        assert_eq!(pointers(&microsoft), all(&["emailAddress", "clientId", "providerTenantId"]));
    }

    #[test]
    fn what_the_door_does_not_show_stays_with_its_server() {
        let stored = |auth: Value| -> Server {
            serde_json::from_value(json!({"host": "mail.example.com", "port": 2525, "security": "starttls",
                "verifyCertificate": false, "auth": auth}))
            .unwrap()
        };
        let basic = |host: &str| {
            json!({"serviceProvider": "BasicAuth", "providerConfig": {"serverAddress": host,
            "serverPort": "465", "username": "u", "emailAddress": "a@example.com"}})
        };
        let plain = stored(json!({"type": "password", "username": "u", "hasPassword": true}));
        for (host, checked) in [("MAIL.example.com", false), ("other.example.com", true)] {
            let smtp = &settings(&basic(host), Some(&plain)).unwrap()["smtp"];
            assert_eq!((&smtp["verifyCertificate"], &smtp["security"]), (&json!(checked), &json!("tls")), "{host}");
        }
        let given = json!({"serviceProvider": "Microsoft365", "providerConfig": {"emailAddress": "a@example.com",
            "clientId": "c", "clientSecret": "s", "providerTenantId": "t"}});
        let cloud = stored(json!({"type": "oauth2", "username": "u", "provider": "microsoft", "clientId": "old",
            "hasClientSecret": true, "hasRefreshToken": false, "tokenUrl": "https://login.example.com/token",
            "grant": "client_credentials"}));
        let smtp = &settings(&given, Some(&cloud)).unwrap()["smtp"];
        assert_eq!((&smtp["host"], &smtp["auth"]["clientId"]), (&json!("mail.example.com"), &json!("c")));
        assert_eq!(smtp["auth"]["tokenUrl"], "https://login.example.com/token");
        assert_eq!(settings(&given, Some(&plain)).unwrap()["smtp"]["host"], MICROSOFT.0);
    }
}
