//! What will stop working soon: seen in the settings, in what providers announce, and in what probes have found.

use super::Tools;
use crate::mail::TlsFacts;
use crate::mail::providers::{self, Passwords, Provider};
use crate::model::account::{Grant, Provider as Issuer};
use crate::model::risk::{Risk, RiskCode, Severity};
use crate::model::{Account, AccountId, Auth, Security, Server, Tenant, Timestamp};
use crate::store::{AccountRow, AccountStatus, SeenTls, Side, SideStatus, StatusChange, StoreError};

/// A certificate is mentioned this long before its end.
pub(super) const EXPIRING_SECONDS: i64 = 30 * 86_400;

/// An end within this time is high.
const NEAR_SECONDS: i64 = 7 * 86_400;

/// Microsoft drops a refresh token that nobody uses for 90 days (Microsoft identity platform, "Refresh tokens").
const MICROSOFT_UNUSED_SECONDS: i64 = 90 * 86_400;

/// Google drops one that nobody uses for six months (Google Identity, "Refresh token expiration").
const GOOGLE_UNUSED_SECONDS: i64 = 180 * 86_400;

/// Refusals in a row from which on an account is left alone for hours.
const MANY_REFUSALS: u32 = 5;

/// Remembers how a server was secured that somebody has just signed in to, where that is not what was known. A use of
/// the account does not fail where this does.
pub async fn notice(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    side: Side,
    known: &AccountStatus,
    facts: Option<&TlsFacts>,
) {
    let (server, before) = match side {
        Side::Smtp => (row.account.smtp.as_ref(), known.smtp_tls.as_ref()),
        Side::Receive => (row.account.receive.as_ref().map(|receive| &receive.server), known.receive_tls.as_ref()),
    };
    let Some(seen) = seen(server, facts.cloned()).filter(|seen| before != Some(seen)) else { return };
    let change = match side {
        Side::Smtp => StatusChange { smtp_tls: Some(seen), ..StatusChange::default() },
        Side::Receive => StatusChange { receive_tls: Some(seen), ..StatusChange::default() },
    };
    if let Err(error) = tools.store.statuses.change(tenant, &row.account.account, &change).await {
        tracing::warn!(%error, "how a server is secured was not noted");
    }
}

/// Remembers how the servers are secured, sending and receiving, where that is not what was known.
pub async fn remember(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    [smtp, receive]: [Option<TlsFacts>; 2],
) -> Result<(), StoreError> {
    let name = &row.account.account;
    let receiving = row.account.receive.as_ref().map(|receive| &receive.server);
    let (smtp, receive) = (seen(row.account.smtp.as_ref(), smtp), seen(receiving, receive));
    if smtp.is_none() && receive.is_none() {
        return Ok(());
    }
    let known = tools.store.statuses.get(tenant, name).await?;
    let change = StatusChange {
        smtp_tls: smtp.filter(|seen| known.smtp_tls.as_ref() != Some(seen)),
        receive_tls: receive.filter(|seen| known.receive_tls.as_ref() != Some(seen)),
        ..StatusChange::default()
    };
    tools.store.statuses.change(tenant, name, &change).await
}

fn seen(server: Option<&Server>, facts: Option<TlsFacts>) -> Option<SeenTls> {
    let facts = facts?;
    let not_after = facts.certificate.map(|certificate| certificate.not_after);
    Some(SeenTls { host: server?.host.clone(), version: facts.version, not_after })
}

/// The risks of one account, the worst first.
pub fn of(account: &Account, status: &AccountStatus, now: Timestamp) -> Vec<Risk> {
    let receiving = account.receive.as_ref().map(|receive| &receive.server);
    let sides = [
        ("smtp", account.smtp.as_ref(), status.smtp, status.smtp_tls.as_ref()),
        ("receive", receiving, status.receive, status.receive_tls.as_ref()),
    ];
    let mut risks = Vec::new();
    for (side, server, fares, seen) in sides {
        let Some(server) = server else { continue };
        let found = [
            password(side, server, now),
            unencrypted(server),
            unchecked(server),
            refusals(fares),
            client_secret(server, now),
            refresh_token(account, server, status, now),
        ];
        // What was seen of another server says nothing about this one.
        let seen = seen.filter(|seen| seen.host == server.host && server.security != Security::None);
        let of_tls = seen.map(|seen| [certificate(seen, now), version(seen)]).unwrap_or_default();
        risks.extend(found.into_iter().chain(of_tls).flatten().map(|found| found.of(&account.account, side)));
    }
    risks.sort_by_key(|risk| std::cmp::Reverse(risk.severity));
    risks
}

