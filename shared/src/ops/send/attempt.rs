//! One attempt at one message; several messages of an account share a connection.

use std::convert::Infallible;
use std::time::Duration;

use super::content::{self, Ready as Message};
use super::verdicts::{held, in_doubt, is_pending, not_handed_over, outcome, postponed, refused, sent};
use crate::mail::smtp::{Client, Content, Outcome as Data, Terms};
use crate::mail::{self, BoxedStream, Deadline};
use crate::model::send::{Recipient, RecipientState};
use crate::model::{Account, Phase, ProbeCode, Problem, Tenant, Timestamp};
use crate::ops::fortunes::{self, Fortune, Pause};
use crate::ops::pii::Clear;
use crate::ops::sign_in::{self, SignInError};
use crate::ops::suppressions::Suppressed;
use crate::ops::{Tools, follow_up, resolve, risks};
use crate::settings::Settings;
use crate::store::{AccountRow, AccountStatus, Outcome, OutgoingRow, Side, StoreError};

/// What came of an attempt.
pub(super) enum Attempt {
    /// It was written down.
    Done(Box<OutgoingRow>),
    /// The claim was lost to another invocation before the message was handed over: it is theirs now.
    Lost,
}

/// Carries messages of one account, over one connection while it holds. A connection lives within one invocation.
pub(super) struct Courier<'a> {
    tools: &'a Tools,
    tenant: &'a Tenant,
    account: &'a AccountRow,
    client: Option<Client<BoxedStream>>,
    /// The server has refused the credential: one refusal is enough for all messages of the account.
    rest: Option<Pause>,
    /// Somebody waits for the answer: what follows on the result is left to others.
    is_awaited: bool,
}

/// How far an attempt came before the message could be handed over.
enum Early {
    /// It is decided without handing over.
    Decided,
    /// The caller's time was up.
    TooLate,
    /// The durable mark could not be written, so the message was not handed over.
    Unmarked,
}

impl<'a> Courier<'a> {
    pub(super) fn new(tools: &'a Tools, tenant: &'a Tenant, account: &'a AccountRow, is_awaited: bool) -> Self {
        Self { tools, tenant, account, client: None, rest: None, is_awaited }
    }

    /// Says goodbye.
    pub(super) async fn leave(self) {
        if let Some(client) = self.client {
            client.quit().await;
        }
    }

    /// Tries to deliver a message that is ours (claimed). No DATA is begun after `begin_by`.
    pub(super) async fn attempt(
        &mut self,
        row: OutgoingRow,
        begin_by: Option<Deadline>,
    ) -> Result<Attempt, StoreError> {
        let (tools, tenant, claim) = (self.tools, self.tenant, row.clone());
        tokio::select! {
            done = self.carry(row, begin_by) => done,
            never = hold(tools, tenant, &claim) => match never {},
        }
    }

    async fn carry(&mut self, row: OutgoingRow, begin_by: Option<Deadline>) -> Result<Attempt, StoreError> {
        let mut recipients = row.recipients.clone();
        let message = match content::outgoing(self.tools, self.tenant, &row).await {
            Ok(message) => message,
            Err(problem) => return self.uncomposable(&row, recipients, &problem).await,
        };
        if !self.is_awaited && self.suppress(&mut recipients, &message.clear).await? == 0 {
            return self.conclude(&row, recipients).await;
        }
        let content = match Content::check(&message.source) {
            Ok(content) => content,
            Err(error) => {
                pending(&mut recipients).for_each(|recipient| not_handed_over(recipient, &error));
                return self.conclude(&row, recipients).await;
            }
        };
        if let Err(failure) = self.open(begin_by).await {
            return self.unconnected(&row, recipients, failure, begin_by).await;
        }
        let mut row = row;
        let early = self.hand_over(&mut row, &mut recipients, (&message, content), begin_by).await;
        if self.client.as_ref().is_some_and(|client| !client.is_usable()) {
            self.client = None;
        }
        message.clear.scrub(&mut recipients);
        match early {
            Ok(Some(Early::TooLate | Early::Unmarked)) => {
                self.write(&row, postponed(&row, &self.tools.settings, Timestamp::now())).await
            }
            Ok(Some(Early::Decided) | None) => self.conclude(&row, recipients).await,
            Err(error) if error.is_conflict() => Ok(Attempt::Lost),
            Err(error) => Err(error),
        }
    }

    /// Fails those who have been suppressed since the message was accepted; returns how many are left.
    async fn suppress(&self, recipients: &mut [Recipient], clear: &Clear) -> Result<usize, StoreError> {
        let waiting = recipients.iter().filter(|recipient| is_pending(recipient));
        let addresses = waiting.map(|recipient| (recipient.address.as_str(), clear.address(&recipient.address)));
        let suppressed = Suppressed::among(&self.tools.store, self.tenant, addresses).await?;
        suppressed.strike(recipients);
        Ok(pending(recipients).count())
    }

