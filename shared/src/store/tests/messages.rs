//! Pulled messages: stored once, listed by pages, bounded.

use std::collections::HashSet;

use super::*;
use crate::{
    model::{Address, Attachment, Direction, Message, MessageId, send::Disposition},
    store::{Incoming, Inserted, MessageKey, Messages, Range, StoreError, StoredMessage},
};

pub(super) fn message(account: &AccountId, number: i64) -> Message {
    Message {
        id: MessageId::derived(&["test", account.as_str(), &number.to_string()]),
        account: account.clone(),
        direction: Direction::Incoming,
        folder: Some("INBOX".into()),
        subject: Some(format!("Number {number}")),
        from: Some(Address { name: Some("Ada".into()), address: "ada@example.com".into() }),
        many_from: false,
        to: vec![Address::bare("bob@example.com")],
        cc: Vec::new(),
        reply_to: Vec::new(),
        date: Some(at(number)),
        received_at: at(number),
        size: 4334,
        flags: vec!["\\Seen".into()],
        message_id: Some(format!("<{number}@example.com>")),
        in_reply_to: None,
        thread_id: "0123456789abcdef0123456789abcdef".into(),
        preview: "x".repeat(200),
        text_sizes: None,
        has_attachments: true,
        attachments: vec![Attachment {
            part: 2,
            filename: Some("a.pdf".into()),
            content_type: "application/pdf".into(),
            size: 29223,
            file_id: "ab".repeat(32),
            disposition: Disposition::Attachment,
            content_id: None,
            safe: true,
        }],
        sha256: Some("cd".repeat(32)),
        email_id: None,
        state: "received".into(),
        correlation: None,
        deleted_at: None,
        delivery: None,
        auto_reply: None,
        report: None,
    }
}

pub(super) fn incoming(account: &AccountId, number: i64, run: u64) -> Incoming {
    let key = MessageKey::Imap { uidvalidity: 1, uid: u32::try_from(number).unwrap() };
    Incoming { message: message(account, number), key: key.to_string(), run, stored_at: at(1000) }
}

/// Size of an item as DynamoDB counts it, near enough: names and values, 3 bytes for each nested value.
fn size(item: &serde_json::Value) -> usize {
    item.to_string().len()
}

#[tokio::test]
async fn a_type_that_no_header_can_hold_does_not_keep_a_file_out() {
    let error = Bench::files().put_file(&tenant("one"), "x".into(), "t\u{eb}xt/pla\u{ef}n").await.unwrap_err();
    assert!(error.to_string().contains("no connection"), "the request was built and sent: {error}");
}

#[tokio::test]
async fn stores_a_message_once_and_gives_it_back_whole() {
    let messages = Messages::new(Bench::start().await.table);
    let (one, account) = (tenant("one"), account("box"));
    let row = incoming(&account, 1, 5);
    assert_eq!(messages.insert_incoming(&one, &row).await.unwrap(), Inserted::New);
    assert_eq!(
        messages.insert_incoming(&one, &Incoming { run: 6, ..row.clone() }).await.unwrap(),
        Inserted::AlreadyThere
    );
    assert_eq!(
        messages.insert_incoming(&one, &Incoming { stored_at: at(2000), ..row.clone() }).await.unwrap(),
        Inserted::AlreadyThere,
        "an interrupted run and the next one share their number"
    );
    assert_eq!(messages.get(&one, &row.message.id).await.unwrap(), Some(StoredMessage::Incoming(row.clone())));
    assert_eq!(messages.get(&tenant("two"), &row.message.id).await.unwrap(), None);
    assert!(messages.delete(&one, &row.message.id).await.unwrap());
    assert!(!messages.delete(&one, &row.message.id).await.unwrap());
    assert_eq!(messages.get(&one, &row.message.id).await.unwrap(), None);
}

