//! Asking for access tokens: the client of OAuth 2.0 token endpoints (RFC 6749) and of callers' own token servers.
//!
//! Nothing is kept here. What a peer says is never shown: of an OAuth error only the registered code, of everything
//! else that there was no token. The cause goes to the log.

use std::time::Duration;

use http::header::{ACCEPT, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::mail::{self, Deadline};
use crate::model::account::{Grant, OAuth2, TokenServer};
use crate::model::{AccountId, Phase, ProbeCode, Protocol};
use crate::net::http::{Answer, Error as HttpError, Request};
use crate::net::{self, Network};

/// How long a token endpoint may take, all in all.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Answers of real endpoints have some 5 KB: tokens are no documents.
const ANSWER_BYTES: usize = 64 << 10;

/// RFC 6749 §5.1 only recommends `expires_in`; without it a token is asked for again soon.
const UNKNOWN_LIFETIME_SECONDS: u32 = 300;

/// No token counts as valid for longer, whatever its endpoint says.
const LONGEST_LIFETIME_SECONDS: u32 = 86_400;

/// What a token endpoint gave out.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access_token: SecretString,
    /// For how long it is valid, in seconds.
    pub lifetime_seconds: u32,
    /// The refresh token that takes the place of the one given (RFC 6749 §6).
    pub refresh_token: Option<SecretString>,
    /// How long the refresh token is good for, from now on, where the endpoint tells it.
    pub refresh_lifetime_seconds: Option<u32>,
}

/// What a token server gave out.
#[derive(Debug)]
pub struct Handed {
    /// The login, where it names one.
    pub username: Option<String>,
    /// The secret.
    pub secret: HandedSecret,
}

/// Of which kind the secret of a token server is.
#[derive(Debug)]
pub enum HandedSecret {
    /// An access token.
    Token(SecretString),
    /// A password.
    Password(SecretString),
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// `invalid_grant` (RFC 6749 §5.2): the consent is gone, and only another one helps.
    #[error("the grant is not accepted any more")]
    Revoked,
    /// Anything else. It says nothing about the account, and may pass.
    #[error("{words}")]
    Trouble {
        /// What kind of trouble.
        code: ProbeCode,
        /// Ours, safe to show.
        words: String,
        /// For the log.
        #[source]
        source: Option<HttpError>,
    },
}

impl TokenError {
    fn trouble(words: impl Into<String>) -> Self {
        Self::Trouble { code: ProbeCode::ConnectFailed, words: words.into(), source: None }
    }

    /// As a failure of signing in.
    pub fn into_mail(self) -> mail::Error {
        match self {
            Self::Revoked => mail::Error {
                consent_needed: true,
                ..mail::Error::new(
                    ProbeCode::AuthFailed,
                    Phase::Auth,
                    "the token endpoint does not accept this grant any more (invalid_grant): consent again at the provider, and give the new refresh token",
                )
            },
            Self::Trouble { code, words, source } => {
                let error = mail::Error::new(code, Phase::Auth, words);
                match source {
                    Some(source) => error.because(source),
                    None => error,
                }
            }
        }
    }
}

/// Asks for an access token: RFC 6749 §6 with the refresh token, §4.4 without. The client's secret goes into the body
/// (§2.3.1), as both large providers document it.
///
/// # Errors
/// See [`TokenError`].
pub async fn request(
    network: &Network,
    oauth2: &OAuth2,
    scope: Option<&str>,
    client_secret: Option<&SecretString>,
    refresh_token: Option<&SecretString>,
    deadline: Deadline,
) -> Result<Issued, TokenError> {
    let mut fields = vec![("grant_type", oauth2.grant.name()), ("client_id", oauth2.client_id.as_str())];
    fields.extend(client_secret.map(|secret| ("client_secret", secret.expose_secret())));
    if oauth2.grant == Grant::RefreshToken {
        fields.extend(refresh_token.map(|token| ("refresh_token", token.expose_secret())));
    }
    fields.extend(scope.map(|scope| ("scope", scope)));
    let request = Request::form(url(&oauth2.endpoint())?, &fields);
    let answer = fetch(network, request, "the token endpoint", deadline).await?;
    issued(&answer)
}