    /// Signs in, unless the connection of the message before still stands.
    async fn open(&mut self, begin_by: Option<Deadline>) -> Result<(), SignInError> {
        if self.client.is_some() {
            return Ok(());
        }
        if let Some(pause) = &self.rest {
            return Err(SignInError::Paused(pause.clone()));
        }
        let now = Timestamp::now();
        let known = fortunes::admit(self.tools, self.tenant, &self.account.account.account, Side::Smtp, now)
            .await?
            .map_err(SignInError::Paused)?;
        let settings = &self.tools.settings;
        let deadline = Deadline::after(settings.connect + settings.reply);
        let deadline = begin_by.map_or(deadline, |by| by.min(deadline));
        let client = sign_in::smtp(self.tools, self.tenant, self.account, deadline, now).await?;
        risks::notice(self.tools, self.tenant, self.account, Side::Smtp, &known, client.tls()).await;
        self.client = Some(client);
        Ok(())
    }

    /// MAIL, RCPT, DATA; the durable mark; the message. `Err` is our own storage only: before the mark nothing was
    /// handed over, after it there is no error any more.
    async fn hand_over(
        &mut self,
        row: &mut OutgoingRow,
        recipients: &mut [Recipient],
        (message, content): (&Message, Content<'_>),
        begin_by: Option<Deadline>,
    ) -> Result<Option<Early>, StoreError> {
        let Some(client) = self.client.as_mut() else {
            return Ok(Some(Early::Decided));
        };
        let settings = &self.tools.settings;
        // Time to talk, and to write 50 MB over a slow line. Whoever waits for the answer waits for no slow envelope.
        let long = Deadline::after(settings.reply * 5);
        client.set_deadline(begin_by.map_or(long, |by| by.min(long)));
        let places: Vec<usize> = (0..recipients.len()).filter(|place| is_pending(&recipients[*place])).collect();
        let clear = |place: &usize| message.clear.address(&recipients[*place].address);
        let addresses: Vec<String> = places.iter().map(clear).collect();
        client.hide(message.clear.secrets());
        let failed = |recipients: &mut [Recipient], error: &mail::Error| {
            pending(recipients).for_each(|recipient| not_handed_over(recipient, error))
        };
        let terms = Terms { dsn: message.dsn.as_ref(), ..content.terms() };
        let envelope = match client.envelope(&message.envelope_from, &addresses, terms).await {
            Ok(envelope) => envelope,
            Err(error) if error.code == ProbeCode::Timeout && is_over(begin_by) => {
                self.client = None;
                return Ok(Some(Early::TooLate));
            }
            Err(error) => {
                failed(recipients, &error);
                return Ok(Some(Early::Decided));
            }
        };
        let mut accepted = Vec::new();
        for (place, verdict) in places.into_iter().zip(&envelope.verdicts) {
            match verdict {
                // Whoever was accepted is in doubt if we die after the mark; whoever was deferred is not.
                Ok(()) => {
                    recipients[place].state = RecipientState::Queued;
                    accepted.push(place);
                }
                Err(refusal) => refused(&mut recipients[place], refusal, Phase::Rcpt),
            }
        }
        let Some(mut transaction) = envelope.transaction else {
            return Ok(Some(Early::Decided));
        };
        if is_over(begin_by) {
            // Dropped before DATA: the server forgets it with the connection.
            self.client = None;
            return Ok(Some(Early::TooLate));
        }
        transaction.set_deadline(long);
        let ready = match transaction.start().await {
            Ok(ready) => ready,
            Err(error) => {
                accepted.iter().for_each(|place| not_handed_over(&mut recipients[*place], &error));
                return Ok(Some(Early::Decided));
            }
        };
        message.clear.scrub(recipients);
        let until = Timestamp::now().plus_seconds(seconds(self.tools.network.timeouts.dot + settings.reply * 5));
        match self.tools.store.outbox.commit(self.tenant, row, recipients, until).await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => return Err(error),
            Err(error) => {
                // Without the mark there is no dot: the connection is dropped, and the server forgets.
                tracing::warn!(%error, id = %row.id, "the mark could not be written; tried again");
                self.client = None;
                return Ok(Some(Early::Unmarked));
            }
        }
        let data = ready.finish(content).await;
        for place in accepted {
            settle(&mut recipients[place], &data);
        }
        Ok(None)
    }

    /// Nobody signed in. A refused credential stops the account and not the message (decision 7); that our own time
    /// was up says nothing about the server.
    async fn unconnected(
        &mut self,
        row: &OutgoingRow,
        mut recipients: Vec<Recipient>,
        failure: SignInError,
        begin_by: Option<Deadline>,
    ) -> Result<Attempt, StoreError> {
        let now = Timestamp::now();
        let error = match failure {
            SignInError::Store(error) => {
                tracing::warn!(%error, id = %row.id, "the credential cannot be read now; tried again");
                return self.write(row, postponed(row, &self.tools.settings, now)).await;
            }
            SignInError::Paused(pause) => {
                return self.write(row, held(row, &pause, &self.tools.settings, now)).await;
            }
            SignInError::NoPassword => sign_in::no_password(),
            SignInError::Mail(error) => error,
        };
        if error.code == ProbeCode::Timeout && is_over(begin_by) {
            return self.write(row, postponed(row, &self.tools.settings, now)).await;
        }
        let status = self.note(Fortune::Failed(Side::Smtp, &error.verdict(0)), now).await;
        pending(&mut recipients).for_each(|recipient| not_handed_over(recipient, &error));
        let mut outcome = outcome(row, recipients, &self.tools.settings, now);
        if error.is_auth_refusal() {
            // A server locks whoever insists: fifty messages of a job must not be fifty refused logins, even where the
            // pause could not be noted.
            let until = status.and_then(|status| status.smtp.pause).or(outcome.due).unwrap_or(now);
            outcome.due = outcome.due.map(|due| due.max(until));
            self.rest = Some(Pause { until, words: error.detail });
        }
        self.write(row, outcome).await
    }

