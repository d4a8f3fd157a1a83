//! A POP3 maildrop.
//!
//! A message is known by its UIDL and size. Where that does not tell (a UIDL stands twice in the list, stood for
//! something else before, or there is none, or sizes are wrong), the content does ([`super::identity`]), which costs a
//! RETR per run of every message that is looked at. Which messages those are:
//!
//! - behind the part of the list that is as the last completed run left it,
//! - those that are not stored by what the list says,
//! - those that are, where the server's list has been wrong before, or where we may have deleted the stored one: a
//!   server that numbers its messages gives a freed UIDL to the next one.

use std::collections::{HashMap, HashSet, VecDeque};

use super::identity::{Found, Identities};
use super::keep::{Arrival, Content, Keeper};
use super::listed::{Listed, hash, keys_by_place, listing};
use super::spool::{Landing, sha256};
use super::{PullError, Run, TRIES, WINDOW};
use crate::mail::pop3::{Client, Missing, Stat};
use crate::mail::{self, BoxedStream};
use crate::model::{MessageId, Phase, ProbeCode};
use crate::store::keys::incoming_id;
use crate::store::{Known, Ledger, MessageKey, Position, SourceId, Window};

/// The only folder that POP3 has.
const INBOX: &str = "INBOX";

/// Headers of a message that is too large to be stored lie within its first bytes.
const HEAD_BYTES: usize = 64 << 10;

/// Most messages that are left at a server without UIDL: each look at the maildrop fetches them all.
const MOST_WITHOUT_UIDL: usize = 2_000;

/// The maildrop as this run knows it.
pub(super) struct Maildrop {
    source: SourceId,
    pub(super) ledger: Ledger,
    pub(super) list: Vec<Listed>,
    /// Messages at the head of the list that are known to be stored.
    prefix: usize,
    /// Stored before this run, by number.
    pub(super) known: HashMap<u32, (MessageId, Known)>,
    /// Messages that are told apart by their content.
    pub(super) identities: Identities,
    /// Numbers of messages whose key stands for a stored one that we may have deleted.
    doubted: HashSet<u32>,
    /// Those of them that are others than the one that is stored under their key.
    pub(super) elsewhere: HashSet<u32>,
    /// What is to be found by the list next time: the id of its key, the id of its row, and the row.
    aliases: Vec<(MessageId, MessageId, Known)>,
    /// Numbers of messages that are too large to be read, by size: how often each came before in this run.
    unread: HashMap<String, u32>,
    /// Messages that the server listed and would not give.
    pub(super) refused: HashSet<u32>,
    pub(super) suspect: Option<Window>,
    /// The one message that an interrupted run had under way.
    suspect_name: Option<String>,
    /// The message in which the dialogue broke off, and how it begins.
    torn: Option<(Listed, Vec<u8>)>,
    /// A message did not end where it had to: the session is of no use any more.
    spoilt: bool,
    /// The last message that this run has gone through.
    passed: u32,
}

/// Pulls the maildrop and ends the session, because deletions happen at QUIT.
pub(super) async fn pull(run: &mut Run<'_>, mut client: Client<BoxedStream>) -> Result<(), PullError> {
    let source = SourceId::of(run.receive, INBOX);
    let stat = client.stat().await?;
    run.enter(INBOX, stat.messages);
    if run.seems_quiet(&source, &stat) {
        let _ = client.quit().await;
        return Ok(());
    }
    let mut ledger = run.ledger(&source).await?;
    if is_quiet(run, &ledger, stat) {
        // Nothing was marked: whether QUIT is answered changes nothing.
        let _ = client.quit().await;
        return Ok(());
    }
    run.hold().await?;
    let list = listing(&mut client, run.deletes()).await?;
    let mut drop = Maildrop {
        source,
        prefix: 0,
        known: HashMap::new(),
        identities: Identities::default(),
        doubted: HashSet::new(),
        elsewhere: HashSet::new(),
        aliases: Vec::new(),
        unread: HashMap::new(),
        refused: HashSet::new(),
        suspect: ledger.window,
        suspect_name: ledger.under_way.take(),
        torn: None,
        spoilt: false,
        passed: 0,
        ledger,
        list,
    };
    drop.check_list(run)?;
    drop.look_up(run).await?;
    drop.walk(run, &mut client).await?;
    drop.finish(run, client, stat).await
}

