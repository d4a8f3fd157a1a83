//! What a pull leans on fails at one exact moment: S3, Secrets Manager, the lease, the clock (rows 13, 14, 14b, 17, 18
//! of the fault matrix). The same at random and in numbers: `proofs` storage and pullers.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::checker::Cursors;
use tests::mailbox::{ACCOUNT, Kind, Mailbox, USER};
use tests::oauth::Issuer;
use tests::peer::{Peer, Receive, Way};
use tests::proxy::{Call, Fault, Proxy};
use tests::random::Random;
use tests::runtime::{Ending, Function, Puller, Setup};
use tests::service::{Options, Service};
use tests::{corpus, guard, until};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{account, run, service};

async fn filled(kind: Kind, count: usize) -> Mailbox {
    let mut mailbox = Mailbox::open(service().await, kind, false).await;
    mailbox.deliver(&(0..count).map(corpus::plain).collect::<Vec<_>>());
    mailbox
}

/// Its status, and how many messages are stored.
async fn pull(puller: &mut Puller, mailbox: &Mailbox) -> (u16, u64) {
    match puller.pull(&mailbox.tenant, ACCOUNT).await {
        Ending::Answered(status, answer) => (status, answer["new"].as_u64().unwrap_or_default()),
        Ending::Died => panic!("it died; see {}", puller.log.display()),
    }
}

/// Pulls until the lease of a run before is free.
async fn pull_when_free(puller: &mut Puller, mailbox: &Mailbox) -> (u16, u64) {
    until("the mailbox is free", async || {
        let pulled = pull(puller, mailbox).await;
        (pulled.0 != 409).then_some(pulled)
    })
    .await
}

async fn auth_failures(mailbox: &Mailbox) -> u64 {
    let shown = mailbox.client.get(format!("/v1/accounts/{ACCOUNT}")).await.value(200);
    assert_ne!(shown["status"]["state"], "authFailed", "{shown}");
    shown["status"]["authFailures"].as_u64().unwrap()
}

/// A process that stops at a call, before it takes effect; once. Who goes on later repeats the call.
struct Halting {
    puller: Puller,
    pid: u32,
    halted: Arc<AtomicBool>,
    armed: Arc<AtomicBool>,
}

impl Halting {
    async fn at(call: impl Fn(&Call<'_>) -> bool + Send + 'static) -> Self {
        let (pid, armed, halted) =
            (Arc::new(AtomicU32::new(0)), Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let judge = {
            let (pid, armed, halted) = (Arc::clone(&pid), Arc::clone(&armed), Arc::clone(&halted));
            move |made: &Call<'_>| {
                let here = call(made) && armed.swap(false, Ordering::SeqCst);
                if here {
                    guard::kill(pid.load(Ordering::SeqCst), Signal::STOP);
                    halted.store(true, Ordering::SeqCst);
                }
                here.then_some(Fault::Cut)
            }
        };
        let proxy = Proxy::start(service().await, judge).await;
        let puller = Puller::start(service().await, &Setup { env: proxy.env.clone(), ..Setup::default() }).await;
        pid.store(puller.pid().unwrap(), Ordering::SeqCst);
        Self { pid: puller.pid().unwrap(), puller, halted, armed }
    }

    /// Pulls, and does something else while it is halted.
    async fn pull(&mut self, mailbox: &Mailbox, meanwhile: impl AsyncFnOnce()) -> (u16, u64) {
        self.armed.store(true, Ordering::SeqCst);
        let (pid, halted) = (self.pid, Arc::clone(&self.halted));
        let other = async {
            until("it is halted", async || halted.load(Ordering::SeqCst).then_some(())).await;
            meanwhile().await;
            guard::kill(pid, Signal::CONT);
        };
        tokio::join!(pull(&mut self.puller, mailbox), other).0
    }
}

/// Row 13: S3 is busy, broken, silent, or is given other bytes than were sent. No row stands on that, the cursor stays
/// behind it, and the next run stores it. Nothing is uploaded in parts, so nothing has to be aborted.
#[test]
fn a_source_that_does_not_arrive_has_no_row_and_is_stored_by_the_next_run() {
    run(async {
        for kind in [Kind::IMAP_KEEP, Kind::POP3_DELETE] {
            let mut mailbox = filled(kind, 3).await;
            // One that is streamed from disk.
            let large = Random::new(7).bytes(1_500_000);
            mailbox.deliver(&[corpus::with_attachment(3, "large.pdf", &large), corpus::plain(4)]);
            let fault = Arc::new(Mutex::new(None));
            let now = Arc::clone(&fault);
            let judge = move |call: &Call<'_>| {
                let spared = call.body.windows(18).any(|bytes| bytes == b"This is number 0.\r".as_slice());
                (call.name == "s3.PUT" && !spared).then(|| *now.lock().unwrap()).flatten()
            };
            let proxy = Proxy::start(service().await, judge).await;
            let setup = Setup { env: proxy.env.clone(), ..Setup::default() };
            let mut puller = Puller::start(service().await, &setup).await;
            let mut cursors = Cursors::default();
            for way in [Fault::Throttled, Fault::Broken, Fault::Cut, Fault::Damaged, Fault::Lost] {
                *fault.lock().unwrap() = Some(way);
                let (status, _) = pull_when_free(&mut puller, &mailbox).await;
                assert!(status >= 500, "{way:?}: {status}");
                assert_eq!((rows(&mailbox).await, mailbox.remaining().len()), (1, 5), "{kind:?} {way:?}");
                mailbox.watch(&mut cursors).await;
                assert_eq!(cursors.faults, 0, "{kind:?} {way:?}: I10");
            }
            *fault.lock().unwrap() = None;
            assert_eq!(pull_when_free(&mut puller, &mailbox).await, (200, 4), "{kind:?}");
            let end = mailbox.judge().await;
            assert!(end.is_kept(&mailbox), "{kind:?}: {end:?}");
            assert_eq!(proxy.counts().get("s3.POST"), None, "no upload in parts was ever begun");
        }
    });
}

