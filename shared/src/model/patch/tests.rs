//! RFC 6902 and RFC 7396 as far as an account can show them, and what must not work.

use serde_json::json;

use super::*;

fn account() -> Account {
    let auth = json!({"type": "password", "username": "ada", "hasPassword": true});
    let server =
        json!({"host": "mail.example.com", "port": 993, "security": "tls", "verifyCertificate": true, "auth": auth});
    let mut receive = server.clone();
    for (name, value) in [
        ("protocol", json!("imap")),
        ("folders", json!(["INBOX", "Archive"])),
        ("keepOnServer", json!(true)),
        ("deleteAfterDays", json!(null)),
        ("deleteWhenAcknowledged", json!(false)),
        ("maxMessageBytes", json!(1024)),
    ] {
        receive[name] = value;
    }
    let account = json!({"account": "box", "name": "Box", "from": {"address": "ada@example.com"}, "identities": [],
        "smtp": server, "receive": receive, "poll": {"enabled": true, "minSeconds": 60, "maxSeconds": 900},
        "sentCopy": "auto", "createdAt": "2026-11-21T07:36:10.000Z", "updatedAt": "2026-11-21T07:36:10.000Z"});
    serde_json::from_value(account).unwrap()
}

fn operations(list: Value) -> Result<Value, Problem> {
    apply(document(&account()).unwrap(), &Patch::Operations(serde_json::from_value(list).unwrap()))
}

fn merge(changes: Value) -> Result<Value, Problem> {
    apply(document(&account()).unwrap(), &Patch::Merge(changes))
}

#[test]
fn the_document_is_what_an_owner_would_write_and_holds_no_secret() {
    let document = document(&account()).unwrap();
    let input: crate::model::account::AccountInput = serde_json::from_value(document.clone()).unwrap();
    let (checked, given) = input.check(account().account, 60, account().created_at).unwrap();
    assert_eq!(given.missing(&checked).len(), 2);
    assert_eq!(document["smtp"]["auth"], json!({"type": "password", "username": "ada"}));
    for hidden in ["account", "createdAt", "updatedAt"] {
        assert!(document.get(hidden).is_none(), "{hidden}");
    }
}

#[test]
fn operations_are_applied_in_order() {
    let patched = operations(json!([
        {"op": "test", "path": "/name", "value": "Box"},
        {"op": "replace", "path": "/name", "value": "New"},
        {"op": "add", "path": "/identities/-", "value": "b@example.com"},
        {"op": "add", "path": "/identities/0", "value": "a@example.com"},
        {"op": "remove", "path": "/receive/folders/0"},
        {"op": "copy", "from": "/receive/host", "path": "/smtp/host"},
        {"op": "move", "from": "/receive/deleteAfterDays", "path": "/receive/maxMessageBytes"},
        {"op": "replace", "path": "/smtp/auth/password", "value": "new secret"},
        {"op": "add", "path": "/receive/auth/password", "value": "another"},
    ]))
    .unwrap();
    assert_eq!(patched["name"], "New");
    assert_eq!(patched["identities"], json!(["a@example.com", "b@example.com"]));
    assert_eq!(patched["receive"]["folders"], json!(["Archive"]));
    assert_eq!(patched["receive"]["maxMessageBytes"], Value::Null);
    assert_eq!(patched["smtp"]["auth"]["password"], "new secret");
    assert_eq!(patched["receive"]["auth"]["password"], "another");
}

#[test]
fn a_merge_replaces_what_it_names_and_null_removes() {
    // RFC 7396 §3: arrays are replaced whole.
    let patched =
        merge(json!({"name": null, "receive": {"folders": ["Only"], "auth": {"password": "p"}}, "sentCopy": "never"}));
    let patched = patched.unwrap();
    assert!(patched.get("name").is_none());
    assert_eq!(patched["receive"]["folders"], json!(["Only"]));
    assert_eq!(patched["receive"]["auth"], json!({"type": "password", "username": "ada", "password": "p"}));
    assert_eq!(patched["receive"]["host"], "mail.example.com");
    assert_eq!(merge(json!({})).unwrap(), document(&account()).unwrap());
}

