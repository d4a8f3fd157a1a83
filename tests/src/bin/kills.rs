//! The long fault run (P1), too slow for every change:
//! `kills [imap|pop3|pop3-no-uidl] [messages] [kills] [sandbox|dovecot] [keep|delete]`.
//!
//! The promise is for 10,000 messages and 200 kills, in each of four modes:
//! ```sh
//! cargo build --workspace --bins
//! target/debug/kills imap 10000 200 sandbox keep
//! target/debug/kills imap 10000 200 sandbox delete
//! target/debug/kills pop3 10000 200 sandbox delete
//! target/debug/kills pop3-no-uidl 10000 200 sandbox delete
//! ```
//! The same of sending: `kills send [messages] [kills]`. Every other fault: `proofs`.
//!
//! The exit code says whether it was kept. `HALFPENNY_SEED` repeats a run.

#![allow(clippy::print_stdout, clippy::expect_used)] // A command line program.

use std::process::ExitCode;

use tests::faults::{Plan, run};
use tests::mailbox::Kind;
use tests::random::Random;
use tests::{send_checker, sends};

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize, default: &'static str| words.get(index).map_or(default, String::as_str);
    let (messages, kills) = (word(1, "10000").parse().expect("messages"), word(2, "200").parse().expect("kills"));
    let kept = if word(0, "imap") == "send" {
        send(messages, kills).await
    } else {
        let plan = Plan { kind: Kind::named(word(0, "imap"), word(4, "delete"), word(3, "sandbox")), messages, kills };
        println!("{plan:?}");
        let report = run(plan, Random::announced("kills")).await;
        println!("{report:?}");
        report.kept
    };
    println!("{}", if kept { "kept" } else { "BROKEN" });
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn send(messages: usize, kills: usize) -> bool {
    let plan = sends::Plan { messages, kills };
    println!("{plan:?}");
    let report = sends::run(plan, Random::announced("kills")).await;
    println!("{report:?}");
    let unknown = report.states.get("unknown").copied().unwrap_or_default();
    report.verdict == send_checker::Verdict::default() && unknown <= report.kills
}
