//! From EmailEngine's account to ours.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared::http::engine::{Elsewhere, EngineSide, MASK};
use shared::http::lenient;
use shared::model::account::{
    AccountInput, AuthInput, Grant, OAuth2Input, Provider, ReceiveInput, ServerInput, TokenServerInput,
};
use shared::model::{Account, AccountId, Address, FieldError, Poll, Protocol, Security, SentCopy};

/// The sender of an account of which no address is known: EmailEngine takes it with each message. Nobody can own it
/// (RFC 2606 §2).
pub(super) const NO_ADDRESS: &str = "unset@account.invalid";

/// An account, or a change of one: what is absent stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Given {
    /// Null: one is made up.
    #[serde(deserialize_with = "lenient::present")]
    pub(super) account: Option<Option<String>>,
    name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    email: Option<String>,
    path: Option<Paths>,
    #[serde(deserialize_with = "lenient::present")]
    copy: Option<Option<bool>>,
    imap: Option<EngineSide>,
    smtp: Option<EngineSide>,
    oauth2: Option<OAuth2>,
}

/// Folders to watch.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a folder's path or a list of them")]
enum Paths {
    One(String),
    Many(Vec<String>),
}

/// OAuth 2.0. There, `provider` may name an application that was registered before; here, the application stands in it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OAuth2 {
    provider: Option<String>,
    auth: OAuth2User,
    refresh_token: Option<SecretString>,
    use_auth_server: bool,
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    tenant_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OAuth2User {
    user: Option<String>,
    delegated_user: Option<String>,
}

impl Given {
    /// Our settings of the account; `before` is what is stored.
    ///
    /// # Errors
    /// Pointers in EmailEngine's words.
    pub(super) fn settings(
        self,
        id: &AccountId,
        before: Option<&Account>,
        auth_server: Option<SecretString>,
        min_poll_seconds: u32,
    ) -> Result<AccountInput, Vec<FieldError>> {
        let mut errors = Vec::new();
        let from = self.from(id, before, &mut errors);
        let mut elsewhere = Elsewhere { auth_server, oauth2: None };
        let mut provider = None;
        if let Some(oauth2) = self.oauth2 {
            provider = oauth2.known_provider();
            match oauth2.auth(elsewhere.auth_server.as_ref()) {
                Ok(auth) => elsewhere.oauth2 = Some(auth),
                Err(error) => errors.push(error),
            }
        }
        let disabled = match &self.imap {
            Some(EngineSide::On(server)) => server.disabled,
            _ => None,
        };
        let smtp = side("smtp", self.smtp, before.and_then(|account| account.smtp.as_ref()), &elsewhere, &mut errors)
            .unwrap_or_else(|| provider.map(|provider| usual(provider, Protocol::Smtp, &elsewhere)));
        let mailbox = before.and_then(|account| account.receive.as_ref());
        let imap_given = self.imap.is_some();
        let same = mailbox.filter(|mailbox| !imap_given || mailbox.protocol == Protocol::Imap);
        let receive = side("imap", self.imap, same.map(|mailbox| &mailbox.server), &elsewhere, &mut errors)
            .unwrap_or_else(|| provider.map(|provider| usual(provider, Protocol::Imap, &elsewhere)))
            .map(|server| received(server, mailbox, imap_given, self.path));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(AccountInput {
            name: self.name.or_else(|| before.and_then(|account| account.name.clone())),
            from,
            identities: before.map(|account| account.identities.clone()).unwrap_or_default(),
            poll: poll(before, receive.is_some(), disabled, min_poll_seconds),
            smtp,
            receive,
            sent_copy: match self.copy {
                None => before.map(|account| account.sent_copy).unwrap_or_default(),
                Some(None) => SentCopy::Auto,
                Some(Some(true)) => SentCopy::Always,
                Some(Some(false)) => SentCopy::Never,
            },
        })
    }

    /// `email`; else what is stored; else the first login, or the id, that is an address.
    fn from(&self, id: &AccountId, before: Option<&Account>, errors: &mut Vec<FieldError>) -> Address {
        let login = |side: &Option<EngineSide>| match side {
            Some(EngineSide::On(server)) => server.user().and_then(Address::parse),
            _ => None,
        };
        let user = || Address::parse(self.oauth2.as_ref()?.auth.user.as_deref()?);
        let address = match &self.email {
            Some(email) => {
                let address = Address::parse(email);
                if address.is_none() {
                    errors.push(FieldError::new("/email", "invalid_value", "must be a valid email"));
                }
                address
            }
            None => before
                .map(|account| account.from.clone())
                .or_else(|| login(&self.smtp))
                .or_else(|| login(&self.imap))
                .or_else(user)
                .or_else(|| Address::parse(id.as_str())),
        };
        let address = address.map_or_else(|| NO_ADDRESS.to_owned(), |address| address.address);
        let name = self.name.clone().or_else(|| before.and_then(|account| account.from.name.clone()));
        Address { name: name.filter(|name| !name.is_empty()), address }
    }
}