    /// How the account fares is for people to read: that it cannot be noted changes nothing for the message.
    async fn note(&self, fortune: Fortune<'_>, now: Timestamp) -> Option<AccountStatus> {
        let noted = fortunes::record(self.tools, self.tenant, self.account, fortune, now).await;
        noted.inspect_err(|error| tracing::warn!(%error, "the account's status was not noted")).ok()
    }

    /// What was accepted cannot be composed any more: a file has gone, or our own storage is in trouble.
    async fn uncomposable(
        &mut self,
        row: &OutgoingRow,
        mut recipients: Vec<Recipient>,
        problem: &Problem,
    ) -> Result<Attempt, StoreError> {
        let code =
            if crate::http::call::is_callers(problem) { ProbeCode::MessageRejected } else { ProbeCode::ProtocolError };
        let error = mail::Error::new(code, Phase::Data, problem.detail.clone());
        tracing::warn!(%problem, id = %row.id, "the message cannot be composed");
        pending(&mut recipients).for_each(|recipient| not_handed_over(recipient, &error));
        self.conclude(row, recipients).await
    }

    async fn conclude(&mut self, row: &OutgoingRow, recipients: Vec<Recipient>) -> Result<Attempt, StoreError> {
        let now = Timestamp::now();
        let outcome =
            concluded(Some(&self.account.account), row, recipients, &self.tools.settings, self.claim(now), now);
        let sent = outcome.sent_at.is_some() && row.sent_at.is_none();
        let attempt = self.write(row, outcome).await?;
        if sent {
            self.note(Fortune::Sent, now).await;
        }
        Ok(attempt)
    }

    /// Until when what follows on a result is ours to do; none where somebody waits for the answer.
    fn claim(&self, now: Timestamp) -> Option<Timestamp> {
        (!self.is_awaited).then(|| now.plus_seconds(follow_up::claim_seconds(&self.tools.settings)))
    }

    async fn write(&self, row: &OutgoingRow, outcome: Outcome) -> Result<Attempt, StoreError> {
        match self.tools.store.outbox.finish(self.tenant, row, outcome).await {
            Ok(row) => Ok(Attempt::Done(Box::new(row))),
            Err(error) if error.is_conflict() => Ok(Attempt::Lost),
            Err(error) => Err(error),
        }
    }
}

/// Holds the claim for as long as the dialogue before the message takes. A server may take longer to greet and to
/// think about recipients than a claim lasts: without this, the next worker would take the message from every one
/// before it, and none would ever hand it over.
async fn hold(tools: &Tools, tenant: &Tenant, claim: &OutgoingRow) -> Infallible {
    let lease = tools.settings.lease_seconds;
    loop {
        tokio::time::sleep(Duration::from_secs(lease.into()) / 2).await;
        match tools.store.outbox.hold(tenant, claim, Timestamp::now().plus_seconds(lease.into())).await {
            Ok(true) => {}
            Ok(false) => return std::future::pending().await,
            Err(error) => tracing::debug!(%error, id = %claim.id, "the claim was not held longer; tried again"),
        }
    }
}

/// The reply to the final dot, for one recipient that the server had accepted.
fn settle(recipient: &mut Recipient, data: &Data) {
    match data {
        Data::Sent(reply) => sent(recipient, reply),
        Data::Refused(refusal) => refused(recipient, refusal, Phase::Data),
        Data::NotHandedOver(error) => not_handed_over(recipient, error),
        Data::Unknown(error) => in_doubt(recipient, &error.detail),
    }
}

/// The outcome of an attempt with what follows on it.
pub(super) fn concluded(
    account: Option<&Account>,
    row: &OutgoingRow,
    mut recipients: Vec<Recipient>,
    settings: &Settings,
    claimed_until: Option<Timestamp>,
    now: Timestamp,
) -> Outcome {
    let doubt = resolve::decide(account, row, &mut recipients, settings, now);
    let mut outcome = outcome(row, recipients, settings, now);
    follow_up::plan(account, row, &mut outcome, doubt, settings, claimed_until, now);
    outcome
}

/// The caller's time is up; a worker has none to be up.
fn is_over(begin_by: Option<Deadline>) -> bool {
    begin_by.is_some_and(|by| by.left().is_zero())
}

fn pending(recipients: &mut [Recipient]) -> impl Iterator<Item = &mut Recipient> {
    recipients.iter_mut().filter(|recipient| is_pending(recipient))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
