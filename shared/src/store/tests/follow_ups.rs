//! What follows on a message that has left: found by the due index, done by one, and never taken for sending.

use super::outbox::{new, outcome};
use super::*;
use crate::model::follow_up::{Copy, CopyState};
use crate::model::{MessageId, RecipientState, SendState};
use crate::store::{After, Claim, Claimed, Outcome, OutgoingRow, Taken};

fn id() -> MessageId {
    keys::idempotent_id(&tenant("one"), "follow-up")
}

/// A message that was sent and has a copy to be made from second 10 on.
async fn sent(outbox: &Outbox) -> OutgoingRow {
    let tenant = tenant("one");
    let Claimed::Ours(row) = outbox.insert(&tenant, new(&id(), 1), Claim::Sending(at(60))).await.unwrap() else {
        panic!("the id is free")
    };
    let after = After { copy: Some(Copy::of(CopyState::Pending)), ..After::default() };
    let result = outcome(SendState::Sent, RecipientState::Sent, 1, Some(at(10)));
    outbox.finish(&tenant, &row, Outcome { follow_up: Some(0), after, ..result }).await.unwrap()
}

#[tokio::test]
async fn it_waits_in_the_due_index_and_is_never_sent_again() {
    let bench = Bench::start().await;
    let (outbox, tenant) = (bench.outbox(), tenant("one"));
    let row = sent(&outbox).await;
    assert_eq!((row.state, row.follow_up, row.due), (SendState::Sent, Some(0), Some(at(10))));
    assert_eq!(row.outgoing().copy, Some(Copy::of(CopyState::Pending)));
    assert_eq!(row.outgoing().next_attempt_at, None, "nothing is sent then");
    let mut due = Vec::new();
    for shard in 0..keys::DUE_SHARDS {
        due.extend(outbox.due(shard, at(20), 10).await.unwrap());
    }
    assert_eq!(due.iter().map(|due| (&due.id, due.state)).collect::<Vec<_>>(), [(&id(), SendState::Sent)]);
    assert!(matches!(outbox.take(&tenant, &id(), None, at(20), 60).await.unwrap(), Taken::Done(again) if again == row));
    let item = bench.table.get(&keys::message(&tenant, &id())).await.unwrap().unwrap();
    let json: serde_json::Value = serde_dynamo::aws_sdk_dynamodb_1::from_item(item).unwrap();
    assert!(json.to_string().len() <= 1024, "{json}");
}

#[tokio::test]
async fn one_does_it_and_the_row_leaves_the_index() {
    let bench = Bench::start().await;
    let (outbox, tenant) = (bench.outbox(), tenant("one"));
    let first = sent(&outbox).await;
    assert_eq!(
        outbox.take_follow_up(&tenant, &id(), None, at(9), at(99)).await.unwrap(),
        None,
        "its time has not come"
    );
    let mut row = outbox.take_follow_up(&tenant, &id(), None, at(10), at(99)).await.unwrap().unwrap();
    assert_eq!(outbox.take_follow_up(&tenant, &id(), None, at(50), at(99)).await.unwrap(), None, "somebody is at it");
    assert!(outbox.settle_follow_up(&tenant, &first).await.unwrap_err().is_conflict(), "fenced off");
    // A try that failed comes again.
    (row.follow_up, row.due) = (Some(1), Some(at(30)));
    outbox.settle_follow_up(&tenant, &row).await.unwrap();
    let mut row = outbox.take_follow_up(&tenant, &id(), None, at(30), at(99)).await.unwrap().unwrap();
    assert_eq!(row.follow_up, Some(1));
    row.after.copy = Some(Copy { folder: Some("Sent".into()), ..Copy::of(CopyState::Stored) });
    row.follow_up = None;
    outbox.settle_follow_up(&tenant, &row).await.unwrap();
    let done = outbox.get(&tenant, &id()).await.unwrap().unwrap();
    assert_eq!((done.state, done.follow_up, done.due, &done.after), (SendState::Sent, None, None, &row.after));
    assert!(outbox.settle_follow_up(&tenant, &row).await.unwrap_err().is_conflict(), "it is over");
    let item = bench.table.get(&keys::message(&tenant, &id())).await.unwrap().unwrap();
    assert!(!item.contains_key("duesh") && !item.contains_key("due"));
}

#[tokio::test]
async fn a_doubt_that_ends_in_another_attempt_gives_the_message_back_to_sending() {
    let (outbox, tenant) = (Bench::start().await.outbox(), tenant("one"));
    let _ = sent(&outbox).await;
    let mut row = outbox.take_follow_up(&tenant, &id(), None, at(10), at(99)).await.unwrap().unwrap();
    (row.state, row.follow_up, row.due) = (SendState::Deferred, None, Some(at(11)));
    row.recipients[0].state = RecipientState::Deferred;
    outbox.settle_follow_up(&tenant, &row).await.unwrap();
    assert_eq!(outbox.take_follow_up(&tenant, &id(), None, at(50), at(99)).await.unwrap(), None);
    assert!(matches!(outbox.take(&tenant, &id(), None, at(11), 60).await.unwrap(), Taken::Ours(_)));
}

#[tokio::test]
async fn a_copy_that_somebody_else_made_is_noted() {
    let (outbox, tenant) = (Bench::start().await.outbox(), tenant("one"));
    let row = sent(&outbox).await;
    let copy = Copy { folder: Some("Out".into()), ..Copy::of(CopyState::Stored) };
    assert!(outbox.note_copy(&tenant, &row, &copy).await.unwrap_err().is_conflict(), "one is to be made");
    let mut row = outbox.take_follow_up(&tenant, &id(), None, at(10), at(99)).await.unwrap().unwrap();
    row.follow_up = None;
    outbox.settle_follow_up(&tenant, &row).await.unwrap();
    outbox.note_copy(&tenant, &row, &copy).await.unwrap();
    assert_eq!(outbox.get(&tenant, &id()).await.unwrap().unwrap().after.copy, Some(copy));
}
