//! What an attempt means: per recipient, and for the message. Pure.

use crate::mail::smtp::Reply;
use crate::mail::{self, Refusal};
use crate::model::send::{Recipient, RecipientState, SmtpReply};
use crate::model::{Phase, SendState, Timestamp};
use crate::ops::fortunes::Pause;
use crate::settings::Settings;
use crate::store::{Outcome, OutgoingRow};

/// Still to be delivered.
pub(super) fn is_pending(recipient: &Recipient) -> bool {
    matches!(recipient.state, RecipientState::Queued | RecipientState::Deferred)
}

/// The server took the message for this recipient.
pub(super) fn sent(recipient: &mut Recipient, reply: &Reply) {
    recipient.state = RecipientState::Sent;
    recipient.smtp = Some(SmtpReply { code: reply.code, enhanced: reply.enhanced.clone(), text: reply.text.clone() });
    recipient.error = None;
    recipient.phase = None;
    recipient.attempts += 1;
}

/// The server refused: for good with 5yz, for now with 4yz (RFC 5321 §4.2.1). A refusal without a code is our own,
/// because the address cannot be put on the wire, and is for good.
pub(super) fn refused(recipient: &mut Recipient, refusal: &Refusal, phase: Phase) {
    let transient = refusal.code.is_some_and(|code| code < 500);
    recipient.state = if transient { RecipientState::Deferred } else { RecipientState::Failed };
    recipient.smtp =
        refusal.code.map(|code| SmtpReply { code, enhanced: refusal.enhanced.clone(), text: refusal.text.clone() });
    recipient.error = if refusal.code.is_none() { Some(refusal.text.clone()) } else { None };
    recipient.phase = Some(phase);
    recipient.attempts += 1;
}

/// The attempt ended before the message was handed over. What the server refused for good about the message itself is
/// final; everything else, our settings included, can be mended and is tried again.
pub(super) fn not_handed_over(recipient: &mut Recipient, error: &mail::Error) {
    let about_message = error.code == crate::model::ProbeCode::MessageRejected;
    match &error.refusal {
        Some(refusal) if about_message => return refused(recipient, refusal, error.phase),
        _ => {}
    }
    recipient.state = if about_message { RecipientState::Failed } else { RecipientState::Deferred };
    recipient.smtp = error.refusal.as_ref().and_then(|refusal| {
        Some(SmtpReply { code: refusal.code?, enhanced: refusal.enhanced.clone(), text: refusal.text.clone() })
    });
    recipient.error = Some(error.detail.clone());
    recipient.phase = Some(error.phase);
    recipient.attempts += 1;
}

/// The message was handed over and the reply was lost (RFC 1047). What comes of it is [`crate::ops::resolve`]'s.
pub(super) fn in_doubt(recipient: &mut Recipient, words: &str) {
    recipient.state = RecipientState::Unknown;
    recipient.smtp = None;
    recipient.error = Some(format!("handed over, reply lost: {words}"));
    recipient.phase = Some(Phase::Data);
    recipient.attempts += 1;
}

/// The message's state and its next attempt, from its recipients'.
pub(super) fn outcome(row: &OutgoingRow, recipients: Vec<Recipient>, settings: &Settings, now: Timestamp) -> Outcome {
    let attempts = row.attempts.saturating_add(1);
    let mut recipients = recipients;
    if let Some(why) = given_up(row, settings, now) {
        for recipient in recipients.iter_mut().filter(|recipient| is_pending(recipient)) {
            recipient.state = RecipientState::Failed;
            let last = recipient.error.take().map_or(String::new(), |words| format!("; last: {words}"));
            recipient.error = Some(format!("{why}{last}"));
        }
    }
    let state = summary(&recipients);
    let sent = recipients.iter().any(|recipient| recipient.state == RecipientState::Sent);
    Outcome {
        state,
        due: (state == SendState::Deferred).then(|| now.plus_seconds(pause(settings, attempts, row.id.as_str()))),
        recipients,
        attempts,
        size: row.size,
        sent_at: row.sent_at.or(sent.then_some(now)),
        follow_up: None,
        after: row.after.clone(),
    }
}

/// Why no further attempt is made, if none is: it is too old, or its caller was told by now that it failed.
pub(in crate::ops) fn given_up(row: &OutgoingRow, settings: &Settings, now: Timestamp) -> Option<String> {
    if row.once {
        return Some("not sent while the caller waited, and given up".to_owned());
    }
    let expired = row.waiting_since().plus_seconds(i64::from(settings.expire_seconds)) <= now;
    expired.then(|| format!("expired after {} s", settings.expire_seconds))
}

