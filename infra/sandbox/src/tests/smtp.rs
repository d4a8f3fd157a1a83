use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::Client;
use super::{ADA, MESSAGE, PASSWORD, options, start};
use crate::{Options, Sandbox, Service};

fn plain() -> String {
    STANDARD.encode(format!("\0{ADA}\0{PASSWORD}"))
}

async fn greeted(sandbox: &Sandbox, service: Service) -> Client {
    let mut client = Client::connect(sandbox, service).await;
    assert!(client.reply("EHLO test").await.starts_with("250-"));
    client
}

#[tokio::test]
async fn a_mail_is_stored_as_it_was_sent() {
    let sandbox = start().await;
    let mut client = greeted(&sandbox, Service::Smtp).await;
    assert_eq!(client.ask("MAIL FROM:<bob@elsewhere.test> SIZE=60 BODY=8BITMIME").await, "250 2.1.0 Sender ok\r\n");
    assert_eq!(client.ask("RCPT TO:<Ada@Example.Test>").await, "250 2.1.5 Recipient ok\r\n");
    assert_eq!(client.ask("RCPT TO:<nobody@example.test>").await, "550 5.1.1 No such mailbox\r\n");
    assert_eq!(client.ask("RCPT TO:<carol@elsewhere.test>").await, "250 2.1.5 Recipient ok\r\n");
    assert!(client.ask("DATA").await.starts_with("354 "));
    let wire = b"From: bob@elsewhere.test\r\nSubject: Hello\r\n\r\n..dot\r\nbody\r\n.\r\n";
    client.send(wire).await;
    assert_eq!(client.line().await, "250 2.0.0 Accepted as 1\r\n");
    assert_eq!(client.ask("QUIT").await, "221 2.0.0 Bye\r\n");
    assert_eq!(client.rest().await.0, b"");

    let received = sandbox.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].from, "bob@elsewhere.test");
    assert_eq!(received[0].recipients, ["Ada@Example.Test", "carol@elsewhere.test"]);
    assert_eq!(received[0].bytes, MESSAGE);
    assert_eq!(received[0].wire, &wire[..]);
    assert_eq!((received[0].service, received[0].tls, &received[0].login), (Service::Smtp, false, &None));
    let messages = sandbox.messages(ADA);
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].uid, &messages[0].bytes[..]), (1, MESSAGE));
    assert_eq!(sandbox.messages("bob@example.test"), []);
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let sandbox = start().await;
    let mut client = greeted(&sandbox, Service::Smtp).await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<ada@example.test>\r\nDATA\r\n").await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(client.line().await[..3].to_owned());
    }
    assert_eq!(codes, ["250", "550", "250", "354"]);
    client.send(".\r\nRSET\r\n").await;
    assert_eq!(client.line().await, "250 2.0.0 Accepted as 1\r\n");
    assert_eq!(client.line().await, "250 2.0.0 Reset\r\n");
    assert_eq!(sandbox.messages(ADA)[0].bytes, &b""[..]);
}

#[tokio::test]
async fn bare_line_ends_are_refused_and_end_nothing() {
    let sandbox = start().await;
    let mut client = greeted(&sandbox, Service::Smtp).await;
    for body in ["a\nb\r\n.\r\n", "a\r\n.\nb\r\n.\r\n", "a\n.\n\r\n.\r\n", "a\r.\rb\r\n.\r\n", "a\0\r\n.\r\n"] {
        client.ask("MAIL FROM:<>").await;
        client.ask(&format!("RCPT TO:<{ADA}>")).await;
        client.ask("DATA").await;
        client.send(body).await;
        assert_eq!(client.line().await, "554 5.6.0 Bare CR, bare LF or NUL\r\n", "{body:?}");
    }
    client.send("NOOP\n").await;
    assert_eq!(client.line().await, "500 5.5.2 Lines end with CRLF\r\n");
    assert_eq!(client.ask("NOOP").await, "250 2.0.0 Done\r\n");
    assert_eq!(sandbox.received(), []);
}