/// Nothing has happened since the ledger was written, and nothing is to be deleted.
fn is_quiet(run: &Run<'_>, ledger: &Ledger, stat: Stat) -> bool {
    let Position::Pop3 { count, octets, .. } = ledger.position else {
        return false;
    };
    let same = (count, octets) == (stat.messages, stat.octets);
    same && ledger.window.is_none() && ledger.deleting.is_empty() && !(stat.messages > 0 && run.sweep_is_due(ledger))
}

impl Maildrop {
    fn id(&self, run: &Run<'_>, key: &MessageKey) -> MessageId {
        incoming_id(run.tenant, &run.row.account.account, &self.source, key)
    }

    /// A list that tells not all is noted as such; one that tells nothing must be short, where mail stays at the server.
    fn check_list(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        self.ledger.by_content |= self.list.iter().any(|message| !message.unique);
        let without = self.list.iter().filter(|message| message.uidl.is_none()).count();
        if without > MOST_WITHOUT_UIDL && run.receive.keep_on_server {
            let detail = format!(
                "the server has no UIDL and lists {without} messages, of which each pull would fetch all: \
                 set keepOnServer to false, or leave fewer than {MOST_WITHOUT_UIDL} there"
            );
            return Err(mail::Error::new(ProbeCode::ProtocolError, Phase::List, detail).into());
        }
        Ok(())
    }

    /// Which messages are stored: those of a matching prefix without asking, of the rest those whose row is there. All
    /// rows are asked for where mail is to be deleted, because only what has a row may be.
    async fn look_up(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        if let Position::Pop3 { prefix, prefix_hash, .. } = &self.ledger.position {
            let length = usize::try_from(*prefix).unwrap_or(usize::MAX);
            if length <= self.list.len() && hash(&self.list[..length]).as_ref() == Some(prefix_hash) {
                self.prefix = length;
            }
        }
        let from = if run.sweep_is_due(&self.ledger) { 0 } else { self.prefix };
        // Without a name only what could not be read is known.
        let keys = self.list.iter().zip(keys_by_place(&self.list)).map(|(message, place)| message.key().or(place));
        let asked: Vec<(usize, MessageId)> =
            keys.enumerate().skip(from).filter_map(|(index, key)| Some((index, self.id(run, &key?)))).collect();
        let ids: Vec<MessageId> = asked.iter().map(|(_, id)| id.clone()).collect();
        let known = run.tools.store.messages.known(run.tenant, &ids).await?;
        for (index, id) in asked {
            let Some(row) = known.get(&id) else { continue };
            let number = self.list[index].number;
            if index < self.prefix || self.is_sure(row) {
                self.known.insert(number, (id, *row));
            } else {
                self.doubted.insert(number);
            }
        }
        Ok(())
    }

    /// Whether a stored message is surely the one that is listed under its key.
    fn is_sure(&self, row: &Known) -> bool {
        // What no completed run has stored was never deleted by us.
        row.run == u64::MAX
            || row.run > self.ledger.run
            || !(self.ledger.by_content || self.ledger.deleted.may_include(row))
    }

    /// Fetches what is not stored, window by window, and notes each window before it begins.
    async fn walk(&mut self, run: &mut Run<'_>, client: &mut Client<BoxedStream>) -> Result<(), PullError> {
        let missing = |message: &&Listed| !self.known.contains_key(&message.number);
        let mut wanted: VecDeque<Listed> = self.list[self.prefix..].iter().filter(missing).cloned().collect();
        while !wanted.is_empty() && !run.out_of_time() {
            let width = self.width(&wanted[0]).min(wanted.len());
            let window: Vec<Listed> = wanted.drain(..width).collect();
            let tries = self.note(&window);
            run.save(&mut self.ledger).await?;
            run.hold().await?;
            if let Err(error) = self.window(run, client, &window, tries >= TRIES).await {
                return self.broke_off(run, error, window.len() == 1).await;
            }
            self.passed = window[window.len() - 1].number;
        }
        Ok(())
    }