async fn rows(mailbox: &Mailbox) -> usize {
    service().await.aws().await.items_of(&format!("T#{}#M#", mailbox.tenant)).await.len()
}

/// Row 14: who knows the password already goes on; whoever does not is left for later, and nobody takes it for wrong.
#[test]
fn a_throttled_secrets_manager_is_no_wrong_password() {
    run(async {
        let parameters = [("TickRate", "rate(1 hour)"), ("TickSeconds", "60"), ("LeaseSeconds", "1")];
        let parameters = parameters.map(|(name, value)| (name, value.to_owned())).to_vec();
        let service = Service::start(Options { parameters, ..Options::default() }).await;
        let throttled = Arc::<AtomicBool>::default();
        let now = Arc::clone(&throttled);
        let judge = move |call: &Call<'_>| {
            let hit = call.name.starts_with("secretsmanager.") && now.load(Ordering::SeqCst);
            hit.then_some(Fault::Throttled)
        };
        let proxy = Proxy::start(&service, judge).await;
        let setup = Setup { env: proxy.env.clone(), ..Setup::default() };
        // Both functions that pull, each with its own memory; polled: else a worker takes no tick for meant.
        let mut puller = Puller::start(&service, &setup).await;
        let mut worker = Function::start(&service, "pull-worker", &setup).await;
        let mut mailboxes = Vec::new();
        for number in 0..2 {
            let mut mailbox = Mailbox::open(&service, Kind::IMAP_KEEP, true).await;
            mailbox.deliver(&[corpus::plain(number)]);
            mailboxes.push(mailbox);
        }
        let [one, other] = mailboxes.as_mut_slice() else { panic!("there are two") };
        let aws = service.aws().await;
        let stored = async |mailbox: &Mailbox| aws.items_of(&format!("T#{}#M#", mailbox.tenant)).await.len();
        assert_eq!(pull(&mut puller, one).await, (200, 1));
        assert_eq!(work(&mut worker, &[one]).await, json!([]));

        throttled.store(true, Ordering::SeqCst);
        one.deliver(&[corpus::plain(10)]);
        assert_eq!(pull(&mut puller, one).await, (200, 1), "from memory");
        assert_eq!(pull(&mut puller, other).await, (503, 0));
        one.deliver(&[corpus::plain(11)]);
        assert_eq!(work(&mut worker, &[one, other]).await, json!([]), "left out, and no failure of the batch");
        assert_eq!((stored(one).await, stored(other).await), (3, 0));
        assert_eq!((logins(one), logins(other)), ((4, 4), (0, 0)));
        assert_eq!((auth_failures(one).await, auth_failures(other).await), (0, 0));

        throttled.store(false, Ordering::SeqCst);
        assert_eq!(work(&mut worker, &[one, other]).await, json!([]));
        for mailbox in [one, other] {
            let end = mailbox.judge().await;
            assert!(end.is_kept(mailbox), "{end:?}");
        }
    });
}

