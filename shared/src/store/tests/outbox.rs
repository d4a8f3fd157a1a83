//! Outgoing messages: who may send, what survives a crash, what is due.

use std::collections::HashMap;

use super::*;
use crate::{
    model::{
        Address, Code, MessageId, Problem, RecipientState, SendState,
        send::{Lane, OnUnknown, Recipient, SendRequest, SmtpReply},
    },
    store::{
        After, BodyPlace, Cancel, Claim, Claimed, Commit, Messages, NewOutgoing, Outcome, OutgoingRow, Range,
        StoreError, StoredMessage, Taken, Turn,
    },
};

pub(super) fn recipients(count: usize, state: RecipientState) -> Vec<Recipient> {
    let recipient = |number| Recipient { state, ..Recipient::new(&format!("r{number}@example.com")) };
    (0..count).map(recipient).collect()
}

pub(super) fn new(id: &MessageId, count: usize) -> NewOutgoing {
    NewOutgoing {
        id: id.clone(),
        account: account("box"),
        fingerprint: "ab".repeat(32),
        body: BodyPlace::Item,
        body_name: None,
        message_id: "<0123456789abcdef@example.com>".into(),
        from: Address::bare("ada@example.com"),
        subject: Some("Hello".into()),
        recipients: recipients(count, RecipientState::Queued),
        on_unknown: OnUnknown::Hold,
        correlation: None,
        thread: None,
        once: false,
        sent_copy: None,
        mark: None,
        lane: Lane::Transactional,
        send_at: None,
        size: 4711,
        has_attachments: false,
        created_at: at(0),
    }
}

pub(super) fn outcome(state: SendState, each: RecipientState, count: usize, due: Option<Timestamp>) -> Outcome {
    let mut recipients = recipients(count, each);
    for recipient in &mut recipients {
        recipient.attempts = 1;
        recipient.smtp =
            Some(SmtpReply { code: 250, enhanced: Some("2.0.0".into()), text: "queued as 0123456789".into() });
    }
    Outcome {
        state,
        due,
        recipients,
        attempts: 1,
        size: 4712,
        sent_at: Some(at(2)).filter(|_| state == SendState::Sent),
        follow_up: None,
        after: After::default(),
    }
}

fn id(key: &str) -> MessageId {
    keys::idempotent_id(&tenant("one"), key)
}

fn ours(claimed: Claimed) -> OutgoingRow {
    match claimed {
        Claimed::Ours(row) => row,
        Claimed::Exists(row) => panic!("taken by {}", row.attempt),
    }
}

#[tokio::test]
async fn one_of_many_claims_an_id_and_the_others_see_its_row() {
    let outbox = Bench::start().await.outbox();
    let (tenant, id) = (tenant("one"), id("key"));
    let claims = (0..8).map(|_| outbox.insert(&tenant, new(&id, 1), Claim::Queued(Turn::At(at(0)))));
    let claims = futures_util::future::try_join_all(claims).await.unwrap();
    let winners: Vec<_> =
        claims.iter().filter_map(|claim| if let Claimed::Ours(row) = claim { Some(row) } else { None }).collect();
    assert_eq!(winners.len(), 1);
    let seen = claims.iter().filter(|claim| matches!(claim, Claimed::Exists(row) if row == winners[0])).count();
    assert_eq!(seen, 7);
    assert_eq!(outbox.get(&tenant, &id).await.unwrap().as_ref(), Some(winners[0]));
    assert_eq!(outbox.get(&super::tenant("two"), &id).await.unwrap(), None);
    assert_eq!(outbox.take(&super::tenant("two"), &id, None, at(0), 60).await.unwrap(), Taken::Missing);
}

#[tokio::test]
async fn one_of_many_takes_a_message_when_it_is_due() {
    let outbox = Bench::start().await.outbox();
    let (tenant, id) = (tenant("one"), id("key"));
    ours(outbox.insert(&tenant, new(&id, 2), Claim::Queued(Turn::At(at(10)))).await.unwrap());
    assert!(
        matches!(outbox.take(&tenant, &id, None, at(9), 60).await.unwrap(), Taken::NotDue(row) if row.due == Some(at(10)))
    );
    let takes = (0..8).map(|_| outbox.take(&tenant, &id, None, at(10), 60));
    let takes = futures_util::future::try_join_all(takes).await.unwrap();
    assert_eq!(
        takes
            .iter()
            .filter(|taken| matches!(taken, Taken::Ours(row) if row.fence == 1 && row.state == SendState::Sending))
            .count(),
        1
    );
    assert_eq!(takes.iter().filter(|taken| matches!(taken, Taken::Busy(_))).count(), 7);
}

