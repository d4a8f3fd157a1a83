//! EmailEngine's `POST /v1/verifyAccount` and `GET /v1/autoconfig`.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::http::engine::{Elsewhere, EngineSide, in_their_words};
use shared::http::problem::{from_verdict, status};
use shared::http::{Call, Reply};
use shared::model::account::{ReceiveInput, ServerInput};
use shared::model::autoconfig::{Autoconfig, SuggestedServer};
use shared::model::views::ValidateInput;
use shared::model::{FieldError, ProbeCode, Problem, Protocol, Security, Verdict};
use shared::ops::Tools;

use crate::handler::{found, given};

/// What to try; `false` or nothing: not this side.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verify {
    imap: Option<EngineSide>,
    smtp: Option<EngineSide>,
}

/// Probes given settings; 200 whatever comes of it.
pub(crate) async fn verify(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let asked: Verify = call.json()?;
    let preferences = tools.store.preferences.get(call.tenant(), call.now).await?;
    let elsewhere = Elsewhere { auth_server: preferences.auth_server, oauth2: None };
    let mut errors = Vec::new();
    let imap = side("imap", asked.imap, &elsewhere, &mut errors);
    let smtp = side("smtp", asked.smtp, &elsewhere, &mut errors);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let receive = imap.map(|server| ReceiveInput::new(Protocol::Imap, server));
    if smtp.is_none() && receive.is_none() {
        return Reply::ok(&json!({}));
    }
    let probe = given(&tools, &call, ValidateInput { smtp, receive }).await.map_err(in_their_words)?;
    let mut answer = Map::new();
    for (name, verdict, receive) in [("imap", probe.receive, true), ("smtp", probe.smtp, false)] {
        if let Some(verdict) = verdict {
            answer.insert(name.to_owned(), shown(&verdict, receive));
        }
    }
    Reply::ok(&answer)
}

fn side(
    name: &'static str,
    given: Option<EngineSide>,
    elsewhere: &Elsewhere,
    errors: &mut Vec<FieldError>,
) -> Option<ServerInput> {
    match given {
        Some(EngineSide::On(server)) => {
            server.settings(name, None, elsewhere).map_err(|wrong| errors.extend(wrong)).ok()
        }
        Some(EngineSide::Off) | None => None,
    }
}

/// A verdict in EmailEngine's words. `statusCode` is the HTTP status of the same failure elsewhere.
fn shown(verdict: &Verdict, receive: bool) -> Value {
    if verdict.success {
        return json!({"success": true});
    }
    let mut shown = json!({
        "success": false,
        "error": verdict.message,
        "code": code(verdict.code),
        "statusCode": status(from_verdict(verdict, receive).code).as_u16(),
    });
    if !verdict.connection_failed {
        shown["responseText"] = json!(verdict.message);
    }
    shown
}

/// The codes of the libraries that EmailEngine speaks through.
fn code(code: ProbeCode) -> &'static str {
    match code {
        ProbeCode::AuthFailed | ProbeCode::AuthUnavailable => "EAUTH",
        ProbeCode::DnsFailed => "EDNS",
        ProbeCode::Timeout => "ETIMEDOUT",
        ProbeCode::ConnectFailed => "ECONNECTION",
        ProbeCode::TlsFailed
        | ProbeCode::CertificateInvalid
        | ProbeCode::StarttlsUnavailable
        | ProbeCode::ProtocolInjection => "ETLS",
        ProbeCode::HostNotAllowed => "EEGRESSBLOCKED",
        ProbeCode::RecipientRejected => "EENVELOPE",
        ProbeCode::MessageRejected => "EMESSAGE",
        ProbeCode::GreetingFailed | ProbeCode::ProtocolError | ProbeCode::Ok => "EPROTOCOL",
    }
}

/// `GET /emailengine/v1/autoconfig?email=`.
pub(crate) async fn autoconfig(tools: Tools, call: Call) -> Result<Reply, Problem> {
    Reply::ok(&suggested(&found(&tools, &call).await?))
}

/// What was found in EmailEngine's words, which know IMAP only: `false` is "not found".
fn suggested(found: &Autoconfig) -> Value {
    let server = |server: &SuggestedServer| {
        json!({
            "auth": {"user": server.auth.username},
            "host": server.host,
            "port": server.port,
            "secure": server.security == Security::Tls,
        })
    };
    let mut receiving = found.receive.iter().chain(&found.alternatives);
    let imap = receiving.find(|server| server.protocol == Some(Protocol::Imap));
    let mut answer = json!({
        "imap": imap.map_or(json!(false), server),
        "smtp": found.smtp.as_ref().map_or(json!(false), server),
        "_source": found.source.map_or(json!("unknown"), |source| json!(source)),
    });
    if let Some((provider, url)) = found.provider.as_ref().and_then(|known| Some((known.name, known.app_password_url?)))
    {
        answer["appPassword"] = json!({
            "required": true,
            "provider": provider,
            "instructions": format!("Make an app password at {url} and use it in place of the account's own"),
        });
    }
    answer
}

#[cfg(test)]
mod tests {
    use shared::model::Phase;
    use shared::model::autoconfig::SuggestedAuth;

    use super::*;

    #[test]
    fn a_failure_tells_code_status_and_the_servers_words() {
        let verdict = Verdict {
            success: false,
            code: ProbeCode::AuthFailed,
            smtp_response_code: None,
            message: "NO [AUTHENTICATIONFAILED] no".into(),
            connection_failed: false,
            phase: Phase::Auth,
            duration_ms: 1,
            consent_needed: false,
        };
        let wanted = json!({"success": false, "error": "NO [AUTHENTICATIONFAILED] no", "code": "EAUTH",
                            "statusCode": 502, "responseText": "NO [AUTHENTICATIONFAILED] no"});
        assert_eq!(shown(&verdict, true), wanted);
        let timeout = Verdict { code: ProbeCode::Timeout, connection_failed: true, ..verdict.clone() };
        assert_eq!(
            (&shown(&timeout, true)["statusCode"], shown(&timeout, true).get("responseText")),
            (&json!(504), None)
        );
        assert_eq!(shown(&Verdict { success: true, ..verdict }, true), json!({"success": true}));
    }
    #[test]
    fn only_imap_is_suggested_for_receiving() {
        let server = |protocol, port, security| SuggestedServer {
            protocol,
            host: "mail.example.com".into(),
            port,
            security,
            auth: SuggestedAuth { kind: "password", username: "ada".into() },
        };
        let mut found = Autoconfig {
            email: "ada@example.com".into(),
            source: None,
            provider: None,
            smtp: None,
            receive: Some(server(Some(Protocol::Pop3), 995, Security::Tls)),
            alternatives: Vec::new(),
        };
        assert_eq!(suggested(&found), json!({"imap": false, "smtp": false, "_source": "unknown"}));
        found.smtp = Some(server(None, 587, Security::Starttls));
        found.alternatives.push(server(Some(Protocol::Imap), 993, Security::Tls));
        let of =
            |port, secure| json!({"auth": {"user": "ada"}, "host": "mail.example.com", "port": port, "secure": secure});
        assert_eq!(suggested(&found), json!({"imap": of(993, true), "smtp": of(587, false), "_source": "unknown"}));
    }
}
