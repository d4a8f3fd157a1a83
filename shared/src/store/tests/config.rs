//! Accounts, statuses, tokens, polled mailboxes, refused sign-ins.

use futures_util::future::join_all;

use super::*;
use crate::{
    model::{
        Account,
        principal::Scope,
        views::{AccountErrorCode, AccountState},
    },
    store::{
        AccountRow, AccountStatus, Accounts, Counters, Drafts, Expect, Guesses, History, PollEntry, Polls, SecretRef,
        Side, SideStatus, StatusChange, Statuses, StoreError, TokenRow, Tokens, VERSIONS,
    },
};

pub(super) fn row(name: &str) -> AccountRow {
    let server = serde_json::json!({"host": "mail.example.com", "port": 993, "security": "tls", "verifyCertificate": true,
        "auth": {"type": "password", "username": "ada", "hasPassword": true}});
    let mut receive = server.clone();
    receive["protocol"] = "imap".into();
    receive["folders"] = serde_json::json!(["INBOX"]);
    receive["keepOnServer"] = false.into();
    receive["deleteAfterDays"] = 3.into();
    receive["maxMessageBytes"] = (64 << 20).into();
    let account = serde_json::json!({"account": name, "name": null, "from": {"address": "ada@example.com"}, "identities": [],
        "smtp": server, "receive": receive, "poll": {"enabled": true, "minSeconds": 60, "maxSeconds": 900}, "sentCopy": "auto",
        "createdAt": "2026-11-21T07:36:10.000Z", "updatedAt": "2026-11-21T07:36:10.000Z"});
    let account: Account = serde_json::from_value(account).unwrap();
    let secret = Some(SecretRef { shard: 0, version: "v".into() });
    AccountRow { account, version: String::new(), changed_by: "root".into(), secret }
}

#[tokio::test]
async fn an_account_is_written_over_the_expected_version_only() {
    let accounts = Accounts::new(Bench::start().await.table);
    let (one, name) = (tenant("one"), account("box"));
    let first = accounts.put(&one, row("box"), &Expect::Absent).await.unwrap();
    assert_eq!(accounts.get(&one, &name).await.unwrap(), Some(first.clone()));
    assert_eq!(accounts.get(&tenant("two"), &name).await.unwrap(), None);
    assert!(accounts.put(&one, row("box"), &Expect::Absent).await.unwrap_err().is_conflict());

    let expected = Expect::Version(first.version.clone());
    let second = accounts.put(&one, AccountRow { secret: None, ..first.clone() }, &expected).await.unwrap();
    assert_ne!(first.version, second.version);
    assert!(accounts.put(&one, first.clone(), &expected).await.unwrap_err().is_conflict());
    assert!(accounts.delete(&one, &name, &expected).await.unwrap_err().is_conflict());
    assert_eq!(accounts.get(&one, &name).await.unwrap(), Some(second.clone()));

    assert!(accounts.put(&one, row("none"), &expected).await.unwrap_err().is_conflict(), "a version of nothing");
    assert!(accounts.delete(&one, &name, &Expect::Version(second.version)).await.unwrap());
    assert!(!accounts.delete(&one, &name, &Expect::Any).await.unwrap());
}

#[tokio::test]
async fn lists_accounts_by_name_and_pages() {
    let accounts = Accounts::new(Bench::start().await.table);
    let (one, two) = (tenant("one"), tenant("two"));
    for name in ["c", "a", "+b", "d"] {
        accounts.put(&one, row(name), &Expect::Absent).await.unwrap();
    }
    accounts.put(&two, row("x"), &Expect::Absent).await.unwrap();
    let names = |rows: &[AccountRow]| rows.iter().map(|row| row.account.account.to_string()).collect::<Vec<_>>();
    let first = accounts.list(&one, 3, None).await.unwrap();
    assert_eq!(names(&first.items), ["+b", "a", "c"]);
    let cursor = first.next_cursor.unwrap();
    let second = accounts.list(&one, 3, Some(&cursor)).await.unwrap();
    assert_eq!((names(&second.items), second.next_cursor), (vec!["d".to_owned()], None));
    assert!(matches!(accounts.list(&two, 3, Some(&cursor)).await, Err(StoreError::Cursor)));
    assert_eq!(accounts.list(&one, 4, None).await.unwrap().next_cursor, None);
}