#[tokio::test]
async fn a_send_is_three_writes_from_claim_to_result() {
    let bench = Bench::start().await;
    let outbox = bench.outbox();
    let (tenant, id) = (tenant("one"), id("key"));
    let mut row = ours(outbox.insert(&tenant, new(&id, 1), Claim::Sending(at(60))).await.unwrap());
    assert_eq!((row.state, row.fence, row.phase), (SendState::Sending, 1, Commit::None));
    let waiting = row.recipients.clone();
    outbox.commit(&tenant, &mut row, &waiting, at(660)).await.unwrap();
    let sent = outbox.finish(&tenant, &row, outcome(SendState::Sent, RecipientState::Sent, 1, None)).await.unwrap();
    assert_eq!(
        (sent.state, sent.phase, sent.due, sent.sent_at, sent.size),
        (SendState::Sent, Commit::None, None, Some(at(2)), 4712)
    );
    assert_eq!(sent.recipients[0].smtp.as_ref().unwrap().code, 250);
    assert_eq!(sent.outgoing().next_attempt_at, None);
    assert!(matches!(outbox.take(&tenant, &id, None, at(9999), 60).await.unwrap(), Taken::Done(row) if row == sent));
    assert!(matches!(outbox.cancel(&tenant, &id, at(9999)).await.unwrap(), Cancel::TooLate(_)));

    let item = bench.table.get(&keys::message(&tenant, &id)).await.unwrap().unwrap();
    let json: serde_json::Value = serde_dynamo::aws_sdk_dynamodb_1::from_item(item).unwrap();
    assert!(json.to_string().len() <= 1024 && json.get("due").is_none() && json.get("duesh").is_none(), "{json}");
}

#[tokio::test]
async fn a_claim_that_ran_over_before_the_commit_costs_nothing_and_its_owner_is_fenced_off() {
    let outbox = Bench::start().await.outbox();
    let (tenant, id) = (tenant("one"), id("key"));
    let mut stale = ours(outbox.insert(&tenant, new(&id, 1), Claim::Sending(at(60))).await.unwrap());
    assert!(matches!(outbox.take(&tenant, &id, None, at(59), 60).await.unwrap(), Taken::Busy(_)));
    let Taken::Ours(mut row) = outbox.take(&tenant, &id, None, at(60), 60).await.unwrap() else {
        panic!("the claim ran over");
    };
    assert_eq!(row.fence, 2);
    let all = stale.recipients.clone();
    assert!(outbox.commit(&tenant, &mut stale, &all, at(700)).await.unwrap_err().is_conflict());
    let stale_result =
        outbox.finish(&tenant, &stale, outcome(SendState::Failed, RecipientState::Failed, 1, None)).await;
    assert!(stale_result.unwrap_err().is_conflict());
    outbox.commit(&tenant, &mut row, &all, at(700)).await.unwrap();
    let deferred = outcome(SendState::Deferred, RecipientState::Deferred, 1, Some(at(300)));
    let row = outbox.finish(&tenant, &row, deferred).await.unwrap();
    assert_eq!(
        (row.state, row.due, row.phase, row.outgoing().next_attempt_at),
        (SendState::Deferred, Some(at(300)), Commit::None, Some(at(300)))
    );
    assert!(matches!(outbox.take(&tenant, &id, None, at(299), 60).await.unwrap(), Taken::NotDue(_)));
    assert!(matches!(outbox.take(&tenant, &id, None, at(300), 60).await.unwrap(), Taken::Ours(row) if row.fence == 3));
}