/// What is refused, and the pointer that names it.
fn abuse() -> Vec<(Value, &'static str)> {
    let set = |path: &str| json!({"op": "add", "path": path, "value": "x"});
    let deep = "/name/1/2/3/4/5/6/7/8";
    let nested = json!([[[[[[[[[0]]]]]]]]]);
    vec![
        (set(""), "/0/path"),
        (set("/account"), "/0/path"),
        (set("/tenantId"), "/0/path"),
        (set("/id"), "/0/path"),
        (set("/secret/version"), "/0/path"),
        (set("/version"), "/0/path"),
        (set("/status/authFailures"), "/0/path"),
        (set("/createdAt"), "/0/path"),
        (set("/~1smtp"), "/0/path"),
        (set("/nowhere"), "/0/path"),
        (set(deep), "/0/path"),
        (set("/smtp/nowhere/host"), "/0/path"),
        (set("/identities/1"), "/0/path"),
        (set("/identities/01"), "/0/path"),
        (json!({"op": "add", "path": "/name", "value": nested}), "/0/value"),
        (json!({"op": "remove", "path": "/smtp/nowhere"}), "/0/path"),
        (json!({"op": "remove", "path": "/identities/-"}), "/0/path"),
        (json!({"op": "replace", "path": "/receive/folders/2", "value": "x"}), "/0/path"),
        (json!({"op": "remove", "path": "/smtp/auth/password"}), "/0/path"),
        (json!({"op": "test", "path": "/smtp/auth/password", "value": "guess"}), "/0/path"),
        (json!({"op": "test", "path": "/receive/auth/refreshToken", "value": null}), "/0/path"),
        (json!({"op": "test", "path": "/smtp/auth/clientSecret", "value": ""}), "/0/path"),
        (json!({"op": "copy", "from": "/smtp/auth/password", "path": "/name"}), "/0/from"),
        (json!({"op": "move", "from": "/receive/auth/password", "path": "/name"}), "/0/from"),
        (json!({"op": "copy", "from": "", "path": "/name"}), "/0/from"),
        (json!({"op": "copy", "from": "/account", "path": "/name"}), "/0/from"),
        (json!({"op": "copy", "from": "/smtp/nowhere", "path": "/name"}), "/0/from"),
        (json!({"op": "move", "from": "/smtp", "path": "/smtp/host"}), "/0/path"),
    ]
}

#[test]
fn what_must_not_work_is_named() {
    for (operation, pointer) in abuse() {
        let problem = operations(json!([operation])).unwrap_err();
        assert_eq!(problem.code, Code::InvalidRequest, "{operation}");
        assert_eq!(problem.errors[0].pointer, pointer, "{operation}: {problem}");
        assert!(!problem.detail.contains("guess"), "{problem}");
    }
    for (changes, pointer) in [
        (json!([]), ""),
        (json!("x"), ""),
        (json!({"tenantId": "other"}), "/tenantId"),
        (json!({"smtp": {"auth": {"password": null}}}), "/smtp/auth/password"),
        (json!({"name": [[[[[[[[0]]]]]]]]}), ""),
    ] {
        assert_eq!(merge(changes.clone()).unwrap_err().errors[0].pointer, pointer, "{changes}");
    }
}

/// A test never sees a secret: whoever guesses right and whoever guesses wrong are told the same.
#[test]
fn a_test_is_no_oracle() {
    for guess in ["right", "wrong"] {
        let auth = json!({"type": "password", "username": "ada", "password": guess});
        let problem = operations(json!([{"op": "test", "path": "/smtp/auth", "value": auth}])).unwrap_err();
        assert_eq!(problem.code, Code::Conflict);
        assert!(!problem.detail.contains(guess));
    }
    assert!(!format!("{:?}", Patch::Merge(json!({"x": "secret"}))).contains("secret"));
}

#[test]
fn limits_end_where_they_say() {
    let many = |count| operations(vec![json!({"op": "test", "path": "/name", "value": "Box"}); count].into());
    assert!(many(OPERATIONS).is_ok());
    assert_eq!(many(OPERATIONS + 1).unwrap_err().errors[0].code, "out_of_range");
    // Each copy doubles what is there: it ends long before the fiftieth.
    let double = |number| json!({"op": "copy", "from": "/smtp", "path": format!("/smtp/x{number}")});
    let problem = operations((0..OPERATIONS).map(double).collect()).unwrap_err();
    assert!(problem.detail.contains("65536"), "{problem}");
}
