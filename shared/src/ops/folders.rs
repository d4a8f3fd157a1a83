//! The folders of an account's mailbox, as its server lists them now.

use super::Tools;
use super::sign_in::{self, Receiver, SignInError};
use crate::mail::imap::places::{self, Choice};
use crate::mail::imap::{Client, Folder, SpecialUse};
use crate::mail::{self, BoxedStream, Deadline};
use crate::model::views::MailFolder;
use crate::model::{Code, Problem, Receive, Tenant};
use crate::store::AccountRow;

/// Folders whose messages are counted: each costs a round trip.
const COUNTED: usize = 200;

/// Lists the folders. A mailbox that is read by POP3 has INBOX alone.
pub async fn list(
    tools: &Tools,
    tenant: &Tenant,
    account: &AccountRow,
    deadline: Deadline,
) -> Result<Vec<MailFolder>, Problem> {
    let only_sends = || Problem::new(Code::InvalidRequest, "this account only sends: give it a receive side with PUT");
    let receive = account.account.receive.as_ref().ok_or_else(only_sends)?;
    let receiver = sign_in::admitted(tools, tenant, account, deadline).await;
    let listed = match receiver.map_err(|error| error.into_problem(true))? {
        Receiver::Imap(client) => by_imap(client, receive).await,
        Receiver::Pop3(mut client) => match client.stat().await {
            Ok(stat) => {
                // Nothing was marked: whether QUIT is answered changes nothing.
                let _ = client.quit().await;
                let inbox = MailFolder { messages: Some(stat.messages), pulled: true, ..MailFolder::named("INBOX") };
                Ok(vec![inbox])
            }
            Err(error) => Err(error),
        },
    };
    listed.map_err(|error| SignInError::from(error).into_problem(true))
}

async fn by_imap(mut client: Client<BoxedStream>, receive: &Receive) -> Result<Vec<MailFolder>, mail::Error> {
    let listed = client.list_folders().await?;
    let pulled = places::chosen(&receive.folders, &listed);
    let mut shown = Vec::new();
    for folder in &listed {
        let usage = usage(&listed, folder);
        let mut entry = MailFolder {
            delimiter: folder.delimiter,
            attributes: folder.attributes.clone(),
            special_use: usage.map(|usage| usage.attribute().to_owned()),
            pulled: pulled.contains(&Choice::Folder(folder.name.clone())),
            ..MailFolder::named(&folder.name)
        };
        if places::is_usable(folder) && shown.len() < COUNTED {
            match client.status(&folder.name).await {
                Ok(status) => {
                    (entry.messages, entry.unseen) = (Some(status.messages), status.unseen);
                    (entry.uid_next, entry.uid_validity) = (Some(status.uid_next), Some(status.uid_validity));
                }
                // A folder that may not be looked into is listed all the same.
                Err(error) if error.refusal.is_some() => tracing::debug!(%error, "a folder gives no STATUS"),
                Err(error) => return Err(error),
            }
        }
        shown.push(entry);
    }
    let _ = client.logout().await;
    Ok(shown)
}

/// What a folder is for: the server's word, else its name.
fn usage(listed: &[Folder], folder: &Folder) -> Option<SpecialUse> {
    folder.special_use.or_else(|| {
        SpecialUse::EVERY.into_iter().find(|usage| places::special(listed, *usage).is_some_and(|found| found == folder))
    })
}
