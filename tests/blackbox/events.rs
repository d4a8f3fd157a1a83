//! Events from what happens to whoever is told: each once, by one id, however often it is reported, read or handed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::proxy::{Call, Fault, Proxy};
use tests::receiver::{Mood, Receiver, Told};
use tests::runtime::{Function, Setup};
use tests::until;

use crate::bounces::{FULL, GONE, arrives, complaint, report};
use crate::pull::pull_all;
use crate::send::sender;
use crate::webhooks::{deliver, hook, of_kind, taken};
use crate::{account, oauth, run, service};

/// What notify is handed: one record of the table's stream.
const RECORD: &str = include_str!("../../infra/events/notify.json");

const SPAM: &str = "spam@example.org";

/// An answer of a program (RFC 3834) to a message of ours.
fn away(message_id: &str) -> Vec<u8> {
    format!(
        "From: {GONE}\r\nTo: ada@example.test\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\
         In-Reply-To: {message_id}\r\nReferences: {message_id}\r\nMessage-ID: <away@example.org>\r\n\r\nI am away.\r\n"
    )
    .into_bytes()
}

/// Ids of the events of some kinds that the bus has about a tenant, by kind.
async fn on_bus(tenant: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in service().await.aws().await.events(tenant).await {
        let [kind, id] = ["type", "id"].map(|name| event["detail"][name].as_str().unwrap().to_owned());
        ids.entry(kind).or_default().insert(id);
    }
    ids
}

fn ids(told: &[Told]) -> BTreeSet<String> {
    told.iter().map(|told| told.id.clone()).collect()
}

#[test]
fn bounces_and_complaints_are_told_once_and_answers_of_programs_are_none() {
    run(async {
        let (tenant, client, peer, path) = sender().await;
        let receiver = Receiver::start(Mood::Half).await;
        let kinds = json!(["message.bounced", "message.complained"]);
        let (_, secret) = hook(&client, json!({"url": receiver.url, "events": kinds})).await;
        let mail = json!({"to": [GONE, FULL, SPAM], "subject": "News", "text": "x"});
        let sent = client.post(format!("{path}/messages"), &mail).await.value(200);
        let message_id = sent["messageId"].as_str().unwrap();

        let answer = arrives(&peer, &client, &path, away(message_id)).await;
        assert_eq!((&answer["autoReply"], answer.get("report")), (&json!("replied"), None), "{answer}");
        let dsn =
            report(message_id, &[(GONE, "failed", "5.1.1"), (FULL, "failed", "5.2.2"), (SPAM, "delayed", "4.4.1")]);
        let bounced = arrives(&peer, &client, &path, dsn.clone()).await;
        let complained = arrives(&peer, &client, &path, complaint(message_id, SPAM)).await;
        // The same report once more, and all of them read once more.
        let _ = arrives(&peer, &client, &path, dsn).await;
        let again = json!({"since": "2026-01-01T00:00:00Z"});
        assert_eq!(client.post(format!("{path}/reparse"), &again).await.value(200)["reparsed"], 4);

        let told = taken(&receiver, 3).await;
        let bounce = |address: &str, kind: &str, code: &str, report: &Value| {
            let mut bounce = json!({"recipient": address, "kind": kind, "code": code, "at": report["receivedAt"], "report": report["id"]});
            if kind != "complaint" {
                bounce["text"] = json!(format!("550 {code} as it is"));
            }
            bounce
        };
        let expected = [
            ("message.bounced", bounce(GONE, "hard", "5.1.1", &bounced)),
            ("message.bounced", bounce(FULL, "soft", "5.2.2", &bounced)),
            ("message.complained", bounce(SPAM, "complaint", "abuse", &complained)),
        ];
        for (kind, bounce) in expected {
            let bodies = of_kind(&told, kind);
            let body = bodies.iter().find(|body| body["data"]["bounce"] == bounce);
            let body = body.unwrap_or_else(|| panic!("{kind} {bounce}: {bodies:?}"));
            assert_eq!((&body["data"]["message"]["id"], &body["data"]["account"]), (&sent["id"], &json!("mail")));
        }
        // What comes behind all that has been told: so nothing more is to come.
        let last = arrives(&peer, &client, &path, corpus::plain(1)).await;
        until("the last message is told", async || {
            let received = tests::checker::announced(&service().await.aws().await, &tenant).await;
            received.get(last["id"].as_str().unwrap()).map(drop)
        })
        .await;
        let bus = on_bus(&tenant).await;
        assert_eq!((bus["message.bounced"].len(), bus["message.complained"].len()), (2, 1), "{bus:?}");
        let all = receiver.told();
        assert!(all.iter().any(|told| told.status == 500) && all.iter().all(|told| told.is_signed_with(&secret)));
        assert_eq!(ids(&all), &bus["message.bounced"] | &bus["message.complained"], "by hook and by bus, at every try");
        let listed = client.get("/v1/suppressions").await.value(200);
        let reasons: BTreeMap<_, _> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["address"].as_str().unwrap(), item["reason"].as_str().unwrap()))
            .collect();
        assert_eq!(reasons, BTreeMap::from([(GONE, "hardBounce"), (SPAM, "complaint")]));
    });
}

