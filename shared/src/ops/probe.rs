//! Does an account work? Both sides at once, within one budget; a failure is a result and not an error.

use std::time::Instant;

use super::sign_in::{self, Receiver, SignInError};
use super::{Tools, fortunes, fortunes::Fortune};
use crate::mail::{self, BoxedStream, Credential, Deadline, smtp};
use crate::model::account::{AccountSecrets, SideSecrets};
use crate::model::{Account, Auth, Phase, Probe, ProbeCode, Receive, Server, Tenant, Timestamp, Verdict};
use crate::net::Network;
use crate::store::{AccountRow, StoreError};

/// Probes stored settings with the stored credential, and records how the account fares.
pub async fn stored(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Probe, StoreError> {
    let smtp = async {
        row.account.smtp.as_ref()?;
        let started = Instant::now();
        let result = match sign_in::smtp(tools, tenant, row, deadline, now).await {
            Ok(client) => greet(client).await,
            Err(error) => Err(error),
        };
        Some(verdict(result, started))
    };
    let receive = async {
        let settings = row.account.receive.as_ref()?;
        let started = Instant::now();
        let result = match sign_in::receiver(tools, tenant, row, deadline, now).await {
            Ok(client) => look(client, settings).await,
            Err(error) => Err(error),
        };
        Some(verdict(result, started))
    };
    let (smtp, receive) = tokio::join!(smtp, receive);
    let probe = summed(smtp.transpose()?, receive.transpose()?);
    fortunes::record(tools, tenant, row, Fortune::Probed(&probe), now).await?;
    Ok(probe)
}

/// Probes given settings with given secrets. Nothing is stored, and no stored secret is used.
pub async fn given(
    tools: &Tools,
    _tenant: &Tenant,
    account: &Account,
    secrets: &AccountSecrets,
    deadline: Deadline,
    _now: Timestamp,
) -> Result<Probe, StoreError> {
    let network = &tools.network;
    let smtp = async {
        let server = account.smtp.as_ref()?;
        let started = Instant::now();
        let result = try_smtp(network, server, &secrets.smtp, deadline).await;
        Some(from_mail(result, started))
    };
    let receive = async {
        let settings = account.receive.as_ref()?;
        let started = Instant::now();
        let result = try_receive(network, settings, &secrets.receive, deadline).await;
        Some(from_mail(result, started))
    };
    let (smtp, receive) = tokio::join!(smtp, receive);
    Ok(summed(smtp, receive))
}

async fn try_smtp(
    network: &Network,
    server: &Server,
    secrets: &SideSecrets,
    deadline: Deadline,
) -> Result<Found, mail::Error> {
    let credential = credential(&server.auth, secrets)?;
    let client = sign_in::open_smtp(network, server, &credential, deadline).await?;
    Ok(met(client).await)
}

async fn try_receive(
    network: &Network,
    receive: &Receive,
    secrets: &SideSecrets,
    deadline: Deadline,
) -> Result<Found, mail::Error> {
    let credential = credential(&receive.server.auth, secrets)?;
    let client = sign_in::open_receiver(network, receive, &credential, deadline).await?;
    seen(client, receive).await
}

/// The credential that settings and given secrets make.
pub fn credential(auth: &Auth, secrets: &SideSecrets) -> Result<Credential, mail::Error> {
    match (auth, &secrets.password) {
        (Auth::None, _) => Ok(Credential::None),
        (Auth::Password { username, .. }, Some(password)) => {
            Ok(Credential::Password { username: username.clone(), password: password.clone() })
        }
        (Auth::Password { .. }, None) | (Auth::OAuth2(_) | Auth::TokenServer(_), _) => Err(sign_in::no_password()),
    }
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
            for folder in &receive.folders {
                messages = messages.saturating_add(client.status(folder).await?.messages);
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

fn from_mail(result: Result<Found, mail::Error>, started: Instant) -> Verdict {
    match result {
        Ok(found) => success(found, started),
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
    }
}

fn summed(smtp: Option<Verdict>, receive: Option<Verdict>) -> Probe {
    let success = [&smtp, &receive].into_iter().flatten().all(|verdict| verdict.success);
    Probe { success, smtp, receive }
}

pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
