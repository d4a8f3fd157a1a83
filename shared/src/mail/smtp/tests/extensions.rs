//! SMTPUTF8, DSN and SIZE: told where they are offered, and what becomes of a message where they are not.

use super::{Peer, Terms, terms, to};
use crate::mail::smtp::Content;
use crate::model::ProbeCode;
use crate::model::content::{Dsn, DsnNotify, DsnReturn};

const ALL: &str = "250-mail.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 AUTH PLAIN\r\n";

fn wishes() -> Dsn {
    Dsn {
        return_: Some(DsnReturn::Headers),
        envelope_id: Some("order+1=a b".to_owned()),
        notify: vec![DsnNotify::Success, DsnNotify::Delay],
        required: false,
    }
}

#[tokio::test]
async fn delivery_reports_are_asked_for_where_they_are_offered() {
    let peer = Peer::new(ALL);
    let dsn = wishes();
    let terms = Terms { dsn: Some(&dsn), ..terms(20, false) };
    let mut client = peer.client().await.unwrap();
    let recipients = to(&["bob+x@example.org", "jörg@bücher.example"]);
    assert!(client.envelope("ada@example.test", &recipients, terms).await.unwrap().transaction.is_some());
    let heard = peer.heard();
    for line in [
        "MAIL FROM:<ada@example.test> SMTPUTF8 RET=HDRS ENVID=order+2B1+3Da+20b\r\n",
        "RCPT TO:<bob+x@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@example.org\r\n",
        "RCPT TO:<jörg@xn--bcher-kva.example> NOTIFY=SUCCESS,DELAY\r\n",
    ] {
        assert!(heard.contains(line), "{line}: {heard}");
    }
}

#[tokio::test]
async fn without_dsn_wishes_are_dropped_and_demands_refused() {
    let peer = Peer::simple();
    let mut dsn = wishes();
    let mut client = peer.client().await.unwrap();
    let recipients = to(&["bob@example.org"]);
    let told = Terms { dsn: Some(&dsn), ..terms(20, false) };
    assert!(client.envelope("ada@example.test", &recipients, told).await.unwrap().transaction.is_some());
    assert!(peer.heard().contains("MAIL FROM:<ada@example.test>\r\nRCPT TO:<bob@example.org>\r\n"));
    dsn.required = true;
    let told = Terms { dsn: Some(&dsn), ..terms(20, false) };
    let error = client.envelope("ada@example.test", &recipients, told).await.unwrap_err();
    assert!(error.code == ProbeCode::MessageRejected && error.detail.contains("DSN"), "{error:?}");
    assert_eq!(peer.heard().matches("MAIL").count(), 1, "refused before MAIL");
}

#[tokio::test]
async fn an_international_header_needs_smtputf8() {
    let message = "From: a@b.test\r\nTo: jörg@example.test\r\n\r\nx\r\n";
    let terms = Content::check(message.as_bytes()).unwrap().terms();
    let (able, unable) = (Peer::new(ALL), Peer::simple());
    let recipients = to(&["bob@example.org"]);
    let mut client = able.client().await.unwrap();
    assert!(client.envelope("a@b.test", &recipients, terms).await.unwrap().transaction.is_some());
    assert!(able.heard().contains("MAIL FROM:<a@b.test> BODY=8BITMIME SMTPUTF8\r\n"), "{}", able.heard());
    let error = unable.client().await.unwrap().envelope("a@b.test", &recipients, terms).await.unwrap_err();
    assert!(error.code == ProbeCode::MessageRejected && error.detail.contains("SMTPUTF8"), "{error:?}");
    assert!(!unable.heard().contains("MAIL"), "refused before MAIL");
}

#[tokio::test]
async fn an_ascii_local_part_needs_no_smtputf8_and_another_is_refused_alone() {
    let peer = Peer::simple();
    let mut client = peer.client().await.unwrap();
    let recipients = to(&["bob@bücher.example", "jörg@example.test"]);
    let envelope = client.envelope("a@b.test", &recipients, terms(20, false)).await.unwrap();
    assert!(envelope.transaction.is_some());
    let words = envelope.verdicts[1].as_ref().unwrap_err();
    assert!(envelope.verdicts[0].is_ok() && words.code.is_none() && words.text.contains("SMTPUTF8"), "{words:?}");
    let heard = peer.heard();
    assert!(heard.contains("RCPT TO:<bob@xn--bcher-kva.example>\r\n") && heard.matches("RCPT").count() == 1, "{heard}");
}
