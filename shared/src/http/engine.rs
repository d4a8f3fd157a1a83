//! EmailEngine's server settings (`imap`, `smtp`), which `config` stores and `validate` probes.

use secrecy::{ExposeSecret, SecretString};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::lenient;
use crate::model::account::{AuthInput, ServerInput, TokenServerInput, split_query};
use crate::model::{FieldError, Problem, Security, Server};

/// What stands for a stored secret in answers; sent back, it changes nothing.
pub const MASK: &str = "******";

/// Our pointers in EmailEngine's words.
const WORDS: &[(&str, &str)] = &[
    ("/receive/auth/username", "/imap/auth/user"),
    ("/receive/auth/password", "/imap/auth/pass"),
    ("/receive/auth/url", "/imap/authServer"),
    ("/receive", "/imap"),
    ("/smtp/auth/username", "/smtp/auth/user"),
    ("/smtp/auth/password", "/smtp/auth/pass"),
    ("/smtp/auth/url", "/smtp/authServer"),
    ("/from", "/email"),
    ("/poll", "/imap"),
    ("/url", "/webhooks"),
    ("/events", "/webhookEvents"),
];

/// A problem whose fields are named as EmailEngine names them.
pub fn in_their_words(problem: Problem) -> Problem {
    super::door::renamed(problem, WORDS)
}

/// A token server's address as it is shown: with [`MASK`] for a query that is stored.
pub fn masked_url(url: &str, has_query: bool) -> String {
    if has_query { format!("{url}?{MASK}") } else { url.to_owned() }
}

/// The same sent back: without the mask, so that what is stored stays.
pub fn unmasked_url(given: &SecretString) -> SecretString {
    match split_query(given) {
        (url, Some(query)) if query.expose_secret() == MASK => url.into(),
        _ => given.clone(),
    }
}

/// `imap` or `smtp`: settings, or `false` for "there is none".
#[derive(Clone, Debug)]
pub enum EngineSide {
    /// `false`.
    Off,
    /// Settings.
    On(Box<EngineServer>),
}

/// What a side may sign in with that does not stand in it.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// Where the tenant's token server is (`authServer` of the settings).
    pub auth_server: Option<SecretString>,
    /// The account's `oauth2`, for both sides.
    pub oauth2: Option<AuthInput>,
}

/// Settings of one server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EngineServer {
    host: Option<String>,
    #[serde(deserialize_with = "lenient::port")]
    port: Option<u16>,
    secure: Option<bool>,
    auth: Option<EngineAuth>,
    use_auth_server: bool,
    /// Not EmailEngine's: where this account's token server is, in place of the tenant's.
    auth_server: Option<SecretString>,
    tls: Option<EngineTls>,
    /// Receive no more.
    pub disabled: Option<bool>,
    /// Change only the fields that are there.
    pub partial: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EngineAuth {
    user: Option<String>,
    pass: Option<SecretString>,
    access_token: Option<SecretString>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EngineTls {
    reject_unauthorized: Option<bool>,
}

impl EngineServer {
    /// Our settings of the same server. `before` is what is stored, for a partial change.
    ///
    /// # Errors
    /// Pointers in EmailEngine's words.
    pub fn settings(
        self,
        side: &'static str,
        before: Option<&Server>,
        elsewhere: &Elsewhere,
    ) -> Result<ServerInput, Vec<FieldError>> {
        let before = before.filter(|_| self.partial);
        let at = |field: &str| format!("/{side}/{field}");
        let mut errors = Vec::new();
        let mut required = |field: &str| {
            errors.push(FieldError::new(at(field), "missing", "is required"));
        };
        let host = self.host.clone().or_else(|| before.map(|server| server.host.clone()));
        let port = self.port.or(before.map(|server| server.port));
        if host.is_none() {
            required("host");
        }
        if port.is_none() {
            required("port");
        }
        let auth = match self.auth(side, before, elsewhere) {
            Ok(auth) => Some(auth),
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let (Some(host), Some(port)) = (host, port) else { return Err(errors) };
        if !errors.is_empty() {
            return Err(errors);
        }
        let security = match (self.secure, before) {
            (Some(true), _) => Security::Tls,
            (None, Some(before)) => before.security,
            // `secure: false` means "TLS if the server offers it" there; here it is required.
            (Some(false) | None, _) => Security::by_port(port),
        };
        let checks = self.tls.and_then(|tls| tls.reject_unauthorized);
        let verify_certificate = checks.or(before.map(|server| server.verify_certificate)).unwrap_or(true);
        Ok(ServerInput { host, port, security, verify_certificate, auth })
    }

    fn auth(
        &self,
        side: &'static str,
        before: Option<&Server>,
        elsewhere: &Elsewhere,
    ) -> Result<AuthInput, FieldError> {
        let at = |field: &str| format!("/{side}/{field}");
        if self.use_auth_server {
            let url = self.auth_server.as_ref().or(elsewhere.auth_server.as_ref());
            let url = url.ok_or_else(|| {
                let words = "is required with useAuthServer: give it here, or once for all by POST /v1/settings";
                FieldError::new(at("authServer"), "missing", words)
            })?;
            return Ok(AuthInput::TokenServer(TokenServerInput { url: unmasked_url(url), username: None }));
        }
        let Some(auth) = &self.auth else {
            return match (&elsewhere.oauth2, before) {
                (Some(oauth2), _) => Ok(oauth2.clone()),
                (None, Some(before)) => Ok((&before.auth).into()),
                // A relay may know its clients by their address; a mailbox never does.
                (None, None) if side == "smtp" => Ok(AuthInput::None),
                (None, None) => Err(FieldError::new(at("auth"), "missing", "is required")),
            };
        };
        if auth.access_token.is_some() {
            let words = "ends within the hour and nobody renews it: use useAuthServer, or oauth2 with a refreshToken";
            return Err(FieldError::new(at("auth/accessToken"), "invalid_value", words));
        }
        let username =
            auth.user.clone().or_else(|| before.and_then(|before| before.auth.username()).map(str::to_owned));
        let username = username.ok_or_else(|| FieldError::new(at("auth/user"), "missing", "is required"))?;
        let password = auth.pass.clone().filter(|pass| pass.expose_secret() != MASK);
        Ok(AuthInput::Password { username, password })
    }

    /// The login, where one is given.
    pub fn user(&self) -> Option<&str> {
        self.auth.as_ref()?.user.as_deref()
    }
}

impl<'de> Deserialize<'de> for EngineSide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SideVisitor)
    }
}