#[tokio::test]
async fn a_claim_that_ran_over_after_the_commit_is_in_doubt_until_somebody_settles_it() {
    let outbox = Bench::start().await.outbox();
    let (tenant, id) = (tenant("one"), id("key"));
    let mut row = ours(outbox.insert(&tenant, new(&id, 2), Claim::Sending(at(60))).await.unwrap());
    let mut verdicts = row.recipients.clone();
    verdicts[1].state = RecipientState::Failed;
    outbox.commit(&tenant, &mut row, &verdicts, at(660)).await.unwrap();
    assert!(matches!(outbox.take(&tenant, &id, None, at(659), 60).await.unwrap(), Taken::Busy(_)));
    assert!(matches!(outbox.cancel(&tenant, &id, at(9999)).await.unwrap(), Cancel::TooLate(_)));

    // Whoever finds it may crash too: it stays in doubt.
    for (fence, now) in [(2, 660), (3, 720)] {
        let Taken::InDoubt(found) = outbox.take(&tenant, &id, None, at(now), 60).await.unwrap() else {
            panic!("it was handed over");
        };
        assert_eq!(
            (found.fence, found.recipients[0].state, found.recipients[1].state),
            (fence, RecipientState::Queued, RecipientState::Failed)
        );
        row = found;
    }
    let unknown =
        outbox.finish(&tenant, &row, outcome(SendState::Unknown, RecipientState::Unknown, 2, None)).await.unwrap();
    assert_eq!((unknown.state, unknown.phase, unknown.due), (SendState::Unknown, Commit::None, None));
    assert!(matches!(outbox.take(&tenant, &id, None, at(99_999), 60).await.unwrap(), Taken::Done(_)));
}

#[tokio::test]
async fn what_nobody_has_begun_to_hand_over_can_be_taken_back() {
    let outbox = Bench::start().await.outbox();
    let tenant = tenant("one");
    let queued = ours(outbox.insert(&tenant, new(&id("queued"), 1), Claim::Queued(Turn::At(at(0)))).await.unwrap());
    let Cancel::Canceled(canceled) = outbox.cancel(&tenant, &queued.id, at(1)).await.unwrap() else {
        panic!("it was queued");
    };
    assert_eq!(
        (canceled.state, canceled.due, canceled.recipients[0].state),
        (SendState::Canceled, None, RecipientState::Canceled)
    );
    assert!(matches!(outbox.take(&tenant, &queued.id, None, at(1), 60).await.unwrap(), Taken::Done(_)));

    let mut sending = ours(outbox.insert(&tenant, new(&id("sending"), 1), Claim::Sending(at(60))).await.unwrap());
    assert!(matches!(outbox.cancel(&tenant, &sending.id, at(59)).await.unwrap(), Cancel::TooLate(_)));
    assert!(matches!(outbox.cancel(&tenant, &sending.id, at(60)).await.unwrap(), Cancel::Canceled(_)));
    let all = sending.recipients.clone();
    assert!(
        outbox.commit(&tenant, &mut sending, &all, at(700)).await.unwrap_err().is_conflict(),
        "the dot must not be sent"
    );
    assert_eq!(outbox.cancel(&tenant, &id("nothing"), at(0)).await.unwrap(), Cancel::Missing);

    let partly = ours(outbox.insert(&tenant, new(&id("partly"), 2), Claim::Sending(at(60))).await.unwrap());
    let mut some = outcome(SendState::Deferred, RecipientState::Sent, 2, Some(at(300)));
    some.recipients[1].state = RecipientState::Deferred;
    outbox.finish(&tenant, &partly, some).await.unwrap();
    assert!(matches!(outbox.cancel(&tenant, &partly.id, at(5)).await.unwrap(), Cancel::Canceled(row)
        if row.state == SendState::Partial && row.recipients[0].state == RecipientState::Sent && row.recipients[1].state == RecipientState::Canceled));
}