    /// A run that could still speak: its window is closed, so that it counts against no message; but for the one that the
    /// server did not get through with, where that is the message's fault. After its attempts what came of it is kept, and
    /// another run goes on behind it.
    async fn broke_off(&mut self, run: &mut Run<'_>, error: PullError, alone: bool) -> Result<(), PullError> {
        let stuck = run.is_stuck(&error, alone || !run.advanced);
        let Some((listed, head)) = self.torn.take().filter(|_| stuck) else {
            self.close_window();
            run.save(&mut self.ledger).await?;
            return Err(error);
        };
        let tries = self.note(std::slice::from_ref(&listed)) + 1;
        if tries >= TRIES {
            tracing::warn!(number = listed.number, %error, "the server does not get through with a message");
            let at = self.list.iter().position(|message| message.number == listed.number);
            let place = at.and_then(|at| keys_by_place(&self.list).nth(at).flatten());
            let Some(key) = listed.key().or(place) else { return Err(error) };
            let arrival = self.arrival(run, &listed, &key, Content::Stalled(head));
            run.keep_stalled(listed.number, arrival).await?;
            self.passed = listed.number;
            self.close_window();
        }
        run.save(&mut self.ledger).await?;
        if tries >= TRIES { Ok(()) } else { Err(error) }
    }

    /// One message at a time through what an interrupted run had under way; else a full window.
    fn width(&self, next: &Listed) -> usize {
        let careful = self.suspect.is_some_and(|window| next.number <= window.last);
        if careful { 1 } else { WINDOW }
    }

    /// Notes the window in the ledger; returns how often this one message was under way when a run died: the first time
    /// with others, where its number has to do, then by itself and by its name.
    fn note(&mut self, window: &[Listed]) -> u32 {
        let (first, last) = (window[0].number, window[window.len() - 1].number);
        let name = (window.len() == 1).then(|| window[0].name());
        let same = |suspect: &Window| match &self.suspect_name {
            None => suspect.first < suspect.last && suspect.holds(first),
            known => *known == name,
        };
        let tries = self.suspect.filter(|suspect| name.is_some() && same(suspect)).map_or(0, |window| window.tries);
        self.ledger.window = Some(Window { first, last, tries: tries + 1 });
        self.ledger.under_way = name;
        tries
    }

    /// The window counts against no message. What this run did not come to of one in which another one died stays suspect.
    pub(super) fn close_window(&mut self) {
        self.ledger.window = self.suspect.and_then(|suspect| suspect.behind(self.passed));
        self.ledger.under_way = self.ledger.window.and_then(|_| self.suspect_name.clone());
    }

