//! One IMAP folder.

use std::collections::{HashMap, HashSet};

use super::keep::{Arrival, Content, Keeper};
use super::lost::{self, Intake};
use super::sheet::{Sheet, look_is_due};
use super::{PullError, Run, TRIES, WINDOW};
use crate::mail::imap::{Client, Listed, Selected, Status};
use crate::mail::{self, BoxedStream};
use crate::model::MessageId;
use crate::store::keys::incoming_id;
use crate::store::{Epoch, Ledger, MessageKey, Position, SourceId, Standing, Window};

/// The folder as this run knows it.
pub(super) struct Folder {
    pub(super) name: String,
    /// Its place among the folders of the run.
    pub(super) number: usize,
    pub(super) source: SourceId,
    pub(super) ledger: Ledger,
    pub(super) uidvalidity: u32,
    pub(super) status: Status,
    /// What counted as followed before this run: UNSEEN and HIGHESTMODSEQ.
    followed: (Option<u32>, Option<u64>),
    /// Highest UID that this run has gone through.
    last: u32,
    /// Where the ledger stood: it never goes back within an epoch.
    floor: u32,
    /// Up to here an earlier completed run has stored everything.
    pub(super) safe: u32,
    /// What the server lists and does not give, in order: behind the first of it nothing counts as stored.
    withheld: Vec<u32>,
    /// What an interrupted run had under way.
    suspect: Option<Window>,
    /// How many messages were deleted at the server, where it was time to.
    swept: Option<u32>,
    /// What is there, where it is noted because the server does not tell what is gone.
    pub(super) sheet: Option<Sheet>,
    /// Stored messages of a renumbered folder that an interrupted run has found again, by their new UIDs.
    pub(super) found: HashMap<u32, Standing>,
}

/// Asks how a folder stands, opens it where there is news, and looks at what has become of stored messages. None: there
/// is no news.
pub(super) async fn look(
    run: &mut Run<'_>,
    client: &mut Client<BoxedStream>,
    name: &str,
) -> Result<Option<Folder>, PullError> {
    let source = SourceId::of(run.receive, name);
    let status = client.status(name).await?;
    run.enter(name, status.messages);
    if run.seems_quiet(&source, &status) {
        return Ok(None);
    }
    let ledger = run.ledger(&source).await?;
    if is_quiet(run, &ledger, &status) {
        return Ok(None);
    }
    run.hold().await?;
    client.enable_qresync().await?;
    let selected = open(run, client, &ledger, name).await?;
    let (last, safe, renumbered) = begin(&ledger, selected.uid_validity);
    let mut folder = Folder {
        name: name.to_owned(),
        number: run.at,
        source,
        uidvalidity: selected.uid_validity,
        status,
        followed: followed(&ledger, selected.uid_validity),
        // RFC 3501 §2.3.1.1 forbids UIDNEXT to go back. Where it does, nobody knows what stands below the cursor: what
        // is known there is known, and all else is taken.
        last: if selected.uid_next.is_some_and(|next| next <= last) { 0 } else { last },
        floor: last,
        safe,
        withheld: Vec::new(),
        suspect: ledger.window,
        swept: None,
        sheet: (run.receive.keep_on_server && !client.tells_vanished()).then(|| Sheet::of(&status, &selected)),
        found: HashMap::new(),
        ledger: Ledger { folder: name.to_owned(), ..ledger },
    };
    if let Some(from) = renumbered {
        tracing::warn!(folder = name, from, to = selected.uid_validity, "the server has renumbered the folder");
        run.folders[run.at].reset = true;
        folder.ledger.epoch = Some(Epoch { from, since: run.now });
    }
    match folder.ledger.epoch {
        Some(_) => folder.remember(run).await?,
        None => folder.follow(run, client).await?,
    }
    Ok(Some(folder))
}

/// EXAMINE leaves `\Recent` alone; only who deletes needs SELECT (RFC 3501 §6.3.2).
async fn open(
    run: &Run<'_>,
    client: &mut Client<BoxedStream>,
    ledger: &Ledger,
    name: &str,
) -> Result<Selected, mail::Error> {
    if run.sweep_is_due(ledger) { client.select(name).await } else { client.examine(name).await }
}

/// Nothing has happened since the ledger was written, and nothing is to be deleted (RFC 3501 §2.3.1.1: no message can
/// arrive without moving UIDNEXT). Flags are told by HIGHESTMODSEQ (RFC 7162 §3.1.2.1), elsewhere by UNSEEN.
fn is_quiet(run: &Run<'_>, ledger: &Ledger, status: &Status) -> bool {
    let Position::Imap { uidvalidity, uidnext, messages, unseen, modseq, .. } = ledger.position else {
        return false;
    };
    let same = (uidvalidity, uidnext, messages) == (status.uid_validity, status.uid_next, status.messages);
    let same_flags =
        modseq == status.highest_mod_seq && (modseq.is_some() || unseen.is_none() || unseen == status.unseen);
    let due = run.sweep_is_due(ledger) || look_is_due(ledger, run.now);
    same && same_flags && ledger.window.is_none() && !(status.messages > 0 && due)
}

