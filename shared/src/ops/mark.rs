//! The mark on the message that was replied to or forwarded: at its server, and in what is stored of it.

use super::follow_up::{Mailbox, Setback};
use crate::mail::Deadline;
use crate::model::change::FlagsChange;
use crate::model::content::{Action, Reference};
use crate::model::follow_up::{Mark, MarkState};
use crate::model::{MessageId, Protocol, Receive};
use crate::store::keys::incoming_id;
use crate::store::{MessageKey, Placed, SourceId};

/// The mark that a reference asks for; none where it names no message.
pub(super) fn wanted(reference: &Reference) -> Option<Mark> {
    let flag = match reference.action {
        Action::Reply | Action::ReplyAll => r"\Answered",
        Action::Forward => "$Forwarded",
    };
    let message = MessageId::new(reference.message.clone()).ok()?;
    Some(Mark { state: MarkState::Pending, message, flag: flag.to_owned(), error: None })
}

/// Sets the mark. A mailbox that is read by POP3 has no flags: there the stored message has it alone.
pub(super) async fn set(mailbox: &mut Mailbox<'_>, mark: &Mark, deadline: Deadline) -> Result<(), Setback> {
    let (tools, tenant, account) = (mailbox.tools, mailbox.tenant, &mailbox.account.account);
    let Some(row) = tools.store.messages.placed(tenant, &mark.message).await? else {
        return Err(Setback::lasting("the referenced message is not stored any more, or was never pulled"));
    };
    if row.message.account != account.account {
        return Err(Setback::lasting("the referenced message belongs to another account"));
    }
    if let Some(receive) = account.receive.as_ref().filter(|receive| receive.protocol == Protocol::Imap) {
        let place = Place::of(mailbox, receive, &row)?;
        at_server(mailbox, &row, place, &mark.flag, deadline).await?;
    }
    let marked = FlagsChange { add: vec![mark.flag.clone()], ..FlagsChange::default() }.of(&row.message.flags);
    if marked != row.message.flags {
        tools.store.messages.set_flags(tenant, &row.standing.id, &marked).await?;
    }
    Ok(())
}

/// Where the message is, as far as its key tells.
struct Place {
    folder: String,
    /// UIDVALIDITY and UID (RFC 3501 §2.3.1.1); none where it was pulled from elsewhere.
    uid: Option<(u32, u32)>,
}

impl Place {
    fn of(mailbox: &Mailbox<'_>, receive: &Receive, row: &Placed) -> Result<Self, Setback> {
        let folder =
            row.message.folder.clone().ok_or_else(|| Setback::lasting("the referenced message was in no folder"))?;
        let account = &row.message.account;
        // Its place says whether it came from this very folder of this very mailbox: elsewhere the same number is another
        // message.
        let source = SourceId::of(receive, &folder);
        let is_its_own = |key: &MessageKey| incoming_id(mailbox.tenant, account, &source, key) == row.standing.place;
        let uid = match MessageKey::imap(&row.standing.key).filter(is_its_own) {
            Some(MessageKey::Imap { uidvalidity, uid }) => Some((uidvalidity, uid)),
            _ => None,
        };
        Ok(Self { folder, uid })
    }
}

/// By its UID while UIDVALIDITY is the same; else by its Message-ID, if exactly one message has it.
async fn at_server(
    mailbox: &mut Mailbox<'_>,
    row: &Placed,
    place: Place,
    flag: &str,
    deadline: Deadline,
) -> Result<(), Setback> {
    let client = &mut mailbox.open(deadline).await?.client;
    let done = async {
        let selected = client.select(&place.folder).await?;
        let uids = match (place.uid, row.message.message_id.as_deref()) {
            (Some((uidvalidity, uid)), _) if uidvalidity == selected.uid_validity => vec![uid],
            (_, Some(message_id)) => client.search_message_id(message_id).await?,
            (_, None) => Vec::new(),
        };
        if let [uid] = uids[..] {
            client.uid_store_flag(&[uid], flag).await?;
            return Ok(true);
        }
        Ok(false)
    };
    match done.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Setback::lasting("the folder has new numbers, and the referenced message is not to be told")),
        Err(error) => Err(mailbox.failed(error)),
    }
}
