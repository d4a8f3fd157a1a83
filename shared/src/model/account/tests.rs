use serde_json::{Value, json};

use super::*;
use crate::model::{AccountId, FieldError};

fn input(auth: Value) -> Result<(Account, AccountSecrets), Vec<FieldError>> {
    let account = json!({
        "from": "ada@example.com",
        "smtp": {"host": "mx.example.com", "port": 465, "security": "tls", "auth": auth},
        "receive": {"protocol": "imap", "host": "mx.example.com", "port": 993, "security": "tls"},
    });
    let input: AccountInput = serde_json::from_value(account).unwrap();
    input.check(AccountId::new("box").unwrap(), 60, Timestamp(0))
}

fn oauth2(fields: Value) -> Value {
    let mut auth = json!({"type": "oauth2", "username": "ada@example.com", "clientId": "app"});
    for (name, value) in fields.as_object().unwrap() {
        auth[name] = value.clone();
    }
    auth
}

fn pointers(result: Result<(Account, AccountSecrets), Vec<FieldError>>) -> Vec<String> {
    result.map_or_else(|errors| errors.into_iter().map(|error| error.pointer).collect(), |_| Vec::new())
}

#[test]
fn each_provider_and_grant_says_what_it_needs() {
    let url = "https://id.example.com/token";
    let cases = [
        (json!({"provider": "microsoft"}), vec![], vec!["/smtp/auth/refreshToken"]),
        (json!({"provider": "google"}), vec![], vec!["/smtp/auth/clientSecret", "/smtp/auth/refreshToken"]),
        (json!({"provider": "generic"}), vec!["/smtp/auth/tokenUrl"], vec![]),
        (json!({"provider": "generic", "tokenUrl": url, "refreshToken": "r"}), vec![], vec![]),
        (json!({"provider": "microsoft", "grant": "client_credentials"}), vec!["/smtp/auth/tenantId"], vec![]),
        (
            json!({"provider": "microsoft", "grant": "client_credentials", "tenantId": "example.com"}),
            vec![],
            vec!["/smtp/auth/clientSecret"],
        ),
        (json!({"provider": "microsoft", "tenantId": "../x"}), vec!["/smtp/auth/tenantId"], vec![]),
        (json!({"provider": "google", "tenantId": "x"}), vec!["/smtp/auth/tenantId"], vec![]),
        (json!({"provider": "google", "grant": "client_credentials"}), vec!["/smtp/auth/grant"], vec![]),
        (
            json!({"provider": "generic", "tokenUrl": url, "grant": "client_credentials", "refreshToken": "r"}),
            vec!["/smtp/auth/refreshToken"],
            vec![],
        ),
        (json!({"provider": "google", "refreshToken": "a\r\nb"}), vec!["/smtp/auth/refreshToken"], vec![]),
    ];
    for (fields, wrong, missing) in cases {
        let result = input(oauth2(fields.clone()));
        assert_eq!(pointers(result.clone()), wrong, "{fields}");
        if let Ok((account, secrets)) = result {
            let mut found = secrets.missing(&account);
            found.retain(|pointer| pointer.starts_with("/smtp"));
            assert_eq!(found, missing, "{fields}");
        }
    }
}

#[test]
fn tokens_are_asked_for_over_tls_or_within_a_private_network() {
    for (url, fits) in [
        ("https://id.example.com/token?x=1", true),
        ("http://127.0.0.1:8080/token", true),
        ("http://10.1.2.3/token", true),
        ("http://[::1]/token", true),
        ("http://id.example.com/token", false),
        ("http://8.8.8.8/token", false),
        ("https://user:pw@id.example.com/", false),
        ("https://id.example.com/#x", false),
        ("ftp://id.example.com/", false),
        ("/token", false),
        ("", false),
    ] {
        let fields = json!({"provider": "generic", "tokenUrl": url, "refreshToken": "r"});
        let wanted = if fits { vec![] } else { vec!["/smtp/auth/tokenUrl"] };
        assert_eq!(pointers(input(oauth2(fields))), wanted, "{url}");
        let wanted = if fits { vec![] } else { vec!["/smtp/auth/url"] };
        assert_eq!(pointers(input(json!({"type": "tokenServer", "url": url}))), wanted, "{url}");
    }
}

#[test]
fn what_is_shown_holds_no_secret_and_is_read_back() {
    let fields = json!({"provider": "google", "clientSecret": "CANARY-1", "refreshToken": "CANARY-2"});
    let (account, secrets) = input(oauth2(fields)).unwrap();
    let shown = serde_json::to_value(&account).unwrap();
    let auth = &shown["receive"]["auth"];
    assert_eq!(
        (&auth["type"], &auth["hasClientSecret"], &auth["hasRefreshToken"]),
        (&json!("oauth2"), &json!(true), &json!(true))
    );
    assert!(!shown.to_string().contains("CANARY") && !format!("{secrets:?}").contains("CANARY"));
    assert_eq!(serde_json::from_value::<Account>(shown).unwrap(), account);
    assert!(secrets.receive.complete(&account.receive.unwrap().server.auth), "the receiving side shares the secrets");
}

#[test]
fn a_secret_stays_with_its_endpoint_and_application() {
    let given = |fields: Value| {
        let mut all = json!({"provider": "google"});
        for (name, value) in fields.as_object().unwrap() {
            all[name] = value.clone();
        }
        input(oauth2(all)).unwrap()
    };
    let (mut before, secrets) = given(json!({"clientSecret": "s", "refreshToken": "r"}));
    before.keep_secrets(&secrets, None).unwrap();
    let (mut same, nothing) = given(json!({"scope": "mail"}));
    same.keep_secrets(&nothing, Some(&before)).unwrap();
    assert!(!same.smtp.as_ref().unwrap().auth.lacks_secret());
    let (mut half, some) = given(json!({"refreshToken": "new"}));
    half.keep_secrets(&some, Some(&before)).unwrap();
    for change in
        [json!({"clientId": "other"}), json!({"tokenUrl": "https://evil.example/"}), json!({"username": "bob"})]
    {
        let (mut moved, nothing) = given(change.clone());
        let errors = moved.keep_secrets(&nothing, Some(&before)).unwrap_err();
        assert_eq!(errors.len(), 4, "{change}: both secrets of both sides: {errors:?}");
    }
}

#[test]
fn the_endpoint_and_scope_follow_from_the_provider() {
    let auth = |fields: Value| match input(oauth2(fields)).unwrap().0.smtp.unwrap().auth {
        Auth::OAuth2(oauth2) => oauth2,
        other => panic!("{other:?}"),
    };
    let microsoft = auth(json!({"provider": "microsoft", "tenantId": "example.com"}));
    assert_eq!(microsoft.endpoint(), "https://login.microsoftonline.com/example.com/oauth2/v2.0/token");
    assert_eq!(microsoft.scope(Protocol::Smtp).unwrap(), "https://outlook.office.com/SMTP.Send offline_access");
    let google = auth(json!({"provider": "google"}));
    assert_eq!(
        (google.endpoint().as_str(), google.scope(Protocol::Imap)),
        ("https://oauth2.googleapis.com/token", None)
    );
}
