//! EmailEngine's routes that act on the mailbox at its server: flags, folder and deletion of a message, and the folders.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::http::{Call, Reply};
use shared::model::change::FlagsChange;
use shared::model::views::MailFolder;
use shared::model::{FieldError, Problem};
use shared::ops::emailengine::without_nulls;
use shared::ops::{Tools, change, folders, sign_in};

use super::uid;
use crate::handler::find;

/// A change of a message. Labels are Gmail's own, and nothing here knows them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Update {
    flags: Flags,
    labels: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Flags {
    add: Vec<String>,
    delete: Vec<String>,
    set: Option<Vec<String>>,
}

/// Changes flags; says which kinds of change were made.
pub(crate) async fn update(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (id, wanted): (_, Update) = (call.message_id()?, call.json()?);
    if wanted.labels.is_some() {
        let detail = "labels are not changed here: move the message, or set keywords as flags";
        return Err(Problem::invalid(vec![FieldError::new("/labels", "unsupported", detail)]));
    }
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let Flags { add, delete, set } = wanted.flags;
    let made = [("add", !add.is_empty()), ("delete", !delete.is_empty()), ("set", set.is_some())];
    let flags = FlagsChange { add, remove: delete, set };
    change::set_flags(&tools, call.tenant(), &account, &id, flags, call.deadline).await?;
    let made: Map<String, Value> =
        made.into_iter().filter(|(_, made)| *made).map(|(kind, made)| (kind.to_owned(), made.into())).collect();
    Reply::ok(&json!({"flags": made}))
}

#[derive(Debug, Deserialize)]
struct Move {
    path: String,
}

/// Moves a message to another folder. Its id stays here; the server gives it another number there.
pub(crate) async fn move_to(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (id, wanted): (_, Move) = (call.message_id()?, call.json()?);
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let moved = change::move_to(&tools, call.tenant(), &account, &id, &wanted.path, call.deadline).await?;
    let mut answer = json!({"path": moved.folder, "id": id});
    if let Some(uid) = uid(&find(&tools, &call).await?) {
        answer["uid"] = uid.into();
    }
    Reply::ok(&answer)
}

/// Deletes a message: it goes to the folder for that, or for good with `force`.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (id, force) = (call.message_id()?, call.flag("force")?.unwrap_or(false));
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let removed = change::delete(&tools, call.tenant(), &account, &id, force, call.deadline).await?;
    Reply::ok(&match removed.folder {
        Some(folder) => json!({"deleted": removed.deleted, "moved": {"destination": folder, "message": id}}),
        None => json!({"deleted": removed.deleted}),
    })
}

/// The folders of the mailbox; with `counters` how many messages they have.
pub(crate) async fn mailboxes(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let counters = call.flag("counters")?.unwrap_or(false);
    let account = sign_in::account(&tools, call.tenant(), &call.account()?).await?;
    let listed = folders::list(&tools, call.tenant(), &account, call.deadline).await?;
    let shown: Vec<Value> = listed.iter().map(|folder| mailbox(folder, counters)).collect();
    Reply::ok(&json!({"mailboxes": shown}))
}

fn mailbox(folder: &MailFolder, counters: bool) -> Value {
    let split = folder.delimiter.and_then(|delimiter| folder.name.rsplit_once(delimiter));
    let (parent, name) = split.map_or((None, folder.name.as_str()), |(parent, name)| (Some(parent), name));
    let mut shown = json!({
        "path": folder.name,
        "delimiter": folder.delimiter,
        "parentPath": parent.unwrap_or_default(),
        "name": name,
        "listed": true,
        "specialUse": folder.special_use,
        "messages": folder.messages,
        "uidNext": folder.uid_next,
    });
    if counters {
        shown["status"] = json!({"messages": folder.messages, "unseen": folder.unseen});
    }
    without_nulls(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_shown_under_its_own_name_and_within_its_parent() {
        let mut folder = MailFolder { delimiter: Some('/'), messages: Some(3), ..MailFolder::named("Archive/2026") };
        folder.special_use = Some("\\Archive".into());
        let wanted = json!({"path": "Archive/2026", "delimiter": "/", "parentPath": "Archive", "name": "2026",
            "listed": true, "specialUse": "\\Archive", "messages": 3});
        assert_eq!(mailbox(&folder, false), wanted);
        assert_eq!(mailbox(&MailFolder::named("INBOX"), true)["parentPath"], "");
    }
}
