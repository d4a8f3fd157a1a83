//! The fault run in short (P1): 240 messages and 12 kills in each mode, also against a real Dovecot. In full: `kills`.

use tests::faults::{Plan, run as pull_under_fire};
use tests::mailbox::Kind;
use tests::random::Random;

use crate::run;

async fn nothing_is_lost(kind: Kind) {
    let plan = Plan { kind, messages: 240, kills: 12 };
    let report = pull_under_fire(plan, Random::announced(&format!("{plan:?}"))).await;
    println!("{plan:?}: {report:?}");
    assert!(report.kept, "{report:?}");
    assert!(report.hits >= 1, "no kill met a pull");
}

#[test]
fn kills_lose_nothing_over_imap_where_mail_stays() {
    run(nothing_is_lost(Kind::IMAP_KEEP));
}

#[test]
fn kills_lose_nothing_over_imap_where_mail_is_deleted() {
    run(nothing_is_lost(Kind { dovecot: true, ..Kind::IMAP_DELETE }));
}

#[test]
fn kills_lose_nothing_over_pop3() {
    run(nothing_is_lost(Kind::POP3_DELETE));
}

#[test]
fn kills_lose_nothing_over_pop3_without_uidl() {
    run(nothing_is_lost(Kind::POP3_WITHOUT_UIDL));
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