#[tokio::test]
async fn many_recipients_live_beside_the_state() {
    let bench = Bench::start().await;
    let (outbox, messages) = (bench.outbox(), Messages::new(bench.table.clone()));
    let (tenant, id) = (tenant("one"), id("many"));
    let mut row = ours(outbox.insert(&tenant, new(&id, 500), Claim::Sending(at(60))).await.unwrap());
    assert_eq!(row.recipients.len(), 500);
    assert!(
        matches!(outbox.insert(&tenant, new(&id, 500), Claim::Queued(Turn::At(at(0)))).await.unwrap(), Claimed::Exists(seen) if seen.recipients == row.recipients)
    );
    let mut verdicts = row.recipients.clone();
    verdicts[499].state = RecipientState::Failed;
    outbox.commit(&tenant, &mut row, &verdicts, at(660)).await.unwrap();
    assert_eq!(outbox.get(&tenant, &id).await.unwrap().unwrap().recipients, verdicts);
    let sent = outbox.finish(&tenant, &row, outcome(SendState::Sent, RecipientState::Sent, 500, None)).await.unwrap();
    assert_eq!(sent.recipients, recipients_of(&outbox.get(&tenant, &id).await.unwrap().unwrap()));
    assert!(sent.recipients.iter().all(|recipient| recipient.state == RecipientState::Sent));

    let listed = messages.list(&tenant, &account("box"), Range::default(), 10, None).await.unwrap();
    assert_eq!(listed.items, [StoredMessage::Outgoing(sent)]);
    let state = bench.table.get(&keys::message(&tenant, &id)).await.unwrap().unwrap();
    let json: serde_json::Value = serde_dynamo::aws_sdk_dynamodb_1::from_item(state).unwrap();
    assert!(json.to_string().len() <= 1024, "{json}");
    assert!(messages.delete(&tenant, &id).await.unwrap());
    let left = bench.client.scan().table_name("halfpenny").send().await.unwrap();
    assert_eq!(left.count(), 0, "nothing of it is left");
}

fn recipients_of(row: &OutgoingRow) -> Vec<Recipient> {
    row.recipients.clone()
}

#[tokio::test]
async fn a_body_comes_back_as_it_was_given() {
    let outbox = Bench::start().await.outbox();
    let (tenant, id) = (tenant("one"), id("key"));
    let request = SendRequest {
        to: vec![Address::bare("bob@example.com")],
        text: Some("Grüße\r\n".into()),
        ..SendRequest::default()
    };
    let row = ours(outbox.insert(&tenant, new(&id, 1), Claim::Queued(Turn::At(at(0)))).await.unwrap());
    assert!(matches!(outbox.body(&tenant, &row).await, Err(StoreError::Missing { .. })));
    assert_eq!(outbox.put_body(&tenant, &id, &row.fingerprint, &request).await.unwrap(), BodyPlace::Item);
    assert_eq!(outbox.body(&tenant, &row).await.unwrap(), request);
    let other = OutgoingRow { fingerprint: "cd".repeat(32), ..row };
    assert!(outbox.body(&tenant, &other).await.is_err(), "another request under the same key has another body");
}

