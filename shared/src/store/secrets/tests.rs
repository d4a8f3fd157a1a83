use secrecy::{ExposeSecret, SecretString};

use super::*;

fn given(smtp: Option<&str>, receive: Option<&str>) -> AccountSecrets {
    let side =
        |password: Option<&str>| SideSecrets { password: password.map(SecretString::from), ..SideSecrets::default() };
    AccountSecrets { smtp: side(smtp), receive: side(receive) }
}

fn prints(smtp: Option<&str>, receive: Option<&str>) -> Fingerprints {
    Fingerprints { smtp: smtp.map(str::to_owned), receive: receive.map(str::to_owned) }
}

fn said(password: &str, fingerprint: &str) -> Option<(String, String)> {
    Some((password.to_owned(), fingerprint.to_owned()))
}

fn password_of(secrets: SideSecrets) -> String {
    secrets.password.unwrap().expose_secret().to_owned()
}

fn shown(entry: &Entry) -> [Option<(String, String)>; 2] {
    [&entry.smtp, &entry.receive]
        .map(|kept| kept.as_ref().map(|kept| (password_of(kept.secrets()), kept.fingerprint.clone())))
}

#[test]
fn a_password_stays_with_its_server_and_goes_with_it() {
    let both = merged(&Entry::default(), None, &given(Some("one"), Some("two")), &prints(Some("s"), Some("r")));
    assert_eq!(shown(&both), [said("one", "s"), said("two", "r")]);
    let named = Some(&SecretRef { shard: 0, version: String::new() });
    let unchanged = merged(&both, named, &given(None, None), &prints(Some("s"), Some("r")));
    assert!(unchanged.same_secrets(&both));
    let moved = merged(&both, named, &given(None, Some("three")), &prints(Some("other"), Some("r")));
    assert_eq!(shown(&moved), [None, said("three", "r")]);
    assert!(merged(&both, named, &given(None, None), &prints(None, None)).is_empty());
    assert!(
        merged(&both, None, &given(None, None), &prints(Some("s"), Some("r"))).is_empty(),
        "a row that names no secret has none, whatever was left behind"
    );
    assert!(
        merged(&both, named, &given(Some("one"), None), &prints(None, None)).is_empty(),
        "a side that does not exist has no password"
    );
}

#[test]
fn what_the_row_names_stays_until_the_row_names_another() {
    let at = |version: &str| Some(SecretRef { shard: 0, version: version.into() });
    let write = |stored: &Entry, row: &str, password: &str, server: &str| {
        let entry = merged(stored, at(row).as_ref(), &given(Some(password), None), &prints(Some(server), None));
        Entry { version: password.to_owned(), ..entry }
    };
    let first = write(&Entry::default(), "", "one", "s");
    // Its writer is killed before the row names it, and so is the next one; a third one comes through.
    let stopped = write(&first, "one", "two", "t");
    let third = write(&write(&stopped, "one", "three", "u"), "one", "four", "v");
    let versions = |entry: &Entry| entry.past.iter().map(|past| past.version.clone()).collect::<Vec<_>>();
    assert_eq!(versions(&third), ["three", "two", "one"]);
    let many = (0..20).fold(third.clone(), |entry, number| write(&entry, "one", &number.to_string(), "w"));
    let kept = ["18", "17", "16", "15", "14", "13", "12", "one"];
    assert_eq!(versions(&many), kept, "what is named stays longest, and the rest has an end");
    assert_eq!(versions(&write(&third, "four", "five", "w")), ["four"], "and no longer than it is named");
    let back = merged(&third, at("one").as_ref(), &given(None, None), &prints(Some("s"), None));
    assert_eq!(shown(&back)[0], said("one", "s"), "the row can be put again as it was");
    let account = AccountId::new("box").unwrap();
    let cached = Cached { vault: Vault::of(account.clone(), third), read_at: Timestamp(0) };
    let ask = |row, server| found(Some(&cached), &account, Which::Named(row), Side::Smtp, server).map(password_of);
    assert_eq!((ask("one", "s").unwrap(), ask("four", "v").unwrap()), ("one".into(), "four".into()));
    assert!(matches!(ask("one", "x"), Err(SecretError::FingerprintMismatch)));
}

#[test]
fn a_password_changed_a_moment_ago_is_the_newest_one() {
    let account = AccountId::new("box").unwrap();
    let write = |stored: &Entry, password: &str| Entry {
        version: password.to_owned(),
        ..merged(stored, None, &given(Some(password), None), &prints(Some("s"), None))
    };
    let vault = Vault::of(account.clone(), write(&write(&Entry::default(), "old"), "new"));
    let cached = Cached { vault, read_at: Timestamp(0) };
    let ask =
        |version| found(Some(&cached), &account, Which::Named(version), Side::Smtp, "s").map(password_of).unwrap();
    assert_eq!((ask("old"), ask("new"), ask("")), ("old".into(), "new".into(), "new".into()));
    let newest = found(Some(&cached), &account, Which::Newest("old"), Side::Smtp, "s");
    assert_eq!(password_of(newest.unwrap()), "new", "what a refused login asks for");
}

#[test]
fn a_password_that_was_taken_away_is_not_found_beside_what_took_its_place() {
    let account = AccountId::new("box").unwrap();
    let both = merged(&Entry::default(), None, &given(Some("one"), Some("two")), &prints(Some("s"), Some("r")));
    let both = Entry { version: "both".into(), ..both };
    let at = SecretRef { shard: 0, version: "both".into() };
    let less = merged(&both, Some(&at), &given(None, None), &prints(None, Some("r")));
    let less = Entry { version: "less".into(), ..less };
    assert_eq!(less.past.len(), 1);
    let cached = Cached { vault: Vault::of(account.clone(), less.clone()), read_at: Timestamp(0) };
    let ask = |row| found(Some(&cached), &account, Which::Named(row), Side::Smtp, "s").map(password_of);
    assert!(matches!(ask("less"), Err(SecretError::NotFound)));
    assert_eq!(ask("both").unwrap(), "one", "as long as the row has not changed");
    let settled = Entry { past: Vec::new(), ..less.clone() };
    assert_eq!(unchanged(Some(&less), &settled), None, "settling writes");
    assert_eq!(unchanged(Some(&settled), &settled).as_deref(), Some("less"));
    assert_eq!(unchanged(Some(&less), &Entry::default()), None, "so does deleting");
    assert_eq!(unchanged(None, &Entry::default()).as_deref(), Some(""));
}

#[test]
fn a_password_is_given_to_its_own_server_only() {
    let account = AccountId::new("box").unwrap();
    let entry = merged(&Entry::default(), None, &given(Some("one"), None), &prints(Some("s"), None));
    let cached = Cached { vault: Vault::of(account.clone(), entry), read_at: Timestamp(0) };
    let ask =
        |account: &AccountId, side, fingerprint| found(Some(&cached), account, Which::Named("v"), side, fingerprint);
    assert_eq!(ask(&account, Side::Smtp, "s").map(password_of).unwrap(), "one");
    assert!(matches!(ask(&account, Side::Smtp, "t"), Err(SecretError::FingerprintMismatch)));
    assert!(matches!(ask(&account, Side::Receive, "s"), Err(SecretError::NotFound)));
    assert!(matches!(ask(&AccountId::new("other").unwrap(), Side::Smtp, "s"), Err(SecretError::NotFound)));
    assert!(matches!(found(None, &account, Which::Named("v"), Side::Smtp, "s"), Err(SecretError::NotFound)));
    assert!(!format!("{cached:?}").contains("one\"") && !format!("{cached:?}").contains("(\"one"), "{cached:?}");
}
