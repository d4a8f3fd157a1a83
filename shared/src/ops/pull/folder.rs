//! One IMAP folder.

use std::collections::{HashMap, HashSet};

use super::keep::{Arrival, Content, Keeper, internal_date};
use super::spool::{Landing, Source};
use super::{PullError, Run, SignInError, TRIES, WINDOW};
use crate::mail::imap::{Client, Fetched, Listed, Missing, Status};
use crate::mail::limits::FETCH_PART_BYTES;
use crate::mail::{self, BoxedStream};
use crate::model::MessageId;
use crate::store::keys::incoming_id;
use crate::store::{Known, Ledger, MessageKey, Position, SourceId, Window};

/// Headers of a message that is too large to be stored lie within its first bytes.
const HEAD_BYTES: u64 = 64 << 10;

/// Messages that are deleted by one command.
const DELETE_BATCH: usize = 500;

/// The folder as this run knows it.
struct Folder<'a> {
    name: &'a str,
    source: SourceId,
    ledger: Ledger,
    uidvalidity: u32,
    /// Highest UID that this run has gone through.
    last: u32,
    /// What the server lists and does not give, in order: behind the first of it nothing counts as stored.
    withheld: Vec<u32>,
    /// What an interrupted run had under way.
    suspect: Option<Window>,
}

/// Pulls one folder.
pub(super) async fn pull(run: &mut Run<'_>, client: &mut Client<BoxedStream>, name: &str) -> Result<(), PullError> {
    let source = SourceId::of(run.receive, name);
    let ledger = run.tools.store.ledgers.load(run.tenant, &run.row.account.account, &source).await?;
    let status = client.status(name).await?;
    run.enter(name, status.messages);
    if is_quiet(run, &ledger, &status) {
        return Ok(());
    }
    run.hold().await?;
    let sweep = run.sweep_is_due(&ledger);
    // EXAMINE leaves \Recent alone; only who deletes needs SELECT (RFC 3501 §6.3.2).
    let selected = if sweep { client.select(name).await? } else { client.examine(name).await? };
    let (last, safe, reset) = begin(&ledger, selected.uid_validity);
    if let Some(folder) = run.folders.last_mut() {
        folder.reset = reset;
    }
    let suspect = ledger.window;
    let mut folder =
        Folder { name, source, ledger, uidvalidity: selected.uid_validity, last, withheld: Vec::new(), suspect };
    let swept = match sweep {
        true => Some(folder.sweep_or_go_on(run, client, safe).await?),
        false => None,
    };
    folder.walk(run, client, safe).await?;
    folder.give_up_on_withheld(run).await?;
    // Also what an interrupted run had stored counts: its rows carry the number of this run.
    let advanced = folder.stored() > safe;
    folder.complete(run, &status, swept, advanced).await
}

/// Nothing has happened since the ledger was written, and nothing is to be deleted (RFC 3501 §2.3.1.1: no message can
/// arrive without moving UIDNEXT).
fn is_quiet(run: &Run<'_>, ledger: &Ledger, status: &Status) -> bool {
    let Position::Imap { uidvalidity, uidnext, messages, .. } = ledger.position else {
        return false;
    };
    let same = (uidvalidity, uidnext, messages) == (status.uid_validity, status.uid_next, status.messages);
    same && ledger.window.is_none() && !(status.messages > 0 && run.sweep_is_due(ledger))
}

/// Where to begin: last and safe of the ledger, or the start of a new epoch (RFC 3501 §2.3.1.1).
fn begin(ledger: &Ledger, epoch: u32) -> (u32, u32, bool) {
    match ledger.position {
        Position::Imap { uidvalidity, last, safe, .. } if uidvalidity == epoch => (last, safe, false),
        Position::New => (0, 0, false),
        _ => (0, 0, true),
    }
}

