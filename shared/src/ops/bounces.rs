//! What came of mail after a server had taken it: bounces and complaints, found in the mail that is pulled.
//!
//! Anybody can write a report. It changes something only where it names a Message-ID that we sent, out of the mailbox
//! that it came to (or under a sender that this mailbox speaks for), and a recipient of that message whose server had
//! taken it. The Message-ID holds 128 bits that nobody can guess: so a report is believed of those who got the
//! message, and of their servers, and what they can do with it is to be written to no more.
//!
//! **Order**: suppression → finding in the row of the message that was sent → row of the report. Whenever the process
//! dies, the report is pulled again, and what is noted already is left alone; so the same report twice changes nothing,
//! and an address that somebody has taken off the list stays off it.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use crate::mail::parse::{self, Automatic};
use crate::model::message::Message;
use crate::model::pii::is_token;
use crate::model::report::{Action, Bounce, BounceKind, LISTED_RECIPIENTS, Report, Reported};
use crate::model::send::Recipient;
use crate::model::suppression::SuppressionReason;
use crate::model::{RecipientState, SendState, Tenant};
use crate::ops::suppressions::{self, normalised};
use crate::store::{Bounced, NOTED_BOUNCES, OutgoingRow, Store, StoreError};

/// How often a finding is written anew because another report about the same message was faster.
const TRIES: u32 = 16;

/// Says in the row of a received message whether a program wrote it and what it reports, after that has been noted
/// where it belongs. Ordinary mail costs nothing but a look at its header.
pub async fn recognise(store: &Store, tenant: &Tenant, message: &mut Message, raw: &[u8]) -> Result<(), StoreError> {
    let Automatic { auto_reply, report, originals } = parse::automatic(raw);
    message.auto_reply = auto_reply;
    if let Some(mut report) = report {
        settle(store, tenant, message, &mut report, &originals).await?;
        report.recipients.truncate(LISTED_RECIPIENTS);
        message.report = Some(report);
    }
    Ok(())
}

/// Finds the message that a report is about, and notes in its row what happened to whom.
async fn settle(
    store: &Store,
    tenant: &Tenant,
    message: &Message,
    report: &mut Report,
    originals: &[String],
) -> Result<(), StoreError> {
    for original in originals {
        for _ in 0..TRIES {
            let Some(row) = store.outbox.by_message_id(tenant, original).await? else { break };
            if !is_ours(store, tenant, message, &row).await? {
                break;
            }
            let clear = addresses(store, tenant, message, &row).await?;
            let concerned = concerned(&row, &clear, &report.recipients);
            if concerned.is_empty() {
                break;
            }
            (report.message_id, report.message) = (Some(original.clone()), Some(row.id.clone()));
            match note(store, tenant, &row, &clear, findings(message, &concerned)).await {
                // Another report about the same message was faster: its finding stays too.
                Err(error) if error.is_conflict() => continue,
                result => return result,
            }
        }
    }
    // Somebody has named us a hundred recipients in a hundred reports at once: the mailbox is read again later.
    if report.message.is_some() { Err(StoreError::Conflict { what: "the bounces of a message" }) } else { Ok(()) }
}

/// Whether the mailbox that the report came to has to do with the message: it left through it, or under a sender that
/// is this mailbox's too (an account that only sends has its reports in another mailbox).
async fn is_ours(store: &Store, tenant: &Tenant, message: &Message, row: &OutgoingRow) -> Result<bool, StoreError> {
    if row.account == message.account {
        return Ok(true);
    }
    let account = store.accounts.get(tenant, &message.account).await?;
    Ok(account.is_some_and(|account| account.account.speaks_for(&row.from)))
}

/// What recipients' addresses are that stand as PII tokens in the row, as far as they are kept here.
async fn addresses(
    store: &Store,
    tenant: &Tenant,
    message: &Message,
    row: &OutgoingRow,
) -> Result<BTreeMap<String, String>, StoreError> {
    let tokens: Vec<String> =
        row.recipients.iter().map(|one| &one.address).filter(|address| is_token(address)).cloned().collect();
    let now = message.received_at;
    let clear = if tokens.is_empty() { BTreeMap::new() } else { store.pii.reveal(tenant, &tokens, now).await? };
    let clear = clear.into_iter().map(|(token, value)| {
        let address = value.expose_secret().trim().to_owned();
        (token, address)
    });
    Ok(clear.collect())
}

