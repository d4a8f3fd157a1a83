//! One known message, sent at once and not stored: does this account deliver? Failure is an answer.

use std::time::Instant;

use super::Tools;
use super::fortunes::{self, Fortune};
use super::guesses::{self, Admitted};
use super::keyring::{Keyring, Source};
use super::probe::millis;
use super::send::content;
use super::sign_in::{self, SignInError};
use crate::mail::smtp::{Client, Content, Outcome};
use crate::mail::{BoxedStream, Deadline, Error};
use crate::model::account::{AccountInput, AuthInput, ServerInput, SideSecrets};
use crate::model::send::SendRequest;
use crate::model::views::TestEmailInput;
use crate::model::{
    Account, Address, Auth, FieldError, Phase, Poll, Probe, ProbeCode, Problem, Protocol, SentCopy, Server, Tenant,
    Timestamp, Verdict,
};
use crate::store::keys::random_id;
use crate::store::{AccountRow, Side};

/// Sends the message with the stored sending side, or with given settings instead of it. The stored password goes to
/// the stored server only.
pub async fn send(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    input: TestEmailInput,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Probe, Problem> {
    let started = Instant::now();
    let request = SendRequest {
        to: vec![input.to],
        from: input.from,
        subject: Some(input.subject.unwrap_or_else(|| "Test message".to_owned())),
        text: Some(
            input
                .text
                .unwrap_or_else(|| "This message was sent to see whether this account can send. It can.\n".to_owned()),
        ),
        ..SendRequest::default()
    };
    let from = content::check(&request, &account.account).map_err(Problem::invalid)?;
    let message_id = content::message_id(&random_id(), &from);
    let source = content::render(&request, &[], &from, &message_id, now)?.bytes;
    let stored = input.smtp.is_none();
    let client = match input.smtp {
        Some(server) => with_given(tools, tenant, account, server, deadline, now).await?,
        None => with_stored(tools, tenant, account, deadline, now).await?,
    };
    let result = match client {
        Ok(client) => hand_over(client, &from, &request, &source, deadline).await,
        Err(SignInError::Mail(error)) => Err(error),
        Err(SignInError::NoPassword) => Err(sign_in::no_password()),
        Err(SignInError::Paused(pause)) => Err(pause.error()),
        Err(SignInError::Store(error)) => return Err(error.into()),
    };
    let verdict = result.unwrap_or_else(|error| error.verdict(0));
    let verdict = Verdict { duration_ms: millis(started), ..verdict };
    // What the server thinks of this one message is no trait of the account.
    let about_account = verdict.success || verdict.phase <= Phase::Auth;
    let probe = Probe { success: verdict.success, smtp: Some(verdict), receive: None };
    if stored && about_account {
        fortunes::record(tools, tenant, account, Fortune::Probed(&probe), now).await?;
    }
    Ok(probe)
}

type Opened = Result<Client<BoxedStream>, SignInError>;

/// Signs in to the stored server.
async fn with_stored(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Opened, Problem> {
    if account.account.smtp.is_none() {
        let words = "this account only receives: give smtp here, or store it with PUT";
        return Err(Problem::invalid(vec![FieldError::new("/smtp", "missing", words)]));
    }
    let sending = Account { receive: None, ..account.account.clone() };
    let admitted = guesses::admit_stored(tools, tenant, &sending, now).await?;
    counted(admitted, sign_in::smtp(tools, tenant, account, deadline, now).await).await
}

async fn counted(admitted: Admitted<'_>, opened: Opened) -> Result<Opened, Problem> {
    let refused = matches!(&opened, Err(SignInError::Mail(error)) if error.is_auth_refusal());
    admitted.settle([refused, false]).await?;
    Ok(opened)
}

/// Signs in to a given server. A password that is left out is the stored one, if the settings are the stored ones.
async fn with_given(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    given: ServerInput,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Opened, Problem> {
    let (server, secrets) = checked(account, given, now)?;
    borrows_token_server(account, &server)?;
    let secrets = secrets.or(stored(tools, tenant, account, &server, now).await?);
    if !secrets.complete(&server.auth) {
        let words = "the settings differ from the stored ones in what the secret belongs to (host, port, security, certificate check, username): give it again";
        let field = if matches!(server.auth, Auth::Password { .. }) { "/smtp/auth/password" } else { "/smtp/auth" };
        return Err(Problem::invalid(vec![FieldError::new(field, "missing", words)]));
    }
    let keyring = Keyring {
        tools,
        tenant,
        account: &account.account.account,
        side: Side::Smtp,
        server: &server,
        protocol: Protocol::Smtp,
        source: Source::Given(&secrets),
        deadline,
        now,
    };
    let admitted = guesses::admit_smtp(tools, tenant, &server, now).await?;
    counted(admitted, sign_in::smtp_by(&keyring).await).await
}

/// What the account's token server hands out is for the account's server, as a stored password is.
fn borrows_token_server(account: &AccountRow, server: &Server) -> Result<(), Problem> {
    let Some(stored) = &account.account.smtp else { return Ok(()) };
    let same = match (&stored.auth, &server.auth) {
        (Auth::TokenServer(stored), Auth::TokenServer(given)) => stored.url == given.url,
        _ => false,
    };
    if !same || stored.fingerprint(Protocol::Smtp) == server.fingerprint(Protocol::Smtp) {
        return Ok(());
    }
    let words = "the settings differ from the stored ones in where the sign-in goes (host, port, security, certificate check, username), and the stored token server is for those: give another auth";
    Err(Problem::invalid(vec![FieldError::new("/smtp/auth", "missing", words)]))
}

/// The given side by the rules of an account's; without `auth` it signs in as the stored one does.
fn checked(account: &AccountRow, mut given: ServerInput, now: Timestamp) -> Result<(Server, SideSecrets), Problem> {
    if given.auth.is_none() {
        given.auth = Some(account.account.smtp.as_ref().map_or(AuthInput::None, |server| (&server.auth).into()));
    }
    let input = AccountInput {
        name: None,
        from: account.account.from.clone(),
        identities: Vec::new(),
        smtp: Some(given),
        receive: None,
        poll: Poll::default(),
        sent_copy: SentCopy::default(),
    };
    let (checked, secrets) = input.check(account.account.account.clone(), 0, now).map_err(Problem::invalid)?;
    let server = checked.smtp.ok_or_else(|| Problem::internal("a checked sending side is missing"))?;
    Ok((server, secrets.smtp))
}

async fn stored(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    server: &Server,
    now: Timestamp,
) -> Result<SideSecrets, Problem> {
    let Some(place) = &account.secret else {
        return Ok(SideSecrets::default());
    };
    let fingerprint = server.fingerprint(Protocol::Smtp);
    match tools
        .store
        .secrets
        .get(tenant, &account.account.account, place, Side::Smtp, &fingerprint, now)
        .await
        .map_err(SignInError::from)
    {
        Ok(secrets) => Ok(secrets),
        Err(SignInError::Store(error)) => Err(error.into()),
        Err(_) => Ok(SideSecrets::default()),
    }
}

async fn hand_over(
    mut client: Client<BoxedStream>,
    from: &Address,
    request: &SendRequest,
    source: &[u8],
    deadline: Deadline,
) -> Result<Verdict, Error> {
    client.set_deadline(deadline);
    let content = Content::check(source)?;
    let recipients: Vec<String> = request.to.iter().map(|address| address.address.clone()).collect();
    let envelope = client.envelope(&from.address, &recipients, content.terms()).await?;
    let Some(transaction) = envelope.transaction else {
        let refusal = envelope.verdicts.into_iter().find_map(Result::err);
        return Err(match refusal {
            Some(refusal) => Error::refused(ProbeCode::RecipientRejected, Phase::Rcpt, refusal),
            None => Error::new(ProbeCode::ProtocolError, Phase::Rcpt, "the server gave no verdict"),
        });
    };
    let ready = transaction.start().await?;
    // Behind the dot the client waits ten minutes, because to give up there is to not know. This message is nobody's,
    // and somebody waits for the answer.
    let Ok(outcome) = tokio::time::timeout_at(deadline.instant(), ready.finish(content)).await else {
        let words = "the message was handed over and the server did not answer in time";
        return Err(Error::new(ProbeCode::Timeout, Phase::Data, words));
    };
    let verdict = settle(outcome)?;
    client.quit().await;
    Ok(verdict)
}

fn settle(outcome: Outcome) -> Result<Verdict, Error> {
    match outcome {
        Outcome::Sent(reply) => Ok(Verdict {
            success: true,
            code: ProbeCode::Ok,
            smtp_response_code: Some(reply.code),
            message: reply.to_string(),
            connection_failed: false,
            phase: Phase::Data,
            duration_ms: 0,
            consent_needed: false,
        }),
        Outcome::Refused(refusal) => Err(Error::refused(ProbeCode::MessageRejected, Phase::Data, refusal)),
        Outcome::NotHandedOver(error) | Outcome::Unknown(error) => Err(error),
    }
}