/// Hands mailboxes to `pull-worker`, as its queue does; what it says of failures.
async fn work(worker: &mut Function, mailboxes: &[&Mailbox]) -> Value {
    let wanted: Vec<_> =
        mailboxes.iter().map(|mailbox| json!({"tenant": mailbox.tenant, "account": ACCOUNT})).collect();
    let job = json!({"tick": OffsetDateTime::now_utc().format(&Rfc3339).unwrap(), "mailboxes": wanted});
    let record = json!({"messageId": "m1", "body": job.to_string(), "eventSource": "aws:sqs"});
    let answer = worker.invoke(json!({"Records": [record]}).to_string().into()).await.unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["batchItemFailures"].clone()
}

/// Logins that were tried, and those that were right.
fn logins(mailbox: &Mailbox) -> (usize, usize) {
    mailbox
        .sandbox()
        .logins()
        .values()
        .fold((0, 0), |(tried, right), one| (tried + one.attempted, right + one.accepted))
}

/// Row 14b: one login more with the new password, and no failure that would count.
#[test]
fn a_password_that_changes_between_reading_and_login_costs_one_login_more() {
    run(async {
        for kind in [Kind::IMAP_KEEP, Kind::POP3_DELETE] {
            let mut mailbox = filled(kind, 2).await;
            // The account's row has been read when its status is.
            let reads_status = |call: &Call<'_>| call.name == "dynamodb.GetItem" && holds(call, "#S\"");
            let mut halting = Halting::at(reads_status).await;
            assert_eq!(pull(&mut halting.puller, &mailbox).await, (200, 2));
            mailbox.deliver(&[corpus::plain(2)]);
            let (tried, right) = logins(&mailbox);
            let change = async || {
                mailbox.sandbox().add_user(USER, "changed meanwhile").unwrap();
                let new = json!({"receive": {"auth": {"password": "changed meanwhile"}}});
                let path = format!("/v1/accounts/{ACCOUNT}");
                let _ = mailbox.client.ask(Method::PATCH, path).json(&new).send().await.is(200);
            };
            let (status, _) = halting.pull(&mailbox, change).await;
            // 409: the settings that it was to pull for are no more, and there is news.
            assert!([200, 409].contains(&status), "{status}");
            assert_eq!(logins(&mailbox), (tried + 2, right + 1), "{kind:?}: once in vain, once more");
            assert_eq!(auth_failures(&mailbox).await, 0);
            let end = mailbox.judge().await;
            assert!(end.is_kept(&mailbox), "{kind:?}: {end:?}");
            assert_eq!(logins(&mailbox).0 - logins(&mailbox).1, 1, "no other login was refused");
        }
    });
}

fn holds(call: &Call<'_>, text: &str) -> bool {
    String::from_utf8_lossy(call.body).contains(text)
}

