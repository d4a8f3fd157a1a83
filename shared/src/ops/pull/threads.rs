//! The conversation of an answer that names no other message.
//!
//! Some mail programs and most ticket systems answer without References and In-Reply-To. Such a message says so by its
//! subject (`Re:`, `AW:`, …), and joins the newest message of the last [`WINDOW_DAYS`] days that has the same subject
//! otherwise and is between the same people: its author takes part in that one, and so does one of those whom it is
//! sent to. The author and the window keep strangers, and next month's "Re: invoice", apart. A subject that claims to be
//! no answer never joins anything: two reports of one title are two conversations.
//!
//! Only such messages are looked for, so that no other costs anything: at most [`LOOKED_AT`] units, a fiftieth of a cent.

use crate::mail::parse::base_subject;
use crate::model::message::thread_of;
use crate::model::{Address, Message, Tenant};
use crate::store::{Range, Store, StoreError};

/// Answers come within days; bills and reports of one title come every month.
const WINDOW_DAYS: i64 = 30;

/// Most messages of the mailbox that are looked at, newest first, and how many at a time.
const LOOKED_AT: u32 = 200;
const STRIDE: u32 = 50;

/// Our clock and the mail server's may differ.
const SKEW_SECONDS: i64 = 300;

/// Finds the conversation of a message that has lost its references; all others keep what they have.
pub(super) async fn join(store: &Store, tenant: &Tenant, message: &mut Message) -> Result<(), StoreError> {
    let Some(subject) = lost(message) else {
        return Ok(());
    };
    let range = Range {
        since: Some(message.received_at.plus_seconds(-WINDOW_DAYS * 86_400)),
        before: Some(message.received_at.plus_seconds(SKEW_SECONDS)),
    };
    let mut cursor: Option<String> = None;
    for _ in 0..LOOKED_AT / STRIDE {
        let page = store.messages.list(tenant, &message.account, range, STRIDE, cursor.as_deref()).await?;
        if let Some(found) = page.items.iter().map(|row| row.message()).find(|it| continues(message, &subject, it)) {
            message.thread_id = found.thread_id;
            break;
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(())
}

/// The base of the subject of an answer without references.
fn lost(message: &Message) -> Option<String> {
    let own = thread_of(message.message_id.as_deref().unwrap_or(message.id.as_str()));
    if message.in_reply_to.is_some() || message.thread_id != own {
        return None;
    }
    let (base, answers) = base_subject(message.subject.as_deref()?);
    (answers && !base.is_empty()).then_some(base)
}

/// Whether an answer with this subject may belong to an earlier message.
fn continues(answer: &Message, subject: &str, earlier: &Message) -> bool {
    let people: Vec<&Address> =
        earlier.from.iter().chain(&earlier.to).chain(&earlier.cc).chain(&earlier.reply_to).collect();
    let takes_part = |who: &Address| people.iter().any(|known| known.address.eq_ignore_ascii_case(&who.address));
    earlier.id != answer.id
        && earlier.subject.as_deref().is_some_and(|it| base_subject(it).0 == subject)
        && answer.from.as_ref().is_some_and(takes_part)
        && answer.to.iter().chain(&answer.cc).any(takes_part)
}