#[tokio::test]
async fn a_status_changes_field_by_field() {
    let statuses = Statuses::new(Bench::start().await.table);
    let (tenant, name) = (tenant("one"), account("box"));
    assert_eq!(statuses.get(&tenant, &name).await.unwrap(), AccountStatus::default());
    let failed = StatusChange {
        state: Some(AccountState::AuthFailed),
        error_code: Some(AccountErrorCode::InvalidCredentials),
        smtp: Some(SideStatus { refusals: 2, pause: Some(at(60)), ..SideStatus::default() }),
        suspended_at: Some(Some(at(3))),
        last_error: Some(Some("535 no".into())),
        ..StatusChange::default()
    };
    statuses.change(&tenant, &name, &failed).await.unwrap();
    statuses
        .change(&tenant, &name, &StatusChange { last_send_at: Some(at(5)), ..StatusChange::default() })
        .await
        .unwrap();
    statuses.change(&tenant, &name, &StatusChange::default()).await.unwrap();
    let status = statuses.get(&tenant, &name).await.unwrap();
    assert_eq!(
        (status.state, status.error_code, status.auth_failures()),
        (AccountState::AuthFailed, AccountErrorCode::InvalidCredentials, 2)
    );
    assert_eq!(
        (status.smtp.pause, status.suspended_at, status.last_send_at, status.last_error.as_deref()),
        (Some(at(60)), Some(at(3)), Some(at(5)), Some("535 no"))
    );
    // Of all who find the pause over, one gets the login.
    let take = |seen| statuses.take_login(&tenant, &name, Side::Smtp, seen, at(180));
    assert!(!take(at(59)).await.unwrap());
    assert!(take(at(60)).await.unwrap());
    assert!(!take(at(60)).await.unwrap());
    assert!(!statuses.take_login(&tenant, &name, Side::Receive, at(60), at(180)).await.unwrap());
    assert_eq!(statuses.get(&tenant, &name).await.unwrap().smtp.pause, Some(at(180)));

    let well = StatusChange {
        state: Some(AccountState::Ok),
        smtp: Some(SideStatus::default()),
        suspended_at: Some(None),
        last_error: Some(None),
        ..StatusChange::default()
    };
    statuses.change(&tenant, &name, &well).await.unwrap();
    let of = statuses.of(&tenant, &[name.clone(), account("other")]).await.unwrap();
    assert_eq!(of.len(), 1);
    assert_eq!((of[&name].state, of[&name].smtp.pause, of[&name].suspended_at), (AccountState::Ok, None, None));
    statuses.delete(&tenant, &name).await.unwrap();
    assert_eq!(statuses.get(&tenant, &name).await.unwrap(), AccountStatus::default());
}