impl Folder<'_> {
    fn key(&self, uid: u32) -> MessageKey {
        MessageKey::Imap { uidvalidity: self.uidvalidity, uid }
    }

    fn id(&self, run: &Run<'_>, uid: u32) -> MessageId {
        incoming_id(run.tenant, &run.row.account.account, &self.source, &self.key(uid))
    }

    /// Goes through what lies behind `last`, window by window, and notes how far it came even when it fails.
    async fn walk(&mut self, run: &mut Run<'_>, client: &mut Client<BoxedStream>, safe: u32) -> Result<(), PullError> {
        // Behind the highest UID there can be there is nothing, though `n:*` always names the last message.
        while self.last < u32::MAX && !run.out_of_time() {
            match self.step(run, client, safe).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.leave(run, safe).await?;
                    return Err(error);
                }
            }
        }
        if run.more {
            self.leave(run, safe).await?;
        }
        Ok(())
    }

    /// One window; false where nothing is left.
    async fn step(
        &mut self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
        safe: u32,
    ) -> Result<bool, PullError> {
        let listed = client.listing(self.last + 1, self.width()).await?;
        let Some((first, last)) = listed.first().zip(listed.last()) else {
            return Ok(false);
        };
        let tries = self.note(first.uid, last.uid);
        self.position(safe);
        run.save(&mut self.ledger).await?;
        run.hold().await?;
        self.window(run, client, &listed, tries >= TRIES).await?;
        Ok(true)
    }

    /// Highest UID up to which everything is stored.
    fn stored(&self) -> u32 {
        self.withheld.first().map_or(self.last, |uid| uid - 1)
    }

    /// The first message that the server does not give, and in how many runs it did not: it is asked for again.
    fn hole(&self) -> Option<Window> {
        let uid = *self.withheld.first()?;
        let again = self.suspect.filter(|window| window.first == uid && window.last == uid);
        Some(Window { first: uid, last: uid, tries: again.map_or(0, |window| window.tries) + 1 })
    }

    /// One message at a time through what an interrupted run had under way; else a full window.
    fn width(&self) -> usize {
        let careful = self.suspect.as_ref().is_some_and(|window| self.last < window.last);
        if careful { 1 } else { WINDOW }
    }

    /// Notes the window in the ledger; returns how often exactly this one message was under way when a run died.
    fn note(&mut self, first: u32, last: u32) -> u32 {
        let again =
            self.suspect.as_ref().filter(|window| window.first == first && window.last == last && first == last);
        let tries = again.map_or(0, |window| window.tries);
        self.ledger.window = Some(Window { first, last, tries: tries + 1 });
        tries
    }

    /// An interrupted run that could still speak: the window is closed, so that it counts against no message.
    async fn leave(&mut self, run: &Run<'_>, safe: u32) -> Result<(), PullError> {
        self.ledger.window = self.hole();
        self.position(safe);
        run.save(&mut self.ledger).await
    }

    /// The ledger's position while the run goes on: the counters are not those of a completed run, so that no later
    /// look takes the folder for quiet.
    fn position(&mut self, safe: u32) {
        self.ledger.position =
            Position::Imap { uidvalidity: self.uidvalidity, uidnext: 0, messages: 0, last: self.stored(), safe };
    }

    async fn window(
        &mut self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
        listed: &[Listed],
        unread: bool,
    ) -> Result<(), PullError> {
        let ids: Vec<_> = listed.iter().map(|message| self.id(run, message.uid)).collect();
        let known = run.tools.store.messages.known(run.tenant, &ids).await?;
        let wanted: Vec<_> =
            listed.iter().zip(&ids).filter(|(_, id)| !known.contains_key(*id)).map(|(message, _)| message).collect();
        let mut keeper = Keeper::new(&run.tools.store, run.tenant, &run.row.account.account);
        let fetched = run.holding(self.fetch(run, client, &wanted, unread, &mut keeper)).await;
        let (kept, failure) = keeper.finish().await;
        run.note(&kept);
        let stored = |uid: u32, id: &MessageId| known.contains_key(id) || kept.iter().any(|kept| kept.place == uid);
        let complete = fetched.is_ok() && failure.is_none();
        let mut withheld = Vec::new();
        for message in wanted.iter().filter(|message| complete && !kept.iter().any(|kept| kept.place == message.uid)) {
            // A listed message that did not come has been expunged meanwhile (RFC 3501 §7.4.1), unless it is listed still.
            let there = client.listing(message.uid, 1).await?;
            withheld.extend(there.first().map(|listed| listed.uid).filter(|uid| *uid == message.uid));
        }
        self.withheld.extend(withheld);
        // Only contiguously: behind a message that is missing nothing counts (I10).
        for (message, id) in listed.iter().zip(&ids) {
            if !complete && !stored(message.uid, id) {
                break;
            }
            self.last = message.uid;
            run.advanced = true;
        }
        fetched?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Fetches messages. Where the server says no to all of them because of one, they are asked for one by one: its no
    /// to that one must not end the run, or everything behind it would never come.
    async fn fetch(
        &self,
        run: &Run<'_>,
        client: &mut Client<BoxedStream>,
        wanted: &[&Listed],
        unread: bool,
        keeper: &mut Keeper,
    ) -> Result<(), mail::Error> {
        let mut came = HashSet::new();
        let refused = match self.fetch_all(run, client, wanted, unread, keeper, &mut came).await {
            Err(error) if is_final_no(&error) => error,
            other => return other,
        };
        for message in wanted {
            if came.contains(&message.uid) {
                continue;
            }
            match self.fetch_all(run, client, &[message], unread, keeper, &mut came).await {
                Err(error) if is_final_no(&error) => {
                    tracing::warn!(uid = message.uid, %error, "the server does not give a message that it lists");
                }
                other => other?,
            }
        }
        // None of many came: that is the server's trouble and no message's.
        if came.is_empty() && wanted.len() > 1 { Err(refused) } else { Ok(()) }
    }

    async fn fetch_all(
        &self,
        run: &Run<'_>,
        client: &mut Client<BoxedStream>,
        wanted: &[&Listed],
        unread: bool,
        keeper: &mut Keeper,
        came: &mut HashSet<u32>,
    ) -> Result<(), mail::Error> {
        let most = run.receive.max_message_bytes;
        let whole: Vec<u32> = wanted
            .iter()
            .filter(|message| message.size <= most.min(FETCH_PART_BYTES))
            .map(|message| message.uid)
            .collect();
        // Larger than the server said when it listed them.
        let mut grown = Vec::new();
        if !whole.is_empty() {
            let mut fetch = client.fetch(&whole, most.min(FETCH_PART_BYTES));
            while let Some(fetched) = fetch.next().await? {
                let place = fetched.uid;
                if let Some(size) = fetched.dropped {
                    let Fetched { flags, internal_date, .. } = fetched;
                    grown.push(Listed { uid: place, size, flags, internal_date });
                    continue;
                }
                came.insert(place);
                keeper.keep(place, self.arrival(run, fetched, unread)).await;
            }
        }
        let large_ones = wanted.iter().copied().filter(|message| message.size > most.min(FETCH_PART_BYTES));
        for message in large_ones.chain(&grown) {
            let content = large(client, message, most, unread).await?;
            if let Some(content) = content {
                let arrival = Arrival { content, ..self.outline(run, message) };
                came.insert(message.uid);
                keeper.keep(message.uid, arrival).await;
            }
        }
        Ok(())
    }

    /// What the server has not given in several runs, while it gave what lies behind, is noted as such and passed: it
    /// stays on the server, and the folder is quiet again.
    async fn give_up_on_withheld(&mut self, run: &mut Run<'_>) -> Result<(), PullError> {
        let Some(hole) = self.hole().filter(|hole| hole.tries > TRIES && self.last > hole.first) else {
            return Ok(());
        };
        let message = Listed { uid: hole.first, size: 0, flags: Vec::new(), internal_date: None };
        let arrival = Arrival { content: Content::Withheld, ..self.outline(run, &message) };
        let mut keeper = Keeper::new(&run.tools.store, run.tenant, &run.row.account.account);
        keeper.keep(hole.first, arrival).await;
        let (kept, failure) = keeper.finish().await;
        run.note(&kept);
        failure.map_or(Ok(()), |error| Err(PullError::from(error)))?;
        self.withheld.remove(0);
        Ok(())
    }

    fn arrival(&self, run: &Run<'_>, fetched: Fetched, unread: bool) -> Arrival {
        let listed = Listed {
            uid: fetched.uid,
            size: fetched.body.len() as u64,
            flags: fetched.flags,
            internal_date: fetched.internal_date,
        };
        Arrival { content: Content::of(Ok(Source::Memory(fetched.body.into())), unread), ..self.outline(run, &listed) }
    }

    fn outline(&self, run: &Run<'_>, message: &Listed) -> Arrival {
        Arrival {
            id: self.id(run, message.uid),
            key: self.key(message.uid).to_string(),
            folder: self.name.to_owned(),
            flags: message.flags.clone(),
            received_at: message.internal_date.as_deref().and_then(internal_date),
            size: message.size,
            run: self.ledger.run + 1,
            content: Content::TooLarge(Vec::new()),
        }
    }

    /// A server that will not have its mail deleted (a folder for reading only, a right that is missing) still gives
    /// it: new mail comes before tidiness.
    async fn sweep_or_go_on(
        &self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
        safe: u32,
    ) -> Result<u32, PullError> {
        match self.sweep(run, client, safe).await {
            Err(PullError::SignIn(SignInError::Mail(error))) if is_final_no(&error) => {
                tracing::warn!(%error, "the server does not delete; tried again behind the next arrival");
                Ok(0)
            }
            other => other,
        }
    }

    /// Deletes at the server what an earlier completed run stored, and only where its row is really there.
    /// Returns how many are gone.
    async fn sweep(&self, run: &mut Run<'_>, client: &mut Client<BoxedStream>, safe: u32) -> Result<u32, PullError> {
        let mut gone = 0;
        let uids: Vec<u32> = client.search_uids(1).await?.into_iter().filter(|uid| *uid <= safe).collect();
        for batch in uids.chunks(DELETE_BATCH) {
            let ids: Vec<_> = batch.iter().map(|uid| self.id(run, *uid)).collect();
            let known: HashMap<MessageId, Known> = run.tools.store.messages.known(run.tenant, &ids).await?;
            let deletable = |id: &MessageId| {
                known.get(id).is_some_and(|row| row.run <= self.ledger.run && run.may_delete(row.stored_at))
            };
            let doomed: Vec<u32> =
                batch.iter().zip(&ids).filter(|(_, id)| deletable(id)).map(|(uid, _)| *uid).collect();
            if doomed.is_empty() {
                continue;
            }
            // Whoever lost the lease must not delete.
            run.hold().await?;
            client.uid_store_deleted(&doomed).await?;
            // RFC 4315 §2.1: never a plain EXPUNGE, which removes what others have marked as well.
            if client.uid_expunge(&doomed).await? {
                gone += u32::try_from(doomed.len()).unwrap_or(u32::MAX);
            } else {
                tracing::warn!("the server has no UIDPLUS: mail is marked \\Deleted and left to it");
            }
            run.changed = true;
        }
        Ok(gone)
    }

    /// Everything that was listed is stored: the run counts, and the next one may delete what it stored.
    async fn complete(
        &mut self,
        run: &mut Run<'_>,
        status: &Status,
        swept: Option<u32>,
        advanced: bool,
    ) -> Result<(), PullError> {
        if run.more {
            return Ok(());
        }
        if swept.is_some() {
            self.ledger.swept_run = self.ledger.run;
            self.ledger.swept_at = Some(run.now);
        }
        if advanced {
            self.ledger.run += 1;
            self.ledger.last_arrival = Some(run.now);
        }
        self.ledger.window = self.hole();
        self.ledger.position = Position::Imap {
            uidvalidity: self.uidvalidity,
            uidnext: status.uid_next,
            messages: status.messages.saturating_sub(swept.unwrap_or(0)),
            last: self.stored(),
            safe: self.stored(),
        };
        run.save(&mut self.ledger).await
    }
}

/// The server said no to this very command and can go on: asking again in a moment changes nothing.
fn is_final_no(error: &mail::Error) -> bool {
    error.refusal.as_ref().is_some_and(|refusal| !refusal.is_transient())
}

/// A message beyond one part: whole if the account takes that size, else its head.
async fn large(
    client: &mut Client<BoxedStream>,
    message: &Listed,
    most: u64,
    unread: bool,
) -> Result<Option<Content>, mail::Error> {
    if message.size > most {
        let mut bytes = Vec::new();
        client.fetch_part(message.uid, 0, HEAD_BYTES, |piece| bytes.extend_from_slice(piece)).await?;
        return Ok(Some(Content::TooLarge(bytes)));
    }
    let mut landing = Landing::default();
    let whole = client.fetch_large(message.uid, message.size, most, |piece| landing.take(piece)).await?;
    Ok(match whole {
        Ok(_) => Some(Content::of(landing.finish(), unread)),
        // Larger than announced: left out, the cursor would pass it and it would be lost.
        Err(Missing::TooLarge) => {
            Some(Content::TooLarge(landing.head(usize::try_from(HEAD_BYTES).unwrap_or_default())))
        }
        Err(Missing::Vanished) => None,
    })
}
