//! `POST /v1/accounts/{account}/await`: waits for a message, and meanwhile pulls its mailbox more often than the
//! schedule does.
//!
//! However many wait for mail of one account, its server sees one login in [`PULL_SECONDS`]: who counts first in a
//! window pulls, the others find in the table what came of it. Pauses after refused logins hold here as anywhere.

use std::collections::HashSet;
use std::time::Duration;

use shared::http::{Call, Reply};
use shared::mail::sanitize::{self, Remote};
use shared::mail::{Deadline, parse};
use shared::model::waiting::{AwaitInput, Awaited, MOST_SECONDS};
use shared::model::{Direction, FieldError, Message, MessageId, ProbeCode, Problem, Timestamp};
use shared::ops::Tools;
use shared::ops::pull::{self, PullError};
use shared::ops::sign_in::{self, SignInError};
use shared::store::{AccountRow, Range, StoredMessage};

use crate::extract::{Extract, Words};
use crate::filter::Filter;

/// A mailbox is pulled so often while somebody waits.
const PULL_SECONDS: u32 = 3;

/// The table is looked at so often: it costs a unit.
const LOOK: Duration = Duration::from_secs(1);

/// What is left of the answer's time for the answer itself.
const RESERVE: Duration = Duration::from_millis(1_500);

/// How far before the call a mail counts as the one that is waited for: whoever causes it calls afterwards, and clocks
/// of mail servers have whole seconds.
const BEFORE_SECONDS: i64 = 30;

/// Messages that are looked at, newest first: at the first look, and for what may have come since the last one.
const FIRST_LOOK: u32 = 100;
const NEXT_LOOK: u32 = 20;

/// As much of a source as is read: codes stand at the beginning.
const SOURCE_BYTES: u64 = 1 << 20;

/// Waits.
pub(crate) async fn wait(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input: AwaitInput = call.json()?;
    let seconds = input.timeout_seconds.unwrap_or(MOST_SECONDS);
    if seconds > MOST_SECONDS {
        let words = format!("a number from 0 to {MOST_SECONDS}: call again to wait longer");
        return Err(Problem::invalid(vec![FieldError::new("/timeoutSeconds", "invalid_value", words)]));
    }
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let left = call.deadline.left().saturating_sub(RESERVE);
    let until = Deadline::after(Duration::from_secs(seconds.into()).min(left));
    let mut watch = Watch::new(&tools, &call, &account, &input)?;
    loop {
        if let Some(awaited) = watch.look().await? {
            return Reply::ok(&awaited);
        }
        if until.left().is_zero() {
            return Reply::ok(&watch.nothing()?);
        }
        watch.pull(until).await?;
        if let Some(awaited) = watch.look().await? {
            return Reply::ok(&awaited);
        }
        tokio::time::sleep(LOOK.min(until.left())).await;
    }
}

/// One wait.
struct Watch<'w> {
    tools: &'w Tools,
    call: &'w Call,
    account: &'w AccountRow,
    filter: Filter,
    since: Timestamp,
    contains: Option<String>,
    extract: Option<Extract>,
    /// What was looked at and is not it.
    seen: HashSet<MessageId>,
    /// A message that fits, without what was to be extracted.
    almost: Option<Message>,
    /// Somebody could pull.
    reached: bool,
    /// Why nobody could.
    failure: Option<PullError>,
}

impl<'w> Watch<'w> {
    fn new(tools: &'w Tools, call: &'w Call, account: &'w AccountRow, input: &AwaitInput) -> Result<Self, Problem> {
        Ok(Self {
            tools,
            call,
            account,
            filter: Filter::of_people(Direction::Incoming, &input.from, &input.to, &input.subject),
            since: input.since.unwrap_or_else(|| call.now.plus_seconds(-BEFORE_SECONDS)),
            contains: input.contains.as_ref().map(|text| text.to_lowercase()),
            extract: input.extract.as_ref().map(Extract::read).transpose()?,
            seen: HashSet::new(),
            almost: None,
            reached: false,
            failure: None,
        })
    }

