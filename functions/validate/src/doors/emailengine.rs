//! EmailEngine's `POST /v1/verifyAccount`.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::http::engine::{Elsewhere, EngineSide, in_their_words};
use shared::http::problem::{from_verdict, status};
use shared::http::{Call, Reply};
use shared::model::account::{ReceiveInput, ServerInput};
use shared::model::views::ValidateInput;
use shared::model::{FieldError, ProbeCode, Problem, Protocol, Verdict};
use shared::ops::Tools;

use crate::handler::given;

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
    let preferences = tools.store.preferences.get(call.tenant()).await?;
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

#[cfg(test)]
mod tests {
    use shared::model::Phase;

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
}
