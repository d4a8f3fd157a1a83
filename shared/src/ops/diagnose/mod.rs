//! Why does an account not work, and how is it mended? Each side stage by stage; what stops it is given a cause, and
//! settings that could mend it are tried within the same budget.
//!
//! A password is never spent twice: settings are first tried without it, and it is used with other settings only
//! where it was given in the same call, for the same host, and nothing about the connection is weaker. A stored
//! password goes to the stored settings and nowhere else.

mod causes;
mod corrections;
mod fixes;
mod stages;

use futures_util::future::join_all;

use super::keyring::{Keyring, Source};
use super::sign_in::SignInError;
use super::{Tools, fortunes, fortunes::Fortune, guesses, risks};
use crate::mail::{self, Credential, Deadline, Error, TlsFacts};
use crate::model::account::AccountSecrets;
use crate::model::{
    Account, Cause, Diagnosis, Examined, Fix, Phase, Probe, ProbeCode, Problem, Protocol, Security, Tenant, Timestamp,
    Verdict,
};
use crate::net::Network;
use crate::store::{AccountRow, Side, StoreError};
use stages::{Examination, examine};

pub use stages::Subject;

/// How many names of a certificate are tried.
const TRIED_NAMES: usize = 3;

/// Where servers usually listen: with TLS from the first byte, and with STARTTLS.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Between servers (RFC 5321 §4.5.4.2), which networks block for everybody else.
    pub relay: u16,
    /// Submission.
    pub smtp: [u16; 2],
    /// POP3.
    pub pop3: [u16; 2],
    /// IMAP.
    pub imap: [u16; 2],
}

impl Default for Ports {
    /// RFC 8314 §3.2, §3.3 and RFC 6409 §3.1.
    fn default() -> Self {
        Self { relay: 25, smtp: [465, 587], pop3: [995, 110], imap: [993, 143] }
    }
}

impl Ports {
    fn of(&self, protocol: Protocol) -> [(u16, Security); 2] {
        let [tls, starttls] = match protocol {
            Protocol::Smtp => self.smtp,
            Protocol::Pop3 => self.pop3,
            Protocol::Imap => self.imap,
        };
        [(tls, Security::Tls), (starttls, Security::Starttls)]
    }
}

/// What may be signed in with.
pub struct Access {
    /// The credential, or why there is none.
    pub credential: Result<Credential, Error>,
    /// Whether it may be used with other settings than those examined.
    pub portable: bool,
}

