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
use std::time::Duration;

use super::identity::{Found, Identities};
use super::keep::{Arrival, Content, Keeper};
use super::listed::{Listed, hash, listing};
use super::spool::{Landing, sha256};
use super::{PullError, Run, TRIES, WINDOW};
use crate::mail::pop3::{Client, Committed, Missing, Stat};
use crate::mail::{self, BoxedStream, Deadline};
use crate::model::{MessageId, Phase, ProbeCode};
use crate::store::keys::incoming_id;
use crate::store::{Known, Ledger, MessageKey, Position, SourceId, Window};

/// The only folder that POP3 has.
const INBOX: &str = "INBOX";

/// Headers of a message that is too large to be stored lie within its first bytes.
const HEAD_BYTES: usize = 64 << 10;

/// How long QUIT may take once the session's own time is up.
const GOODBYE: Duration = Duration::from_secs(2);

/// Most messages that are left at a server without UIDL: each look at the maildrop fetches them all.
const MOST_WITHOUT_UIDL: usize = 2_000;

/// Most messages known by their content that are deleted in one run: their ids are noted in the ledger meanwhile.
const DELETED_BY_CONTENT: usize = 1_000;

/// The maildrop as this run knows it.
struct Maildrop {
    source: SourceId,
    ledger: Ledger,
    list: Vec<Listed>,
    /// Messages at the head of the list that are known to be stored.
    prefix: usize,
    /// Stored before this run, by number.
    known: HashMap<u32, (MessageId, Known)>,
    /// Messages that are told apart by their content.
    identities: Identities,
    /// Numbers of messages whose key stands for a stored one that we may have deleted.
    doubted: HashSet<u32>,
    /// What is to be found by the list next time: the id of its key, the id of its row, and the row.
    aliases: Vec<(MessageId, MessageId, Known)>,
    /// Numbers of messages that are too large to be read, by size: how often each came before in this run.
    unread: HashMap<String, u32>,
    /// Messages that the server listed and would not give.
    refused: HashSet<u32>,
    suspect: Option<Window>,
    /// The one message that an interrupted run had under way.
    suspect_name: Option<String>,
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
        aliases: Vec::new(),
        unread: HashMap::new(),
        refused: HashSet::new(),
        suspect: ledger.window,
        suspect_name: ledger.under_way.take(),
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
    same && ledger.window.is_none() && !(stat.messages > 0 && run.sweep_is_due(ledger))
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
        let asked: Vec<(usize, MessageId)> =
            (from..self.list.len()).filter_map(|index| Some((index, self.id(run, &self.list[index].key()?)))).collect();
        let ids: Vec<MessageId> = asked.iter().map(|(_, id)| id.clone()).collect();
        let known = run.tools.store.messages.known(run.tenant, &ids).await?;
        for (index, id) in asked {
            let Some(row) = known.get(&id) else { continue };
            let number = self.list[index].number;
            if index < self.prefix || self.is_sure(run, row) {
                self.known.insert(number, (id, *row));
            } else {
                self.doubted.insert(number);
            }
        }
        Ok(())
    }

    /// Whether a stored message is surely the one that is listed under its key.
    fn is_sure(&self, run: &Run<'_>, row: &Known) -> bool {
        // What no completed run has stored was never deleted by us.
        row.run == u64::MAX
            || row.run > self.ledger.run
            || !(self.ledger.by_content || run.may_have_deleted(&self.ledger, row))
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
                self.close_window();
                run.save(&mut self.ledger).await?;
                return Err(error);
            }
            self.passed = window[window.len() - 1].number;
        }
        Ok(())
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
    fn close_window(&mut self) {
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
        loop {
            let mut landing = Landing::default();
            let Some((number, message)) = retrieval.next_into(|piece| landing.take(piece)).await? else {
                return Ok(());
            };
            let Some(listed) = small.iter().find(|listed| listed.number == number) else {
                continue;
            };
            let content = match message {
                Ok(_) => Content::of(landing.finish(), unread),
                Err(Missing::TooLarge) => Content::TooLarge(landing.head(HEAD_BYTES)),
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
        }
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
            Content::Withheld | Content::Failed(_) => return Ok(listed.key()),
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
        let place = by_list.filter(|_| !self.doubted.contains(&listed.number)).map(|key| self.id(run, &key));
        if let Some(place) = place.filter(|place| *place != id) {
            self.aliases.push((place, id.clone(), row));
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
            run: self.ledger.run + 1,
            content,
        }
    }

    /// Deletes what an earlier completed run stored, ends the session, and only then says so in the ledger.
    async fn finish(mut self, run: &mut Run<'_>, mut client: Client<BoxedStream>, stat: Stat) -> Result<(), PullError> {
        // What was not given may be what is not settled.
        let settled = !run.more && (self.ledger.deleting.is_empty() || self.refused.is_empty());
        if settled {
            self.settle(run).await?;
        }
        let due = settled && run.sweep_is_due(&self.ledger);
        let (doomed, all) = if due { self.doomed(run) } else { (Vec::new(), false) };
        if !doomed.is_empty() {
            self.note_deletion(run, &doomed).await?;
            // Whoever lost the lease must not delete.
            run.hold().await?;
        }
        for message in &doomed {
            client.delete(message.number).await?;
        }
        if run.more {
            // The server's time is up; without QUIT some keep the maildrop locked, and the rest is another run's.
            client.set_deadline(Deadline::after(GOODBYE));
        }
        // RFC 1939 §6: only +OK to QUIT says that they are gone. Without it the next run lists and deletes again.
        match client.quit().await {
            Ok(Committed) => run.changed |= !doomed.is_empty(),
            Err(error) if doomed.is_empty() => tracing::debug!(code = ?error.code, "QUIT was not answered"),
            Err(error) => return Err(error.into()),
        }
        if settled {
            self.forget(run).await?;
        }
        if !run.more {
            self.suspect = None;
        }
        self.close_window();
        if !run.more {
            self.completed(run, &doomed, stat, all);
        }
        run.save(&mut self.ledger).await
    }

    /// What may be deleted, and whether that is all of it.
    fn doomed(&self, run: &Run<'_>) -> (Vec<Listed>, bool) {
        let deletable = |message: &&Listed| {
            self.known.get(&message.number).is_some_and(|(_, row)| run.may_delete(&self.ledger, row))
        };
        let (mut by_content, mut all) = (0, true);
        let fits = |message: &&Listed| {
            by_content += usize::from(!message.unique);
            let fits = message.unique || by_content <= DELETED_BY_CONTENT;
            all &= fits;
            fits
        };
        (self.list.iter().filter(deletable).filter(fits).cloned().collect(), all)
    }

    /// Notes which messages without a name of their own are about to be deleted: one of them that arrives once more is
    /// another message, and that has to be known whenever this process dies.
    async fn note_deletion(&mut self, run: &Run<'_>, doomed: &[Listed]) -> Result<(), PullError> {
        let id = |message: &Listed| Some(self.known.get(&message.number)?.0.clone());
        let nameless: Vec<_> = doomed.iter().filter(|message| !message.unique).filter_map(id).collect();
        if nameless.is_empty() {
            return Ok(());
        }
        self.ledger.deleting = nameless;
        run.save(&mut self.ledger).await
    }

    /// What an interrupted run was deleting and is not listed any more is gone. What is listed has been fetched by now.
    async fn settle(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        let taken = &self.identities.taken;
        self.ledger.deleting.retain(|id| !taken.contains(id));
        self.forget(run).await
    }

    /// Marks what was deleted as gone.
    async fn forget(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        for id in &self.ledger.deleting {
            run.tools.store.messages.mark_gone(run.tenant, id).await?;
        }
        self.ledger.deleting.clear();
        Ok(())
    }

    fn completed(&mut self, run: &Run<'_>, doomed: &[Listed], stat: Stat, all: bool) {
        if run.sweep_is_due(&self.ledger) && all {
            run.swept(&mut self.ledger);
        }
        // Rows of an interrupted run carry the number of this one, so it counts if it, or that one, stored anything.
        let unfinished = self.known.values().any(|(_, row)| row.run != u64::MAX && row.run > self.ledger.run);
        if unfinished || !run.stored.is_empty() {
            self.ledger.run += 1;
            self.ledger.last_arrival = Some(run.now);
        }
        let gone: u64 = doomed.iter().map(|message| message.octets).sum();
        let numbers: HashSet<u32> = doomed.iter().map(|message| message.number).collect();
        self.list.retain(|message| !numbers.contains(&message.number));
        // Behind a message that is missing nothing counts, and the next run has to look again.
        let missing = self.list.iter().position(|message| self.refused.contains(&message.number));
        let nameless = self.list.iter().position(|message| !message.unique);
        let stored = &self.list[..missing.into_iter().chain(nameless).min().unwrap_or(self.list.len())];
        self.ledger.position = Position::Pop3 {
            count: if missing.is_none() { number(self.list.len()) } else { 0 },
            octets: stat.octets.saturating_sub(gone),
            prefix: number(stored.len()),
            prefix_hash: hash(stored).unwrap_or_default(),
        };
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