#[tokio::test]
async fn knows_which_of_250_are_stored() {
    let messages = Messages::new(Bench::start().await.table);
    let (tenant, account) = (tenant("one"), account("box"));
    let rows: Vec<Incoming> = (0..250).map(|number| incoming(&account, number, 1 + u64::from(number >= 100))).collect();
    for row in rows.iter().step_by(2) {
        messages.insert_incoming(&tenant, row).await.unwrap();
    }
    let ids: Vec<MessageId> = rows.iter().map(|row| row.message.id.clone()).collect();
    let known = messages.known(&tenant, &ids).await.unwrap();
    assert_eq!(known.len(), 125);
    for (index, id) in ids.iter().enumerate() {
        let expected = (index % 2 == 0).then_some((1 + u64::from(index >= 100), at(1000)));
        assert_eq!(known.get(id).map(|known| (known.run, known.stored_at)), expected, "{index}");
    }
    let twice = [ids[0].clone(), ids[0].clone()];
    assert_eq!(messages.known(&tenant, &twice).await.unwrap().len(), 1);
    assert!(messages.known(&super::tenant("two"), &ids).await.unwrap().is_empty());
    assert!(messages.known(&tenant, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn lists_newest_first_over_three_pages_and_no_other_mailbox() {
    let messages = Messages::new(Bench::start().await.table);
    let (tenant, here) = (tenant("one"), account("box"));
    for number in 0..25 {
        // Two of each second: the id decides between them, and none may fall between two pages.
        let mut row = incoming(&here, number, 1);
        row.message.received_at = at(number / 2);
        messages.insert_incoming(&tenant, &row).await.unwrap();
        messages.insert_incoming(&tenant, &incoming(&account("other"), number, 1)).await.unwrap();
    }
    let (mut pages, mut seen, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = messages.list(&tenant, &here, Range::default(), 10, cursor.as_deref()).await.unwrap();
        pages.push(page.items.len());
        seen.extend(page.items.iter().map(StoredMessage::message));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [10, 10, 5]);
    assert!(
        seen.is_sorted_by(|a, b| a.received_at >= b.received_at) && seen.iter().all(|message| message.account == here)
    );
    assert_eq!(seen.iter().map(|message| &message.id).collect::<HashSet<_>>().len(), 25);
    assert!(messages.list(&super::tenant("two"), &here, Range::default(), 10, None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_range_holds_its_beginning_and_not_its_end_and_a_cursor_its_list() {
    let messages = Messages::new(Bench::start().await.table);
    let (tenant, here) = (tenant("one"), account("box"));
    for number in 0..6 {
        messages.insert_incoming(&tenant, &incoming(&here, number, 1)).await.unwrap();
    }
    let subjects = |page: Vec<StoredMessage>| page.iter().map(|row| row.message().subject.unwrap()).collect::<Vec<_>>();
    let range = Range { since: Some(at(1)), before: Some(at(4)) };
    let page = messages.list(&tenant, &here, range, 2, None).await.unwrap();
    let cursor = page.next_cursor.unwrap();
    assert_eq!(subjects(page.items), ["Number 3", "Number 2"]);
    let rest = messages.list(&tenant, &here, range, 2, Some(&cursor)).await.unwrap();
    assert_eq!((subjects(rest.items), rest.next_cursor), (vec!["Number 1".to_owned()], None));
    let newer_only = Range { since: Some(at(5)), before: None };
    assert!(messages.list(&tenant, &here, newer_only, 2, Some(&cursor)).await.unwrap().items.is_empty());

    for (tenant, account) in [(super::tenant("two"), here.clone()), (tenant.clone(), account("other"))] {
        let foreign = messages.list(&tenant, &account, range, 2, Some(&cursor)).await;
        assert!(matches!(foreign, Err(StoreError::Cursor)));
    }
}

#[tokio::test]
async fn an_ordinary_message_costs_one_write_unit_and_a_hostile_one_stays_bounded() {
    let bench = Bench::start().await;
    let messages = Messages::new(bench.table.clone());
    let (tenant, account) = (tenant("one"), account("support"));
    let ordinary = incoming(&account, 1, 1);
    let mut hostile = incoming(&account, 2, 1);
    hostile.key = "k".repeat(70_000);
    let long = "\u{1F4A3}\r\n".repeat(500);
    hostile.message = Message {
        subject: Some(long.clone()),
        from: Some(Address { name: Some(long.clone()), address: long.clone() }),
        to: vec![Address { name: Some(long.clone()), address: long.clone() }; 500],
        cc: vec![Address::bare("c@example.com"); 500],
        flags: vec![long.clone(); 500],
        message_id: Some(long.clone()),
        in_reply_to: Some(long.clone()),
        thread_id: long.clone(),
        preview: long.clone(),
        folder: Some(long.clone()),
        attachments: vec![
            Attachment {
                filename: Some(long.clone()),
                content_type: long.clone(),
                content_id: Some(long),
                ..hostile.message.attachments[0].clone()
            };
            500
        ],
        ..hostile.message
    };
    for row in [&ordinary, &hostile] {
        messages.insert_incoming(&tenant, row).await.unwrap();
    }
    let mut sizes = Vec::new();
    for row in [&ordinary, &hostile] {
        let item = bench.table.get(&keys::message(&tenant, &row.message.id)).await.unwrap().unwrap();
        let json: serde_json::Value = serde_dynamo::aws_sdk_dynamodb_1::from_item(item).unwrap();
        sizes.push(size(&json));
    }
    assert!(sizes[0] <= 1200 && sizes[1] <= 32 << 10, "{sizes:?}");
    let Some(StoredMessage::Incoming(read)) = messages.get(&tenant, &hostile.message.id).await.unwrap() else {
        panic!("the hostile message is stored");
    };
    assert_eq!(read.message.subject.unwrap().chars().count(), 998);
    assert!(!read.message.to.is_empty() && !read.message.to[0].is_valid(), "kept, though nobody could send there");
    assert!(read.message.has_attachments && read.message.state == "received");
}
