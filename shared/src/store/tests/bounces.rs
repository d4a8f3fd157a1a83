//! What came back: found by Message-ID, noted whatever else happens to the message.

use super::outbox::{new, outcome};
use super::*;
use crate::model::report::{Bounce, BounceKind};
use crate::model::{MessageId, RecipientState, SendState};
use crate::store::{Bounced, Claim, Claimed, NewOutgoing};

fn bounced(address: &str) -> Bounced {
    let report = MessageId::derived(&["report"]);
    let words = Some("550 5.1.1 no such user".into());
    let bounce = Bounce { kind: BounceKind::Hard, code: Some("5.1.1".into()), text: words, at: at(9), report };
    Bounced { address: address.to_owned(), bounce }
}

#[tokio::test]
async fn a_bounce_is_noted_once_and_no_attempt_at_the_message_takes_it_back() {
    let bench = Bench::start().await;
    let (outbox, one) = (bench.outbox(), tenant("one"));
    let id = MessageId::derived(&["own"]);
    let message_id = format!("<{id}@example.com>");
    let own = NewOutgoing { message_id: message_id.clone(), ..new(&id, 2) };
    outbox.note_message_id(&one, &message_id, &id).await.unwrap();
    let Claimed::Ours(claimed) = outbox.insert(&one, own, Claim::Sending(at(60))).await.unwrap() else { panic!() };

    // Both read the row; the second writer has to read it again.
    let list = [bounced("r1@example.com")];
    bench.lose_next_answer();
    let lost = outbox.note_bounces(&one, &claimed, &list).await;
    assert!(lost.is_ok() || lost.unwrap_err().is_conflict(), "the SDK asked again, and it is done");
    assert!(outbox.note_bounces(&one, &claimed, &[]).await.unwrap_err().is_conflict());
    let finished =
        outbox.finish(&one, &claimed, outcome(SendState::Sent, RecipientState::Sent, 2, None)).await.unwrap();
    assert_eq!((finished.bounces.as_slice(), finished.bounced), (&list[..], 1));
    let shown = finished.outgoing().recipients;
    assert_eq!((&shown[0].bounce, &shown[1].bounce), (&None, &Some(list[0].bounce.clone())));
    assert_eq!(finished.message().delivery, Some(shown));

    let found = outbox.by_message_id(&one, &message_id).await.unwrap().unwrap();
    assert_eq!(found, finished);
    outbox.note_bounces(&one, &found, &[list[0].clone(), bounced("r0@example.com")]).await.unwrap();
    assert_eq!(outbox.get(&one, &id).await.unwrap().unwrap().bounces.len(), 2);
    // Another tenant, another domain, another form: no message of ours.
    assert_eq!(outbox.by_message_id(&tenant("two"), &message_id).await.unwrap(), None);
    for stranger in [format!("<{id}@example.org>"), format!("{id}@example.com"), "<>".into(), String::new()] {
        assert_eq!(outbox.by_message_id(&one, &stranger).await.unwrap(), None, "{stranger}");
    }
}

#[tokio::test]
async fn a_message_id_of_the_callers_leads_to_its_message() {
    let (outbox, one) = (Bench::start().await.outbox(), tenant("one"));
    let (id, message_id) = (MessageId::derived(&["given"]), "<order.4711@shop.example>");
    let given = NewOutgoing { message_id: message_id.into(), ..new(&id, 1) };
    outbox.note_message_id(&one, message_id, &id).await.unwrap();
    let _ = outbox.insert(&one, given, Claim::Held).await.unwrap();
    assert_eq!(outbox.by_message_id(&one, message_id).await.unwrap().map(|row| row.id), Some(id));
    assert_eq!(outbox.by_message_id(&tenant("two"), message_id).await.unwrap(), None);
}