/// An attempt that was not made: its turn comes again at once, unless it is given up.
pub(super) fn postponed(row: &OutgoingRow, settings: &Settings, now: Timestamp) -> Outcome {
    if given_up(row, settings, now).is_some() {
        return Outcome { attempts: row.attempts, ..outcome(row, row.recipients.clone(), settings, now) };
    }
    Outcome {
        state: SendState::Queued,
        due: Some(now),
        recipients: row.recipients.clone(),
        attempts: row.attempts,
        size: row.size,
        sent_at: row.sent_at,
        follow_up: None,
        after: row.after.clone(),
    }
}

/// An attempt that was not made because the server refused the last logins: its turn comes when the pause is over.
pub(super) fn held(row: &OutgoingRow, pause: &Pause, settings: &Settings, now: Timestamp) -> Outcome {
    let mut recipients = row.recipients.clone();
    for recipient in recipients.iter_mut().filter(|recipient| is_pending(recipient)) {
        recipient.state = RecipientState::Deferred;
        recipient.error = Some(pause.words.clone());
    }
    let outcome = outcome(row, recipients, settings, now);
    Outcome { attempts: row.attempts, due: outcome.due.map(|_| pause.until), ..outcome }
}

/// The message's state from its recipients'.
pub(in crate::ops) fn summary(recipients: &[Recipient]) -> SendState {
    let any = |state| recipients.iter().any(|recipient| recipient.state == state);
    match () {
        () if recipients.iter().any(is_pending) => SendState::Deferred,
        () if any(RecipientState::Unknown) => SendState::Unknown,
        () if any(RecipientState::Sent) && any(RecipientState::Failed) => SendState::Partial,
        () if any(RecipientState::Sent) => SendState::Sent,
        () if any(RecipientState::Canceled) => SendState::Canceled,
        () => SendState::Failed,
    }
}

/// Seconds to the next attempt, a fifth more or less so that messages deferred together come back apart. The spread
/// follows from the id: nothing here is random.
fn pause(settings: &Settings, attempts: u32, id: &str) -> i64 {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let steps = &settings.backoff_seconds;
    let step = i64::from(steps.get(index).or(steps.last()).copied().unwrap_or(60));
    let percent = i64::from(u8::from_str_radix(&id[..2], 16).unwrap_or(0)) * 40 / 255 - 20;
    step + step * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let value = |name: &str| match name {
            "HALFPENNY_BACKOFF_SECONDS" => "60,300".to_owned(),
            "HALFPENNY_EXPIRE_SECONDS" => "3600".to_owned(),
            name if name.ends_with("_SECONDS") => "7".to_owned(),
            "HALFPENNY_ROOT_TOKEN_SHA256" => String::new(),
            _ => "x".to_owned(),
        };
        Settings::read(|name| Some(value(name))).unwrap()
    }

    fn row() -> OutgoingRow {
        let recipient = |state: &str| serde_json::json!({"address": "b@example.com", "state": state, "attempts": 1});
        serde_json::from_value(serde_json::json!({
            "id": "80".repeat(16), "account": "box", "state": "sending", "fence": 1, "attempt": "mine", "due": 0,
            "fingerprint": "f", "body": "item", "messageId": "<a@example.com>", "from": {"address": "a@example.com"},
            "recipients": [recipient("sent"), recipient("deferred")], "attempts": 1, "size": 1,
            "createdAt": "1970-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn what_is_postponed_comes_again_at_once_until_it_expires() {
        let at = |seconds| postponed(&row(), &settings(), Timestamp(0).plus_seconds(seconds));
        let soon = at(3599);
        assert_eq!((soon.state, soon.due, soon.attempts), (SendState::Queued, Some(Timestamp(3_599_000)), 1));
        let late = at(3600);
        assert_eq!((late.state, late.due), (SendState::Partial, None));
        assert_eq!(late.recipients[1].state, RecipientState::Failed);
        assert_eq!(late.recipients[0], row().recipients[0], "what was sent stays sent");
    }

    #[test]
    fn what_is_tried_once_fails_instead_of_waiting() {
        let mut once = row();
        once.once = true;
        for ended in [
            postponed(&once, &settings(), Timestamp(0)),
            outcome(&once, once.recipients.clone(), &settings(), Timestamp(0)),
        ] {
            assert_eq!((ended.state, ended.due), (SendState::Partial, None));
            assert_eq!(ended.recipients[1].state, RecipientState::Failed);
            assert_eq!(ended.recipients[0], once.recipients[0], "what was sent stays sent");
        }
    }

    #[test]
    fn a_deferred_message_waits_by_the_steps_and_the_last_one_repeats() {
        let due = |attempts| {
            let mut row = row();
            row.attempts = attempts;
            outcome(&row, row.recipients.clone(), &settings(), Timestamp(0)).due.map(Timestamp::seconds)
        };
        assert_eq!([0, 1, 9].map(due), [Some(60), Some(300), Some(300)]);
    }
}
