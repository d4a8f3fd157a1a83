//! What a caller does with a stored message: other flags, another folder, deletion. The server comes first, and then
//! the row: whoever dies between the two is put right by the next pull, which follows what the server says.

use super::pull::folders::{is_absent, which};
use super::sign_in::{self, Receiver};
use super::{Tools, search};
use crate::mail::imap::places::{self, Choice};
use crate::mail::imap::{Client, Marking, Moved, SpecialUse};
use crate::mail::{self, BoxedStream, Deadline, pop3};
use crate::model::change::{FlagsChange, MessageChange, Removed};
use crate::model::{Code, FieldError, Message, MessageId, Problem, Receive, Tenant, Timestamp};
use crate::store::keys::incoming_id;
use crate::store::{AccountRow, MessageKey, NewPlace, Placed, SourceId, Standing};

/// Changes flags, folder or both.
///
/// # Errors
/// 404: not there, or not a received message. 409: it is no longer at its server, or the server does not let this user
/// change it. 422: the server has no such folder, or the mailbox has no folders. Else as a pull fails.
pub async fn change(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    id: &MessageId,
    change: &MessageChange,
    deadline: Deadline,
) -> Result<Message, Problem> {
    change.check().map_err(Problem::invalid)?;
    let mut placed = find(tools, tenant, account, id).await?;
    let mut desk = match Desk::open(tools, tenant, account, deadline).await? {
        Open::Imap(desk) => desk,
        Open::Pop3(_) if change.folder.is_some() => {
            let detail = "a mailbox that is read by POP3 has no folders";
            return Err(Problem::invalid(vec![FieldError::new("/folder", "unsupported", detail)]));
        }
        // RFC 1939 has no flags either: there the stored message has them alone.
        Open::Pop3(_) => {
            let flags = change.flags.as_ref().map_or_else(Vec::new, |flags| flags.of(&placed.message.flags));
            tools.store.messages.set_flags(tenant, id, &flags).await?;
            return Ok(Message { flags, ..placed.message });
        }
    };
    let uid = desk.stand(&placed).await?.ok_or_else(|| gone(&placed.message))?;
    // All of it or nothing, as far as that can be known beforehand.
    let folder = match &change.folder {
        Some(folder) => Some(desk.named(folder).await?),
        None => None,
    };
    if let Some(flags) = &change.flags {
        placed.message.flags = desk.mark(&placed, uid, flags).await?;
    }
    if let Some(folder) = folder {
        desk.file(&mut placed, uid, &folder).await?;
    }
    desk.leave().await;
    Ok(placed.message)
}

/// Changes flags.
pub async fn set_flags(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    id: &MessageId,
    flags: FlagsChange,
    deadline: Deadline,
) -> Result<Message, Problem> {
    change(tools, tenant, account, id, &MessageChange { flags: Some(flags), folder: None }, deadline).await
}

/// Moves a message to another folder: a name, or a special use such as `\Archive`.
pub async fn move_to(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    id: &MessageId,
    folder: &str,
    deadline: Deadline,
) -> Result<Message, Problem> {
    let wanted = MessageChange { flags: None, folder: Some(folder.to_owned()) };
    change(tools, tenant, account, id, &wanted, deadline).await
}

