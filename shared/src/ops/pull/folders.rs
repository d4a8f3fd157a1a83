//! The folders of one IMAP mailbox, in one run: first what has gone from each, then what has come to each, so that
//! what was moved from one to another is found again; and where something is missing then, what has come meanwhile.

pub(in crate::ops) use super::folder::is_absent;
use super::folder::{self, Folder, is_final_no};
use super::{PullError, Run, SignInError, lost};
use crate::mail::imap::Client;
use crate::mail::imap::places::{self, Choice};
use crate::mail::{self, BoxedStream};
use crate::model::views::PulledFolder;

/// Pulls all folders that the account names. One that is not there does not hide the others; only where there is none
/// at all, that is the run's error.
pub(super) async fn pull(run: &mut Run<'_>, client: &mut Client<BoxedStream>) -> Result<(), PullError> {
    let mut refused = None;
    let (mut folders, mut names) = (Vec::new(), Vec::new());
    for choice in which(client, &run.receive.folders).await? {
        if run.out_of_time() {
            break;
        }
        let (name, looked) = match choice {
            Choice::Folder(name) => {
                let looked = folder::look(run, client, &name).await;
                (name, looked)
            }
            Choice::Missing(wanted) => {
                let error = places::missing(&wanted);
                run.folders.push(lacking(wanted, &error));
                refused.get_or_insert(error);
                continue;
            }
        };
        match looked {
            Ok(folder) => {
                folders.extend(folder);
                names.push(name);
            }
            Err(PullError::SignIn(SignInError::Mail(error))) if is_final_no(&error) => {
                run.folders.retain(|folder| folder.folder != name);
                run.folders.push(lacking(name, &error));
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(error) if run.folders.iter().all(|folder| folder.error.is_some()) => Err(error.into()),
        _ => go_through(run, client, folders, &names).await,
    }
}

/// Which folders the account's settings mean at this server; LIST is asked only where they are more than names.
pub(in crate::ops) async fn which(
    client: &mut Client<BoxedStream>,
    wanted: &[String],
) -> Result<Vec<Choice>, mail::Error> {
    let listed = if places::are_names(wanted) { Vec::new() } else { client.list_folders().await? };
    Ok(places::chosen(wanted, &listed))
}

fn lacking(name: String, error: &mail::Error) -> PulledFolder {
    tracing::warn!(folder = name, %error, "a folder of the account cannot be pulled");
    PulledFolder { folder: name, new: 0, total: 0, reset: false, error: Some(error.detail.clone()) }
}

/// Goes through the folders with news. A folder from which something is missing is completed last: until all have been
/// gone through nobody knows whether it was moved or deleted, and what is completed is not looked at again.
async fn go_through(
    run: &mut Run<'_>,
    client: &mut Client<BoxedStream>,
    folders: Vec<Folder>,
    names: &[String],
) -> Result<(), PullError> {
    let mut waiting = Vec::new();
    let mut result = walk_all(run, client, folders, &mut waiting).await;
    if result.is_ok() && !run.more && names.len() > 1 && run.lost.is_any_left() {
        result = look_again(run, client, names, &mut waiting).await;
    }
    if result.is_ok() && !run.more {
        result = lost::settle(run).await;
    }
    for folder in &mut waiting {
        match &result {
            Ok(()) if !run.more => folder.complete(run).await?,
            _ => folder.leave(run).await?,
        }
    }
    result
}

async fn walk_all(
    run: &mut Run<'_>,
    client: &mut Client<BoxedStream>,
    folders: Vec<Folder>,
    waiting: &mut Vec<Folder>,
) -> Result<(), PullError> {
    let several = folders.len() > 1;
    for mut folder in folders {
        if run.out_of_time() {
            break;
        }
        if several && !folder.reopen(run, client).await? {
            // Renumbered while we looked elsewhere: the next run sees to it.
            run.more = true;
            continue;
        }
        folder.take_all(run, client).await?;
        if run.more {
            break;
        }
        if run.lost.any_from(folder.number) {
            waiting.push(folder);
        } else {
            folder.complete(run).await?;
        }
    }
    Ok(())
}

/// What is missing still may have gone to a folder right after that one was looked at. A server moves a message in one
/// step (RFC 6851 §3.3): by now it is there, if it is anywhere.
async fn look_again(
    run: &mut Run<'_>,
    client: &mut Client<BoxedStream>,
    names: &[String],
    waiting: &mut Vec<Folder>,
) -> Result<(), PullError> {
    for folder in waiting.iter_mut() {
        if run.more || !folder.reopen(run, client).await? {
            run.more = true;
            return Ok(());
        }
        folder.walk(run, client).await?;
    }
    for name in names {
        if run.out_of_time() || !run.lost.is_any_left() {
            break;
        }
        if !waiting.iter().any(|folder| folder.name == *name)
            && let Some(folder) = folder::look(run, client, name).await?
        {
            walk_all(run, client, vec![folder], waiting).await?;
        }
    }
    Ok(())
}
