use serde_json::{Value, json};
use shared::model::{Auth, Timestamp};

use super::*;

fn stored(given: Value, name: &str) -> Account {
    let given: Given = serde_json::from_value(given).unwrap();
    let id = AccountId::new(name).unwrap();
    given.settings(&id, None, Poll::default()).unwrap().check(id.clone(), 60, Timestamp(0)).unwrap().0
}

fn refused(given: Value, name: &str) -> Vec<String> {
    let given: Given = serde_json::from_value(given).unwrap();
    let errors = given.settings(&AccountId::new(name).unwrap(), None, Poll::default()).unwrap_err();
    errors.into_iter().map(|error| error.pointer).collect()
}

fn user(auth: &Auth) -> &str {
    auth.username().unwrap()
}

/// A1.5/39, A1.5/40, A1.5/45, A1.6/49, A1.6/51; decision 21.
#[test]
fn flags_and_port_decide_about_tls() {
    use Security::{None as Plain, Starttls, Tls};
    const ABSENT: Option<bool> = None;
    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);
    for (usessl, starttls, modes) in [
        //                     25        110       143       587       465  993  995  2525
        (ABSENT, ABSENT, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Starttls]),
        (NO, ABSENT, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Starttls]),
        (ABSENT, NO, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Starttls]),
        (NO, NO, [Plain; 8]),
        (YES, ABSENT, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Tls]),
        (YES, NO, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Tls]),
        (ABSENT, YES, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Starttls]),
        (NO, YES, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Starttls]),
        (YES, YES, [Starttls, Starttls, Starttls, Starttls, Tls, Tls, Tls, Tls]),
    ] {
        let found = [25, 110, 143, 587, 465, 993, 995, 2525].map(|port| security(usessl, starttls, port));
        assert_eq!(found, modes, "usessl {usessl:?}, starttls {starttls:?}");
    }
}

/// A1.6/52, A1.6/53.
#[test]
fn the_prefix_recent_is_for_pop3_alone() {
    for (given, protocol, login) in [
        ("recent:ada@gmail.com", Protocol::Pop3, "recent:ada@gmail.com"),
        ("recent:ada@gmail.com", Protocol::Smtp, "ada@gmail.com"),
        ("recent:ada@gmail.com", Protocol::Imap, "ada@gmail.com"),
        ("ada", Protocol::Pop3, "ada"),
        ("ada", Protocol::Smtp, "ada"),
    ] {
        assert_eq!(super::login(given, protocol), login, "{protocol:?}");
    }
}

/// A1.6/50 to A1.6/53: the seed's Gmail example, without mail_from.
#[test]
fn gmail() {
    let given = json!({"mail_pop3_server": "pop.gmail.com", "mail_pop3_port": 995, "mail_smtp_server": "smtp.gmail.com",
        "mail_smtp_port": 587, "mail_starttls": true, "mail_username": "recent:ada@gmail.com", "mail_password": "xxxxx",
        "mail_from_name": "Your company name"});
    let account = stored(given.clone(), "gmail");
    let (smtp, receive) = (account.smtp.clone().unwrap(), account.receive.clone().unwrap());
    assert_eq!((smtp.security, user(&smtp.auth)), (Security::Starttls, "ada@gmail.com"));
    assert_eq!((receive.server.security, user(&receive.server.auth)), (Security::Tls, "recent:ada@gmail.com"));
    assert_eq!(account.from, Address { name: Some("Your company name".into()), address: "ada@gmail.com".into() });
    assert_eq!(account.name.as_deref(), Some("Your company name"));
    let shown = serde_json::to_value(shown(&account)).unwrap();
    assert_eq!(shown["mail_username"], "recent:ada@gmail.com");
    assert!(shown.get("mail_password").is_none());
    let mut again = shown;
    again["mail_password"] = json!("xxxxx");
    assert_eq!(stored(again, "gmail"), account);
}

/// A1.6/47 to A1.6/49: the seed's Office 365 example. `mail_usessl: false` alone does not mean "no TLS".
#[test]
fn office_365_and_a_shared_mailbox() {
    let given = json!({"mail_from": "shared@example.com", "mail_username": "ada@example.com",
        "mail_smtp_server": "outlook.office365.com", "mail_smtp_port": 587, "mail_password": "p", "mail_usessl": false});
    let account = stored(given, "office");
    let smtp = account.smtp.unwrap();
    assert_eq!((smtp.security, user(&smtp.auth)), (Security::Starttls, "ada@example.com"));
    assert_eq!(account.from.address, "shared@example.com");
    assert!(account.receive.is_none());
}

/// A1.6/55: the relay of both troubleshooting scripts, with a login and without.
#[test]
fn googles_relay() {
    for (username, known) in [(json!("ada@example.com"), true), (json!(""), false)] {
        let given = json!({"mail_smtp_server": "smtp-relay.gmail.com", "mail_smtp_port": 587, "mail_starttls": true,
            "mail_username": username, "mail_password": if known { "p" } else { "" }, "mail_from": "ada@example.com"});
        let smtp = stored(given, "relay").smtp.unwrap();
        assert_eq!((smtp.security, smtp.auth.username().is_some()), (Security::Starttls, known));
    }
}

/// A1.7/56.
#[test]
fn the_system_account_only_sends() {
    let given = json!({"mail_from": "system@example.com", "mail_username": "system@example.com",
        "mail_smtp_server": "mail.example.com", "mail_smtp_port": 465, "mail_password": "p", "mail_usessl": true,
        "mail_smtp_valid_cert": false});
    let smtp = stored(given.clone(), SYSTEM).smtp.unwrap();
    assert_eq!((smtp.port, smtp.security, smtp.verify_certificate), (465, Security::Tls, false));
    let mut receiving = given;
    receiving["mail_pop3_server"] = json!("pop3.example.com");
    receiving["mail_pop3_port"] = json!(995);
    assert_eq!(refused(receiving, SYSTEM), ["mail_pop3_server"]);
}

/// A1.5/33 to A1.5/45: the seed's plain example; ports may be texts, an empty text is nothing.
#[test]
fn plain_is_legal_when_it_is_said() {
    let given = json!({"account": "example_account", "mail_pop3_server": "pop3.example.com", "mail_pop3_port": "110",
        "mail_smtp_server": "smtp.example.com", "mail_smtp_port": 25, "mail_smtp_valid_cert": true, "mail_usessl": false,
        "mail_starttls": false, "mail_username": "example_username", "mail_password": "example_password",
        "mail_from": "sender@example.com", "mail_from_name": "Example Sender", "colour": "ignored"});
    let account = stored(given, "example_account");
    let (smtp, receive) = (account.smtp.unwrap(), account.receive.unwrap());
    assert_eq!((smtp.security, receive.server.security), (Security::None, Security::None));
    assert_eq!((receive.server.port, receive.protocol), (110, Protocol::Pop3));
    assert!(!account.poll.enabled, "jetQuery pulls when it is asked to");
}

#[test]
fn what_is_wrong_is_named_in_their_words() {
    assert_eq!(
        refused(json!({"mail_smtp_server": "h", "mail_username": "ada", "mail_from": ""}), "x"),
        ["mail_from", "mail_smtp_port"]
    );
    let both = json!({"mail_from": "a@example.com", "mail_pop3_server": "p", "mail_imap_server": "i"});
    assert_eq!(refused(both, "x"), ["mail_imap_server"]);
}
