//! Does an account work? Both sides at once, within one budget; a failure is a result and not an error.

use std::time::Instant;

use super::keyring::{Keyring, Source};
use super::pull::folders::which;
use super::sign_in::{self, Receiver, SignInError};
use super::{Tools, fortunes, fortunes::Fortune, guesses, risks};
use crate::mail::{self, BoxedStream, Deadline, smtp};
use crate::model::account::AccountSecrets;
use crate::model::{Account, Phase, Probe, ProbeCode, Problem, Protocol, Receive, Tenant, Timestamp, Verdict};
use crate::store::{AccountRow, Side, StoreError};

/// Probes stored settings with the stored credential, and records how the account fares.
///
/// # Errors
/// Too many refusals within the hour ([`guesses`]), or our own storage.
pub async fn stored(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Probe, Problem> {
    let admitted = guesses::admit_stored(tools, tenant, &row.account, now).await?;
    let smtp = async {
        row.account.smtp.as_ref()?;
        let started = Instant::now();
        let client = sign_in::smtp(tools, tenant, row, deadline, now).await;
        let tls = client.as_ref().ok().and_then(smtp::Client::tls).cloned();
        let result = match client {
            Ok(client) => greet(client).await,
            Err(error) => Err(error),
        };
        Some((verdict(result, started), tls))
    };
    let receive = async {
        let settings = row.account.receive.as_ref()?;
        let started = Instant::now();
        let client = sign_in::receiver(tools, tenant, row, deadline, now).await;
        let tls = client.as_ref().ok().and_then(Receiver::tls).cloned();
        let result = match client {
            Ok(client) => look(client, settings).await,
            Err(error) => Err(error),
        };
        Some((verdict(result, started), tls))
    };
    let (smtp, receive) = tokio::join!(smtp, receive);
    let ((smtp, smtp_tls), (receive, receive_tls)) = (smtp.unzip(), receive.unzip());
    let probe = summed(smtp.transpose()?, receive.transpose()?);
    admitted.probed(&probe).await?;
    fortunes::record(tools, tenant, row, Fortune::Probed(&probe), now).await?;
    risks::remember(tools, tenant, row, [smtp_tls.flatten(), receive_tls.flatten()]).await?;
    Ok(probe)
}

/// Probes given settings with given secrets. No stored secret is used, and nothing is stored but what
/// an OAuth endpoint gave: where tokens rotate, the refresh token given is worth nothing afterwards.
pub async fn given(
    tools: &Tools,
    tenant: &Tenant,
    account: &Account,
    secrets: &AccountSecrets,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Probe, StoreError> {
    let name = &account.account;
    let smtp = async {
        let server = account.smtp.as_ref()?;
        let started = Instant::now();
        let (protocol, source) = (Protocol::Smtp, Source::Given(&secrets.smtp));
        let keyring =
            Keyring { tools, tenant, account: name, side: Side::Smtp, server, protocol, source, deadline, now };
        let result = match sign_in::smtp_by(&keyring).await {
            Ok(client) => greet(client).await,
            Err(error) => Err(error),
        };
        Some(verdict(result, started))
    };
    let receive = async {
        let settings = account.receive.as_ref()?;
        let started = Instant::now();
        let (server, protocol) = (&settings.server, settings.protocol);
        let source = Source::Given(&secrets.receive);
        let keyring =
            Keyring { tools, tenant, account: name, side: Side::Receive, server, protocol, source, deadline, now };
        let result = match sign_in::receiver_by(&keyring, settings).await {
            Ok(client) => look(client, settings).await,
            Err(error) => Err(error),
        };
        Some(verdict(result, started))
    };
    let (smtp, receive) = tokio::join!(smtp, receive);
    Ok(summed(smtp.transpose()?, receive.transpose()?))
}

/// A success: how far it came, and in which words.
struct Found {
    phase: Phase,
    code: Option<u16>,
    words: String,
}

async fn greet(client: smtp::Client<BoxedStream>) -> Result<Found, SignInError> {
    Ok(met(client).await)
}

/// Signing in is all that can be asked of a sending server without sending.
async fn met(client: smtp::Client<BoxedStream>) -> Found {
    let reply = client.signed_in().cloned();
    client.quit().await;
    match reply {
        Some(reply) => Found { phase: Phase::Auth, code: Some(reply.code), words: reply.to_string() },
        None => {
            Found { phase: Phase::Capabilities, code: None, words: "connected; no sign-in was asked for".to_owned() }
        }
    }
}

async fn look(client: Receiver, receive: &Receive) -> Result<Found, SignInError> {
    Ok(seen(client, receive).await?)
}

/// Looks into each folder, as a pull would.
async fn seen(client: Receiver, receive: &Receive) -> Result<Found, mail::Error> {
    let messages = match client {
        Receiver::Pop3(mut client) => {
            let messages = client.stat().await?.messages;
            // Nothing was marked: whether QUIT is answered changes nothing.
            let _ = client.quit().await;
            messages
        }
        Receiver::Imap(mut client) => {
            let mut messages = 0_u32;
            for choice in which(&mut client, &receive.folders).await? {
                let folder = choice.found()?;
                messages = messages.saturating_add(client.status(&folder).await?.messages);
            }
            let _ = client.logout().await;
            messages
        }
    };
    Ok(Found { phase: Phase::Select, code: None, words: format!("signed in; {messages} messages") })
}

fn verdict(result: Result<Found, SignInError>, started: Instant) -> Result<Verdict, StoreError> {
    match result {
        Ok(found) => Ok(success(found, started)),
        Err(error) => error.verdict(millis(started)),
    }
}

fn success(found: Found, started: Instant) -> Verdict {
    Verdict {
        success: true,
        code: ProbeCode::Ok,
        smtp_response_code: found.code,
        message: found.words,
        connection_failed: false,
        phase: found.phase,
        duration_ms: millis(started),
        consent_needed: false,
    }
}

fn summed(smtp: Option<Verdict>, receive: Option<Verdict>) -> Probe {
    let success = [&smtp, &receive].into_iter().flatten().all(|verdict| verdict.success);
    Probe { success, smtp, receive }
}

pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
