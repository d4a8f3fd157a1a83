use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::Client;
use super::{ADA, MESSAGE, PASSWORD, start};
use crate::{Protocol, Rule, Service};

#[tokio::test]
async fn a_mailbox_is_listed_read_and_emptied() {
    let sandbox = start().await;
    sandbox.deliver(ADA, MESSAGE).unwrap();
    sandbox.deliver(ADA, &b"Subject: second\r\n\r\n1\r\n2\r\n3"[..]).unwrap();
    let mut client = Client::logged_in(&sandbox, Service::Pop3s).await;
    assert_eq!(client.ask("STAT").await, format!("+OK 2 {}\r\n", MESSAGE.len() + 26));
    assert_eq!(client.listing("LIST").await, format!("+OK\r\n1 {}\r\n2 26\r\n.\r\n", MESSAGE.len()));
    let stored = sandbox.messages(ADA);
    assert_eq!(client.listing("UIDL").await, format!("+OK\r\n1 {}\r\n2 {}\r\n.\r\n", stored[0].uidl, stored[1].uidl));
    assert_eq!(client.ask("UIDL 2").await, format!("+OK 2 {}\r\n", stored[1].uidl));
    assert_eq!(
        client.listing("RETR 1").await,
        format!(
            "+OK {} octets\r\nFrom: bob@elsewhere.test\r\nSubject: Hello\r\n\r\n..dot\r\nbody\r\n.\r\n",
            MESSAGE.len()
        )
    );
    assert_eq!(client.listing("TOP 2 0").await, "+OK top\r\nSubject: second\r\n\r\n.\r\n");
    assert_eq!(client.listing("TOP 2 2").await, "+OK top\r\nSubject: second\r\n\r\n1\r\n2\r\n.\r\n");
    assert_eq!(client.listing("RETR 2").await, "+OK 26 octets\r\nSubject: second\r\n\r\n1\r\n2\r\n3\r\n.\r\n");
    assert_eq!(client.ask("DELE 1").await, "+OK deleted at QUIT\r\n");
    assert_eq!(client.ask("RETR 1").await, "-ERR no such message\r\n");
    assert_eq!(client.listing("LIST").await, "+OK\r\n2 26\r\n.\r\n");
    assert_eq!(sandbox.messages(ADA).len(), 2);
    assert_eq!(client.ask("QUIT").await, "+OK bye\r\n");
    assert_eq!(sandbox.messages(ADA), stored[1..]);
}

/// Ids that are missing, repeated or given again, and sizes that are wrong.
#[tokio::test]
async fn a_script_makes_the_list_lie() {
    let sandbox = start().await;
    sandbox.deliver(ADA, MESSAGE).unwrap();
    sandbox.deliver(ADA, MESSAGE).unwrap();
    sandbox.script(Rule::on(Protocol::Pop3).uidls(|number, _| (number == 2).then(|| "x".to_owned())));
    sandbox.script(Rule::on(Protocol::Pop3).sizes(|number, _| number));
    let mut client = Client::logged_in(&sandbox, Service::Pop3s).await;
    assert_eq!(client.ask("STAT").await, "+OK 2 3\r\n");
    assert_eq!(client.listing("LIST").await, "+OK\r\n1 1\r\n2 2\r\n.\r\n");
    assert_eq!(client.listing("UIDL").await, "+OK\r\n2 x\r\n.\r\n");
    client.ask("QUIT").await;
    sandbox.clear_script();
    sandbox.script(Rule::on(Protocol::Pop3).hide_capability("UIDL"));
    let mut client = Client::logged_in(&sandbox, Service::Pop3s).await;
    assert!(client.ask("UIDL").await.starts_with("-ERR "));
}

#[tokio::test]
async fn nothing_is_deleted_without_quit() {
    let sandbox = start().await;
    sandbox.deliver(ADA, MESSAGE).unwrap();
    let mut client = Client::logged_in(&sandbox, Service::Pop3s).await;
    client.ask("DELE 1").await;
    client.ask("RSET").await;
    assert!(client.ask("LIST 1").await.starts_with("+OK 1 "));
    client.ask("DELE 1").await;
    drop(client);
    // The lock goes with the session, a moment after the client.
    let released = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let mut client = Client::connect(&sandbox, Service::Pop3s).await;
            client.ask(&format!("USER {ADA}")).await;
            let answer = client.ask(&format!("PASS {PASSWORD}")).await;
            if answer.starts_with("+OK 1 messages") {
                return;
            }
            assert!(answer.starts_with("-ERR [IN-USE]"), "{answer}");
        }
    });
    released.await.expect("the mailbox is released");
    assert_eq!(sandbox.messages(ADA).len(), 1);
}

#[tokio::test]
async fn a_mailbox_has_one_session() {
    let sandbox = start().await;
    let _first = Client::logged_in(&sandbox, Service::Pop3s).await;
    let mut second = Client::connect(&sandbox, Service::Pop3s).await;
    second.ask(&format!("USER {ADA}")).await;
    assert!(second.ask(&format!("PASS {PASSWORD}")).await.starts_with("-ERR [IN-USE]"));
    second.ask("USER bob@example.test").await;
    assert_eq!(second.ask(&format!("PASS {PASSWORD}")).await, "+OK 0 messages\r\n");
}

#[tokio::test]
async fn stls_comes_before_the_login() {
    let sandbox = start().await;
    let mut client = Client::connect(&sandbox, Service::Pop3).await;
    let offered = client.listing("CAPA").await;
    assert!(offered.contains("STLS\r\n") && !offered.contains("USER"), "{offered}");
    assert!(client.ask(&format!("USER {ADA}")).await.starts_with("-ERR [SYS/PERM]"));
    assert_eq!(client.ask("STLS").await, "+OK ready for TLS\r\n");
    let mut client = client.secure(&sandbox).await.unwrap();
    let offered = client.listing("CAPA").await;
    assert!(!offered.contains("STLS") && offered.contains("USER\r\nSASL PLAIN\r\n"), "{offered}");
    assert_eq!(client.ask("AUTH PLAIN").await, "+ \r\n");
    assert!(client.ask(&STANDARD.encode(format!("\0{ADA}\0wrong"))).await.starts_with("-ERR [AUTH]"));
    let plain = STANDARD.encode(format!("\0{ADA}\0{PASSWORD}"));
    assert_eq!(client.ask(&format!("AUTH PLAIN {plain}")).await, "+OK 0 messages\r\n");
    let logins = sandbox.logins()[ADA];
    assert_eq!((logins.attempted, logins.accepted), (2, 1));
}

#[tokio::test]
async fn commands_may_be_pipelined() {
    let sandbox = start().await;
    for _ in 0..3 {
        sandbox.deliver(ADA, &b"\r\nx\r\n"[..]).unwrap();
    }
    let mut client = Client::logged_in(&sandbox, Service::Pop3s).await;
    client.send("RETR 1\r\nRETR 2\r\nRETR 3\r\nQUIT\r\n").await;
    let retr = "+OK 5 octets\r\n\r\nx\r\n.\r\n";
    assert_eq!(String::from_utf8(client.rest().await.0).unwrap(), format!("{}+OK bye\r\n", retr.repeat(3)));
}
