//! Ledgers and leases.

use super::*;
use crate::store::{
    Deleted, Known, Leases, Ledgers, MessageKey, Position, SourceId, StoreError, Window, keys::incoming_id,
};

fn source(folder: &str) -> SourceId {
    let receive = serde_json::json!({"protocol": "imap", "host": "imap.example.com", "port": 993, "security": "tls", "verifyCertificate": true,
        "auth": {"type": "password", "username": "ada", "hasPassword": true}, "folders": ["INBOX"], "keepOnServer": true,
        "deleteAfterDays": null, "maxMessageBytes": 1});
    SourceId::of(&serde_json::from_value(receive).unwrap(), folder)
}

#[tokio::test]
async fn a_stale_puller_cannot_move_a_ledger_back() {
    let ledgers = Ledgers::new(Bench::start().await.table);
    let (tenant, account, source) = (tenant("one"), account("box"), source("INBOX"));
    let mut first = ledgers.load(&tenant, &account, &source).await.unwrap();
    assert_eq!((first.version, &first.position), (0, &Position::New));
    let mut stale = first.clone();

    first.position =
        Position::Imap { uidvalidity: 7, uidnext: 12, messages: 11, last: 11, safe: 5, unseen: Some(3), modseq: None };
    first.window = Some(Window { first: 6, last: 11, tries: 1 });
    first.last_arrival = Some(at(1));
    first.run = 1;
    ledgers.save(&tenant, &account, &mut first).await.unwrap();
    stale.run = 9;
    assert!(matches!(ledgers.save(&tenant, &account, &mut stale).await, Err(StoreError::Conflict { .. })));
    assert_eq!(stale.version, 0);
    let read = ledgers.load(&tenant, &account, &source).await.unwrap();
    assert_eq!(read, first);

    let mut second = read.clone();
    second.window = None;
    second.position = Position::Pop3 { count: 3, octets: 1 << 40, prefix: 3, prefix_hash: "ab".into() };
    ledgers.save(&tenant, &account, &mut second).await.unwrap();
    assert!(ledgers.save(&tenant, &account, &mut first).await.unwrap_err().is_conflict());
    assert_eq!(ledgers.load(&tenant, &account, &source).await.unwrap(), second);
}

#[tokio::test]
async fn ledgers_are_apart_by_folder_and_account_and_go_with_the_account() {
    let bench = Bench::start().await;
    let (ledgers, leases) = (Ledgers::new(bench.table.clone()), Leases::new(bench.table.clone()));
    let (tenant, here, there) = (tenant("one"), account("here"), account("there"));
    for (account, folder) in [(&here, "INBOX"), (&here, "Archive"), (&there, "INBOX")] {
        let mut ledger = ledgers.load(&tenant, account, &source(folder)).await.unwrap();
        assert_eq!(ledger.version, 0, "{folder}");
        ledgers.save(&tenant, account, &mut ledger).await.unwrap();
    }
    leases.acquire(&tenant, &here, at(0), 60).await.unwrap().unwrap();
    ledgers.delete(&tenant, &here).await.unwrap();
    assert_eq!(ledgers.load(&tenant, &here, &source("INBOX")).await.unwrap().version, 0);
    assert_eq!(ledgers.load(&tenant, &here, &source("Archive")).await.unwrap().version, 0);
    assert_eq!(ledgers.load(&tenant, &there, &source("INBOX")).await.unwrap().version, 1);
    assert!(leases.acquire(&tenant, &here, at(0), 60).await.unwrap().is_some());
}

