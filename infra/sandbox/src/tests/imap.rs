use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::Client;
use super::{ADA, MESSAGE, PASSWORD, start};
use crate::{Folder, Protocol, Rule, Sandbox, Service};

async fn selected(sandbox: &Sandbox) -> Client {
    let mut client = Client::logged_in(sandbox, Service::Imaps).await;
    let answer = client.command("s SELECT inbox").await;
    assert!(answer.contains("s OK [READ-WRITE]"), "{answer}");
    client
}

async fn with_messages(n: usize) -> Sandbox {
    let sandbox = start().await;
    for number in 1..=n {
        sandbox.deliver(ADA, format!("Subject: m{number}\r\nX-N: {number}\r\n\r\nbody {number}\r\n")).unwrap();
    }
    sandbox
}

#[tokio::test]
async fn starttls_and_every_way_to_log_in() {
    let sandbox = start().await;
    let mut client = Client::plain(&sandbox, Service::Imap).await;
    let greeting = client.line().await;
    assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 ") && greeting.contains("STARTTLS LOGINDISABLED"));
    assert!(client.command(&format!("a LOGIN {ADA} x")).await.starts_with("a NO [PRIVACYREQUIRED]"));
    assert_eq!(client.command("b STARTTLS").await, "b OK Ready for TLS\r\n");
    let mut client = client.secure(&sandbox).await.unwrap();
    assert!(client.command("c CAPABILITY").await.contains(" AUTH=PLAIN\r\n"));
    assert!(client.command(&format!("d LOGIN {ADA} x")).await.starts_with("d NO [AUTHENTICATIONFAILED]"));
    assert!(client.command("e SELECT INBOX").await.starts_with("e BAD"));
    let plain = STANDARD.encode(format!("\0{ADA}\0{PASSWORD}"));
    assert_eq!(client.ask("f AUTHENTICATE PLAIN").await, "+ \r\n");
    assert!(client.ask(&plain).await.starts_with("f OK [CAPABILITY "));

    let mut client = Client::connect(&sandbox, Service::Imaps).await;
    assert!(client.command(&format!("a AUTHENTICATE PLAIN {plain}")).await.starts_with("a OK "));
    let mut client = Client::connect(&sandbox, Service::Imaps).await;
    assert_eq!(client.ask(&format!("a LOGIN {{{}}}", ADA.len())).await, "+ Go on\r\n");
    assert_eq!(client.ask(&format!("{ADA} {{{}}}", PASSWORD.len())).await, "+ Go on\r\n");
    assert!(client.ask(PASSWORD).await.starts_with("a OK "));
    assert_eq!(client.command("z LOGOUT").await, "* BYE Logging out\r\nz OK Bye\r\n");
    assert_eq!(client.rest().await.0, b"");
    let logins = sandbox.logins()[ADA];
    assert_eq!((logins.attempted, logins.accepted), (4, 3));
}

#[tokio::test]
async fn folders_are_listed_and_counted() {
    let sandbox = with_messages(2).await;
    let mut client = Client::logged_in(&sandbox, Service::Imaps).await;
    let listed = client.command("a LIST \"\" \"*\"").await;
    assert!(
        listed.starts_with("* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n")
    );
    assert_eq!(listed.lines().count(), 6);
    assert_eq!(
        client.command("b LIST \"\" %r%sh").await,
        "* LIST (\\HasNoChildren \\Trash) \"/\" Trash\r\nb OK Done\r\n"
    );
    assert_eq!(
        client.command("c STATUS INBOX (MESSAGES UIDNEXT UNSEEN)").await,
        "* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UNSEEN 2)\r\nc OK Done\r\n"
    );
    let selected = client.command("d EXAMINE INBOX").await;
    for line in
        ["* 2 EXISTS", "* 0 RECENT", "* OK [UIDNEXT 3]", "* OK [UIDVALIDITY ", "* OK [UNSEEN 1]", "d OK [READ-ONLY]"]
    {
        assert!(selected.contains(line), "{selected}");
    }
    assert!(client.command("e SELECT Nowhere").await.starts_with("e NO [NONEXISTENT]"));
    assert!(client.command("f FETCH 1 FLAGS").await.starts_with("f BAD"));
}