#[tokio::test]
async fn the_last_versions_of_an_account_are_kept_newest_first() {
    let table = Bench::start().await.table;
    let (history, tenant) = (History::new(table.clone()), tenant("one"));
    for number in 0..25 {
        let mut version = AccountRow { version: format!("v{number}"), ..row("box") };
        version.account.updated_at = at(number);
        history.keep(&tenant, &version).await.unwrap();
        history.keep(&tenant, &version).await.unwrap();
    }
    let kept = history.list(&tenant, &account("box")).await.unwrap();
    let versions: Vec<_> = kept.iter().map(|row| row.version.clone()).collect();
    let wanted: Vec<_> = (6..25).rev().map(|number| format!("v{number}")).collect();
    assert_eq!(versions, wanted, "with the current one there are {VERSIONS}");
    assert!(kept.iter().all(|row| row.secret.is_none() && row.changed_by == "root"));
    assert!(history.list(&tenant, &account("other")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_draft_counts_until_the_account_itself_changes() {
    let table = Bench::start().await.table;
    let (drafts, tenant, name) = (Drafts::new(table), tenant("one"), account("box"));
    let over = AccountRow { version: "v1".into(), ..row("box") };
    let later = AccountRow { version: "v2".into(), ..over.clone() };
    for (over, others) in [(Some(&over), [None, Some(&later)]), (None, [Some(&over), Some(&later)])] {
        let version = over.map(|row| row.version.clone()).unwrap_or_default();
        let draft = AccountRow { version, ..row("box") };
        let read = drafts.get(&tenant, &name, over).await.unwrap();
        drafts.put(&tenant, &draft, &read).await.unwrap();
        assert!(drafts.put(&tenant, &draft, &read).await.unwrap_err().is_conflict(), "somebody was faster");
        assert_eq!(drafts.get(&tenant, &name, over).await.unwrap().draft, Some(draft));
        for other in others {
            assert_eq!(drafts.get(&tenant, &name, other).await.unwrap().draft, None);
        }
    }
}

#[tokio::test]
async fn a_window_counts_for_its_tenant_alone() {
    let bench = Bench::start().await;
    let counters = Counters::new(bench.table.clone());
    let count = |name, what, window| {
        let (counters, name) = (counters.clone(), tenant(name));
        async move { counters.count(&name, what, at(window), 60).await.unwrap() }
    };
    assert_eq!((count("one", "calls", 0).await, count("one", "calls", 0).await), (1, 2));
    let fresh = (count("two", "calls", 0).await, count("one", "other", 0).await, count("one", "calls", 60).await);
    assert_eq!(fresh, (1, 1, 1));
    let item = bench.table.get(&keys::counter(&tenant("one"), "calls", at(0))).await.unwrap().unwrap();
    assert_eq!(crate::store::table::number_of(&item, "ttl"), Some(at(60 + 3_600).seconds()));
}

#[tokio::test]
async fn tokens_are_found_by_hash_within_their_tenant() {
    let bench = Bench::start().await;
    let tokens = Tokens::new(bench.table.clone());
    let (one, hash) = (tenant("one"), "ab".repeat(32));
    let row = TokenRow {
        hash: hash.clone(),
        name: "CI".into(),
        scopes: vec![Scope::Read, Scope::Send],
        accounts: Some(vec![account("box")]),
        created_at: at(0),
        expires_at: Some(at(60)),
    };
    tokens.put(&one, &row).await.unwrap();
    assert_eq!(tokens.get(&one, &hash).await.unwrap(), Some(row.clone()));
    assert_eq!(tokens.get(&tenant("two"), &hash).await.unwrap(), None);
    assert_eq!(tokens.list(&one, 10, None).await.unwrap().items, [row]);
    let item = bench.table.get(&keys::token(&one, &hash)).await.unwrap().unwrap();
    assert_eq!(item["ttl"].as_n().unwrap(), &at(60).seconds().to_string());
    assert!(tokens.delete(&one, &hash).await.unwrap());
    assert!(!tokens.delete(&one, &hash).await.unwrap());
}

#[tokio::test]
async fn a_polled_mailbox_stands_in_one_shard_until_it_is_removed() {
    let polls = Polls::new(Bench::start().await.table);
    let (tenant, name) = (tenant("one"), account("box"));
    let all = async || {
        let mut all = Vec::new();
        for shard in 0..keys::POLL_SHARDS {
            all.extend(polls.shard(shard).await.unwrap());
        }
        all
    };
    polls.arrived(&tenant, &name, at(1)).await.unwrap();
    polls.block(&tenant, &name, Some(at(1))).await.unwrap();
    assert!(all().await.is_empty(), "what is not polled is not brought back");

    polls.put(&tenant, &name, 60, 900).await.unwrap();
    polls.arrived(&tenant, &name, at(5)).await.unwrap();
    polls.block(&tenant, &name, Some(at(9))).await.unwrap();
    let entry = PollEntry {
        tenant: tenant.clone(),
        account: name.clone(),
        min_seconds: 60,
        max_seconds: 900,
        last_arrival: Some(at(5)),
        blocked_until: Some(at(9)),
        hurried_until: None,
        quiet: None,
    };
    assert_eq!(all().await, std::slice::from_ref(&entry));
    polls.mark(&tenant, &name, "0123").await.unwrap();
    assert_eq!(all().await, [PollEntry { quiet: Some("0123".to_owned()), ..entry.clone() }]);
    polls.arrived(&tenant, &name, at(5)).await.unwrap();
    polls.block(&tenant, &name, Some(at(9))).await.unwrap();
    assert_eq!(all().await, std::slice::from_ref(&entry), "an arrival ends it");
    assert!(polls.hurry(&tenant, &name, at(7)).await.unwrap());
    assert_eq!(all().await, [PollEntry { hurried_until: Some(at(7)), ..entry.clone() }]);
    assert!(!polls.hurry(&tenant, &account("other"), at(7)).await.unwrap(), "it is not polled");
    let entry = PollEntry { hurried_until: Some(at(7)), ..entry };
    polls.put(&tenant, &name, 120, 600).await.unwrap();
    assert_eq!(all().await, [PollEntry { min_seconds: 120, max_seconds: 600, blocked_until: None, ..entry }]);
    polls.remove(&tenant, &name).await.unwrap();
    assert!(all().await.is_empty());
}

#[tokio::test]
async fn ten_refused_sign_ins_in_an_hour_are_enough_however_many_try_at_once() {
    let guesses = Guesses::new(Bench::start().await.table);
    let (one, two) = (tenant("one"), tenant("two"));
    let take = |user: &'static str, now| guesses.take(&one, "Mail.Example.com", user, now);
    let tries: Vec<_> = join_all((0..25).map(|_| take("ada", at(0)))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(tries.iter().filter(|wait| wait.is_none()).count(), 10);
    assert!(tries.iter().flatten().all(|wait| *wait == 3_601));

    assert_eq!(
        guesses.take(&one, "mail.example.COM", "ADA", at(3_599)).await.unwrap(),
        Some(2),
        "letter case is no way around"
    );
    for (tenant, host, user) in
        [(&two, "mail.example.com", "ada"), (&one, "other.example.com", "ada"), (&one, "mail.example.com", "bob")]
    {
        assert_eq!(guesses.take(tenant, host, user, at(0)).await.unwrap(), None);
    }
    guesses.give_back(&one, "mail.example.com", "ada", at(10)).await.unwrap();
    assert_eq!((take("ada", at(10)).await.unwrap(), take("ada", at(10)).await.unwrap()), (None, Some(3_591)));

    let anew: Vec<_> =
        join_all((0..25).map(|_| take("ada", at(3_600)))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(anew.iter().filter(|wait| wait.is_none()).count(), 10, "a new window");
    guesses.give_back(&one, "mail.example.com", "nobody", at(0)).await.unwrap();
}
