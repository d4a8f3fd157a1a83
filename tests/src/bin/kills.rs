//! The long fault run, too slow for every change: `kills [imap|pop3] [messages] [kills] [sandbox|dovecot] [keep|delete]`.
//!
//! The promise is for 10,000 messages and 200 kills: `cargo build --workspace --bins && target/debug/kills imap 10000 200`.
//! The same of sending: `kills send [messages] [kills]`.
//!
//! The exit code says whether it was kept. `HALFPENNY_SEED` repeats a run.

#![allow(clippy::print_stdout, clippy::expect_used)] // A command line program.

use std::process::ExitCode;

use tests::checker::Verdict;
use tests::faults::{Plan, run};
use tests::peer::Receive;
use tests::random::Random;
use tests::{send_checker, sends};

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize, default: &str| words.get(index).map_or_else(|| default.to_owned(), Clone::clone);
    if word(0, "imap") == "send" {
        return send(word(1, "10000").parse().expect("how many"), word(2, "200").parse().expect("how many")).await;
    }
    let plan = Plan {
        receive: if word(0, "imap") == "pop3" { Receive::Pop3 } else { Receive::Imap },
        messages: word(1, "10000").parse().expect("how many messages"),
        kills: word(2, "200").parse().expect("how many kills"),
        dovecot: word(3, "sandbox") == "dovecot",
        delete: word(4, "delete") == "delete",
    };
    println!("{plan:?}");
    let report = run(plan, Random::announced("kills")).await;
    println!("{report:?}");
    let kept = report.verdict == Verdict::default() && report.stored == plan.messages;
    println!("{}", if kept { "kept" } else { "BROKEN" });
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn send(messages: usize, kills: usize) -> ExitCode {
    let plan = sends::Plan { messages, kills };
    println!("{plan:?}");
    let report = sends::run(plan, Random::announced("kills")).await;
    println!("{report:?}");
    let unknown = report.states.get("unknown").copied().unwrap_or_default();
    let kept = report.verdict == send_checker::Verdict::default() && unknown <= report.kills;
    println!("{}", if kept { "kept" } else { "BROKEN" });
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
