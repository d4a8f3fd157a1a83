//! The fault run in short, against the sandbox and against a real Dovecot: 300 messages and 30 kills each.

use tests::checker::Verdict;
use tests::faults::{Plan, run as pull_under_fire};
use tests::peer::Receive;
use tests::random::Random;

use crate::run;

async fn nothing_is_lost(receive: Receive, dovecot: bool) {
    let plan = Plan { receive, messages: 300, kills: 30, delete: true, dovecot };
    let report = pull_under_fire(plan, Random::announced(&format!("{plan:?}"))).await;
    println!("{plan:?}: {report:?}");
    assert_eq!(report.verdict, Verdict::default());
    assert_eq!((report.stored, report.remaining), (300, 0));
    assert!(report.hits >= 3, "only {} kills met a pull", report.hits);
}

#[test]
fn thirty_kills_lose_nothing_over_imap() {
    run(nothing_is_lost(Receive::Imap, false));
}

#[test]
fn thirty_kills_lose_nothing_over_pop3() {
    run(nothing_is_lost(Receive::Pop3, false));
}

#[test]
fn thirty_kills_lose_nothing_at_a_real_server() {
    run(nothing_is_lost(Receive::Imap, true));
}

#[test]
fn thirty_kills_lose_no_mail_and_send_none_twice() {
    run(async {
        let plan = tests::sends::Plan { messages: 300, kills: 30 };
        let report = tests::sends::run(plan, Random::announced("S1")).await;
        println!("S1: {report:?}");
        assert_eq!(report.verdict, tests::send_checker::Verdict::default());
        let unknown = report.states.get("unknown").copied().unwrap_or_default();
        assert!(unknown <= report.kills, "{report:?}");
        assert!(report.kills >= 15, "only {} kills met a process", report.kills);
    });
}