#[tokio::test]
async fn messages_are_fetched_whole_and_in_parts() {
    let sandbox = start().await;
    sandbox.deliver(ADA, MESSAGE).unwrap();
    sandbox.deliver(ADA, &b"Subject: two\r\n\r\n2\r\n"[..]).unwrap();
    let mut client = selected(&sandbox).await;
    let text = std::str::from_utf8(MESSAGE).unwrap();
    let n = text.len();
    assert_eq!(
        client.command("a UID FETCH 1 (UID RFC822.SIZE BODY.PEEK[])").await,
        format!("* 1 FETCH (UID 1 RFC822.SIZE {n} BODY[] {{{n}}}\r\n{text})\r\na OK Done\r\n")
    );
    assert_eq!(
        client.command("b UID FETCH 1 BODY.PEEK[]<6.3>").await,
        "* 1 FETCH (UID 1 BODY[]<6> {3}\r\nbob)\r\nb OK Done\r\n"
    );
    assert_eq!(
        client.command("c UID FETCH 1 BODY.PEEK[]<999.3>").await,
        "* 1 FETCH (UID 1 BODY[]<999> {0}\r\n)\r\nc OK Done\r\n"
    );
    assert_eq!(
        client.command("d FETCH 2 BODY.PEEK[HEADER]").await,
        "* 2 FETCH (BODY[HEADER] {16}\r\nSubject: two\r\n\r\n)\r\nd OK Done\r\n"
    );
    assert_eq!(
        client.command("e FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)]").await,
        "* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT DATE)] {18}\r\nSubject: Hello\r\n\r\n)\r\ne OK Done\r\n"
    );
    // Above the last UID, `*` still names the last message.
    assert_eq!(client.command("f UID FETCH 99:* (FLAGS)").await, "* 2 FETCH (UID 2 FLAGS ())\r\nf OK Done\r\n");
    assert_eq!(
        client.command("g UID FETCH 2 (BODY[TEXT])").await,
        "* 2 FETCH (UID 2 BODY[TEXT] {3}\r\n2\r\n FLAGS (\\Seen))\r\ng OK Done\r\n"
    );
    assert!(client.command("h UID FETCH 1 ENVELOPE").await.starts_with("h NO [CANNOT]"));
    assert!(client.command("i UID FETCH 1 (INTERNALDATE)").await.contains("INTERNALDATE \""));
    assert!(client.command("j NONSENSE").await.starts_with("j BAD"));
}

