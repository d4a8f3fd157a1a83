//! A process that dies when the POP3 server has deleted and the ledger does not know yet (fault 6b): the server gives the
//! freed names and places to new mail, and none of that is taken for what was there before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use rustix::process::Signal;
use sandbox::{Protocol, Rule};
use serde_json::json;
use tests::aws::Aws;
use tests::checker::{Verdict, end_state};
use tests::peer::{Peer, Receive, Way};
use tests::proxy::{Call, Fault, Proxy};
use tests::runtime::{Ending, Puller, Setup};
use tests::{corpus, guard, until};

use crate::pull::pull_all;
use crate::{account, run, service};

/// Why mail is deleted at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    NotKept,
    Aged,
    Acknowledged,
}

/// How the server tells its messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// By their places, which are free again after a deletion.
    Places,
    /// By one name for all of them.
    Same,
    /// Not at all.
    None,
}

/// In milliseconds.
const THREE_DAYS: i64 = 3 * 86_400_000;

impl Names {
    fn rule(self) -> Rule {
        let rule = Rule::on(Protocol::Pop3);
        match self {
            Self::Places => rule.uidls(|number, _| Some(format!("place-{number}"))),
            Self::Same => rule.uidls(|_, _| Some("same".to_owned())),
            Self::None => rule.hide_capability("UIDL"),
        }
    }
}

fn plain(numbers: [usize; 2]) -> Vec<Vec<u8>> {
    numbers.map(corpus::plain).into()
}

fn deliver(peer: &Peer, messages: &[Vec<u8>]) {
    for message in messages {
        peer.sandbox.deliver(&peer.user, message.clone()).unwrap();
    }
}

fn held(peer: &Peer) -> Vec<Vec<u8>> {
    peer.sandbox.messages(&peer.user).iter().map(|message| message.bytes.to_vec()).collect()
}

/// Pulls unless somebody else does: the lease of the one that died, or a worker that goes on and has the maildrop.
async fn pull(puller: &mut Puller, tenant: &str) {
    let ending = puller.pull(tenant, "mail").await;
    assert!(matches!(ending, Ending::Answered(200 | 409 | 502 | 503, _)), "{ending:?}; see {}", puller.log.display());
}

/// Pulls with a process that dies at the first write behind the deletion.
async fn pull_and_die(peer: &Arc<Peer>, tenant: &str) {
    let victim = Arc::new(AtomicU32::new(0));
    let (pid, server) = (Arc::clone(&victim), Arc::clone(peer));
    let proxy = Proxy::start(service().await, move |call: &Call<'_>| {
        let writes = ["dynamodb.PutItem", "dynamodb.UpdateItem"].contains(&call.name);
        (writes && held(&server).is_empty()).then(|| {
            guard::kill(pid.load(Ordering::SeqCst), Signal::KILL);
            Fault::Cut
        })
    });
    let setup = Setup { env: proxy.await.env, ..Setup::default() };
    let mut puller = Puller::start(service().await, &setup).await;
    victim.store(puller.pid().unwrap(), Ordering::SeqCst);
    assert_eq!(puller.pull(tenant, "mail").await, Ending::Died, "see {}", puller.log.display());
    assert!(held(peer).is_empty());
}

/// Makes what is stored three days older.
async fn grow_old(aws: &Aws, tenant: &str) {
    for row in aws.items_of(&format!("T#{tenant}#M#")).await.into_keys().filter(|key| key.ends_with(" / M")) {
        aws.add(&row, "at", -THREE_DAYS).await;
    }
}

async fn names_given_again(why: Why, names: Names) {
    let what = format!("{why:?} {names:?}");
    let (tenant, client) = service().await.tenant();
    let peer = Arc::new(Peer::start().await);
    peer.sandbox.script(names.rule());
    let mut settings = peer.account(Receive::Pop3, Way::Tls);
    match why {
        Why::NotKept => settings["receive"]["keepOnServer"] = json!(false),
        Why::Aged => settings["receive"]["deleteAfterDays"] = json!(2),
        Why::Acknowledged => settings["receive"]["deleteWhenAcknowledged"] = json!(true),
    }
    let path = account(&client, "mail", &settings).await;
    let first = plain([10, 11]);
    deliver(&peer, &first);
    let stored = client.post_empty(format!("{path}/pull")).await.value(200)["stored"].clone();
    assert_eq!(stored.as_array().unwrap().len(), 2, "{what}");
    if why == Why::Acknowledged {
        let _ = client.post(format!("{path}/acknowledge"), &json!({"messages": stored})).await.value(200);
    }
    let aws = service().await.aws().await;
    if why == Why::Aged {
        grow_old(&aws, &tenant).await;
    }
    pull_and_die(&peer, &tenant).await;
    // Of one size with the first ones; where content alone tells messages apart, one has the same bytes.
    let second = plain(if names == Names::Places { [20, 21] } else { [10, 20] });
    deliver(&peer, &second);
    let mut puller = Puller::start(service().await, &Setup::default()).await;
    // It goes in its turn, or stays where nothing makes it go.
    let left = if why == Why::NotKept { Vec::new() } else { second.clone() };
    let truth = [first, second].concat();
    until(&format!("{what}: all is stored"), async || {
        pull(&mut puller, &tenant).await;
        let listed = client.get(format!("{path}/messages")).await.value(200)["items"].as_array().unwrap().len();
        (listed >= truth.len() && held(&peer) == left).then_some(())
    })
    .await;
    let state = end_state(&aws, &client, &tenant, "mail", &truth, &left).await;
    assert_eq!(state.verdict(), Verdict::default(), "{what}");
}

#[test]
fn what_comes_behind_a_deletion_that_nobody_noted_is_new() {
    run(async {
        for why in [Why::NotKept, Why::Aged, Why::Acknowledged] {
            let all = [Names::Places, Names::Same, Names::None].map(|names| names_given_again(why, names));
            drop(join_all(all).await);
        }
    });
}

/// STAT tells count and octets alone (RFC 1939 §5): a mail of the size of the one that went is not taken for it.
#[test]
fn a_deletion_ends_the_note_of_a_quiet_mailbox() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let mut settings = peer.account(Receive::Pop3, Way::Tls);
        settings["receive"]["deleteAfterDays"] = json!(2);
        settings["poll"] = json!({"enabled": true, "minSeconds": 86_400, "maxSeconds": 86_400});
        let path = account(&client, "mail", &settings).await;
        deliver(&peer, &[corpus::plain(10)]);
        assert_eq!(pull_all(&client, &path).await, 1);
        let aws = service().await.aws().await;
        grow_old(&aws, &tenant).await;
        let entries = async || {
            let entries = aws.items_of("POLL#").await.into_iter();
            entries.filter(|(key, _)| key.contains(&format!("{tenant}#"))).collect::<Vec<_>>()
        };
        aws.set_text(&entries().await[0].0, "quiet", "0123456789abcdef").await;
        assert_eq!(pull_all(&client, &path).await, 0);
        assert!(held(&peer).is_empty());
        let [(_, entry)] = &entries().await[..] else { panic!("one mailbox is polled") };
        assert_eq!(entry["quiet"], json!(null), "{entry}");
    });
}