/// A risk whose account is known elsewhere.
struct Found {
    code: RiskCode,
    severity: Severity,
    at: Option<Timestamp>,
    text: String,
}

impl Found {
    fn of(self, account: &AccountId, side: &'static str) -> Risk {
        let Self { code, severity, at, text } = self;
        Risk { account: account.clone(), side, code, severity, at, text }
    }
}

fn soon(at: Timestamp, now: Timestamp) -> Severity {
    if at < now.plus_seconds(NEAR_SECONDS) { Severity::High } else { Severity::Warning }
}

fn password(side: &str, server: &Server, now: Timestamp) -> Option<Found> {
    let provider: &Provider = providers::of_server(&server.host)?;
    let Auth::Password { .. } = server.auth else { return None };
    let name = provider.name;
    match provider.passwords {
        Passwords::Usual => None,
        Passwords::App(url) => Some(Found {
            code: RiskCode::AppPassword,
            severity: Severity::Info,
            at: None,
            text: format!(
                "{name} takes app passwords only ({url}); they end when the account's own password changes{}.",
                oauth_hint(provider)
            ),
        }),
        Passwords::Ending { smtp, receive, source } => {
            let day = if side == "smtp" { smtp } else { receive };
            let at = Timestamp::parse(&format!("{day}T00:00:00Z"))?;
            let words = if at <= now {
                "has switched password sign-in off"
            } else {
                "switches password sign-in off by default"
            };
            Some(Found {
                code: RiskCode::PasswordEnding,
                severity: soon(at, now),
                at: Some(at),
                text: format!("{name} {words} ({day}, {source}){}.", oauth_hint(provider)),
            })
        }
    }
}

fn oauth_hint(provider: &Provider) -> String {
    provider.oauth2.map(|name| format!(": use auth of type oauth2 with provider {name}")).unwrap_or_default()
}

fn unencrypted(server: &Server) -> Option<Found> {
    (server.security == Security::None).then(|| Found {
        code: RiskCode::Unencrypted,
        severity: Severity::High,
        at: None,
        text: "security is none: password and mail travel in the clear. Set it to tls or starttls.".to_owned(),
    })
}

fn unchecked(server: &Server) -> Option<Found> {
    (!server.verify_certificate && server.security != Security::None).then(|| Found {
        code: RiskCode::CertificateUnchecked,
        severity: Severity::High,
        at: None,
        text: "verifyCertificate is false: anybody on the way can pose as the server and read the password.".to_owned(),
    })
}

fn certificate(seen: &SeenTls, now: Timestamp) -> Option<Found> {
    let at = seen.not_after.filter(|at| *at < now.plus_seconds(EXPIRING_SECONDS))?;
    let words = if at < now { "had expired when it was seen last" } else { "expires soon" };
    Some(Found {
        code: RiskCode::CertificateExpiring,
        severity: soon(at, now),
        at: Some(at),
        text: format!(
            "The certificate of {} {words} ({at}): its administrator has to renew it. Verify the account afterwards.",
            seen.host
        ),
    })
}

fn version(seen: &SeenTls) -> Option<Found> {
    (seen.version != "TLSv1.3").then(|| Found {
        code: RiskCode::WeakTls,
        severity: Severity::Info,
        at: None,
        text: format!("{} speaks {} at best; TLS 1.3 is safer. Older versions are refused.", seen.host, seen.version),
    })
}

fn client_secret(server: &Server, now: Timestamp) -> Option<Found> {
    let Auth::OAuth2(oauth2) = &server.auth else { return None };
    let at = oauth2.client_secret_expires_at.filter(|at| *at < now.plus_seconds(EXPIRING_SECONDS))?;
    let words = if at < now { "has expired" } else { "expires soon" };
    Some(Found {
        code: RiskCode::ClientSecretExpiring,
        severity: soon(at, now),
        at: Some(at),
        text: format!(
            "The client secret of application {} {words} ({at}): make a new one at the provider, and give it with its clientSecretExpiresAt.",
            oauth2.client_id
        ),
    })
}