/// Deletes a message at its server: it goes to Trash, or for good where that is asked for or it is there already. One
/// that is gone already is no error; had others only moved it, the next pull finds it where it is now, and it counts as
/// deleted no more. What is stored of it can still be read by its id.
///
/// # Errors
/// As [`change`]; 409 where the server can delete no single message; 422 where there is no Trash.
pub async fn delete(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    id: &MessageId,
    permanent: bool,
    deadline: Deadline,
) -> Result<Removed, Problem> {
    let mut placed = match find(tools, tenant, account, id).await {
        // Deleted twice is deleted.
        Err(problem) if problem.code == Code::Conflict => {
            return Ok(Removed { id: id.clone(), deleted: true, folder: None });
        }
        other => other?,
    };
    let mut desk = match Desk::open(tools, tenant, account, deadline).await? {
        Open::Imap(desk) => desk,
        Open::Pop3(client) => {
            delete_by_pop3(*client, &placed, permanent).await?;
            return marked(tools, tenant, &placed).await;
        }
    };
    let Some(uid) = desk.stand(&placed).await? else {
        return marked(tools, tenant, &placed).await;
    };
    let listed = desk.client.list_folders().await.map_err(refused)?;
    let trash = places::special(&listed, SpecialUse::Trash).map(|folder| folder.name.clone());
    let trash = trash.filter(|trash| !permanent && placed.message.folder.as_ref() != Some(trash));
    let Some(trash) = trash else {
        if !permanent && places::special(&listed, SpecialUse::Trash).is_none() {
            let detail = "the server has no folder for deleted messages: give permanent=true to delete for good";
            return Err(Problem::invalid(vec![FieldError::new("?permanent", "missing", detail)]));
        }
        desk.expunge(uid).await?;
        desk.leave().await;
        return marked(tools, tenant, &placed).await;
    };
    desk.file(&mut placed, uid, &trash).await?;
    let followed = which(&mut desk.client, &desk.receive.folders).await.map_err(refused)?;
    desk.leave().await;
    if !followed.contains(&Choice::Folder(trash.clone())) {
        tools.store.messages.mark_deleted(tenant, &placed.standing, Timestamp::now()).await?;
        search::renew(&tools.store, tenant, id).await?;
    }
    Ok(Removed { id: id.clone(), deleted: false, folder: Some(trash) })
}

async fn marked(tools: &Tools, tenant: &Tenant, placed: &Placed) -> Result<Removed, Problem> {
    tools.store.messages.mark_deleted(tenant, &placed.standing, Timestamp::now()).await?;
    search::renew(&tools.store, tenant, &placed.standing.id).await?;
    Ok(Removed { id: placed.standing.id.clone(), deleted: true, folder: None })
}

async fn find(tools: &Tools, tenant: &Tenant, account: &AccountRow, id: &MessageId) -> Result<Placed, Problem> {
    let placed = tools.store.messages.placed(tenant, id).await?;
    let placed = placed.filter(|placed| placed.message.account == account.account.account);
    let Some(placed) = placed else {
        return Err(Problem::new(Code::MessageNotFound, "there is no such received message in this account"));
    };
    if placed.message.deleted_at.is_some() { Err(gone(&placed.message)) } else { Ok(placed) }
}

fn gone(message: &Message) -> Problem {
    let folder = message.folder.as_deref().unwrap_or_default();
    let words = "the message is no longer there at its mail server: it was deleted or moved, and the next pull tells";
    Problem::new(Code::Conflict, format!("{words} (folder {folder:?})"))
}

/// A server that understands and will not, for this user or this folder (RFC 5530 §3), has the caller's wish before it
/// and not a fault of anybody's.
fn refused(error: mail::Error) -> Problem {
    let code = error.refusal.as_ref().and_then(|refusal| refusal.enhanced.as_deref());
    if matches!(code, Some("NOPERM" | "CANNOT" | "READ-ONLY")) {
        return Problem::new(Code::Conflict, format!("the mail server does not allow this: {}", error.detail));
    }
    sign_in::SignInError::from(error).into_problem(true)
}