/// Where to begin: last and safe of the ledger, or the start of a new epoch, and then the one before (RFC 3501
/// §2.3.1.1).
fn begin(ledger: &Ledger, epoch: u32) -> (u32, u32, Option<u32>) {
    match ledger.position {
        Position::Imap { uidvalidity, last, safe, .. } if uidvalidity == epoch => (last, safe, None),
        Position::Imap { uidvalidity, .. } => (0, 0, Some(uidvalidity)),
        Position::New | Position::Pop3 { .. } => (0, 0, None),
    }
}

fn followed(ledger: &Ledger, epoch: u32) -> (Option<u32>, Option<u64>) {
    match ledger.position {
        Position::Imap { uidvalidity, unseen, modseq, .. } if uidvalidity == epoch => (unseen, modseq),
        _ => (None, None),
    }
}

impl Folder {
    pub(super) fn key(&self, uid: u32) -> MessageKey {
        MessageKey::Imap { uidvalidity: self.uidvalidity, uid }
    }

    pub(super) fn id(&self, run: &Run<'_>, uid: u32) -> MessageId {
        incoming_id(run.tenant, &run.row.account.account, &self.source, &self.key(uid))
    }

    /// Opens the folder again after another one. False: it was renumbered meanwhile.
    pub(super) async fn reopen(&self, run: &mut Run<'_>, client: &mut Client<BoxedStream>) -> Result<bool, PullError> {
        run.at = self.number;
        Ok(open(run, client, &self.ledger, &self.name).await?.uid_validity == self.uidvalidity)
    }

