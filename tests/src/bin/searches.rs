//! What a search takes in a mailbox of 100,000 messages that were really pulled: `searches [messages]`.
//!
//! ```sh
//! cargo build --workspace --bins
//! target/debug/searches 100000
//! ```
//! Prints two tables, at a tenth of the messages and at all of them: requests, bytes and units are exact, times are
//! ratios to looking through all rows in the same run. The exit code says whether requests and units are bounded. Nearly
//! all of its time is that of the pull.

#![allow(clippy::print_stdout, clippy::expect_used)] // A command line program.

use std::process::ExitCode;

use tests::random::Random;
use tests::searching::{MOST_REQUESTS, MOST_UNITS, Mailbox, Measured};

#[tokio::main]
async fn main() -> ExitCode {
    let messages: usize = std::env::args().nth(1).map_or(100_000, |word| word.parse().expect("how many messages"));
    let mut random = Random::announced("searches");
    let mut mailbox = Mailbox::start().await;
    let mut bounded = true;
    for messages in [messages / 10, messages] {
        let begun = std::time::Instant::now();
        mailbox.fill(messages, &mut random).await;
        let (measured, scan) = (mailbox.measure().await, mailbox.scan().await);
        let seconds = begun.elapsed().as_secs();
        println!("\n{messages} messages after {seconds} s; looking through their rows takes {scan:.1?}");
        println!(
            "| search | shown | GETs | KB | units | time, as a share of looking through |\n|---|---|---|---|---|---|"
        );
        for Measured { query, shown, requests, bytes, units, time } in measured {
            let (share, kilobytes) = (time.as_secs_f64() / scan.as_secs_f64(), bytes / 1024);
            println!("| {query} | {shown} | {requests} | {kilobytes} | {units:.1} | {share:.4} |");
            #[allow(clippy::cast_precision_loss)] // a small number
            let most = MOST_UNITS as f64;
            // A phrase is looked for in the sources of the candidates, up to 100 of them.
            bounded &= requests <= MOST_REQUESTS + 100 && units <= most;
        }
    }
    println!("{}", if bounded { "bounded" } else { "NOT BOUNDED" });
    if bounded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