/// Marks the message with this key and has the mark committed (RFC 1939 §5, §6).
async fn delete_by_pop3(
    mut client: pop3::Client<BoxedStream>,
    placed: &Placed,
    permanent: bool,
) -> Result<(), Problem> {
    if !permanent {
        let detail = "a mailbox that is read by POP3 has no folder for deleted messages: give permanent=true";
        return Err(Problem::invalid(vec![FieldError::new("?permanent", "missing", detail)]));
    }
    let nameless = || {
        Problem::new(
            Code::Conflict,
            "the mail server gives this message no id of its own (UIDL): it cannot be told there",
        )
    };
    if !placed.standing.key.starts_with("P#") {
        return Err(nameless());
    }
    let ids = client.uidl().await.map_err(refused)?.ok_or_else(nameless)?;
    let sizes = client.list().await.map_err(refused)?;
    let mut numbers = ids.into_iter().zip(sizes).filter(|((number, uidl), (listed, octets))| {
        let key = MessageKey::Pop3 { uidl: uidl.clone(), octets: *octets };
        number == listed && key.to_string() == placed.standing.key
    });
    let Some(((number, _), _)) = numbers.next() else { return Ok(()) };
    client.delete(number).await.map_err(refused)?;
    client.quit().await.map(drop).map_err(refused)
}

/// A mailbox, opened.
#[allow(clippy::large_enum_variant)] // one at a time, on its way to its reader
enum Open<'a> {
    Imap(Box<Desk<'a>>),
    Pop3(Box<pop3::Client<BoxedStream>>),
}

/// An IMAP mailbox in which one message is changed.
struct Desk<'a> {
    tools: &'a Tools,
    tenant: &'a Tenant,
    account: &'a AccountRow,
    receive: &'a Receive,
    client: Client<BoxedStream>,
}