/// Diagnoses stored settings with the stored credential, and records how the account fares.
pub async fn stored(
    tools: &Tools,
    tenant: &Tenant,
    row: &AccountRow,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Diagnosis, Problem> {
    let admitted = guesses::admit_stored(tools, tenant, &row.account, now).await?;
    let [smtp, receive] = subjects(&row.account, Some(&row.account.from.address));
    let (account, source) = (&row.account.account, Source::Stored(row.secret.as_ref()));
    let examined = |subject: Option<Subject>, side: Side| async move {
        let Some(subject) = subject else { return Ok(None) };
        let (server, protocol) = (&subject.server, subject.protocol);
        let keyring = Keyring { tools, tenant, account, side, server, protocol, source, deadline, now };
        with_keyring(&keyring, &subject, false).await.map(Some)
    };
    let (smtp, receive) = tokio::join!(examined(smtp, Side::Smtp), examined(receive, Side::Receive));
    let ((smtp, smtp_tls), (receive, receive_tls)) = (parts(smtp?), parts(receive?));
    let diagnosis = Diagnosis::new(smtp, receive);
    admitted.settle([&diagnosis.smtp, &diagnosis.receive].map(was_refused)).await?;
    let verdict = |side: &Option<Examined>| side.as_ref().map(|side| about_account(&side.verdict));
    let (smtp, receive) = (verdict(&diagnosis.smtp), verdict(&diagnosis.receive));
    let probe = Probe { success: diagnosis.success, smtp, receive };
    fortunes::record(tools, tenant, row, Fortune::Probed(&probe), now).await?;
    risks::remember(tools, tenant, row, [smtp_tls, receive_tls]).await?;
    Ok(diagnosis)
}

/// Whether the server has said no to the credential, with these settings or with corrected ones.
pub fn was_refused(side: &Option<Examined>) -> bool {
    side.as_ref().is_some_and(|side| {
        let tried = side.fix.as_ref().and_then(|fix| fix.tried.as_ref());
        guesses::is_refusal(Some(&side.verdict)) || guesses::is_refusal(tried)
    })
}

/// What a server thinks of the sender or the recipient that was tried is no trait of the account: it signed in.
fn about_account(verdict: &Verdict) -> Verdict {
    let envelope = matches!(verdict.phase, Phase::Mail | Phase::Rcpt);
    Verdict { success: verdict.success || envelope, ..verdict.clone() }
}

/// Diagnoses given settings with given secrets. No stored secret is used, and nothing is stored but what an OAuth
/// endpoint gave.
pub async fn given(
    tools: &Tools,
    tenant: &Tenant,
    account: &Account,
    secrets: &AccountSecrets,
    sender: Option<&str>,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Diagnosis, StoreError> {
    let [smtp, receive] = subjects(account, sender);
    let account = &account.account;
    let examined = |subject: Option<Subject>, side: Side, secrets| async move {
        let Some(subject) = subject else { return Ok(None) };
        let (server, protocol, source) = (&subject.server, subject.protocol, Source::Given(secrets));
        let keyring = Keyring { tools, tenant, account, side, server, protocol, source, deadline, now };
        with_keyring(&keyring, &subject, true).await.map(Some)
    };
    let smtp = examined(smtp, Side::Smtp, &secrets.smtp);
    let (smtp, receive) = tokio::join!(smtp, examined(receive, Side::Receive, &secrets.receive));
    Ok(Diagnosis::new(parts(smtp?).0, parts(receive?).0))
}

/// Diagnoses with what a keyring holds; a credential from memory that is refused is got afresh, once, as in any use.
async fn with_keyring(keyring: &Keyring<'_>, subject: &Subject, portable: bool) -> Result<Found, StoreError> {
    let (network, ports) = (&keyring.tools.network, &Ports::default());
    let diagnose = |credential| side_of(network, ports, subject, Access { credential, portable }, keyring.deadline);
    let key = match keyring.key().await {
        Ok(key) => key,
        Err(error) => return Ok(diagnose(Err(without_credential(error)?)).await),
    };
    let found = diagnose(Ok(key.credential.clone())).await;
    if found.examined.verdict.code != ProbeCode::AuthFailed {
        return Ok(found);
    }
    let refusal = Error::new(ProbeCode::AuthFailed, Phase::Auth, found.examined.verdict.message.clone());
    match keyring.afresh(&key, refusal).await {
        Ok(changed) => Ok(diagnose(Ok(changed)).await),
        Err(SignInError::Store(error)) => Err(error),
        Err(SignInError::Mail(_) | SignInError::NoPassword | SignInError::Paused(_)) => Ok(found),
    }
}

/// There is nothing to sign in with; storage that fails says nothing about that.
fn without_credential(error: SignInError) -> Result<Error, StoreError> {
    match error {
        SignInError::Mail(error) => Ok(error),
        SignInError::NoPassword => Ok(super::sign_in::no_password()),
        SignInError::Paused(pause) => Ok(pause.error()),
        SignInError::Store(error) => Err(error),
    }
}

/// What an account gives to examine: the sending and the receiving side.
pub fn subjects(account: &Account, sender: Option<&str>) -> [Option<Subject>; 2] {
    let own =
        |server: &crate::model::Server| server.auth.username().filter(|name| name.contains('@')).map(str::to_owned);
    let smtp = account.smtp.as_ref().map(|server| Subject {
        protocol: Protocol::Smtp,
        server: server.clone(),
        folders: Vec::new(),
        sender: sender.map(str::to_owned).or_else(|| own(server)),
    });
    let receive = account.receive.as_ref().map(|receive| Subject {
        protocol: receive.protocol,
        server: receive.server.clone(),
        folders: receive.folders.clone(),
        sender: sender.map(str::to_owned),
    });
    [smtp, receive]
}

/// Diagnoses one side within the deadline.
pub async fn side_of(network: &Network, ports: &Ports, subject: &Subject, access: Access, deadline: Deadline) -> Found {
    // What is found wrong has to be looked at and mended in the rest.
    let first = deadline.or_after(deadline.left() * 3 / 5);
    let mut examination = examine(network, subject, access.credential.as_ref().ok(), first).await;
    let mut known = None;
    if let (None, Err(missing)) = (&examination.error, &access.credential) {
        known = Some(causes::without_credential(missing));
        examination.fail(subject, Error::new(missing.code, Phase::Auth, missing.detail.clone()));
    }
    if certificate_is_wanted(&examination) {
        let unchecked =
            mail::Server { verify_certificate: false, ..super::sign_in::place(&subject.server, subject.protocol) };
        // Nothing is said over this connection: only its certificate is of interest.
        let looked = mail::connect(network, &unchecked, deadline.or_after(deadline.left() / 3)).await;
        examination.tls = looked.ok().and_then(|connection| connection.wire.tls().cloned());
    }
    let Some(error) = &examination.error else {
        return found(examination, None, None);
    };
    let cause = known.unwrap_or_else(|| causes::recognise(subject, &examination, error, ports));
    let (cause, fix) = mend(network, ports, subject, &examination, cause, &access, deadline).await;
    found(examination, Some(cause), Some(fix))
}

fn certificate_is_wanted(examination: &Examination) -> bool {
    examination.error.as_ref().is_some_and(|error| error.code == ProbeCode::CertificateInvalid)
}

/// One side: what its owner is shown, and how the server is secured.
pub struct Found {
    /// What was found.
    pub examined: Examined,
    /// How the server is secured; of a certificate that is not good, what it says.
    pub tls: Option<TlsFacts>,
}

fn found(examination: Examination, cause: Option<Cause>, fix: Option<Fix>) -> Found {
    let (verdict, transcript) = (examination.verdict(), examination.transcript());
    Found { examined: Examined { verdict, stages: examination.stages, transcript, cause, fix }, tls: examination.tls }
}

fn parts(found: Option<Found>) -> (Option<Examined>, Option<TlsFacts>) {
    found.map_or((None, None), |found| (Some(found.examined), found.tls))
}

/// Tries what could mend it: all at once without the password, and the best that answers with it.
async fn mend(
    network: &Network,
    ports: &Ports,
    subject: &Subject,
    examination: &Examination,
    cause: Cause,
    access: &Access,
    deadline: Deadline,
) -> (Cause, Fix) {
    let untried =
        |cause| Fix { text: fixes::text(cause, subject, examination), patch: None, verified: false, tried: None };
    let mut candidates = corrections::corrections(cause, subject, examination, ports);
    // A guess about the user name is worth nothing before it is tried, and costs a sign-in.
    if cause == Cause::CredentialsRefused && !access.portable {
        candidates.clear();
    }
    let half = deadline.or_after(deadline.left() / 2);
    let looks = join_all(candidates.iter().map(|candidate| examine(network, candidate, None, half))).await;
    let wants_sign_in = access.credential.as_ref().is_ok_and(|credential| !matches!(credential, Credential::None));
    let answers = |look: &Examination| look.error.is_none() && (!wants_sign_in || !look.offered.is_empty());
    let Some((corrected, look)) = candidates.iter().zip(looks).find(|(_, look)| answers(look)) else {
        return (cause, untried(cause));
    };
    let unmoved = corrected.server == subject.server;
    let tried = match &access.credential {
        Ok(credential) if unmoved || (access.portable && corrections::may_carry(subject, corrected)) => {
            let credential = renamed(credential, corrected);
            examine(network, corrected, Some(&credential), deadline).await
        }
        _ => look,
    };
    let verified = tried.error.is_none();
    if cause == Cause::CredentialsRefused {
        // The trial is what tells a wrong user name from a wrong password.
        if !verified {
            return (cause, untried(cause));
        }
        return (Cause::UsernameForm, fix(Cause::UsernameForm, subject, examination, corrected, &tried));
    }
    (cause, fix(cause, subject, examination, corrected, &tried))
}

fn fix(cause: Cause, subject: &Subject, examination: &Examination, corrected: &Subject, tried: &Examination) -> Fix {
    Fix {
        text: fixes::text(cause, subject, examination),
        patch: Some(corrections::patch(subject, corrected)),
        verified: tried.error.is_none(),
        tried: Some(tried.verdict()),
    }
}

/// The credential under the user name of the settings.
fn renamed(credential: &Credential, subject: &Subject) -> Credential {
    match (credential, subject.server.auth.username()) {
        (Credential::Password { password, .. }, Some(username)) => {
            Credential::Password { username: username.to_owned(), password: password.clone() }
        }
        _ => credential.clone(),
    }
}