    async fn window(
        &mut self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
        window: &[Listed],
        unread: bool,
    ) -> Result<(), PullError> {
        let most = run.receive.max_message_bytes;
        let mut keeper = Keeper::new(&run.tools.store, run.tenant, &run.row.account.account);
        let (small, large): (Vec<&Listed>, Vec<&Listed>) = window.iter().partition(|message| message.octets <= most);
        let numbers: Vec<u32> = small.iter().map(|message| message.number).collect();
        let fetched = run.holding(self.fetch(run, client, &small, &numbers, unread, &mut keeper)).await;
        for message in large {
            let key = self.key_of_unread(message);
            keeper.keep(message.number, self.arrival(run, message, &key, Content::TooLarge(Vec::new()))).await;
        }
        let (kept, failure) = keeper.finish().await;
        run.note(&kept);
        run.more |= self.spoilt;
        for (place, id, row) in self.aliases.drain(..) {
            run.tools.store.messages.also_at(run.tenant, &id, &place, &row).await?;
        }
        fetched?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn fetch(
        &mut self,
        run: &Run<'_>,
        client: &mut Client<BoxedStream>,
        small: &[&Listed],
        numbers: &[u32],
        unread: bool,
        keeper: &mut Keeper,
    ) -> Result<(), PullError> {
        let mut retrieval = client.retrieve(numbers, run.receive.max_message_bytes);
        for &listed in small {
            let mut landing = Landing::default();
            let (number, message) = match retrieval.next_into(|piece| landing.take(piece)).await {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.torn = Some((listed.clone(), landing.head(HEAD_BYTES)));
                    return Err(error.into());
                }
            };
            let content = match message {
                Ok(_) => Content::of(landing.finish(), unread),
                Err(Missing::TooLarge) => Content::TooLarge(landing.head(HEAD_BYTES)),
                Err(Missing::Endless) => {
                    self.spoilt = true;
                    Content::TooLarge(landing.head(HEAD_BYTES))
                }
                // It stands in the list and cannot be had now: the next run asks again.
                Err(Missing::Refused(refusal)) => {
                    tracing::warn!(number, reply = refusal.text, "the server refused a message");
                    self.refused.insert(number);
                    continue;
                }
            };
            if let Some(key) = self.key(run, listed, &content).await? {
                keeper.keep(number, self.arrival(run, listed, &key, content)).await;
            }
            if self.spoilt {
                break;
            }
        }
        Ok(())
    }

    /// The key of a message that has come; none where it is stored already.
    async fn key(
        &mut self,
        run: &Run<'_>,
        listed: &Listed,
        content: &Content,
    ) -> Result<Option<MessageKey>, PullError> {
        let (sum, size) = match content {
            Content::Whole(source) | Content::Unread(source) => (source.sha256(), source.len()),
            Content::TooLarge(head) => (sha256(head), listed.octets),
            Content::Stalled(_) | Content::Withheld | Content::Failed(_) => return Ok(listed.key()),
        };
        // A size that is wrong today may be another one tomorrow.
        self.ledger.by_content |= size != listed.octets;
        let by_list = listed.key();
        let doubtful = self.ledger.by_content || self.doubted.contains(&listed.number);
        if let Some(key) = by_list.clone().filter(|_| !doubtful) {
            return Ok(Some(key));
        }
        let found = self.identities.find(run, &self.source, listed, &hex::encode(sum), size).await?;
        let (id, row, key) = match found {
            Found::Stored(id, row) => (id, row, None),
            Found::New(key) => {
                let row = Known::new(self.ledger.run + 1, run.now);
                (self.id(run, &key), row, Some(key))
            }
        };
        // Where the list alone can tell it next time, an alias says so; unless that name stands for another message.
        if let Some(place) = by_list.map(|key| self.id(run, &key)).filter(|place| *place != id) {
            if self.doubted.contains(&listed.number) {
                self.elsewhere.insert(listed.number);
            } else {
                self.aliases.push((place, id.clone(), row));
            }
        }
        if key.is_none() {
            self.known.insert(listed.number, (id, row));
        }
        Ok(key)
    }

    /// The key of a message that is too large to come. Its number is none: it moves with every deletion before it.
    fn key_of_unread(&mut self, listed: &Listed) -> MessageKey {
        if let Some(key) = listed.key() {
            return key;
        }
        let name = format!("{} octets, too large to be read", listed.octets);
        let counted = self.unread.entry(format!("{:?} {name}", listed.uidl)).or_default();
        *counted += 1;
        listed.by_content(&name, *counted - 1)
    }

    fn arrival(&self, run: &Run<'_>, listed: &Listed, key: &MessageKey, content: Content) -> Arrival {
        Arrival {
            id: self.id(run, key),
            key: key.to_string(),
            folder: INBOX.to_owned(),
            flags: Vec::new(),
            received_at: None,
            size: listed.octets,
            email_id: None,
            run: self.ledger.run + 1,
            content,
        }
    }
}