/// Asks a caller's token server, as EmailEngine does: `GET url?account=…&proto=…`, behind the query that it has.
///
/// # Errors
/// [`TokenError::Trouble`].
pub async fn ask_server(
    network: &Network,
    server: &TokenServer,
    query: Option<&SecretString>,
    account: &AccountId,
    protocol: Protocol,
    deadline: Deadline,
) -> Result<Handed, TokenError> {
    let mut url = url(&server.url)?;
    if let Some(query) = query {
        url.set_query(Some(query.expose_secret()));
    }
    url.query_pairs_mut().append_pair("account", account.as_str()).append_pair("proto", protocol.name());
    let answer = fetch(network, Request::get(url), "the token server", deadline).await?;
    if answer.status != 200 {
        return Err(TokenError::trouble(format!("the token server answers with status {}", answer.status)));
    }
    let words = "the token server's answer holds neither accessToken nor pass";
    let said: ServerAnswer = serde_json::from_slice(&answer.body).map_err(|_| TokenError::trouble(words))?;
    let secret = match (said.access_token, said.pass) {
        (Some(token), _) => HandedSecret::Token(token),
        (None, Some(password)) => HandedSecret::Password(password),
        (None, None) => return Err(TokenError::trouble(words)),
    };
    Ok(Handed { username: said.user, secret })
}

fn url(given: &str) -> Result<Url, TokenError> {
    Url::parse(given).map_err(|_| TokenError::trouble("the token endpoint is no URL"))
}

async fn fetch(network: &Network, mut request: Request, whom: &str, deadline: Deadline) -> Result<Answer, TokenError> {
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let until = deadline.or_after(PATIENCE).instant();
    network.fetch(request, ANSWER_BYTES, until).await.map_err(|error| {
        let (code, words) = match &error {
            HttpError::Net(net::Error::NotAllowed) => (ProbeCode::HostNotAllowed, "is at no allowed address"),
            HttpError::Timeout | HttpError::Net(net::Error::ResolveTimeout | net::Error::ConnectTimeout) => {
                (ProbeCode::Timeout, "did not answer in time")
            }
            _ => (ProbeCode::ConnectFailed, "cannot be used right now"),
        };
        TokenError::Trouble { code, words: format!("{whom} {words}"), source: Some(error) }
    })
}

