//! The fault run: a mailbox is pulled while the pulling processes are killed at random moments, and afterwards
//! everything has to be there, once, byte for byte.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::checker::{EndState, Verdict, end_state};
use crate::client::Client;
use crate::dovecot::Dovecot;
use crate::peer::{Peer, Receive, Way};
use crate::random::Random;
use crate::service::{Options, Service};
use crate::{corpus, guard, until};

/// The functions that pull.
const PULLERS: [&str; 2] = ["pull", "pull-worker"];

/// Longest time between the login at the server and the kill, in milliseconds: a batch is stored in about that time.
const LATEST_KILL: u64 = 250;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The protocol.
    pub receive: Receive,
    /// Messages, delivered in as many batches as there are kills.
    pub messages: usize,
    /// Kills.
    pub kills: usize,
    /// Delete at the server what an earlier run stored.
    pub delete: bool,
    /// Against a real Dovecot instead of the sandbox.
    pub dovecot: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The end state, judged.
    pub verdict: Verdict,
    /// Rows stored.
    pub stored: usize,
    /// Messages left at the server.
    pub remaining: usize,
    /// Kills that cut a call short.
    pub hits: usize,
}

enum Server {
    Sandbox(Box<Peer>),
    Dovecot(Box<Dovecot>),
}

const USER: &str = "ada@example.test";

impl Server {
    async fn start(dovecot: bool) -> Self {
        if dovecot {
            Self::Dovecot(Box::new(Dovecot::start().await))
        } else {
            Self::Sandbox(Box::new(Peer::start().await))
        }
    }

    fn receive(&self, receive: Receive) -> Value {
        match self {
            Self::Sandbox(peer) => peer.receive(receive, Way::Tls),
            Self::Dovecot(dovecot) => dovecot.receive(USER, receive, Way::Tls),
        }
    }

    fn deliver(&self, batch: &[Vec<u8>], number: usize) {
        match self {
            Self::Sandbox(peer) => batch.iter().for_each(|message| {
                peer.sandbox.deliver(USER, message.clone()).unwrap();
            }),
            Self::Dovecot(dovecot) => dovecot.deliver_batch(USER, batch, number),
        }
    }

    fn remaining(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Sandbox(peer) => peer.sandbox.messages(USER).iter().map(|message| message.bytes.to_vec()).collect(),
            Self::Dovecot(dovecot) => dovecot.messages(USER),
        }
    }
}

/// Runs the plan on a service of its own.
pub async fn run(plan: Plan, mut random: Random) -> Report {
    let service = Service::start(Options {
        parameters: vec![("LeaseSeconds", "1".to_owned()), ("VisibilitySeconds", "2".to_owned())],
        ..Options::default()
    })
    .await;
    let server = Server::start(plan.dovecot).await;
    let client = service.client().for_tenant("faults");
    let mut receive = server.receive(plan.receive);
    receive["keepOnServer"] = json!(!plan.delete);
    // Polled as well: so both functions pull, and what a kill interrupts is taken up without a call.
    let settings =
        json!({"from": USER, "receive": receive, "poll": {"enabled": true, "minSeconds": 1, "maxSeconds": 1}});
    let _ = client.put("/v1/accounts/mail", &settings).await.is(201);
    let messages = corpus::mixed(plan.messages, &mut random);
    let mut hits = 0;
    for (number, batch) in messages.chunks(plan.messages.div_ceil(plan.kills)).enumerate() {
        server.deliver(batch, number);
        hits += usize::from(kill_while_pulling(&service, &client, &mut random).await);
    }
    let state = settle(&service, &client, &server, &messages, plan.delete).await;
    Report { verdict: state.verdict(), stored: state.rows.len(), remaining: state.remaining.len(), hits }
}

/// Calls for a pull and kills a puller somewhere in the middle; whether the call was cut short by it.
async fn kill_while_pulling(service: &Service, client: &Client, random: &mut Random) -> bool {
    let call = async {
        loop {
            let answer = client.post_empty("/v1/accounts/mail/pull").await;
            if answer.status != 409 {
                return answer.status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let victim = PULLERS[usize::try_from(random.below(4) / 3).unwrap()];
    let moment = Duration::from_millis(random.below(LATEST_KILL));
    let kill = async {
        tokio::time::sleep(moment).await;
        service.pids(Some(victim)).into_iter().for_each(|pid| guard::kill(pid, Signal::KILL));
    };
    let (status, ()) = tokio::join!(call, kill);
    assert!([200, 500, 502, 503, 504].contains(&status), "{status}");
    status != 200
}

/// Lets it come to rest, and looks.
async fn settle(service: &Service, client: &Client, server: &Server, truth: &[Vec<u8>], delete: bool) -> EndState {
    let aws = service.aws().await;
    let mut quiet = 0;
    until("two pulls without news, and nothing left to delete", async || {
        let answer = client.post_empty("/v1/accounts/mail/pull").await;
        let idle = answer.status == 200 && answer.json()["new"] == 0 && answer.json()["more"] == false;
        quiet = if idle && (!delete || server.remaining().is_empty()) { quiet + 1 } else { 0 };
        (quiet == 2).then_some(())
    })
    .await;
    end_state(&aws, client, "faults", "mail", truth, &server.remaining()).await
}
