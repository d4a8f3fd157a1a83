//! What a pull promises under faults, in short (P2 to P7). In full: `proofs`.

use tests::mailbox::Kind;
use tests::proofs::{Plan, drops, epochs, poison, pullers, storage, writes};
use tests::random::Random;

use crate::run;

#[test]
fn a_kill_at_any_network_write_loses_nothing() {
    for kind in [Kind::IMAP_DELETE, Kind::POP3_DELETE] {
        let plan = writes::Plan { kind, messages: 5, sample: Some(15) };
        let report = run(writes::run(plan, Random::announced("P2")));
        println!("{plan:?}: {report:?}");
        assert!(report.broken.is_empty(), "{report:?}");
        assert!(report.killed * 2 > report.tried, "{report:?}");
    }
}

#[test]
fn pullers_side_by_side_store_nothing_twice() {
    for kind in [Kind::IMAP_DELETE, Kind { dovecot: true, ..Kind::POP3_DELETE }] {
        let plan = pullers::Plan { kind, messages: 120, stops: 4 };
        let report = run(pullers::run(plan, Random::announced("P3")));
        println!("{plan:?}: {report:?}");
        assert!(report.kept, "{report:?}");
        assert!(report.conflicts > 0, "they never met: {report:?}");
    }
}

#[test]
fn another_uidvalidity_stores_nothing_again() {
    for kind in [Kind::IMAP_KEEP, Kind { dovecot: true, ..Kind::IMAP_KEEP }] {
        let plan = epochs::Plan { kind, messages: 120, changes: 3 };
        let report = run(epochs::run(plan, Random::announced("P4")));
        assert!(report.kept, "{report:?}");
    }
}

#[test]
fn a_connection_that_is_cut_anywhere_stores_no_half() {
    for kind in [Kind::IMAP_DELETE, Kind::POP3_DELETE] {
        let report = run(drops::run(Plan { kind, messages: 20 }, Random::announced("P5")));
        assert!(report.kept, "{report:?}");
        assert_eq!(report.cuts, 20 * drops::CUTS);
    }
}

#[test]
fn storage_that_fails_loses_and_doubles_nothing() {
    for kind in [Kind::IMAP_KEEP, Kind::POP3_DELETE] {
        let report = run(storage::run(Plan { kind, messages: 100 }, Random::announced("P6")));
        println!("{kind:?}: {report:?}");
        assert!(report.kept, "{report:?}");
        assert!(report.faults.iter().all(|faults| *faults > 0), "{report:?}");
    }
}

#[test]
fn a_message_that_kills_its_reader_is_quarantined_and_no_other() {
    for kind in [Kind::IMAP_DELETE, Kind::POP3_DELETE] {
        let report = run(poison::run(Plan { kind, messages: 200 }, Random::announced("P7")));
        println!("{kind:?}: {report:?}");
        assert!(report.kept, "{report:?}");
    }
}