#[test]
fn a_risk_is_told_when_it_is_seen_and_not_again() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let receiver = Receiver::start(Mood::Status(204)).await;
        hook(&client, json!({"url": receiver.url, "events": ["risk.raised", "message.received"]})).await;
        let (peer, issuer) = oauth::start(3600).await;
        issuer.limit(10 * 86_400);
        let settings = oauth::settings(&peer, Receive::Imap, &issuer.auth(&peer.user, &issuer.consent()));
        let path = account(&client, "ada", &settings).await;
        pull_all(&client, &path).await;
        let told = of_kind(&taken(&receiver, 2).await, "risk.raised");
        let sides: BTreeSet<_> = told.iter().map(|body| body["data"]["risk"]["side"].as_str().unwrap()).collect();
        assert_eq!(sides, BTreeSet::from(["receive", "smtp"]), "both sign in so: {told:?}");
        let risk = &told[0]["data"]["risk"];
        assert_eq!(
            (&risk["code"], &risk["severity"], &risk["account"]),
            (&json!("refresh_token_expiring"), &json!("warning"), &json!("ada"))
        );
        let listed = client.get("/v1/risks").await.value(200);
        let seen = listed["items"].as_array().unwrap().iter().any(|item| item == risk);
        assert!(seen, "as it is listed: {listed}");
        deliver(&peer, [corpus::plain(1)]);
        pull_all(&client, &path).await;
        until("what came behind it is told", async || of_kind(&receiver.told(), "message.received").pop()).await;
        assert_eq!(on_bus(&tenant).await["risk.raised"].len(), 2);
    });
}

/// What is announced again, by rewind and by reparse, is the same event to whoever counts.
#[test]
fn what_is_told_again_keeps_its_id() {
    run(async {
        for receive in Receive::BOTH {
            let (tenant, client) = service().await.tenant();
            let receiver = Receiver::start(Mood::Status(200)).await;
            hook(&client, json!({"url": receiver.url})).await;
            let peer = Peer::start().await;
            deliver(&peer, (0..3).map(corpus::plain));
            let path = account(&client, "mail", &peer.account(receive, Way::Tls)).await;
            assert_eq!(pull_all(&client, &path).await, 3);
            let first: BTreeMap<_, _> = by_message(&taken(&receiver, 3).await);
            let since = "2026-01-01T00:00:00Z";
            for (times, again, body, count) in [
                (2, "rewind", json!({"to": since}), "announced"),
                (3, "reparse", json!({"since": since}), "reparsed"),
                (4, "reparse", json!({"messages": first.keys().collect::<Vec<_>>()}), "reparsed"),
            ] {
                assert_eq!(client.post(format!("{path}/{again}"), &body).await.value(200)[count], 3, "{again}");
                let told = until("all of them are told again", async || {
                    let told = receiver.taken();
                    let often = |id: &String| told.iter().filter(|told| told.id == *id).count() >= times;
                    first.values().all(often).then_some(told)
                })
                .await;
                assert_eq!(by_message(&told), first, "{receive:?}, {again}: the same ids");
                assert!(
                    told.iter().all(|told| told.kind() == "message.received"),
                    "{receive:?}, {again}: no other event"
                );
            }
            pull_all(&client, &path).await;
            assert_eq!(on_bus(&tenant).await.into_values().flatten().collect::<BTreeSet<_>>().len(), 3);
        }
    });
}

/// `webhook-id` by message. A message under two ids is two events.
fn by_message(told: &[Told]) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for told in told {
        let message = told.json()["data"]["message"]["id"].as_str().unwrap().to_owned();
        let known = ids.insert(message, told.id.clone());
        assert!(known.is_none_or(|known| known == told.id), "{told:?}");
    }
    ids
}