    /// The newest message that has all that was asked for.
    async fn look(&mut self) -> Result<Option<Awaited>, Problem> {
        let range = Range { since: Some(self.since), before: None };
        let limit = if self.seen.is_empty() { FIRST_LOOK } else { NEXT_LOOK };
        let (tenant, account) = (self.call.tenant(), &self.account.account.account);
        let page = self.tools.store.messages.list(tenant, account, range, limit, None).await?;
        for stored in page.items {
            let StoredMessage::Incoming(row) = stored else { continue };
            let message = row.message;
            if !self.seen.insert(message.id.clone()) || !self.filter.passes(&message) {
                continue;
            }
            if let Some((message, extracted)) = self.read(message).await? {
                return Ok(Some(Awaited { message: Some(message), extracted, timed_out: false }));
            }
        }
        Ok(None)
    }

    /// The message and what was extracted, if it has all that was asked for.
    async fn read(&mut self, message: Message) -> Result<Option<(Message, Option<String>)>, Problem> {
        if self.contains.is_none() && self.extract.is_none() {
            return Ok(Some((message, None)));
        }
        let source = match message.sha256 {
            Some(_) => self.tools.store.files.get_raw_head(self.call.tenant(), &message.id, SOURCE_BYTES).await?,
            None => Default::default(),
        };
        let subject = message.subject.clone().unwrap_or_default();
        let text = parse::text_by(&source, sanitize::text).unwrap_or_default();
        let contains = |wanted: &String| format!("{subject}\n{text}").to_lowercase().contains(wanted);
        if !self.contains.as_ref().is_none_or(contains) {
            return Ok(None);
        }
        let Some(extract) = &self.extract else {
            return Ok(Some((message, None)));
        };
        let html = parse::html(&source).map(|html| sanitize::html(&html, Remote::Blocked, |_| None));
        let html = html.unwrap_or_default();
        match extract.from(&Words { subject: &subject, text: &text, html: &html }) {
            Some(found) => Ok(Some((message, Some(found)))),
            None => {
                self.almost.get_or_insert(message);
                Ok(None)
            }
        }
    }

    /// Pulls, if nobody else does for this window.
    async fn pull(&mut self, until: Deadline) -> Result<(), Problem> {
        let now = Timestamp::now();
        let seconds = i64::from(PULL_SECONDS);
        let window = Timestamp(now.seconds().div_euclid(seconds) * seconds * 1_000);
        let (tenant, account) = (self.call.tenant(), &self.account.account.account);
        let name = format!("await#{account}");
        if self.tools.store.counters.count(tenant, &name, window, PULL_SECONDS).await? > 1 {
            self.reached = true;
            return Ok(());
        }
        match pull::pull(self.tools, tenant, self.account, until, now).await {
            Ok(_) | Err(PullError::Busy) => self.reached = true,
            Err(error) if is_hopeless(&error) => return Err(error.into()),
            Err(error) => self.failure = Some(error),
        }
        Ok(())
    }

    /// Nothing came: because there was nothing, or because nobody could look.
    fn nothing(self) -> Result<Awaited, Problem> {
        match self.failure {
            Some(error) if !self.reached => Err(error.into()),
            _ => Ok(Awaited { message: self.almost, extracted: None, timed_out: true }),
        }
    }
}

/// Whether asking again within seconds changes nothing, or harms.
fn is_hopeless(error: &PullError) -> bool {
    match error {
        PullError::NotReceiving | PullError::Changed | PullError::Store(_) => true,
        PullError::Busy | PullError::Crowded => false,
        PullError::SignIn(SignInError::Mail(error)) => {
            matches!(error.code, ProbeCode::AuthFailed | ProbeCode::AuthUnavailable | ProbeCode::HostNotAllowed)
        }
        PullError::SignIn(_) => true,
    }
}