struct SideVisitor;

impl<'de> Visitor<'de> for SideVisitor {
    type Value = EngineSide;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with host, port, secure and auth, or false")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<EngineSide, E> {
        if on {
            Err(E::custom("expected an object with host, port, secure and auth, or false"))
        } else {
            Ok(EngineSide::Off)
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EngineSide, A::Error> {
        EngineServer::deserialize(MapAccessDeserializer::new(map)).map(|server| EngineSide::On(Box::new(server)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Auth;

    fn read(value: Value) -> EngineServer {
        serde_json::from_value(value).unwrap()
    }

    fn stored() -> Server {
        Server {
            host: "mail.example.com".into(),
            port: 2525,
            security: Security::None,
            verify_certificate: false,
            auth: Auth::Password { username: "ada".into(), has_password: true },
        }
    }

    /// A3.2/12, and design decision 13 for what is left open.
    #[test]
    fn secure_and_port_decide_about_tls() {
        for (secure, port, security) in [
            (Some(true), 993, Security::Tls),
            (Some(true), 2465, Security::Tls),
            (Some(false), 587, Security::Starttls),
            (Some(false), 25, Security::Starttls),
            (None, 465, Security::Tls),
            (Some(false), 465, Security::Tls),
            (None, 143, Security::Starttls),
        ] {
            let server = read(json!({"host": "h", "port": port, "secure": secure, "auth": {"user": "u", "pass": "p"}}));
            assert_eq!(
                server.settings("imap", None, &Elsewhere::default()).unwrap().security,
                security,
                "{secure:?} {port}"
            );
        }
    }

    #[test]
    fn a_partial_change_keeps_the_rest() {
        let before = stored();
        let server = read(json!({"partial": true, "host": "new.example.com", "auth": {"pass": MASK}}));
        let settings = server.settings("smtp", Some(&before), &Elsewhere::default()).unwrap();
        assert_eq!((settings.host.as_str(), settings.port), ("new.example.com", 2525));
        assert_eq!((settings.security, settings.verify_certificate), (Security::None, false));
        let Some(AuthInput::Password { username, password: None }) = settings.auth else { panic!("{settings:?}") };
        assert_eq!(username, "ada");

        let whole = read(json!({"host": "new.example.com"}));
        let pointers: Vec<_> = whole.settings("imap", Some(&before), &Elsewhere::default()).unwrap_err();
        let pointers: Vec<_> = pointers.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/imap/port", "/imap/auth"]);
    }

    /// A3.6/24.
    #[test]
    fn a_token_server_needs_a_place() {
        let server = || read(json!({"host": "h", "port": 993, "secure": true, "useAuthServer": true}));
        let known = Elsewhere { auth_server: Some("https://auth.example.com/".into()), ..Elsewhere::default() };
        let settings = server().settings("imap", None, &known).unwrap();
        assert!(
            matches!(settings.auth, Some(AuthInput::TokenServer(server)) if server.url.expose_secret() == "https://auth.example.com/")
        );
        assert_eq!(server().settings("imap", None, &Elsewhere::default()).unwrap_err()[0].pointer, "/imap/authServer");
    }

    #[test]
    fn false_is_no_side_and_true_is_no_settings() {
        assert!(matches!(serde_json::from_value(json!(false)), Ok(EngineSide::Off)));
        assert!(serde_json::from_value::<EngineSide>(json!(true)).is_err());
        assert!(matches!(serde_json::from_value(json!({})), Ok(EngineSide::On(_))));
    }
}