/// A refresh token ends when its endpoint says so, or when nobody has used it for as long as the provider waits.
fn refresh_token(account: &Account, server: &Server, status: &AccountStatus, now: Timestamp) -> Option<Found> {
    let Auth::OAuth2(oauth2) = &server.auth else { return None };
    if oauth2.grant != Grant::RefreshToken {
        return None;
    }
    let unused = match oauth2.provider {
        Issuer::Microsoft => Some(MICROSOFT_UNUSED_SECONDS),
        Issuer::Google => Some(GOOGLE_UNUSED_SECONDS),
        Issuer::Generic => None,
    };
    let used = [Some(account.updated_at), status.last_send_at, status.last_pull_at].into_iter().flatten().max();
    let unused = unused.filter(|_| !account.poll.enabled).zip(used).map(|(length, used)| used.plus_seconds(length));
    let at = [status.refresh_token_expires_at, unused].into_iter().flatten().min()?;
    if at >= now.plus_seconds(EXPIRING_SECONDS) {
        return None;
    }
    let text = if Some(at) == unused {
        format!(
            "Nobody has used this mailbox for long, and its provider drops the refresh token ({at}): send, pull or verify."
        )
    } else {
        format!("The refresh token ends ({at}): consent again at the provider, and give the new refresh token.")
    };
    Some(Found { code: RiskCode::RefreshTokenExpiring, severity: soon(at, now), at: Some(at), text })
}

