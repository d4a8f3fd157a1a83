//! A POP3 maildrop.
//!
//! A message is known by its UIDL and size; where a UIDL stands twice in the list, or there is none, by its content
//! and the ordinal of that content, which costs a RETR per run (RFC 1939 §7 makes UIDL optional).

use std::collections::HashMap;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::keep::{Arrival, Content, Keeper};
use super::spool::{Landing, sha256};
use super::{PullError, Run, TRIES, WINDOW};
use crate::mail::pop3::{Client, Committed, Missing, Stat};
use crate::mail::{BoxedStream, Deadline};
use crate::model::MessageId;
use crate::store::keys::incoming_id;
use crate::store::{Known, Ledger, MessageKey, Position, SourceId, Window};

/// The only folder that POP3 has.
const INBOX: &str = "INBOX";

/// Headers of a message that is too large to be stored lie within its first bytes.
const HEAD_BYTES: usize = 64 << 10;

/// How long QUIT may take once the session's own time is up.
const GOODBYE: Duration = Duration::from_secs(2);

/// A message as it is listed.
#[derive(Clone, Debug)]
struct Listed {
    number: u32,
    octets: u64,
    /// Its UIDL, where the server has one.
    uidl: Option<String>,
    /// Whether that UIDL stands in the list once.
    unique: bool,
}

impl Listed {
    /// Its key, as far as the list tells it.
    fn key(&self) -> Option<MessageKey> {
        let uidl = self.uidl.clone().filter(|_| self.unique)?;
        Some(MessageKey::Pop3 { uidl, octets: self.octets })
    }

    /// Its key once its content is known.
    fn key_of(&self, sha256: &str, ordinal: u32) -> MessageKey {
        match &self.uidl {
            Some(uidl) if self.unique => MessageKey::Pop3 { uidl: uidl.clone(), octets: self.octets },
            Some(uidl) => MessageKey::Repeated { uidl: uidl.clone(), sha256: sha256.to_owned(), ordinal },
            None => MessageKey::Content { sha256: sha256.to_owned(), ordinal },
        }
    }
}

/// The maildrop as this run knows it.
struct Maildrop {
    source: SourceId,
    ledger: Ledger,
    list: Vec<Listed>,
    /// Messages at the head of the list that are known to be stored.
    prefix: usize,
    /// Stored before this run, by number.
    known: HashMap<u32, Known>,
    /// How often each content came before in this run, of those that are known by their content.
    ordinals: HashMap<String, u32>,
    /// Messages that the server listed and would not give.
    refused: Vec<u32>,
    suspect: Option<Window>,
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
    let ledger = run.ledger(&source).await?;
    if is_quiet(run, &ledger, stat) {
        // Nothing was marked: whether QUIT is answered changes nothing.
        let _ = client.quit().await;
        return Ok(());
    }
    run.hold().await?;
    let list = listing(&mut client).await?;
    let suspect = ledger.window;
    let mut drop = Maildrop {
        source,
        ledger,
        list,
        prefix: 0,
        known: HashMap::new(),
        ordinals: HashMap::new(),
        refused: Vec::new(),
        suspect,
    };
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

/// LIST and UIDL together, in the order of LIST.
async fn listing(client: &mut Client<BoxedStream>) -> Result<Vec<Listed>, PullError> {
    let uidls = client.uidl().await?.unwrap_or_default();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (_, uidl) in &uidls {
        *seen.entry(uidl).or_default() += 1;
    }
    let by_number: HashMap<u32, &str> = uidls.iter().map(|(number, uidl)| (*number, uidl.as_str())).collect();
    let listed = client.list().await?.into_iter().map(|(number, octets)| {
        let uidl = by_number.get(&number).copied();
        let unique = uidl.is_some_and(|uidl| seen.get(uidl) == Some(&1));
        Listed { number, octets, uidl: uidl.map(str::to_owned), unique }
    });
    Ok(listed.collect())
}

impl Maildrop {
    fn id(&self, run: &Run<'_>, key: &MessageKey) -> MessageId {
        incoming_id(run.tenant, &run.row.account.account, &self.source, key)
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
        let asked: Vec<(u32, MessageId)> = self.list[from..]
            .iter()
            .filter_map(|message| Some((message.number, self.id(run, &message.key()?))))
            .collect();
        let ids: Vec<MessageId> = asked.iter().map(|(_, id)| id.clone()).collect();
        let known = run.tools.store.messages.known(run.tenant, &ids).await?;
        self.known.extend(asked.into_iter().filter_map(|(number, id)| Some((number, *known.get(&id)?))));
        Ok(())
    }

