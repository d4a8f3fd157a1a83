//! What a pull promises, under every fault but random kills (`kills`), in full and too slow for every change:
//! `proofs [all|writes|pullers|epochs|drops|storage|poison|agreement] [size] [imap|pop3|pop3-no-uidl] [keep|delete] [sandbox|dovecot]`.
//!
//! `all` runs each in its promised size and modes, one after the other:
//!
//! | proof | size | promise |
//! |---|---|---|
//! | `writes` (P2) | 20 messages | killed at every network write of a session: nothing lost, nothing twice |
//! | `pullers` (P3) | 2,000 messages, 40 stops | four pullers, two with clocks 10 minutes off, stopped for twice the lease |
//! | `epochs` (P4) | 2,000 messages, 5 changes | UIDVALIDITY changes: 2,000 rows, 5 announcements |
//! | `drops` (P5) | 500 messages | three cuts in each: 500 rows, none truncated |
//! | `storage` (P6) | 2,000 messages | throttled, lost and broken calls to AWS: all there, at most ten times the calls |
//! | `poison` (P7) | 2,000 messages | one in 100 kills who reads it: 1 % in quarantine, three attempts each |
//! | `agreement` (P9) | 500 messages | getmail6, fetchmail, mpop and mbsync find the same; not in `all`: they have to be installed |
//!
//! What came of it last stands in docs/proofs.md.
//!
//! The exit code says whether all was kept. `HALFPENNY_SEED` repeats a run.

#![allow(clippy::print_stdout, clippy::expect_used)] // A command line program.

use std::process::ExitCode;

use tests::mailbox::Kind;
use tests::proofs::{Plan, agreement, drops, epochs, poison, pullers, storage, writes};
use tests::random::Random;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize, default: &'static str| words.get(index).map_or(default, String::as_str);
    let mut kept = true;
    if word(0, "all") == "all" {
        for (name, size, kind) in everything() {
            kept &= prove(name, size, kind).await;
        }
    } else {
        let kind = Kind::named(word(2, "imap"), word(3, "delete"), word(4, "sandbox"));
        kept = prove(word(0, "all"), word(1, "20").parse().expect("how many messages"), kind).await;
    }
    println!("{}", if kept { "kept" } else { "BROKEN" });
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each proof with its promised size, in every mode that it can tell apart.
fn everything() -> Vec<(&'static str, usize, Kind)> {
    let dovecot = |kind: Kind| Kind { dovecot: true, ..kind };
    vec![
        ("writes", 20, Kind::IMAP_KEEP),
        ("writes", 20, Kind::IMAP_DELETE),
        ("writes", 20, Kind::POP3_DELETE),
        ("writes", 20, Kind { delete: true, ..Kind::POP3_WITHOUT_UIDL }),
        ("pullers", 2_000, Kind::IMAP_DELETE),
        ("pullers", 2_000, dovecot(Kind::POP3_DELETE)),
        ("epochs", 2_000, Kind::IMAP_KEEP),
        ("epochs", 2_000, dovecot(Kind::IMAP_KEEP)),
        ("drops", 500, Kind::IMAP_DELETE),
        ("drops", 500, Kind::POP3_DELETE),
        ("storage", 2_000, Kind::IMAP_KEEP),
        ("storage", 2_000, Kind::POP3_DELETE),
        ("poison", 2_000, Kind::IMAP_DELETE),
        ("poison", 2_000, Kind::POP3_DELETE),
    ]
}

/// Runs one and prints what came of it; whether the promise was kept.
async fn prove(name: &str, messages: usize, kind: Kind) -> bool {
    let random = Random::announced(name);
    println!("{name} {messages} {kind:?}");
    let (report, kept) = match name {
        "agreement" => {
            let report = agreement::run(messages, random).await;
            (format!("{report:?}"), report.kept)
        }
        "writes" => {
            let report = writes::run(writes::Plan { kind, messages, sample: None }, random).await;
            (format!("{report:?}"), report.broken.is_empty())
        }
        "pullers" => {
            let report = pullers::run(pullers::Plan { kind, messages, stops: messages.div_ceil(50) }, random).await;
            (format!("{report:?}"), report.kept)
        }
        "epochs" => {
            let report = epochs::run(epochs::Plan { kind, messages, changes: 5 }, random).await;
            (format!("{report:?}"), report.kept)
        }
        "drops" => {
            let report = drops::run(Plan { kind, messages }, random).await;
            (format!("{report:?}"), report.kept)
        }
        "storage" => {
            let report = storage::run(Plan { kind, messages }, random).await;
            (format!("{report:?}"), report.kept)
        }
        "poison" => {
            let report = poison::run(Plan { kind, messages }, random).await;
            (format!("{report:?}"), report.kept)
        }
        other => (format!("there is no proof {other}"), false),
    };
    println!("{report}");
    kept
}