/// RFC 6749 §5.1.
#[derive(Deserialize)]
struct Success {
    access_token: SecretString,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
    #[serde(default)]
    refresh_token: Option<SecretString>,
    /// Not in the RFC: Google says it where consent was given for a time, others where refresh tokens end.
    #[serde(default)]
    refresh_token_expires_in: Option<serde_json::Value>,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Failure {
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerAnswer {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    access_token: Option<SecretString>,
    #[serde(default)]
    pass: Option<SecretString>,
}

/// The codes of RFC 6749 §5.2: they are shown, other words are not.
const ERROR_CODES: [&str; 5] =
    ["invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"];

fn issued(answer: &Answer) -> Result<Issued, TokenError> {
    if answer.status != 200 {
        return Err(refused(answer));
    }
    let no_token = || TokenError::trouble("the token endpoint's answer holds no access token");
    let said: Success = serde_json::from_slice(&answer.body).map_err(|_| no_token())?;
    // RFC 6749 §7.1: a token of a type that we do not know must not be used.
    let bearer = said.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer || said.access_token.expose_secret().is_empty() {
        return Err(no_token());
    }
    let lifetime = said.expires_in.and_then(seconds).unwrap_or(UNKNOWN_LIFETIME_SECONDS);
    Ok(Issued {
        access_token: said.access_token,
        lifetime_seconds: lifetime.min(LONGEST_LIFETIME_SECONDS),
        refresh_token: said.refresh_token.filter(|token| !token.expose_secret().is_empty()),
        refresh_lifetime_seconds: said.refresh_token_expires_in.and_then(seconds).filter(|seconds| *seconds > 0),
    })
}

/// Some endpoints give the number as a text.
fn seconds(said: serde_json::Value) -> Option<u32> {
    let seconds = match said {
        serde_json::Value::String(seconds) => seconds.parse().ok(),
        seconds => seconds.as_u64(),
    };
    seconds.and_then(|seconds| u32::try_from(seconds).ok())
}

fn refused(answer: &Answer) -> TokenError {
    let code = serde_json::from_slice::<Failure>(&answer.body).ok().map(|failure| failure.error);
    match code.as_deref() {
        Some("invalid_grant") if (400..500).contains(&answer.status) => TokenError::Revoked,
        Some(code) if ERROR_CODES.contains(&code) => {
            TokenError::trouble(format!("the token endpoint answers with {code}"))
        }
        _ => TokenError::trouble(format!("the token endpoint answers with status {}", answer.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &'static str) -> Result<Issued, TokenError> {
        issued(&Answer { status, headers: http::HeaderMap::new(), body: body.into() })
    }

    #[test]
    fn tokens_are_read_as_endpoints_give_them() {
        for (body, lifetime, rotated) in [
            (r#"{"access_token":"a","token_type":"Bearer","expires_in":3599,"refresh_token":"r"}"#, 3599, true),
            (r#"{"access_token":"a","token_type":"bearer","expires_in":"60"}"#, 60, false),
            (r#"{"access_token":"a","refresh_token":""}"#, UNKNOWN_LIFETIME_SECONDS, false),
            (r#"{"access_token":"a","expires_in":-1}"#, UNKNOWN_LIFETIME_SECONDS, false),
            (r#"{"access_token":"a","expires_in":4000000000}"#, LONGEST_LIFETIME_SECONDS, false),
        ] {
            let issued = read(200, body).unwrap();
            assert_eq!((issued.lifetime_seconds, issued.refresh_token.is_some()), (lifetime, rotated), "{body}");
            assert_eq!(issued.access_token.expose_secret(), "a");
        }
        for body in [r#"{"access_token":"a","token_type":"mac"}"#, r#"{"access_token":""}"#, "{}", "", "<html>"] {
            assert!(matches!(read(200, body), Err(TokenError::Trouble { .. })), "{body}");
        }
    }

    #[test]
    fn the_end_of_a_refresh_token_is_known_where_the_endpoint_tells_it() {
        let ends = |body| read(200, body).unwrap().refresh_lifetime_seconds;
        assert_eq!(ends(r#"{"access_token":"a","refresh_token_expires_in":604799}"#), Some(604_799));
        assert_eq!(ends(r#"{"access_token":"a","refresh_token_expires_in":"86400"}"#), Some(86_400));
        assert_eq!(ends(r#"{"access_token":"a","refresh_token_expires_in":0}"#), None);
        assert_eq!(ends(r#"{"access_token":"a"}"#), None);
    }

    #[test]
    fn only_invalid_grant_ends_a_grant() {
        assert!(matches!(read(400, r#"{"error":"invalid_grant"}"#), Err(TokenError::Revoked)));
        assert!(matches!(read(401, r#"{"error":"invalid_grant"}"#), Err(TokenError::Revoked)));
        for (status, body, words) in [
            (503, r#"{"error":"invalid_grant"}"#, "the token endpoint answers with status 503"),
            (
                401,
                r#"{"error":"invalid_client","error_description":"CANARY"}"#,
                "the token endpoint answers with invalid_client",
            ),
            (400, r#"{"error":"CANARY"}"#, "the token endpoint answers with status 400"),
            (302, "CANARY", "the token endpoint answers with status 302"),
        ] {
            let error = read(status, body).unwrap_err();
            assert_eq!(error.to_string(), words);
            let error = error.into_mail();
            assert!(error.is_transient() && !error.is_auth_refusal() && error.detail == words, "{error}");
        }
        let error = TokenError::Revoked.into_mail();
        assert!(error.is_auth_refusal() && error.phase == Phase::Auth);
    }
}