#[tokio::test]
async fn one_of_many_gets_the_lease_and_a_later_holder_fences_it_off() {
    let leases = Leases::new(Bench::start().await.table);
    let (tenant, account) = (tenant("one"), account("box"));
    let tries = (0..8).map(|_| leases.acquire(&tenant, &account, at(0), 60));
    let mut held: Vec<_> = futures_util::future::try_join_all(tries).await.unwrap().into_iter().flatten().collect();
    assert_eq!(held.len(), 1);
    let mut first = held.remove(0);
    assert_eq!((first.fence, first.until), (1, at(60)));

    leases.renew(&mut first, at(50), 60).await.unwrap();
    assert_eq!(first.until, at(110));
    assert!(leases.acquire(&tenant, &account, at(109), 60).await.unwrap().is_none());
    let second = leases.acquire(&tenant, &account, at(110), 60).await.unwrap().unwrap();
    assert_eq!(second.fence, 2);
    assert!(leases.renew(&mut first, at(111), 60).await.unwrap_err().is_conflict());

    leases.release(first).await.unwrap();
    assert!(leases.acquire(&tenant, &account, at(112), 60).await.unwrap().is_none(), "only the holder gives it back");
    leases.release(second).await.unwrap();
    assert_eq!(leases.acquire(&tenant, &account, at(112), 60).await.unwrap().unwrap().fence, 3);
}

#[tokio::test]
async fn a_renewal_that_arrives_behind_the_release_revives_nothing() {
    let leases = Leases::new(Bench::start().await.table);
    let (tenant, account) = (tenant("one"), account("box"));
    let lease = leases.acquire(&tenant, &account, at(0), 60).await.unwrap().unwrap();
    let mut late = lease.clone();
    leases.release(lease).await.unwrap();
    assert!(leases.renew(&mut late, at(1), 60).await.unwrap_err().is_conflict());
    assert_eq!(leases.acquire(&tenant, &account, at(2), 60).await.unwrap().unwrap().fence, 2);
}

#[test]
fn what_we_may_have_deleted_is_known_by_what_was_noted_before() {
    let row = |run, stored, acknowledged| Known { acknowledged, ..Known::new(run, at(stored)) };
    let nothing = Deleted::default();
    assert!(!nothing.may_include(&row(1, 0, true)));
    let all = Deleted { all: 3, ..nothing };
    assert!(all.may_include(&row(3, 9, false)) && !all.may_include(&row(4, 0, true)));
    assert!(!all.may_include(&row(u64::MAX, 0, true)), "what was left on the server is never deleted");
    let picked = Deleted { picked: 3, aged: Some(at(5)), ..nothing };
    for (run, stored, acknowledged, may) in
        [(3, 5, false, true), (3, 6, false, false), (3, 6, true, true), (4, 5, true, false)]
    {
        assert_eq!(picked.may_include(&row(run, stored, acknowledged)), may, "{run} {stored} {acknowledged}");
    }
    // Settings change, and what was deleted under the old ones is deleted.
    assert!(Deleted { all: 2, ..picked }.may_include(&row(2, 9, false)));
}

#[test]
fn every_part_of_a_message_key_counts() {
    let key = |uid| MessageKey::Imap { uidvalidity: 1, uid };
    let id = |tenant: &str, account_name: &str, folder: &str, uid| {
        incoming_id(&super::tenant(tenant), &account(account_name), &source(folder), &key(uid))
    };
    let first = id("one", "box", "INBOX", 1);
    assert_eq!(first, id("one", "box", "INBOX", 1));
    for other in [
        id("two", "box", "INBOX", 1),
        id("one", "bo", "INBOX", 1),
        id("one", "box", "Inbox2", 1),
        id("one", "box", "INBOX", 11),
    ] {
        assert_ne!(first, other);
    }
    let texts = [
        MessageKey::Imap { uidvalidity: 1, uid: 11 }.to_string(),
        MessageKey::Imap { uidvalidity: 11, uid: 1 }.to_string(),
        MessageKey::Pop3 { uidl: "1#1".into(), octets: 1 }.to_string(),
        MessageKey::Pop3 { uidl: "1".into(), octets: 11 }.to_string(),
        MessageKey::Repeated { uidl: "1".into(), sha256: "1".into(), ordinal: 1 }.to_string(),
        MessageKey::Content { sha256: "1".into(), ordinal: 1 }.to_string(),
    ];
    assert_eq!(texts.iter().collect::<std::collections::HashSet<_>>().len(), texts.len());
}