#[tokio::test]
async fn the_due_index_holds_what_waits_and_what_was_left_behind() {
    let outbox = Bench::start().await.outbox();
    let tenant = tenant("one");
    let mut expected = HashMap::new();
    for number in 0..20 {
        let row = ours(
            outbox
                .insert(&tenant, new(&id(&format!("queued {number}")), 1), Claim::Queued(Turn::At(at(number))))
                .await
                .unwrap(),
        );
        if number <= 9 {
            expected.insert(row.id, SendState::Queued);
        }
    }
    let left_behind = ours(outbox.insert(&tenant, new(&id("left behind"), 1), Claim::Sending(at(5))).await.unwrap());
    expected.insert(left_behind.id, SendState::Sending);
    let sent = ours(outbox.insert(&tenant, new(&id("sent"), 1), Claim::Sending(at(5))).await.unwrap());
    outbox.finish(&tenant, &sent, outcome(SendState::Sent, RecipientState::Sent, 1, None)).await.unwrap();

    let mut found = HashMap::new();
    for shard in 0..keys::DUE_SHARDS {
        let due = outbox.due(shard, at(9), 100).await.unwrap();
        assert!(
            due.is_sorted_by_key(|due| due.due.0)
                && due.iter().all(|due| due.tenant == tenant && due.account == account("box"))
        );
        assert!(outbox.due(shard, at(9), 1).await.unwrap().len() <= 1);
        found.extend(due.into_iter().map(|due| (due.id, due.state)));
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_refusal_tells_its_code_and_never_what_was_stored() {
    let bench = Bench::start().await;
    let (tenant, id) = (tenant("one"), id("key"));
    let mut item = super::super::table::primary(&keys::message(&tenant, &id));
    item.insert("lpk".into(), super::super::table::number(1));
    item.insert("canary".into(), super::super::table::text("CANARY-4711"));
    let error = bench.table.put(item, None, Vec::new()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused { operation: "PutItem", code, status: 400, .. } if code == "ValidationException"),
        "{error}"
    );
    let problem = Problem::from(error);
    assert_eq!(problem.code, Code::Internal);
    assert!(!format!("{problem:?} {problem}").contains("CANARY"));
}

#[tokio::test]
async fn what_an_account_has_deferred_can_be_made_due_at_once() {
    let outbox = Bench::start().await.outbox();
    let tenant = tenant("one");
    let deferred = outcome(SendState::Deferred, RecipientState::Deferred, 1, Some(at(86_400)));
    let sent = outcome(SendState::Sent, RecipientState::Sent, 1, None);
    for (key, outcome) in [("waits", Some(deferred.clone())), ("sent", Some(sent)), ("queued", None)] {
        let row = ours(outbox.insert(&tenant, new(&id(key), 1), Claim::Sending(at(60))).await.unwrap());
        if let Some(outcome) = outcome {
            outbox.finish(&tenant, &row, outcome).await.unwrap();
        }
    }
    let other = NewOutgoing { account: account("other"), ..new(&id("other"), 1) };
    let row = ours(outbox.insert(&tenant, other, Claim::Sending(at(60))).await.unwrap());
    outbox.finish(&tenant, &row, deferred).await.unwrap();

    assert_eq!(outbox.hasten(&tenant, &account("box"), at(1), at(30)).await.unwrap(), 0, "accepted before");
    assert_eq!(outbox.hasten(&tenant, &account("box"), at(-60), at(30)).await.unwrap(), 1);
    assert_eq!(outbox.hasten(&tenant, &account("box"), at(-60), at(30)).await.unwrap(), 0, "it is due already");
    assert!(matches!(outbox.take(&tenant, &id("waits"), None, at(30), 60).await.unwrap(), Taken::Ours(_)));
    assert!(matches!(outbox.take(&tenant, &id("other"), None, at(30), 60).await.unwrap(), Taken::NotDue(_)));
}

#[tokio::test]
async fn a_claim_is_held_longer_until_it_is_committed_or_lost() {
    let outbox = Bench::start().await.outbox();
    let (tenant, id) = (tenant("one"), id("slow"));
    let mut mine = ours(outbox.insert(&tenant, new(&id, 1), Claim::Sending(at(10))).await.unwrap());
    assert!(outbox.hold(&tenant, &mine, at(20)).await.unwrap());
    assert!(matches!(outbox.take(&tenant, &id, None, at(15), 10).await.unwrap(), Taken::Busy(_)), "held");
    let Taken::Ours(theirs) = outbox.take(&tenant, &id, None, at(20), 10).await.unwrap() else { panic!("ran over") };
    assert!(!outbox.hold(&tenant, &mine, at(90)).await.unwrap(), "lost");
    mine = theirs;
    let recipients = mine.recipients.clone();
    outbox.commit(&tenant, &mut mine, &recipients, at(900)).await.unwrap();
    assert!(!outbox.hold(&tenant, &mine, at(40)).await.unwrap(), "committed");
    assert_eq!(outbox.get(&tenant, &id).await.unwrap().unwrap().due, Some(at(900)), "never shortened");
}

#[tokio::test]
async fn what_is_handed_on_is_taken_by_who_shows_it_and_handed_on_again_later() {
    let outbox = Bench::start().await.outbox();
    let (tenant, id) = (tenant("one"), id("key"));
    ours(outbox.insert(&tenant, new(&id, 1), Claim::Queued(Turn::At(at(10)))).await.unwrap());
    let due = |now| {
        let outbox = outbox.clone();
        async move {
            let shards = (0..keys::DUE_SHARDS + keys::BULK_SHARDS).map(|shard| outbox.due(shard, at(now), 9));
            futures_util::future::try_join_all(shards).await.unwrap().concat()
        }
    };
    let found = due(10).await;
    assert_eq!((found.len(), found[0].due, found[0].lane), (1, at(10), Lane::Transactional));
    assert!(outbox.handed_on(&found[0], at(310)).await.unwrap());
    assert!(!outbox.handed_on(&found[0], at(310)).await.unwrap(), "a second tick has nothing to do");
    assert!(due(309).await.is_empty());
    let row = outbox.get(&tenant, &id).await.unwrap().unwrap();
    assert_eq!((row.outgoing().next_attempt_at, row.handed()), (Some(at(10)), Some(at(310))), "it shows its turn");
    assert_eq!(due(310).await.len(), 1, "it got lost in the queue");

    assert!(matches!(outbox.take(&tenant, &id, None, at(11), 60).await.unwrap(), Taken::NotDue(_)));
    assert!(matches!(outbox.take(&tenant, &id, Some(at(309)), at(11), 60).await.unwrap(), Taken::NotDue(_)));
    let Taken::Ours(row) = outbox.take(&tenant, &id, Some(at(310)), at(11), 60).await.unwrap() else { panic!("shown") };
    assert_eq!((row.turn, row.due), (None, Some(at(71))));
    let again = outbox.take(&tenant, &id, Some(at(71)), at(11), 60).await.unwrap();
    assert!(matches!(again, Taken::Busy(_)), "the end of a claim is no turn");
}

#[tokio::test]
async fn due_messages_are_chosen_by_turns_of_their_tenants() {
    let outbox = Bench::start().await.outbox();
    for (name, count) in [("one", 30), ("two", 2)] {
        for number in 0..count {
            let new = NewOutgoing { lane: Lane::Bulk, ..new(&id(&format!("{name} {number}")), 1) };
            let at = at(if name == "one" { 0 } else { 1 });
            ours(outbox.insert(&tenant(name), new, Claim::Queued(Turn::At(at))).await.unwrap());
        }
    }
    for shard in 0..keys::DUE_SHARDS {
        assert!(outbox.due(shard, at(9), 100).await.unwrap().is_empty(), "bulk has shards of its own");
    }
    for shard in keys::DUE_SHARDS..keys::DUE_SHARDS + keys::BULK_SHARDS {
        let all = outbox.due(shard, at(9), 100).await.unwrap();
        let of_two = all.iter().filter(|due| due.tenant == tenant("two")).count();
        let few = outbox.due(shard, at(9), 4).await.unwrap();
        assert_eq!(few.iter().filter(|due| due.tenant == tenant("two")).count(), of_two.min(2), "the later ones too");
    }
}

#[tokio::test]
async fn the_outbox_lists_what_is_not_settled_page_by_page() {
    let bench = Bench::start().await;
    let outbox = bench.outbox();
    let one = tenant("one");
    for number in 0..5 {
        let new = NewOutgoing {
            account: account(if number == 4 { "box2" } else { "box" }),
            created_at: at(number),
            ..new(&id(&number.to_string()), 1)
        };
        ours(outbox.insert(&one, new, Claim::Queued(Turn::At(at(900)))).await.unwrap());
    }
    let inline = ours(outbox.insert(&one, new(&id("inline"), 1), Claim::Sending(at(60))).await.unwrap());
    let seen = |page: &crate::store::Page<OutgoingRow>| -> Vec<Timestamp> {
        page.items.iter().map(|row| row.created_at).collect()
    };
    let first = outbox.list(&one, None, 3, None).await.unwrap();
    assert_eq!(seen(&first), [at(0), at(1), at(2)], "what is sent while its caller waits is not in it");
    let rest = outbox.list(&one, None, 3, first.next_cursor.as_deref()).await.unwrap();
    assert_eq!((seen(&rest), rest.next_cursor), (vec![at(3), at(4)], None));
    let account = account("box");
    assert_eq!(outbox.list(&one, Some(&account), 9, None).await.unwrap().items.len(), 4, "box2 is another one");
    let mixed = outbox.list(&one, Some(&account), 9, first.next_cursor.as_deref()).await;
    assert!(matches!(mixed, Err(StoreError::Cursor)));
    assert!(outbox.list(&tenant("two"), None, 9, None).await.unwrap().items.is_empty());

    outbox.cancel(&one, &id("0"), at(1)).await.unwrap();
    let unknown = outcome(SendState::Unknown, RecipientState::Unknown, 1, None);
    outbox.finish(&one, &inline, unknown).await.unwrap();
    let now = outbox.list(&one, Some(&account), 9, None).await.unwrap();
    assert_eq!(now.items.iter().filter(|row| row.state == SendState::Unknown).count(), 1);
    assert_eq!(now.items.len(), 4, "one left and one came");
}