    /// Deletes what is to be deleted, and stores what is new.
    pub(super) async fn take_all(
        &mut self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
    ) -> Result<(), PullError> {
        if run.sweep_is_due(&self.ledger) {
            self.swept = Some(self.sweep_or_go_on(run, client).await?);
        }
        self.walk(run, client).await?;
        self.give_up_on_withheld(run).await?;
        if let Some(swept) = self.swept.filter(|swept| *swept > 0) {
            // What we have changed ourselves is no news to the next run. Where that cannot be told, it looks once more.
            let left = self.status.messages.saturating_sub(swept);
            match client.status(&self.name).await {
                Ok(now) if (now.uid_next, now.messages) == (self.status.uid_next, left) => {
                    (self.status.unseen, self.status.highest_mod_seq) = (now.unseen, now.highest_mod_seq);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the folder was not asked again"),
            }
        }
        Ok(())
    }

    /// Goes through what lies behind `last`, window by window, and notes how far it came even when it fails.
    pub(super) async fn walk(&mut self, run: &mut Run<'_>, client: &mut Client<BoxedStream>) -> Result<(), PullError> {
        // Behind the highest UID there can be there is nothing, though `n:*` always names the last message.
        while self.last < u32::MAX && !run.out_of_time() {
            match self.step(run, client).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // What may be one message's fault is narrowed down by the next run, one message at a time.
                    if run.is_stuck(&error, self.last <= self.floor) && self.withheld.is_empty() {
                        self.position();
                        run.save(&mut self.ledger).await?;
                    } else {
                        self.leave(run).await?;
                    }
                    return Err(error);
                }
            }
        }
        if run.more {
            self.leave(run).await?;
        }
        Ok(())
    }

    /// One window; false where nothing is left.
    async fn step(&mut self, run: &mut Run<'_>, client: &mut Client<BoxedStream>) -> Result<bool, PullError> {
        let listed = client.listing(self.last + 1, self.width()).await?;
        let Some((first, last)) = listed.first().zip(listed.last()) else {
            return Ok(false);
        };
        let tries = self.note(first.uid, last.uid);
        self.position();
        run.save(&mut self.ledger).await?;
        run.hold().await?;
        match self.window(run, client, &listed, tries >= TRIES).await {
            Err(error) if tries + 1 >= TRIES && listed.len() == 1 && run.is_stuck(&error, true) => {
                tracing::warn!(uid = last.uid, %error, "the server does not get through with a message");
                let arrival = Arrival { content: Content::Stalled(Vec::new()), ..self.outline(run, last) };
                run.keep_stalled(last.uid, arrival).await?;
                self.last = last.uid;
                self.sheet.iter_mut().for_each(|sheet| sheet.take_down(last));
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// Highest UID up to which everything is stored.
    fn stored(&self) -> u32 {
        self.withheld.first().map_or(self.last, |uid| uid - 1).max(self.floor)
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

    /// Notes the window in the ledger; returns how often this one message was under way when a run died: the first time
    /// with others, then by itself.
    fn note(&mut self, first: u32, last: u32) -> u32 {
        let under_way = |window: &&Window| first == last && window.holds(first);
        let tries = self.suspect.as_ref().filter(under_way).map_or(0, |window| window.tries);
        self.ledger.window = Some(Window { first, last, tries: tries + 1 });
        tries
    }

    /// An interrupted run that could still speak: the window is closed, so that it counts against no message. What it did
    /// not come to of a window in which another one died stays suspect.
    pub(super) async fn leave(&mut self, run: &Run<'_>) -> Result<(), PullError> {
        self.note_unsettled_sheet(run).await?;
        self.ledger.window = self.hole().or_else(|| self.suspect?.behind(self.last));
        self.position();
        run.save(&mut self.ledger).await
    }

    /// The ledger's position while the run goes on: the counters are not those of a completed run, so that no later
    /// look takes the folder for quiet.
    fn position(&mut self) {
        let (unseen, modseq) = self.followed;
        let (uidvalidity, last, safe) = (self.uidvalidity, self.stored(), self.safe);
        self.ledger.position = Position::Imap { uidvalidity, uidnext: 0, messages: 0, last, safe, unseen, modseq };
    }

    async fn window(
        &mut self,
        run: &mut Run<'_>,
        client: &mut Client<BoxedStream>,
        listed: &[Listed],
        unread: bool,
    ) -> Result<(), PullError> {
        let ids: Vec<_> = listed.iter().map(|message| self.id(run, message.uid)).collect();
        let mut known = run.tools.store.messages.known(run.tenant, &ids).await?;
        self.lead(run, listed, &ids, &mut known).await?;
        let wanted: Vec<_> =
            listed.iter().zip(&ids).filter(|(_, id)| !known.contains_key(*id)).map(|(message, _)| message).collect();
        if !self.recall(run, client, &wanted).await? {
            run.more = true;
            return Ok(());
        }
        let mut lost = std::mem::take(&mut run.lost);
        let keeper = Keeper::new(&run.tools.store, run.tenant, &run.row.account.account);
        let mut intake = Intake::new(keeper, &mut lost);
        let is_unknown = |message: &&Listed| !intake.recognises(message.uid, self.outline(run, message));
        let unknown: Vec<_> = wanted.iter().copied().filter(is_unknown).collect();
        let fetched = run.holding(self.fetch(run, client, &unknown, unread, &mut intake)).await;
        let Intake { keeper, found, .. } = intake;
        let (kept, failure) = keeper.finish().await;
        let placed = lost::place(run, found).await;
        run.lost = lost;
        run.note(&kept);
        let placed = placed?;
        run.changed |= !placed.is_empty();
        let came: HashSet<u32> = kept.iter().map(|kept| kept.place).chain(placed).collect();
        let stored = |uid: u32, id: &MessageId| known.contains_key(id) || came.contains(&uid);
        let complete = fetched.is_ok() && failure.is_none();
        let mut withheld = Vec::new();
        for message in wanted.iter().filter(|message| complete && !came.contains(&message.uid)) {
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
            self.sheet.iter_mut().for_each(|sheet| sheet.take_down(message));
            run.advanced = true;
        }
        fetched?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// What the server has not given in several runs, while it gave what lies behind, is noted as such and passed: it
    /// stays on the server, and the folder is quiet again.
    async fn give_up_on_withheld(&mut self, run: &mut Run<'_>) -> Result<(), PullError> {
        let Some(hole) = self.hole().filter(|hole| hole.tries > TRIES && self.last > hole.first) else {
            return Ok(());
        };
        let message = Listed { uid: hole.first, size: 0, flags: Vec::new(), internal_date: None, email_id: None };
        let arrival = Arrival { content: Content::Withheld, ..self.outline(run, &message) };
        let mut keeper = Keeper::new(&run.tools.store, run.tenant, &run.row.account.account);
        keeper.keep(hole.first, arrival).await;
        let (kept, failure) = keeper.finish().await;
        run.note(&kept);
        failure.map_or(Ok(()), |error| Err(PullError::from(error)))?;
        self.withheld.remove(0);
        Ok(())
    }

    /// Everything that was listed is stored: the run counts, and the next one may delete what it stored.
    pub(super) async fn complete(&mut self, run: &mut Run<'_>) -> Result<(), PullError> {
        if self.swept.is_some() {
            run.swept(&mut self.ledger);
        }
        // Also what an interrupted run had stored counts: its rows carry the number of this run.
        if self.stored() > self.safe {
            self.ledger.run += 1;
            self.ledger.last_arrival = Some(run.now);
        }
        self.note_sheet(run).await?;
        self.ledger.epoch = None;
        self.ledger.window = self.hole();
        self.ledger.position = Position::Imap {
            uidvalidity: self.uidvalidity,
            uidnext: self.status.uid_next,
            messages: self.status.messages.saturating_sub(self.swept.unwrap_or(0)),
            last: self.stored(),
            safe: self.stored(),
            unseen: self.status.unseen,
            modseq: self.status.highest_mod_seq,
        };
        run.save(&mut self.ledger).await
    }
}

/// The server said no to this very command and can go on: asking again in a moment changes nothing.
pub(super) fn is_final_no(error: &mail::Error) -> bool {
    error.refusal.as_ref().is_some_and(|refusal| !refusal.is_transient())
}

/// The server says that there is no such folder (RFC 5530 §3, RFC 3501 §6.3.11).
pub(in crate::ops) fn is_absent(error: &mail::Error) -> bool {
    let code = error.refusal.as_ref().and_then(|refusal| refusal.enhanced.as_deref());
    matches!(code, Some("NONEXISTENT" | "TRYCREATE"))
}
