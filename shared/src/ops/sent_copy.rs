//! The copy in the Sent folder: who makes it, and how.
//!
//! | `sentCopy` | the account's IMAP mailbox | copy |
//! |---|---|---|
//! | `never` | any | none |
//! | any | none (POP3, or sends only) | none |
//! | `auto` | of a provider that files what it sends ([`Provider::files_sent`](crate::mail::providers::Provider), by the sending host) | `server` |
//! | `auto` | Gmail's, behind whatever name (`X-GM-EXT-1`) | `server` |
//! | `auto` | any other | ours |
//! | `always` | any | ours |
//!
//! Before APPEND the folder is searched for the Message-ID (RFC 3501 §6.4.4). That makes it repeatable: a copy whose
//! answer was lost, or which an unknown server made by itself, is found and not made twice. The copy is the very source
//! that was sent, marked `\Seen`; like it, it does not name those who got it blindly.

use super::follow_up::{Mailbox, Setback, has_imap};
use super::keyring::{Keyring, Source};
use super::sign_in::{self, Receiver, SignInError};
use super::{Tools, guesses, send};
use crate::mail::imap::{Client, Folder, places};
use crate::mail::wire::Stream;
use crate::mail::{self, Deadline, providers};
use crate::model::account::SideSecrets;
use crate::model::follow_up::{Copy, CopyState};
use crate::model::{
    Account, AccountId, Code, MessageId, Problem, Protocol, Receive, SendState, SentCopy, Tenant, Timestamp,
};
use crate::store::{OutgoingRow, Side, StoreError};

/// Gmail's own capability: it files what is sent through it, and its mailbox is the only one that has it.
const GMAIL: &str = "X-GM-EXT-1";

const NO_FOLDER: &str = "no Sent folder: the server names none (RFC 6154), and none has a well-known name";

/// Whether there is to be a copy, and by whom, as far as the settings tell.
pub fn plan(account: &Account, wish: Option<SentCopy>) -> Option<Copy> {
    let wish = wish.unwrap_or(account.sent_copy);
    if wish == SentCopy::Never || !has_imap(account) {
        return None;
    }
    let host = account.smtp.as_ref().map(|server| server.host.as_str()).unwrap_or_default();
    let files_itself = providers::of_server(host).is_some_and(|provider| provider.files_sent);
    Some(Copy::of(if wish == SentCopy::Auto && files_itself { CopyState::Server } else { CopyState::Pending }))
}

/// Makes the copy of a message that was sent.
pub(super) async fn make(mailbox: &mut Mailbox<'_>, row: &OutgoingRow, deadline: Deadline) -> Result<Copy, Setback> {
    let wish = row.sent_copy.unwrap_or(mailbox.account.account.sent_copy);
    let (tools, tenant) = (mailbox.tools, mailbox.tenant);
    let open = mailbox.open(deadline).await?;
    if wish == SentCopy::Auto && open.client.capabilities().has(GMAIL) {
        return Ok(Copy::of(CopyState::Server));
    }
    let folder = places::sent(&open.folders).ok_or_else(|| Setback::lasting(NO_FOLDER))?.name.clone();
    let source = send::sent_source(tools, tenant, row).await.map_err(|problem| Setback {
        lasting: crate::http::call::is_callers(&problem),
        words: format!("the message cannot be composed again: {}", problem.detail),
    })?;
    match file(&mut open.client, &folder, &row.message_id, &source).await {
        Ok(state) => Ok(Copy { state, folder: Some(folder), error: None }),
        Err(error) => Err(mailbox.failed(error)),
    }
}

/// Puts a message into a folder unless it is there.
async fn file<S: Stream>(
    client: &mut Client<S>,
    folder: &str,
    message_id: &str,
    source: &[u8],
) -> Result<CopyState, mail::Error> {
    match client.examine(folder).await {
        Ok(_) if !client.search_message_id(message_id).await?.is_empty() => return Ok(CopyState::Found),
        Ok(_) => {}
        // There may be no such folder yet: APPEND will tell.
        Err(error) if error.refusal.is_some() => {}
        Err(error) => return Err(error),
    }
    match client.append(folder, &[r"\Seen"], source).await {
        // RFC 3501 §6.3.11: the server asks for the folder to be made first.
        Err(error) if is(&error, "TRYCREATE") => {
            client.create(folder).await?;
            client.append(folder, &[r"\Seen"], source).await?;
        }
        other => drop(other?),
    }
    Ok(CopyState::Stored)
}

fn is(error: &mail::Error, code: &str) -> bool {
    error.refusal.as_ref().and_then(|refusal| refusal.enhanced.as_deref()) == Some(code)
}

/// Where a caller wants the copy of one message: settings that come with the call and are stored nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'a> {
    /// An IMAP server.
    pub receive: &'a Receive,
    /// What to sign in with.
    pub secrets: &'a SideSecrets,
    /// The folder; left out: the server's Sent folder. It is made where it is missing.
    pub folder: Option<&'a str>,
}