#[tokio::test]
async fn search_finds_by_uid_header_date_and_flag() {
    let sandbox = with_messages(12).await;
    let mut client = selected(&sandbox).await;
    client.command("a UID STORE 3,5 +FLAGS.SILENT (\\Deleted)").await;
    for (query, found) in [
        ("ALL", " 1 2 3 4 5 6 7 8 9 10 11 12"),
        ("UID 11:*", " 11 12"),
        ("UID 99:*", " 12"),
        ("DELETED", " 3 5"),
        ("UNDELETED UID 1:5", " 1 2 4"),
        ("HEADER X-N 7", " 7"),
        ("HEADER SUBJECT M1", " 1 10 11 12"),
        ("HEADER X-None \"\"", ""),
        ("OR SUBJECT m2 BODY \"body 4\"", " 2 4"),
        ("NOT UID 2:*", " 1"),
        ("SINCE 1-Jan-2020 BEFORE 1-Jan-2021", ""),
        ("SINCE 1-Jan-2020 UID 1", " 1"),
    ] {
        assert_eq!(
            client.command(&format!("b UID SEARCH {query}")).await,
            format!("* SEARCH{found}\r\nb OK Done\r\n"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn flags_expunge_copy_and_move() {
    let sandbox = with_messages(5).await;
    let mut client = selected(&sandbox).await;
    assert_eq!(
        client.command("a UID STORE 2 +FLAGS (\\Deleted)").await,
        "* 2 FETCH (UID 2 FLAGS (\\Deleted))\r\na OK Done\r\n"
    );
    assert_eq!(client.command("b UID STORE 3:4 +FLAGS.SILENT (\\Deleted)").await, "b OK Done\r\n");
    // Only the marked ones within the set go.
    assert_eq!(client.command("c UID EXPUNGE 1:2,4").await, "* 2 EXPUNGE\r\n* 3 EXPUNGE\r\nc OK Done\r\n");
    let answer = client.command("d UID MOVE 5 Trash").await;
    assert!(
        answer.starts_with("* OK [COPYUID ") && answer.ends_with(" 5 1] Moved\r\n* 3 EXPUNGE\r\nd OK Moved\r\n"),
        "{answer}"
    );
    let answer = client.command("e UID COPY 1,3 Junk").await;
    assert!(answer.starts_with("e OK [COPYUID ") && answer.ends_with(" 1,3 1:2] Copied\r\n"), "{answer}");
    assert!(client.command("f UID COPY 1 Nowhere").await.starts_with("f NO [TRYCREATE]"));
    assert_eq!(client.command("g EXPUNGE").await, "* 2 EXPUNGE\r\ng OK Done\r\n");
    let uids = |folder| sandbox.folder(ADA, folder).iter().map(|message| message.uid).collect::<Vec<_>>();
    assert_eq!((uids(Folder::Inbox), uids(Folder::Trash), uids(Folder::Junk)), (vec![1], vec![1], vec![1, 2]));
    assert!(sandbox.folder(ADA, Folder::Junk)[1].is_deleted());
}

#[tokio::test]
async fn append_and_arrivals_are_announced() {
    let sandbox = with_messages(1).await;
    let mut client = selected(&sandbox).await;
    assert_eq!(client.ask("a APPEND INBOX (\\Seen) \" 1-Feb-2024 10:00:00 +0100\" {5}").await, "+ Go on\r\n");
    client.send("\r\nx\r\n\r\n").await;
    assert_eq!(client.line().await, "* 2 EXISTS\r\n");
    assert!(client.line().await.starts_with("a OK [APPENDUID "));
    client.send("b APPEND Sent {5+}\r\n\r\ny\r\n\r\n").await;
    assert!(client.line().await.starts_with("b OK [APPENDUID "));
    let answer = client.command("c UID FETCH 2 (FLAGS INTERNALDATE BODY.PEEK[])").await;
    assert_eq!(
        answer,
        "* 2 FETCH (UID 2 FLAGS (\\Seen) INTERNALDATE \" 1-Feb-2024 10:00:00 +0100\" BODY[] {5}\r\n\r\nx\r\n)\r\nc OK Done\r\n"
    );
    assert_eq!(sandbox.folder(ADA, Folder::Sent)[0].bytes, &b"\r\ny\r\n"[..]);
    sandbox.deliver(ADA, MESSAGE).unwrap();
    assert_eq!(client.command("d NOOP").await, "* 3 EXISTS\r\nd OK Done\r\n");
}

#[tokio::test]
async fn examine_changes_nothing() {
    let sandbox = with_messages(1).await;
    let mut client = Client::logged_in(&sandbox, Service::Imaps).await;
    client.command("a EXAMINE INBOX").await;
    assert!(client.command("b UID STORE 1 +FLAGS (\\Deleted)").await.starts_with("b NO "));
    assert!(client.command("c EXPUNGE").await.starts_with("c NO"));
    client.command("d UID FETCH 1 BODY[]").await;
    assert!(client.command("e CLOSE").await.starts_with("e OK"));
    assert!(sandbox.messages(ADA)[0].flags.is_empty());
}

/// RFC 8474 §5.1: a message keeps its name wherever it goes, and no two have one.
#[tokio::test]
async fn messages_have_names_where_a_rule_offers_them() {
    let sandbox = with_messages(2).await;
    let mut client = Client::logged_in(&sandbox, Service::Imaps).await;
    assert!(!client.command("a CAPABILITY").await.contains("OBJECTID"));
    sandbox.script(Rule::on(Protocol::Imap).offer_capability("OBJECTID"));
    assert!(client.command("b CAPABILITY").await.contains(" OBJECTID"));
    client.command("c SELECT INBOX").await;
    let names: Vec<String> = sandbox.messages(ADA).into_iter().map(|message| message.email_id).collect();
    assert_ne!(names[0], names[1]);
    let answer = client.command("d UID FETCH 2 (UID EMAILID BODY.PEEK[TEXT]<0.4>)").await;
    assert_eq!(
        answer,
        format!("* 2 FETCH (UID 2 BODY[TEXT]<0> {{4}}\r\nbody EMAILID ({}))\r\nd OK Done\r\n", names[1])
    );
    client.command("e UID MOVE 2 Junk").await;
    sandbox.renumber(ADA, Folder::Inbox).unwrap();
    let name = |folder| sandbox.folder(ADA, folder)[0].email_id.clone();
    assert_eq!([name(Folder::Inbox), name(Folder::Junk)], *names);
}
