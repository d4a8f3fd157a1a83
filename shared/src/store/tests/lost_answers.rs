//! An answer that gets lost after DynamoDB has done its work: the SDK asks again, the condition fails on our own
//! write, and that must count as success, once.

use super::{
    config::row,
    messages::message,
    outbox::{new, outcome},
    *,
};
use crate::{
    model::{RecipientState, SendState},
    store::{
        Accounts, Cancel, Claim, Claimed, Expect, Incoming, Inserted, Leases, Ledger, Ledgers, Messages, StoreError,
        Taken, Turn,
    },
};

#[tokio::test]
async fn a_lost_answer_to_each_step_of_a_send_is_no_conflict() {
    let bench = Bench::start().await;
    let (outbox, tenant, id) = (bench.outbox(), tenant("one"), keys::random_id());
    bench.lose_next_answer();
    assert!(matches!(
        outbox.insert(&tenant, new(&id, 1), Claim::Queued(Turn::At(at(0)))).await.unwrap(),
        Claimed::Ours(_)
    ));
    assert!(bench.lost());
    bench.lose_next_answer();
    let Taken::Ours(mut row) = outbox.take(&tenant, &id, None, at(0), 60).await.unwrap() else {
        panic!("it was ours");
    };
    assert!(bench.lost() && row.fence == 1);
    let all = row.recipients.clone();
    bench.lose_next_answer();
    outbox.commit(&tenant, &mut row, &all, at(660)).await.unwrap();
    assert!(bench.lost());
    bench.lose_next_answer();
    let sent = outbox.finish(&tenant, &row, outcome(SendState::Sent, RecipientState::Sent, 1, None)).await.unwrap();
    assert!(bench.lost() && sent.state == SendState::Sent);
    assert_eq!(outbox.get(&tenant, &id).await.unwrap(), Some(sent));
}

#[tokio::test]
async fn a_lost_answer_to_a_cancelation_is_no_refusal() {
    let bench = Bench::start().await;
    let (outbox, tenant, id) = (bench.outbox(), tenant("one"), keys::random_id());
    outbox.insert(&tenant, new(&id, 1), Claim::Queued(Turn::At(at(0)))).await.unwrap();
    // The first answer is that of the reading.
    bench.lose_answer(2);
    assert!(matches!(outbox.cancel(&tenant, &id, at(0)).await.unwrap(), Cancel::Canceled(_)));
    assert!(bench.lost());
}

#[tokio::test]
async fn a_lost_answer_of_a_pull_counts_once() {
    let bench = Bench::start().await;
    let (tenant, account) = (tenant("one"), account("box"));
    let messages = Messages::new(bench.table.clone());
    let row = Incoming { message: message(&account, 1), key: "I#1#1".into(), run: 3, stored_at: at(0) };
    bench.lose_next_answer();
    assert_eq!(messages.insert_incoming(&tenant, &row).await.unwrap(), Inserted::New);
    assert!(bench.lost());

    let leases = Leases::new(bench.table.clone());
    bench.lose_next_answer();
    let lease = leases.acquire(&tenant, &account, at(0), 60).await.unwrap().unwrap();
    assert!(bench.lost() && lease.fence == 1);

    let ledgers = Ledgers::new(bench.table.clone());
    let source = serde_json::from_value(serde_json::json!("source")).unwrap();
    let mut ledger = Ledger::new(source);
    for version in 1..=2 {
        bench.lose_next_answer();
        ledgers.save(&tenant, &account, &mut ledger).await.unwrap();
        assert!(bench.lost() && ledger.version == version);
    }
    assert_eq!(ledgers.load(&tenant, &account, &ledger.source).await.unwrap(), ledger);
}

#[tokio::test]
async fn a_lost_answer_to_a_new_account_is_no_conflict() {
    let bench = Bench::start().await;
    let (accounts, tenant) = (Accounts::new(bench.table.clone()), tenant("one"));
    bench.lose_next_answer();
    let first = accounts.put(&tenant, row("box"), &Expect::Absent).await.unwrap();
    assert!(bench.lost());
    bench.lose_next_answer();
    let second = accounts.put(&tenant, first.clone(), &Expect::Version(first.version)).await.unwrap();
    assert!(bench.lost());
    assert_eq!(accounts.get(&tenant, &account("box")).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_service_that_is_away_is_unavailable_not_broken() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let accounts = Accounts::new(Table::new(client(&url), "halfpenny".into()));
    let error = accounts.get(&tenant("one"), &account("box")).await.unwrap_err();
    assert!(
        error.is_transient() && matches!(error, StoreError::Unavailable { operation: "GetItem", status: 0, .. }),
        "{error:?}"
    );
    let problem = crate::model::Problem::from(error);
    assert_eq!((problem.code, problem.retry_after), (crate::model::Code::TryAgain, Some(5)));
}