/// One side. None: neither given nor stored.
#[allow(clippy::option_option, reason = "inside: whether the account has such a side")]
fn side(
    name: &'static str,
    given: Option<EngineSide>,
    before: Option<&shared::model::Server>,
    elsewhere: &Elsewhere,
    errors: &mut Vec<FieldError>,
) -> Option<Option<ServerInput>> {
    match given {
        Some(EngineSide::Off) => Some(None),
        Some(EngineSide::On(server)) => Some(match server.settings(name, before, elsewhere) {
            Ok(settings) => Some(settings),
            Err(wrong) => {
                errors.extend(wrong);
                None
            }
        }),
        None => before.map(|before| {
            let kept = ServerInput::from(before);
            Some(ServerInput { auth: elsewhere.oauth2.clone().or(kept.auth), ..kept })
        }),
    }
}

/// The receiving side: EmailEngine knows IMAP only; a POP3 side that is not spoken of stays.
fn received(
    server: ServerInput,
    before: Option<&shared::model::Receive>,
    imap_given: bool,
    path: Option<Paths>,
) -> ReceiveInput {
    let protocol = before.filter(|_| !imap_given).map_or(Protocol::Imap, |before| before.protocol);
    let kept = before.map_or_else(|| ReceiveInput::new(protocol, server.clone()), ReceiveInput::from);
    let receive = kept.moved(protocol, server);
    let folders = match path {
        None => return receive,
        Some(Paths::One(path)) => vec![path],
        Some(Paths::Many(paths)) => paths,
    };
    // "*" is "all folders" there; we follow named folders, and INBOX where none is named.
    let folders = if folders.iter().any(|path| path == "*") { vec!["INBOX".to_owned()] } else { folders };
    ReceiveInput { folders, ..receive }
}

/// EmailEngine follows every mailbox unless it is told not to.
fn poll(before: Option<&Account>, receives: bool, disabled: Option<bool>, min_poll_seconds: u32) -> Poll {
    let received = before.is_some_and(|account| account.receive.is_some());
    let kept = before.map(|account| account.poll).unwrap_or_default();
    let enabled = match disabled {
        Some(disabled) => !disabled,
        None => !received || kept.enabled,
    };
    let min_seconds = kept.min_seconds.max(min_poll_seconds);
    Poll { enabled: receives && enabled, min_seconds, max_seconds: kept.max_seconds.max(min_seconds) }
}

impl OAuth2 {
    fn known_provider(&self) -> Option<Provider> {
        match self.provider.as_deref()? {
            "gmail" | "google" => Some(Provider::Google),
            "outlook" | "outlookService" | "microsoft" => Some(Provider::Microsoft),
            _ => None,
        }
    }

    fn auth(self, auth_server: Option<&SecretString>) -> Result<AuthInput, FieldError> {
        let at = |field: &str, words: &str| FieldError::new(format!("/oauth2/{field}"), "missing", words);
        let username = self.auth.delegated_user.clone().or_else(|| self.auth.user.clone());
        if self.use_auth_server {
            let words = "useAuthServer needs authServer: set it by POST /v1/settings";
            let url = auth_server.ok_or_else(|| at("useAuthServer", words))?.clone();
            return Ok(AuthInput::TokenServer(TokenServerInput { url, username }));
        }
        let provider = self.known_provider().ok_or_else(|| {
            at("provider", "must be gmail, outlook or outlookService; applications registered beforehand do not exist")
        })?;
        let app_only = self.provider.as_deref() == Some("outlookService");
        Ok(AuthInput::OAuth2(OAuth2Input {
            username: username.ok_or_else(|| at("auth/user", "is required"))?,
            provider,
            client_id: self
                .client_id
                .ok_or_else(|| at("clientId", "is required: the application stands in the account"))?,
            client_secret: unmasked(self.client_secret),
            client_secret_expires_at: None,
            tenant_id: self.tenant_id,
            refresh_token: unmasked(self.refresh_token),
            scope: None,
            token_url: None,
            grant: if app_only { Grant::ClientCredentials } else { Grant::RefreshToken },
        }))
    }
}

fn unmasked(secret: Option<SecretString>) -> Option<SecretString> {
    secret.filter(|secret| secret.expose_secret() != MASK)
}