/// Row 17: who slept through the end of his lease deletes nothing at the server.
#[test]
fn who_lost_the_lease_while_he_was_stopped_deletes_nothing() {
    run(async {
        let service = service().await;
        for kind in [Kind::IMAP_DELETE, Kind::POP3_DELETE] {
            let mut mailbox = filled(kind, 5).await;
            let _ = mailbox.pull().await.is(200);
            // Nothing is new: the first time that it makes sure of its lease is before it deletes.
            let renews = |call: &Call<'_>| call.name == "dynamodb.UpdateItem" && holds(call, "SET #until = :until");
            let mut halting = Halting::at(renews).await;
            let session = std::cell::Cell::new(0);
            let other = async || {
                session.set(last_session(&mailbox));
                if kind.receive == Receive::Imap {
                    until("another one has pulled", async || (mailbox.pull().await.status == 200).then_some(())).await;
                } else {
                    // The maildrop is locked (RFC 1939 §4): another one takes the lease and comes no further.
                    take_lease(service, &mailbox).await;
                }
            };
            let (status, _) = halting.pull(&mailbox, other).await;
            // 503: it was stopped for so long that it does not ask again.
            assert!([409, 503].contains(&status), "{kind:?}: {status}");
            let said = deletions(&mailbox, session.get());
            assert!(said.is_empty(), "{kind:?}: {said:?}");
            mailbox.deliver(&[corpus::plain(5), corpus::plain(6)]);
            let end = mailbox.judge().await;
            assert!(end.is_kept(&mailbox), "{kind:?}: {end:?}");
        }
    });
}

fn last_session(mailbox: &Mailbox) -> u64 {
    mailbox.sandbox().transcript().iter().map(|line| line.session).max().unwrap_or_default()
}

/// Commands of a session that delete.
fn deletions(mailbox: &Mailbox, session: u64) -> Vec<String> {
    let lines = mailbox.sandbox().transcript();
    let said = lines.iter().filter(|line| line.from_client && line.session == session);
    let said = said.map(|line| String::from_utf8_lossy(&line.bytes).into_owned());
    said.filter(|line| ["DELE ", "STORE ", "EXPUNGE"].iter().any(|verb| line.contains(verb))).collect()
}

/// Holds the mailbox's lease as another process, whose time is up as well.
async fn take_lease(service: &Service, mailbox: &Mailbox) {
    let aws = service.aws().await;
    let held = aws.items_of(&format!("T#{}#", mailbox.tenant)).await;
    let (_, mut lease) = held.into_iter().find(|(_, item)| item["fence"].is_number()).unwrap();
    lease["owner"] = json!("another");
    lease["fence"] = json!(lease["fence"].as_u64().unwrap() + 1);
    lease["until"] = json!(0);
    aws.write(&[lease]).await;
}

/// Row 18: with clocks ten minutes early and late beside the right one nothing is stored twice, and nobody renews an
/// access token again and again because it looks old to him.
#[test]
fn clocks_that_are_ten_minutes_off_renew_no_token_in_a_circle() {
    run(async {
        for lifetime in [300, 3_600] {
            let peer = Arc::new(Peer::start().await);
            let mailbox = Arc::clone(&peer);
            let issuer = Issuer::start(lifetime, move |token| mailbox.sandbox.add_token(&mailbox.user, token)).await;
            peer.sandbox.add_token(&peer.user, "never given out");
            let (tenant, client) = service().await.tenant();
            let mut settings = peer.account(Receive::Imap, Way::Tls);
            settings["receive"]["auth"] = issuer.auth(&peer.user, &issuer.consent());
            let _ = account(&client, ACCOUNT, &settings).await;
            let mut pullers = Vec::new();
            for ahead in [0, 600, -600] {
                pullers.push(Puller::start(service().await, &Setup { ahead, ..Setup::default() }).await);
            }
            let mut stored = 0;
            for round in 0..4 {
                for (place, puller) in pullers.iter_mut().enumerate() {
                    let _ = peer.sandbox.deliver(&peer.user, corpus::plain(round * 3 + place)).unwrap();
                    let answer = until("the lease is free", async || {
                        let answer = puller.pull(&tenant, ACCOUNT).await;
                        (!matches!(answer, Ending::Answered(409, _))).then_some(answer)
                    })
                    .await;
                    let Ending::Answered(200, answer) = answer else { panic!("{round} {place}: {answer:?}") };
                    stored += answer["new"].as_u64().unwrap();
                }
            }
            assert_eq!(stored, 12);
            // The first one, and who is early takes it for old: his is good for all of them.
            let issued = issuer.issued().len();
            assert!(issued <= 2, "{lifetime}: {issued} tokens for 12 pulls");
            assert_eq!((issuer.reused(), peer.logins()), (0, 12), "{lifetime}");
        }
    });
}
