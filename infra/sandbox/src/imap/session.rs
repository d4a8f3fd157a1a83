//! The authenticated and selected states: which command goes where.

use bytes::Bytes;
use imap_codec::imap_types::command::{CommandBody, FetchModifier};

use super::messages::Selected;
use super::view::View;
use crate::server::Core;
use crate::wire::Answer;

/// What a command of the authenticated or selected state works with.
pub(super) struct Session<'a> {
    pub(super) core: &'a Core,
    pub(super) address: &'a str,
    pub(super) selected: &'a mut Option<View>,
    pub(super) qresync: &'a mut bool,
    /// FETCH asks for EMAILID.
    pub(super) email_id: bool,
}

/// The result of a command: untagged responses and the text of the tagged one, `OK …` or `NO …`.
pub(super) struct Outcome {
    pub(super) parts: Vec<Vec<Bytes>>,
    status: String,
}

impl Outcome {
    pub(super) fn new(status: impl Into<String>) -> Self {
        Self { parts: Vec::new(), status: status.into() }
    }

    pub(super) fn untagged(mut self, text: impl AsRef<str>) -> Self {
        self.parts.push(vec![format!("* {}\r\n", text.as_ref()).into()]);
        self
    }

    pub(super) fn tagged(self, tag: &str) -> Answer {
        Answer { parts: self.parts, ..Answer::line(format!("{tag} {}", self.status)) }
    }
}

impl From<crate::Error> for Outcome {
    fn from(error: crate::Error) -> Self {
        tracing::error!(%error, "cannot keep a change");
        // RFC 5530 §3
        Self::new("NO [SERVERBUG] The change could not be kept")
    }
}

impl Session<'_> {
    pub(super) fn run(&mut self, body: CommandBody<'_>) -> Outcome {
        match body {
            CommandBody::Noop | CommandBody::Check => Outcome::new("OK Done"),
            CommandBody::Select { mailbox, .. } => self.select(&mailbox, false),
            CommandBody::Examine { mailbox, .. } => self.select(&mailbox, true),
            CommandBody::Enable { capabilities } => {
                // RFC 5161 §3.1; RFC 7162 §3.2.3: QRESYNC enables CONDSTORE as well.
                let asked = capabilities.as_ref().iter().any(|name| name.to_string().eq_ignore_ascii_case("QRESYNC"));
                *self.qresync |= asked;
                Outcome::new("OK Done").untagged(if asked { "ENABLED QRESYNC" } else { "ENABLED" })
            }
            CommandBody::List { reference, mailbox_wildcard } => self.list("LIST", &reference, &mailbox_wildcard),
            CommandBody::Lsub { reference, mailbox_wildcard } => self.list("LSUB", &reference, &mailbox_wildcard),
            CommandBody::Status { mailbox, item_names } => self.status(&mailbox, &item_names),
            CommandBody::Append { mailbox, flags, date, message } => self.append(&mailbox, &flags, date, &message),
            CommandBody::Create { .. }
            | CommandBody::Delete { .. }
            | CommandBody::Rename { .. }
            | CommandBody::Subscribe { .. }
            | CommandBody::Unsubscribe { .. } => Outcome::new("NO [CANNOT] The folders are fixed"),
            body => self.in_folder(body),
        }
    }

    /// The commands of the selected state (RFC 3501 §6.4).
    fn in_folder(&mut self, body: CommandBody<'_>) -> Outcome {
        let Some(view) = self.selected.as_mut() else {
            return Outcome::new("BAD Unknown command, or select a folder first");
        };
        let mut folder = Selected { core: self.core, address: self.address, view, email_id: self.email_id };
        let done = match body {
            CommandBody::Fetch { sequence_set, macro_or_item_names, uid, modifiers } => {
                let vanished = modifiers.contains(&FetchModifier::Vanished);
                if vanished && !*self.qresync {
                    return Outcome::new("BAD VANISHED without QRESYNC");
                }
                let since = modifiers.iter().find_map(|modifier| match modifier {
                    FetchModifier::ChangedSince(since) => Some(since.get()),
                    FetchModifier::Vanished => None,
                });
                folder.fetch(&sequence_set, macro_or_item_names, uid, since, vanished)
            }
            CommandBody::Search { criteria, uid, .. } => Ok(folder.search(criteria.as_ref(), uid)),
            CommandBody::Store { sequence_set, kind, response, flags, uid, .. } => {
                folder.store(&sequence_set, kind, response, &flags, uid)
            }
            CommandBody::Copy { sequence_set, mailbox, uid } => folder.copy(&sequence_set, &mailbox, uid),
            CommandBody::Move { sequence_set, mailbox, uid } => folder.r#move(&sequence_set, &mailbox, uid),
            CommandBody::Expunge => folder.expunge(None),
            // RFC 4315 §2.1
            CommandBody::ExpungeUid { sequence_set } => folder.expunge(Some(&sequence_set)),
            CommandBody::Close => {
                // RFC 3501 §6.4.2
                let done = if folder.view.read_only { Ok(Outcome::new("OK")) } else { folder.expunge(None) };
                *self.selected = None;
                done.map(|_| Outcome::new("OK Closed"))
            }
            CommandBody::Unselect => {
                // RFC 3691 §2
                *self.selected = None;
                Ok(Outcome::new("OK Left"))
            }
            _ => Ok(Outcome::new("BAD Unknown command")),
        };
        done.unwrap_or_else(Outcome::from)
    }

    pub(super) fn news(&mut self) -> Vec<Vec<Bytes>> {
        match self.selected {
            Some(view) => view.news(self.core, self.address, *self.qresync),
            None => Vec::new(),
        }
    }
}
