//! What a stored credential is for, and what becomes of it: taken away, guessed at, or handed to another server.

use http::Method;
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Peer, Way};

use crate::{account, run, service};

const CONFIG: &str = "/api/v1/transports/email-config";

async fn patch(client: &Client, operations: Value) -> Answer {
    client.ask(Method::PATCH, CONFIG).json(&operations).send().await
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "replace", "path": path, "value": value.into()})
}

async fn secrets_of(tenant: &str) -> String {
    let secrets = service().await.aws().await.secrets().await;
    let own = secrets.into_iter().filter(|(name, _)| name.starts_with(&format!("halfpenny/{tenant}/")));
    own.map(|(_, value)| value).collect()
}

/// A5.3/26, A5.4/28: the password that was taken away is not used, does not come back, and is nowhere.
#[test]
fn a_removed_password_is_gone() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        let settings = json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)});
        account(&client, "default", &settings).await;
        assert_eq!(peer.logins(), 1, "it is verified first");
        assert!(secrets_of(&tenant).await.contains(&peer.password));
        let _ = patch(&client, json!([{"op": "remove", "path": "/emailPassword", "value": ""}])).await.is(204);
        assert!(!secrets_of(&tenant).await.contains(&peer.password));
        let _ = patch(&client, json!([set("/emailAddress", "grace@example.test")])).await.is(204);
        assert_eq!(client.get(CONFIG).await.value(200)["passwordExists"], false);
        let tried = client.post_empty("/v1/accounts/default/verify").await.value(200);
        assert_eq!((&tried["smtp"]["code"], peer.logins()), (&json!("auth_unavailable"), 1), "{tried}");
        // The same while something else is missing, in one call.
        let _ = patch(&client, json!([set("/emailPassword", peer.password.as_str())])).await.is(204);
        let both = ["/emailAddress", "/emailPassword"].map(|path| json!({"op": "remove", "path": path, "value": ""}));
        let _ = patch(&client, json!(both)).await.is(204);
        let shown = client.get(CONFIG).await.value(200);
        assert_eq!((&shown["passwordExists"], &shown["errorCode"]), (&json!(false), &json!("INCOMPLETE_CONFIG")));
        assert!(!secrets_of(&tenant).await.contains(&peer.password));
        let _ = client.delete(CONFIG).await.is(204);
        assert_eq!(client.get(CONFIG).await.value(200), json!({"isValid": false, "passwordExists": false}));
    });
}

/// A5.3/26: atomic, also where several set a field each.
#[test]
fn of_several_patches_at_once_none_is_lost() {
    run(async {
        let (_, client) = service().await.tenant();
        let fields = [
            set("/username", "ada@example.test"),
            set("/serverAddress", "smtp.example.com"),
            set("/emailAddress", "ada@example.test"),
        ];
        let patches = fields.map(|field| patch(&client, json!([field])));
        for answer in futures_util::future::join_all(patches).await {
            let _ = answer.is(204);
        }
        let shown = client.get(CONFIG).await.value(200);
        let found = ["username", "serverAddress", "emailAddress"].map(|field| shown[field].clone());
        assert_eq!(found, ["ada@example.test", "smtp.example.com", "ada@example.test"].map(|text| json!(text)));
        // The whole configuration gives way to an incomplete one without ever being gone.
        let _ = patch(&client, json!([set("/serverPort", "465"), set("/emailPassword", "x")])).await.is(204);
        let _ = client.get("/v1/accounts/default").await.is(200);
        let _ = patch(&client, json!([{"op": "remove", "path": "/serverPort", "value": ""}])).await.is(204);
        let shown = client.get(CONFIG).await.value(200);
        assert_eq!(
            (&shown["serverAddress"], &shown["errorCode"]),
            (&json!("smtp.example.com"), &json!("INCOMPLETE_CONFIG"))
        );
    });
}

/// Decision 22, whichever way a password is tried.
#[test]
fn storing_one_password_after_the_other_is_no_way_to_guess() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let guess = |number: u32| {
            let mut settings = json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)});
            settings["smtp"]["auth"]["password"] = json!(format!("guess {number}"));
            settings
        };
        let path = account(&client, "guessed", &guess(0)).await;
        for number in 1..=5 {
            let verified = client.put(format!("{path}?verify=true"), &guess(number)).await;
            let _ = verified.problem(422, "verification_failed");
            let _ = client.put(path.clone(), &guess(100 + number)).await.is(200);
            let probe = client.post_empty(format!("{path}/verify")).await.value(200);
            assert_eq!(probe["smtp"]["code"], "auth_failed");
        }
        let logins = peer.logins();
        let _ = client.put(format!("{path}?verify=true"), &guess(6)).await.problem(429, "rate_limited");
        let _ = client.post_empty(format!("{path}/verify")).await.problem(429, "rate_limited");
        let _ = client.post_empty(format!("{path}/diagnose")).await.problem(429, "rate_limited");
        let test = json!({"to": "bob@example.org"});
        let _ = client.post(format!("{path}/test-email"), &test).await.problem(429, "rate_limited");
        assert_eq!(peer.logins(), logins, "nobody was asked");
    });
}

/// A4.3/25 in its spirit: what a token server hands out is for the account's own server.
#[test]
fn a_token_servers_credential_goes_to_no_other_server() {
    run(async {
        let (_, client) = service().await.tenant();
        let (peer, other) = (Peer::start().await, Peer::start().await);
        let mut settings = json!({"from": peer.user, "smtp": peer.smtp(Way::Tls)});
        settings["smtp"]["auth"] = json!({"type": "tokenServer", "url": "https://tokens.example.com/here"});
        let path = account(&client, "handed", &settings).await;
        let mut elsewhere = other.smtp(Way::Tls);
        elsewhere.as_object_mut().unwrap().remove("auth");
        let test = json!({"to": "bob@example.org", "smtp": elsewhere});
        let refused = client.post(format!("{path}/test-email"), &test).await;
        refused.names(&[("/smtp/auth", "missing")]);
        assert_eq!((peer.logins(), other.logins()), (0, 0));
    });
}