impl<'a> Desk<'a> {
    async fn open(
        tools: &'a Tools,
        tenant: &'a Tenant,
        account: &'a AccountRow,
        deadline: Deadline,
    ) -> Result<Open<'a>, Problem> {
        let receive = account.account.receive.as_ref().ok_or_else(|| {
            Problem::new(Code::InvalidRequest, "this account only sends: give it a receive side with PUT")
        })?;
        let receiver = sign_in::admitted(tools, tenant, account, deadline).await;
        match receiver.map_err(|error| error.into_problem(true))? {
            Receiver::Imap(client) => Ok(Open::Imap(Box::new(Self { tools, tenant, account, receive, client }))),
            Receiver::Pop3(client) => Ok(Open::Pop3(Box::new(client))),
        }
    }

    /// Opens the message's folder and finds it there: by its UID while UIDVALIDITY is the same (RFC 3501 §2.3.1.1), else
    /// by its Message-ID, if exactly one has it. None: it is not there.
    async fn stand(&mut self, placed: &Placed) -> Result<Option<u32>, Problem> {
        let folder = placed.message.folder.clone().unwrap_or_default();
        let selected = match self.client.select(&folder).await {
            Err(error) if is_absent(&error) => return Ok(None),
            other => other.map_err(refused)?,
        };
        if selected.read_only {
            let words = format!("the mail server opens the folder {folder:?} for reading only");
            return Err(Problem::new(Code::Conflict, words));
        }
        // Its place says whether the key is of this very folder: elsewhere the same number is another message.
        let own = |key: &MessageKey| self.place(&folder, key) == placed.standing.place;
        if let Some(MessageKey::Imap { uidvalidity, uid }) = MessageKey::imap(&placed.standing.key).filter(own)
            && uidvalidity == selected.uid_validity
        {
            let there = self.client.flags(uid, uid).await.map_err(refused)?;
            return Ok(there.first().map(|(uid, _)| *uid));
        }
        self.by_message_id(placed).await
    }

    async fn by_message_id(&mut self, placed: &Placed) -> Result<Option<u32>, Problem> {
        let Some(message_id) = &placed.message.message_id else { return Ok(None) };
        let uids = self.client.search_message_id(message_id).await.map_err(refused)?;
        Ok(if let [uid] = uids[..] { Some(uid) } else { None })
    }

    fn place(&self, folder: &str, key: &MessageKey) -> MessageId {
        let account = &self.account.account.account;
        incoming_id(self.tenant, account, &SourceId::of(self.receive, folder), key)
    }

    /// Changes flags; returns what they are now at the server, which need not keep every keyword.
    async fn mark(&mut self, placed: &Placed, uid: u32, change: &FlagsChange) -> Result<Vec<String>, Problem> {
        let steps = match &change.set {
            Some(set) => vec![(Marking::Set, set)],
            None => vec![(Marking::Add, &change.add), (Marking::Remove, &change.remove)],
        };
        for (marking, flags) in
            steps.into_iter().filter(|(marking, flags)| *marking == Marking::Set || !flags.is_empty())
        {
            self.client.uid_mark(uid, marking, flags).await.map_err(refused)?;
        }
        let now = self.client.flags(uid, uid).await.map_err(refused)?;
        let flags = now.into_iter().next().map(|(_, flags)| flags).ok_or_else(|| gone(&placed.message))?;
        self.tools.store.messages.set_flags(self.tenant, &placed.standing.id, &flags).await?;
        Ok(flags)
    }

    /// The folder that a caller names.
    async fn named(&mut self, wanted: &str) -> Result<String, Problem> {
        let choices = which(&mut self.client, &[wanted.to_owned()]).await.map_err(refused)?;
        match choices.into_iter().next() {
            Some(Choice::Folder(name)) if wanted != places::EVERY => Ok(name),
            _ => Err(no_folder(&format!("the server has no folder for {wanted}"))),
        }
    }

    /// Moves the message of the open folder, and lets its row stand where it is now. What a caller has filed there is
    /// not deleted by the account's own settings any more.
    async fn file(&mut self, placed: &mut Placed, uid: u32, folder: &str) -> Result<(), Problem> {
        if placed.message.folder.as_deref() == Some(folder) {
            return Ok(());
        }
        let moved = match self.client.uid_move(uid, folder).await {
            Err(error) if is_absent(&error) => return Err(no_folder(&error.detail)),
            other => other.map_err(refused)?,
        };
        let place = match moved {
            Moved::Done(Some(place)) => Some(place),
            Moved::Done(None) => self.look_up(placed, folder).await?,
            Moved::Unsupported => {
                let words = "the mail server can move no single message: it has neither MOVE nor UIDPLUS";
                return Err(Problem::new(Code::Conflict, words));
            }
        };
        placed.message.folder = Some(folder.to_owned());
        // Where nobody can tell its new number, the next pull finds it by its content.
        let Some((uidvalidity, uid)) = place else { return Ok(()) };
        let key = MessageKey::Imap { uidvalidity, uid };
        let to = NewPlace {
            place: self.place(folder, &key),
            key: key.to_string(),
            folder: folder.to_owned(),
            run: u64::MAX,
        };
        self.tools.store.messages.move_to(self.tenant, &placed.standing, &to).await?;
        search::renew(&self.tools.store, self.tenant, &placed.standing.id).await?;
        placed.standing = Standing { place: to.place, key: to.key, ..placed.standing.clone() };
        Ok(())
    }

    /// Where a message is now that was moved by a server without UIDPLUS.
    async fn look_up(&mut self, placed: &Placed, folder: &str) -> Result<Option<(u32, u32)>, Problem> {
        let selected = self.client.select(folder).await.map_err(refused)?;
        Ok(self.by_message_id(placed).await?.map(|uid| (selected.uid_validity, uid)))
    }

    /// Deletes the message of the open folder for good, and no other (RFC 4315 §2.1).
    async fn expunge(&mut self, uid: u32) -> Result<(), Problem> {
        if !self.client.capabilities().has("UIDPLUS") {
            let words = "the mail server can delete no single message for good (it has no UIDPLUS): in its Trash it goes with the rest";
            return Err(Problem::new(Code::Conflict, words));
        }
        self.client.uid_store_deleted(&[uid]).await.map_err(refused)?;
        self.client.uid_expunge(&[uid]).await.map(drop).map_err(refused)
    }

    async fn leave(self) {
        // The session has served its purpose: how LOGOUT fares changes nothing.
        let _ = self.client.logout().await;
    }
}

fn no_folder(words: &str) -> Problem {
    Problem::invalid(vec![FieldError::new("/folder", "not_found", words)])
}