/// A row that cannot be read is put aside, and holds up nobody.
#[test]
fn a_damaged_row_stops_no_event() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        deliver(&peer, [corpus::plain(1), corpus::plain(2)]);
        pull_all(&client, &path).await;
        let damaged = format!("T#{tenant}#M#{}", "0".repeat(32));
        service().await.aws().await.write(&[json!({"pk": damaged, "sk": "M", "m": "nonsense"})]).await;
        deliver(&peer, [corpus::plain(3), corpus::plain(4)]);
        pull_all(&client, &path).await;
        until("the others are told", async || {
            let told = tests::checker::announced(&service().await.aws().await, &tenant).await;
            (told.len() == 4).then_some(())
        })
        .await;
        service().await.aws().await.delete(&format!("{damaged} / M")).await;
    });
}

/// Records of the stream as notify is handed them.
struct Batch {
    tenant: String,
    records: Vec<Value>,
}

impl Batch {
    fn new(tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), records: Vec::new() }
    }

    /// A message that was stored.
    fn message(mut self) -> Self {
        let number = self.records.len();
        let mut record = serde_json::from_str::<Value>(RECORD).unwrap()["Records"][0].take();
        let id = format!("{number:032x}");
        let change = &mut record["dynamodb"];
        let pk = json!({"S": format!("T#{}#M#{id}", self.tenant)});
        (change["Keys"]["pk"], change["NewImage"]["pk"]) = (pk.clone(), pk);
        change["NewImage"]["lsk"] = json!({"S": format!("2026-11-21T08:00:00.000Z#{id}")});
        change["SequenceNumber"] = json!(sequence(number));
        self.records.push(record);
        self
    }

    /// The last one is damaged.
    fn damaged(mut self) -> Self {
        self.records.last_mut().unwrap()["dynamodb"]["NewImage"]["m"] = json!({"S": "nonsense"});
        self
    }

    /// An account's status that means a risk, which needs the account's settings to be told.
    fn status(mut self) -> Self {
        self = self.message();
        let change = &mut self.records.last_mut().unwrap()["dynamodb"];
        change["Keys"] = json!({"pk": {"S": format!("T#{}#S", self.tenant)}, "sk": {"S": "mail"}});
        change["NewImage"] = change["Keys"].clone();
        change["NewImage"]["refreshTokenExpiresAt"] = json!({"S": "2026-11-30T00:00:00.000Z"});
        self
    }

    fn event(&self) -> Bytes {
        json!({"Records": self.records}).to_string().into()
    }
}

fn sequence(number: usize) -> String {
    format!("{:021}", number + 1)
}

/// Row 30: storage that fails in the middle of a batch has it come again from there, and what had left before leaves
/// with the same ids. What is damaged does not come again.
#[test]
fn a_batch_that_fails_comes_again_from_where_it_failed() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let receiver = Receiver::start(Mood::Status(200)).await;
        hook(&client, json!({"url": receiver.url})).await;
        let broken: Arc<Mutex<Option<&str>>> = Arc::default();
        let judged = Arc::clone(&broken);
        let judge =
            move |call: &Call<'_>| judged.lock().unwrap().filter(|name| *name == call.name).map(|_| Fault::Broken);
        let proxy = Proxy::start(service().await, judge).await;
        let setup = Setup { env: proxy.env.clone(), ..Setup::default() };
        let mut notify = Function::start(service().await, "notify", &setup).await;
        let mut tell = async |batch: &Batch, fault: Option<&'static str>| {
            *broken.lock().unwrap() = fault;
            let answer = notify.invoke(batch.event()).await.expect("it answers");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            answer["batchItemFailures"]
                .as_array()
                .unwrap()
                .iter()
                .map(|failure| failure["itemIdentifier"].clone())
                .collect::<Vec<_>>()
        };
        let batch = Batch::new(&tenant).message().message().status().message();
        let from = |number: usize| vec![json!(sequence(number))];
        assert_eq!(tell(&batch, Some("dynamodb.PutEvents")).await, from(0), "no bus: all of it");
        assert!(on_bus(&tenant).await.is_empty());
        assert_eq!(tell(&batch, Some("sqs.SendMessageBatch")).await, from(0), "no queue: all of it");
        let before = on_bus(&tenant).await;
        assert_eq!(before["message.received"].len(), 3);
        assert_eq!(tell(&batch, Some("dynamodb.GetItem")).await, from(2), "a record cannot be read now: from there on");
        assert_eq!(ids(&taken(&receiver, 2).await).len(), 2, "what stands before it is told");
        assert!(tell(&batch, None).await.is_empty());
        let told = taken(&receiver, 3).await;
        assert_eq!((ids(&told), on_bus(&tenant).await), (before["message.received"].clone(), before));

        let damaged = Batch::new(&tenant).message().message().damaged().message();
        assert_eq!(tell(&damaged, Some("sqs.SendMessageBatch")).await, from(0), "it cannot be put aside: all again");
        assert!(tell(&damaged, None).await.is_empty(), "it is put aside");
    });
}