fn refusals(side: SideStatus) -> Option<Found> {
    (side.refusals > 0).then(|| Found {
        code: RiskCode::SignInFailing,
        severity: if side.refusals >= MANY_REFUSALS { Severity::High } else { Severity::Warning },
        at: side.pause,
        text: format!(
            "The server has refused the sign-in {} times in a row: diagnose the account before the server locks it.",
            side.refusals
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(host: &str, security: &str, verify: bool, auth: serde_json::Value) -> Account {
        let server = serde_json::json!({"host": host, "port": 587, "security": security, "verifyCertificate": verify, "auth": auth});
        let account = serde_json::json!({"account": "box", "name": null, "from": {"address": "ada@example.com"}, "identities": [],
            "smtp": server, "receive": null, "poll": {"enabled": false, "minSeconds": 60, "maxSeconds": 900}, "sentCopy": "auto",
            "createdAt": "2026-11-21T07:36:10.000Z", "updatedAt": "2026-11-21T07:36:10.000Z"});
        serde_json::from_value(account).unwrap()
    }

    fn password() -> serde_json::Value {
        serde_json::json!({"type": "password", "username": "ada", "hasPassword": true})
    }

    fn codes(account: &Account, status: &AccountStatus, now: &str) -> Vec<(RiskCode, Severity)> {
        let now = Timestamp::parse(now).unwrap();
        of(account, status, now).into_iter().map(|risk| (risk.code, risk.severity)).collect()
    }

    const NOW: &str = "2026-11-21T00:00:00Z";

    #[test]
    fn passwords_at_providers_that_end_them_are_named_until_they_are_replaced() {
        let microsoft = account("smtp.office365.com", "starttls", true, password());
        let nothing = AccountStatus::default();
        assert_eq!(codes(&microsoft, &nothing, NOW), [(RiskCode::PasswordEnding, Severity::Warning)]);
        assert_eq!(codes(&microsoft, &nothing, "2026-12-28T00:00:00Z"), [(RiskCode::PasswordEnding, Severity::High)]);
        let text = &of(&microsoft, &nothing, Timestamp::parse(NOW).unwrap())[0].text;
        assert!(text.contains("2026-12-31") && text.contains("oauth2"), "{text}");
        let google = account("smtp.gmail.com", "starttls", true, password());
        assert_eq!(codes(&google, &nothing, NOW), [(RiskCode::AppPassword, Severity::Info)]);
        let none = account("smtp.gmail.com", "starttls", true, serde_json::json!({"type": "none"}));
        assert!(codes(&none, &nothing, NOW).is_empty());
        assert!(codes(&account("mail.example.com", "tls", true, password()), &nothing, NOW).is_empty());
    }

    #[test]
    fn certificates_count_for_the_server_they_were_seen_at_and_30_days() {
        let seen = |host: &str, until: &str| AccountStatus {
            smtp_tls: Some(SeenTls {
                host: host.into(),
                version: "TLSv1.3".into(),
                not_after: Timestamp::parse(until),
            }),
            ..AccountStatus::default()
        };
        let account = account("mail.example.com", "tls", true, password());
        let expiring = |severity| vec![(RiskCode::CertificateExpiring, severity)];
        assert_eq!(
            codes(&account, &seen("mail.example.com", "2026-12-20T23:59:59Z"), NOW),
            expiring(Severity::Warning)
        );
        assert_eq!(codes(&account, &seen("mail.example.com", "2026-12-21T00:00:00Z"), NOW), []);
        assert_eq!(codes(&account, &seen("mail.example.com", "2026-11-27T00:00:00Z"), NOW), expiring(Severity::High));
        assert_eq!(codes(&account, &seen("mail.example.com", "2026-11-01T00:00:00Z"), NOW), expiring(Severity::High));
        assert_eq!(codes(&account, &seen("old.example.com", "2026-11-27T00:00:00Z"), NOW), []);
    }

    #[test]
    fn what_oauth_needs_ends_too() {
        let oauth = |grant: &str, ends: Option<&str>| {
            let auth = serde_json::json!({"type": "oauth2", "username": "ada", "provider": "microsoft", "clientId": "app",
                "hasClientSecret": true, "clientSecretExpiresAt": ends, "hasRefreshToken": true, "grant": grant});
            account("smtp.office365.com", "starttls", true, auth)
        };
        let nothing = AccountStatus::default();
        let application = |ends| codes(&oauth("client_credentials", Some(ends)), &nothing, NOW);
        assert_eq!(application("2026-12-20T00:00:00Z"), [(RiskCode::ClientSecretExpiring, Severity::Warning)]);
        assert_eq!(application("2026-11-20T00:00:00Z"), [(RiskCode::ClientSecretExpiring, Severity::High)]);
        assert_eq!(application("2026-12-21T00:00:00Z"), []);
        let person = oauth("refresh_token", None);
        assert_eq!(codes(&person, &nothing, NOW), []);
        let ending = [(RiskCode::RefreshTokenExpiring, Severity::Warning)];
        assert_eq!(codes(&person, &nothing, "2027-01-25T00:00:00Z"), ending, "90 days after it was given, unused");
        let used = AccountStatus { last_send_at: Timestamp::parse("2027-01-02T00:00:00Z"), ..nothing.clone() };
        assert_eq!(codes(&person, &used, "2027-01-25T00:00:00Z"), []);
        let told = AccountStatus { refresh_token_expires_at: Timestamp::parse("2026-12-10T00:00:00Z"), ..nothing };
        assert_eq!(codes(&person, &told, NOW), ending, "the endpoint said so");
    }

    #[test]
    fn weak_settings_and_refused_sign_ins_are_risks_the_worst_first() {
        let status = AccountStatus {
            smtp: SideStatus { refusals: 2, ..SideStatus::default() },
            smtp_tls: Some(SeenTls { host: "h.example.com".into(), version: "TLSv1.2".into(), not_after: None }),
            ..AccountStatus::default()
        };
        let unchecked = account("h.example.com", "tls", false, password());
        assert_eq!(
            codes(&unchecked, &status, NOW),
            [
                (RiskCode::CertificateUnchecked, Severity::High),
                (RiskCode::SignInFailing, Severity::Warning),
                (RiskCode::WeakTls, Severity::Info)
            ]
        );
        let clear = account("h.example.com", "none", true, password());
        let many = SideStatus { refusals: MANY_REFUSALS, ..SideStatus::default() };
        let many = AccountStatus { smtp: many, ..status };
        assert_eq!(
            codes(&clear, &many, NOW),
            [(RiskCode::Unencrypted, Severity::High), (RiskCode::SignInFailing, Severity::High)]
        );
    }
}