    /// Fetches what is not stored, window by window, and notes each window before it begins.
    async fn walk(&mut self, run: &mut Run<'_>, client: &mut Client<BoxedStream>) -> Result<(), PullError> {
        let missing = |message: &&Listed| !self.known.contains_key(&message.number);
        let mut wanted: std::collections::VecDeque<Listed> =
            self.list[self.prefix..].iter().filter(missing).cloned().collect();
        while !wanted.is_empty() && !run.out_of_time() {
            let width = self.width(&wanted[0]).min(wanted.len());
            let window: Vec<Listed> = wanted.drain(..width).collect();
            let tries = self.note(window[0].number, window[width - 1].number);
            run.save(&mut self.ledger).await?;
            run.hold().await?;
            if let Err(error) = self.window(run, client, &window, tries >= TRIES).await {
                self.ledger.window = None;
                run.save(&mut self.ledger).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// One message at a time through what an interrupted run had under way; else a full window.
    fn width(&self, next: &Listed) -> usize {
        let careful = self.suspect.is_some_and(|window| next.number <= window.last);
        if careful { 1 } else { WINDOW }
    }

    /// Notes the window in the ledger; returns how often exactly this one message was under way when a run died.
    fn note(&mut self, first: u32, last: u32) -> u32 {
        let again = self.suspect.filter(|window| window.first == first && window.last == last && first == last);
        let tries = again.map_or(0, |window| window.tries);
        self.ledger.window = Some(Window { first, last, tries: tries + 1 });
        tries
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
                    self.refused.push(number);
                    continue;
                }
            };
            let key = self.key(listed, &content);
            keeper.keep(number, self.arrival(run, listed, &key, content)).await;
        }
    }

    /// The key of a message that has come; counts the ordinal of its content where that decides.
    fn key(&mut self, listed: &Listed, content: &Content) -> MessageKey {
        let Some(key) = listed.key() else {
            let sha256 = hex::encode(match content {
                Content::Whole(source) | Content::Unread(source) => source.sha256(),
                Content::TooLarge(head) => sha256(head),
                Content::Withheld | Content::Failed(_) => sha256(&[]),
            });
            let counted = self.ordinals.entry(format!("{:?} {sha256}", listed.uidl)).or_default();
            *counted += 1;
            return listed.key_of(&sha256, *counted - 1);
        };
        key
    }

    /// The key of a message that is too large to come. Its number is none: it moves with every deletion before it.
    fn key_of_unread(&mut self, listed: &Listed) -> MessageKey {
        let name = format!("{} octets, too large to be read", listed.octets);
        let counted = self.ordinals.entry(format!("{:?} {name}", listed.uidl)).or_default();
        *counted += 1;
        listed.key_of(&name, *counted - 1)
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
        let doomed = if run.sweep_is_due(&self.ledger) && !run.more { self.doomed(run) } else { Vec::new() };
        if !doomed.is_empty() {
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
        self.ledger.window = None;
        if !run.more {
            self.completed(run, &doomed, stat);
        }
        run.save(&mut self.ledger).await
    }

    fn doomed(&self, run: &Run<'_>) -> Vec<Listed> {
        let deletable = |message: &&Listed| {
            self.known
                .get(&message.number)
                .is_some_and(|row| row.run <= self.ledger.run && run.may_delete(row.stored_at))
        };
        self.list.iter().filter(deletable).cloned().collect()
    }

    fn completed(&mut self, run: &Run<'_>, doomed: &[Listed], stat: Stat) {
        if run.sweep_is_due(&self.ledger) {
            self.ledger.swept_run = self.ledger.run;
            self.ledger.swept_at = Some(run.now);
        }
        // Rows of an interrupted run carry the number of this one, so it counts if it, or that one, stored anything.
        let unfinished = self.known.values().any(|row| row.run != u64::MAX && row.run > self.ledger.run);
        if unfinished || !run.stored.is_empty() {
            self.ledger.run += 1;
            self.ledger.last_arrival = Some(run.now);
        }
        let gone: u64 = doomed.iter().map(|message| message.octets).sum();
        self.list.retain(|message| !doomed.iter().any(|gone| gone.number == message.number));
        // Behind a message that is missing nothing counts, and the next run has to look again.
        let missing = self.list.iter().position(|message| self.refused.contains(&message.number));
        let stored = &self.list[..missing.unwrap_or(self.list.len())];
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

/// Of the keys of a stretch of the list; none where a key needs the content, so that such a list never matches.
fn hash(list: &[Listed]) -> Option<String> {
    let mut sum = Context::new(&SHA256);
    for message in list {
        sum.update(message.key()?.to_string().as_bytes());
        sum.update(b"\n");
    }
    Some(hex::encode(sum.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(number: u32, uidl: &str) -> Listed {
        Listed { number, octets: 10, uidl: Some(uidl.to_owned()), unique: true }
    }

    #[test]
    fn a_prefix_matches_by_order_ids_and_sizes_but_not_by_number() {
        let one = [listed(1, "a"), listed(2, "b")];
        assert_eq!(hash(&one), hash(&[listed(7, "a"), listed(9, "b")]));
        assert_ne!(hash(&one), hash(&[listed(1, "b"), listed(2, "a")]));
        assert_ne!(hash(&one), hash(&[Listed { octets: 11, ..listed(1, "a") }, listed(2, "b")]));
        assert_eq!(hash(&[Listed { unique: false, ..listed(1, "a") }]), None);
    }

    #[test]
    fn repeated_ids_are_told_apart_by_content_and_ordinal() {
        let twice = Listed { unique: false, ..listed(1, "a") };
        assert_eq!(twice.key(), None);
        assert_ne!(twice.key_of("00", 0), twice.key_of("00", 1));
        assert_ne!(twice.key_of("00", 0), Listed { uidl: None, ..twice.clone() }.key_of("00", 0));
    }
}