/// The recipients of the message that the report names, with what it says. One that names nobody means the only one.
fn concerned<'a>(
    row: &'a OutgoingRow,
    clear: &BTreeMap<String, String>,
    reported: &'a [Reported],
) -> Vec<(&'a Recipient, &'a Reported)> {
    let address = |recipient: &Recipient| normalised(clear.get(&recipient.address).unwrap_or(&recipient.address)).ok();
    let of = |one: &Reported| match &one.address {
        Some(named) => {
            let named = normalised(named).ok()?;
            row.recipients.iter().find(|recipient| address(recipient).as_ref() == Some(&named))
        }
        None => row.recipients.first().filter(|_| row.recipients.len() == 1),
    };
    // What was never handed over cannot come back; while an attempt is under way its row is not written yet.
    let handed_over = |recipient: &Recipient| {
        matches!(recipient.state, RecipientState::Sent | RecipientState::Unknown) || row.state == SendState::Sending
    };
    reported.iter().filter_map(|one| Some((of(one).filter(|found| handed_over(found))?, one))).collect()
}

fn findings(message: &Message, concerned: &[(&Recipient, &Reported)]) -> Vec<Bounced> {
    let finding = |(recipient, one): &(&Recipient, &Reported)| {
        let kind = one.kind.filter(|_| matches!(one.action, Action::Failed | Action::Complained))?;
        // A server's words name the address that its token hides.
        let text = one.text.clone().filter(|_| !is_token(&recipient.address));
        let bounce = Bounce { kind, code: one.code.clone(), text, at: message.received_at, report: message.id.clone() };
        Some(Bounced { address: recipient.address.clone(), bounce })
    };
    concerned.iter().filter_map(finding).collect()
}

/// Notes what is new about a message, and whom not to write to any more.
async fn note(
    store: &Store,
    tenant: &Tenant,
    row: &OutgoingRow,
    clear: &BTreeMap<String, String>,
    findings: Vec<Bounced>,
) -> Result<(), StoreError> {
    let (bounces, new) = merged(&row.bounces, findings);
    if new.is_empty() {
        return Ok(());
    }
    for finding in &new {
        let reason = match finding.bounce.kind {
            BounceKind::Soft => continue,
            BounceKind::Hard => SuppressionReason::HardBounce,
            BounceKind::Complaint => SuppressionReason::Complaint,
        };
        let address = clear.get(&finding.address).unwrap_or(&finding.address);
        suppressions::feed(store, tenant, address, reason, &row.id, finding.bounce.at).await?;
    }
    store.outbox.note_bounces(tenant, row, &bounces).await
}

/// All findings about a message, and those that were not known. What is worse replaces what is known.
fn merged(known: &[Bounced], findings: Vec<Bounced>) -> (Vec<Bounced>, Vec<Bounced>) {
    let (mut all, mut new) = (known.to_vec(), Vec::new());
    for finding in findings {
        match all.iter().position(|earlier| earlier.address == finding.address) {
            Some(place) if all[place].bounce.kind >= finding.bounce.kind => continue,
            Some(place) => all[place] = finding.clone(),
            None if all.len() < NOTED_BOUNCES => all.push(finding.clone()),
            None => continue,
        }
        new.push(finding);
    }
    (all, new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MessageId, Timestamp};

    fn finding(address: &str, kind: BounceKind, report: &str) -> Bounced {
        let report = MessageId::derived(&[report]);
        let bounce = Bounce { kind, code: None, text: None, at: Timestamp(1), report };
        Bounced { address: address.to_owned(), bounce }
    }

    #[test]
    fn only_what_is_new_or_worse_changes_anything() {
        let soft = finding("a@x.example", BounceKind::Soft, "1");
        let (known, new) = merged(&[], vec![soft.clone(), soft.clone()]);
        assert_eq!((&known, new), (&vec![soft.clone()], vec![soft.clone()]));
        assert_eq!(merged(&known, vec![soft.clone()]), (known.clone(), vec![]));
        let hard = finding("a@x.example", BounceKind::Hard, "2");
        assert_eq!(merged(&known, vec![hard.clone()]), (vec![hard.clone()], vec![hard.clone()]));
        assert_eq!(merged(std::slice::from_ref(&hard), vec![soft]), (vec![hard], vec![]));
        let many: Vec<Bounced> =
            (0..200).map(|number| finding(&format!("r{number}@x.example"), BounceKind::Hard, "3")).collect();
        assert_eq!(merged(&[], many).0.len(), NOTED_BOUNCES);
    }
}