/// The servers of a provider, where `oauth2` alone is given.
fn usual(provider: Provider, protocol: Protocol, elsewhere: &Elsewhere) -> ServerInput {
    let (host, port) = match (provider, protocol) {
        (Provider::Google, Protocol::Smtp) => ("smtp.gmail.com", 465),
        (Provider::Google, _) => ("imap.gmail.com", 993),
        (_, Protocol::Smtp) => ("smtp.office365.com", 587),
        (_, _) => ("outlook.office365.com", 993),
    };
    ServerInput {
        host: host.to_owned(),
        port,
        security: Security::by_port(port),
        verify_certificate: true,
        auth: elsewhere.oauth2.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::model::Timestamp;

    use super::*;

    fn id() -> AccountId {
        AccountId::new("example").unwrap()
    }

    fn settings(given: Value, before: Option<&Account>) -> Result<AccountInput, Vec<FieldError>> {
        let given: Given = serde_json::from_value(given).unwrap();
        given.settings(&id(), before, Some("https://auth.example.com/".into()), 60)
    }

    fn stored(given: Value, before: Option<&Account>) -> Account {
        settings(given, before).unwrap().check(id(), 60, Timestamp(0)).unwrap().0
    }

    /// The example of the seed.
    fn example() -> Value {
        let side = |host: &str, port: u16| json!({"host": host, "port": port, "secure": true, "auth": {"user": "myuser@gmail.com", "pass": "verysecret"}});
        json!({"account": "example", "name": "My Example Account",
               "imap": side("imap.gmail.com", 993), "smtp": side("smtp.gmail.com", 465)})
    }

    /// A3.2/10, A3.2/12.
    #[test]
    fn a3_2_10_and_12_the_seeds_example_becomes_an_account() {
        let account = stored(example(), None);
        let (smtp, receive) = (account.smtp.unwrap(), account.receive.unwrap());
        assert_eq!((smtp.host.as_str(), smtp.port, smtp.security), ("smtp.gmail.com", 465, Security::Tls));
        assert_eq!((receive.server.host.as_str(), receive.protocol), ("imap.gmail.com", Protocol::Imap));
        assert_eq!(receive.server.auth.username(), Some("myuser@gmail.com"));
        assert_eq!(account.from.address, "myuser@gmail.com");
        assert_eq!(account.from.name.as_deref(), Some("My Example Account"));
        assert!(account.poll.enabled && receive.keep_on_server, "mail is followed, and never deleted there");
    }

    /// A3.2/11.
    #[test]
    fn a3_2_11_what_is_not_named_stays() {
        let before = stored(example(), None);
        let after =
            stored(json!({"name": "New", "copy": false, "imap": {"partial": true, "disabled": true}}), Some(&before));
        assert_eq!((after.name.as_deref(), after.sent_copy, after.poll.enabled), (Some("New"), SentCopy::Never, false));
        assert_eq!(after.smtp.as_ref().map(|smtp| &smtp.host), before.smtp.as_ref().map(|smtp| &smtp.host));
        assert_eq!(after.receive.map(|receive| receive.server.port), Some(993));
        let sending = stored(json!({"imap": false}), Some(&before));
        assert!(sending.receive.is_none() && !sending.poll.enabled);
        let folders = stored(json!({"path": ["INBOX", "Junk"]}), Some(&before)).receive.unwrap().folders;
        assert_eq!(folders, ["INBOX", "Junk"]);
    }

    #[test]
    fn a3_6_24_the_seeds_token_server_account_needs_no_auth_and_no_address() {
        let side = |host: &str, port: u16| json!({"host": host, "port": port, "secure": true, "useAuthServer": true});
        let given = json!({"account": "ouath-user", "name": "Example",
                           "imap": side("imap.gmail.com", 993), "smtp": side("smtp.gmail.com", 465)});
        let account = stored(given, None);
        let smtp = account.smtp.unwrap();
        assert!(
            matches!(&smtp.auth, shared::model::Auth::TokenServer(server) if server.url == "https://auth.example.com/")
        );
        assert_eq!(account.from.address, NO_ADDRESS);
    }

    #[test]
    fn a3_6_25_oauth2_alone_knows_its_servers() {
        let given = json!({"account": "a", "oauth2": {"provider": "gmail", "auth": {"user": "a@gmail.com"},
                           "clientId": "c", "clientSecret": "s", "refreshToken": "r"}});
        let account = stored(given, None);
        let (smtp, receive) = (account.smtp.unwrap(), account.receive.unwrap());
        assert_eq!((smtp.host.as_str(), receive.server.host.as_str()), ("smtp.gmail.com", "imap.gmail.com"));
        assert!(matches!(smtp.auth, shared::model::Auth::OAuth2(ref oauth2) if oauth2.provider == Provider::Google));
        let wrong = settings(json!({"account": "a", "oauth2": {"provider": "AAABhaBPHscAAAAH"}}), None).unwrap_err();
        assert_eq!(wrong[0].pointer, "/oauth2/provider");
    }

    #[test]
    fn a_pop3_side_is_left_alone_until_imap_is_given() {
        let mut before = stored(example(), None);
        before.receive.as_mut().unwrap().protocol = Protocol::Pop3;
        assert_eq!(stored(json!({"name": "x"}), Some(&before)).receive.unwrap().protocol, Protocol::Pop3);
        let imap = stored(json!({"imap": example()["imap"]}), Some(&before)).receive.unwrap();
        assert_eq!(imap.protocol, Protocol::Imap);
        let half = settings(json!({"imap": {"partial": true, "port": 143}}), Some(&before)).unwrap_err();
        assert_eq!(half[0].pointer, "/imap/host");
    }

    #[test]
    fn every_wrong_field_is_named() {
        let given = json!({"account": "a", "email": "nobody", "imap": {}, "smtp": {"host": "h"}});
        let errors = settings(given, None).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/email", "/smtp/port", "/imap/host", "/imap/port", "/imap/auth"]);
    }
}