#[tokio::test]
async fn submission_wants_tls_and_a_login() {
    let sandbox = start().await;
    let mut client = Client::connect(&sandbox, Service::Submission).await;
    let offered = client.reply("EHLO test").await;
    assert!(offered.contains("STARTTLS") && !offered.contains("AUTH"), "{offered}");
    assert_eq!(client.ask("MAIL FROM:<a@b.test>").await, "530 5.7.0 Log in first\r\n");
    assert!(client.ask(&format!("AUTH PLAIN {}", plain())).await.starts_with("530 5.7.0"));
    // What is pipelined behind STARTTLS is thrown away, and the EHLO is forgotten.
    client.send("STARTTLS\r\nNOOP\r\n").await;
    assert_eq!(client.line().await, "220 2.0.0 Ready for TLS\r\n");
    let mut client = client.secure(&sandbox).await.unwrap();
    assert!(client.ask(&format!("AUTH PLAIN {}", plain())).await.starts_with("503"));
    let offered = client.reply("EHLO test").await;
    assert!(!offered.contains("STARTTLS") && offered.contains("AUTH PLAIN LOGIN"), "{offered}");
    assert!(client.ask(&format!("AUTH PLAIN {}", plain())).await.starts_with("235 "));
    assert!(client.ask("MAIL FROM:<a@b.test>").await.starts_with("250 "));

    let credential = plain();
    let leaked = |line: &crate::Line| memchr::memmem::find(&line.bytes, credential.as_bytes()).is_some();
    let transcript = sandbox.transcript();
    assert_eq!(transcript.iter().filter(|line| leaked(line) && !line.tls).count(), 1);
    assert_eq!(transcript.iter().filter(|line| leaked(line) && line.tls).count(), 2);
    let logins = sandbox.logins()[ADA];
    assert_eq!((logins.attempted, logins.accepted), (1, 1));
}

#[tokio::test]
async fn every_way_to_log_in() {
    let sandbox = Sandbox::start(Options { plain_auth: true, ..options() }).await.unwrap();
    let (user, password) = (STANDARD.encode(ADA), STANDARD.encode(PASSWORD));
    let dialogues: [&[&str]; 4] = [
        &[&format!("AUTH PLAIN {}", plain())],
        &["AUTH PLAIN", &plain()],
        &["AUTH LOGIN", &user, &password],
        &[&format!("AUTH LOGIN {user}"), &password],
    ];
    for dialogue in dialogues {
        let mut client = greeted(&sandbox, Service::Smtp).await;
        let (last, first) = dialogue.split_last().unwrap();
        for line in first {
            assert!(client.ask(line).await.starts_with("334 "), "{line}");
        }
        assert_eq!(client.ask(last).await, "235 2.7.0 Welcome\r\n");
    }
    let mut client = greeted(&sandbox, Service::Smtp).await;
    assert!(client.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0ada@example.test\0no"))).await.starts_with("535 "));
    assert!(client.ask("AUTH PLAIN").await.starts_with("334"));
    assert!(client.ask("*").await.starts_with("501 "));
    assert!(client.ask("AUTH CRAM-MD5").await.starts_with("504 "));
    let logins = sandbox.logins()[ADA];
    assert_eq!((logins.attempted, logins.accepted), (5, 4));
}

#[tokio::test]
async fn too_big_is_refused_before_and_after() {
    let sandbox = start().await;
    let mut client = greeted(&sandbox, Service::Smtp).await;
    assert!(client.ask("MAIL FROM:<a@b.test> SIZE=52428801").await.starts_with("552 5.3.4"));
    client.ask("MAIL FROM:<a@b.test>").await;
    client.ask(&format!("RCPT TO:<{ADA}>")).await;
    client.ask("DATA").await;
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    let block = line.repeat(1_000);
    for _ in 0..53 {
        client.send(&block).await;
    }
    client.send(".\r\n").await;
    assert!(client.line().await.starts_with("552 5.3.4"));
    assert_eq!(client.ask("NOOP").await, "250 2.0.0 Done\r\n");
}
