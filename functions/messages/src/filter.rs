//! Which messages a list shows.

use shared::http::Call;
use shared::http::call::wrong_parameter;
use shared::model::{Address, Direction, Message, Problem};
use shared::ops::search::Query;

/// All parameters that a list takes.
const KNOWN: [&str; 20] = [
    "q",
    "limit",
    "cursor",
    "folder",
    "direction",
    "from",
    "to",
    "subject",
    "since",
    "before",
    "hasAttachments",
    "unseen",
    "flagged",
    "answered",
    "flag",
    "state",
    "correlationSource",
    "correlationId",
    "thread",
    "fields",
];

/// What a caller asked for.
#[derive(Default)]
pub(crate) struct Filter {
    folder: Option<String>,
    direction: Option<Direction>,
    from: Option<String>,
    to: Option<String>,
    subject: Option<String>,
    has_attachments: Option<bool>,
    flags: Vec<(String, bool)>,
    state: Option<String>,
    correlation_source: Option<String>,
    correlation_id: Option<String>,
    thread: Option<String>,
    /// What is searched for.
    query: Option<Query>,
}

impl Filter {
    /// Reads the query; what it does not know it refuses.
    pub(crate) fn read(call: &Call) -> Result<Self, Problem> {
        call.only(&KNOWN)?;
        let text = |name: &str| call.query.get(name).filter(|text| !text.is_empty()).cloned();
        let folded = |name: &str| text(name).map(|text| text.to_lowercase());
        let direction = match call.query.get("direction").map(String::as_str) {
            None => None,
            Some("incoming") => Some(Direction::Incoming),
            Some("outgoing") => Some(Direction::Outgoing),
            Some(_) => return Err(wrong_parameter("direction", "incoming or outgoing")),
        };
        // RFC 3501 §2.3.2: those of the system begin with a backslash.
        let mut flags: Vec<(String, bool)> = Vec::new();
        for (parameter, flag, turned) in
            [("unseen", "Seen", true), ("flagged", "Flagged", false), ("answered", "Answered", false)]
        {
            flags.extend(call.flag(parameter)?.map(|wanted| (flag.to_owned(), wanted != turned)));
        }
        flags.extend(text("flag").map(|flag| (flag.trim_start_matches('\\').to_owned(), true)));
        Ok(Self {
            folder: text("folder"),
            direction,
            from: folded("from"),
            to: folded("to"),
            subject: folded("subject"),
            has_attachments: call.flag("hasAttachments")?,
            flags,
            state: text("state"),
            correlation_source: text("correlationSource"),
            correlation_id: text("correlationId"),
            thread: text("thread"),
            query: call.query.get("q").map(|text| Query::read(text)).transpose()?,
        })
    }

    /// The messages between these people, about this.
    pub(crate) fn of_people(
        direction: Direction,
        from: &Option<String>,
        to: &Option<String>,
        subject: &Option<String>,
    ) -> Self {
        let folded = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        Self {
            direction: Some(direction),
            from: folded(from),
            to: folded(to),
            subject: folded(subject),
            ..Self::default()
        }
    }

    /// The messages of one conversation.
    pub(crate) fn of_thread(thread: String) -> Self {
        Self { thread: Some(thread), ..Self::default() }
    }

    /// What of it the index is asked.
    pub(crate) fn asked(&mut self) -> Option<Query> {
        match (self.query.take(), &self.thread) {
            (Some(query), Some(thread)) => Some(query.in_thread(thread)),
            (None, Some(thread)) => Some(Query::thread(thread)),
            (query, None) => query,
        }
    }

    /// Whether it lets everything through: of such a list no message is read that is not shown.
    pub(crate) fn passes_all(&self) -> bool {
        let Self {
            folder,
            direction,
            from,
            to,
            subject,
            has_attachments,
            flags,
            state,
            correlation_source,
            correlation_id,
            thread,
            query: _, // what is searched for is asked of the index
        } = self;
        let texts = [folder, from, to, subject, state, correlation_source, correlation_id, thread];
        texts.iter().all(|text| text.is_none()) && direction.is_none() && has_attachments.is_none() && flags.is_empty()
    }

    /// Whether the list shows it.
    pub(crate) fn passes(&self, message: &Message) -> bool {
        let names = |addresses: &[&Address], wanted: &String| addresses.iter().any(|address| holds(address, wanted));
        let to: Vec<&Address> = message.to.iter().chain(&message.cc).collect();
        let from: Vec<&Address> = message.from.iter().collect();
        let has =
            |wanted: &str| message.flags.iter().any(|flag| flag.trim_start_matches('\\').eq_ignore_ascii_case(wanted));
        let correlation = message.correlation.as_ref();
        self.folder.as_ref().is_none_or(|folder| message.folder.as_ref() == Some(folder))
            && self.direction.is_none_or(|direction| message.direction == direction)
            && self.from.as_ref().is_none_or(|wanted| names(&from, wanted))
            && self.to.as_ref().is_none_or(|wanted| names(&to, wanted))
            && self.subject.as_ref().is_none_or(|wanted| {
                message.subject.as_ref().is_some_and(|subject| subject.to_lowercase().contains(wanted))
            })
            && self.has_attachments.is_none_or(|wanted| message.has_attachments == wanted)
            && self.flags.iter().all(|(flag, wanted)| has(flag) == *wanted)
            && self.state.as_ref().is_none_or(|state| message.state == *state)
            && self.correlation_source.as_ref().is_none_or(|source| correlation.is_some_and(|it| it.source == *source))
            && self.correlation_id.as_ref().is_none_or(|id| correlation.is_some_and(|it| it.id == *id))
            && self.thread.as_ref().is_none_or(|thread| message.thread_id == *thread)
    }
}

fn holds(address: &Address, wanted: &str) -> bool {
    address.address.to_lowercase().contains(wanted)
        || address.name.as_ref().is_some_and(|name| name.to_lowercase().contains(wanted))
}