/// Puts the copy of a sent message where the caller says, at once, and notes it. For doors whose requests bring their
/// own settings; give the message `sentCopy: never`, so that the account's own copy does not come beside it.
///
/// # Errors
/// The message is not there or was not sent, or the tenant has guessed too often. That the copy cannot be made is no
/// error: its state says so.
pub async fn append_with(
    tools: &Tools,
    tenant: &Tenant,
    id: &MessageId,
    place: Elsewhere<'_>,
    deadline: Deadline,
    now: Timestamp,
) -> Result<Copy, Problem> {
    let row = tools.store.outbox.get(tenant, id).await?;
    let row = row.ok_or_else(|| Problem::new(Code::MessageNotFound, "there is no such outgoing message"))?;
    if !matches!(row.state, SendState::Sent | SendState::Partial) {
        return Err(Problem::new(Code::Conflict, "the message was not sent: there is nothing to copy"));
    }
    let source = send::sent_source(tools, tenant, &row).await?;
    let admitted = guesses::admit_receive(tools, tenant, place.receive, now).await?;
    let made = append(tools, tenant, &row, place, &source, deadline, now).await;
    let refused = matches!(&made, Err(SignInError::Mail(error)) if error.is_auth_refusal());
    admitted.settle([false, refused]).await?;
    let copy = match made {
        Ok(copy) => copy,
        Err(error) => Copy { error: Some(Setback::from(error).words), ..Copy::of(CopyState::Failed) },
    };
    match tools.store.outbox.note_copy(tenant, &row, &copy).await {
        // Something follows on it that somebody is at: what was made is made.
        Err(StoreError::Conflict { .. }) => {}
        other => other?,
    }
    Ok(copy)
}

async fn append(
    tools: &Tools,
    tenant: &Tenant,
    row: &OutgoingRow,
    place: Elsewhere<'_>,
    source: &[u8],
    deadline: Deadline,
    now: Timestamp,
) -> Result<Copy, SignInError> {
    let nobody = AccountId::nobody();
    let keyring = Keyring {
        tools,
        tenant,
        account: &nobody,
        side: Side::Receive,
        server: &place.receive.server,
        protocol: Protocol::Imap,
        source: Source::Given(place.secrets),
        deadline,
        now,
    };
    let Receiver::Imap(mut client) = sign_in::receiver_by(&keyring, place.receive).await? else {
        let words = "a copy can be put into an IMAP mailbox only".to_owned();
        return Ok(Copy { error: Some(words), ..Copy::of(CopyState::Failed) });
    };
    client.set_deadline(deadline);
    let listed: Vec<Folder>;
    let folder = match place.folder {
        Some(folder) => Some(folder),
        None => {
            listed = client.list_folders().await?;
            places::sent(&listed).map(|folder| folder.name.as_str())
        }
    };
    let Some(folder) = folder else {
        return Ok(Copy { error: Some(NO_FOLDER.to_owned()), ..Copy::of(CopyState::Failed) });
    };
    let state = file(&mut client, folder, &row.message_id, source).await?;
    let copy = Copy { state, folder: Some(folder.to_owned()), error: None };
    // The session has served its purpose: how LOGOUT fares changes nothing.
    let _ = client.logout().await;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::AccountInput;

    fn account(smtp: &str, receive: &str, sent_copy: &str) -> Account {
        let server = |host: &str| {
            serde_json::json!({"host": host, "port": 993, "security": "tls",
                "auth": {"type": "password", "username": "u", "password": "p"}})
        };
        let mut json = serde_json::json!({"from": "a@example.com", "smtp": server(smtp), "sentCopy": sent_copy});
        if !receive.is_empty() {
            json["receive"] = server("mail.example.com");
            json["receive"]["protocol"] = receive.into();
        }
        let input: AccountInput = serde_json::from_value(json).unwrap();
        input.check(AccountId::new("box").unwrap(), 60, Timestamp(0)).unwrap().0
    }

    /// A3.4/21
    #[test]
    fn a_3_4_21_the_table_above() {
        use CopyState::{Pending, Server};
        for (smtp, receive, account_says, message_says, wanted) in [
            ("smtp.example.com", "imap", "auto", None, Some(Pending)),
            ("smtp.example.com", "pop3", "always", None, None),
            ("smtp.example.com", "", "always", None, None),
            ("smtp.example.com", "imap", "never", None, None),
            ("smtp.example.com", "imap", "auto", Some(SentCopy::Never), None),
            ("smtp.example.com", "imap", "never", Some(SentCopy::Always), Some(Pending)),
            ("smtp.gmail.com", "imap", "auto", None, Some(Server)),
            ("smtp.office365.com", "imap", "auto", None, Some(Server)),
            ("smtp-mail.outlook.com", "imap", "never", Some(SentCopy::Auto), Some(Server)),
            ("smtp.office365.com", "imap", "always", None, Some(Pending)),
            ("notgmail.com", "imap", "auto", None, Some(Pending)),
        ] {
            let planned = plan(&account(smtp, receive, account_says), message_says).map(|copy| copy.state);
            assert_eq!(planned, wanted, "{smtp} {receive} {account_says} {message_says:?}");
        }
    }
}
