//! OAuth 2.0: one renewal per expiry however many need a token, no refresh token lost, and failures that are told apart
//! (reliability.md Part 3, items 6 and 7).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::client::Client;
use tests::oauth::{CLIENT_ID, CLIENT_SECRET, Issuer, Mood};
use tests::peer::{Peer, Receive, Way};
use tests::until;

use crate::{account, run, service};

/// Seconds for which access tokens live. They are renewed after three quarters of that.
const LIFETIME: u32 = 4;

/// A mail server, and an endpoint whose tokens it takes.
pub(crate) async fn start(lifetime: u32) -> (Arc<Peer>, Issuer) {
    let peer = Arc::new(Peer::start().await);
    let mailbox = Arc::clone(&peer);
    let issuer = Issuer::start(lifetime, move |token| mailbox.sandbox.add_token(&mailbox.user, token)).await;
    // The mechanisms are offered once there is a token.
    peer.sandbox.add_token(&peer.user, "never given out");
    (peer, issuer)
}

/// An account whose both sides sign in so.
pub(crate) fn settings(peer: &Peer, receive: Receive, auth: &Value) -> Value {
    let mut settings = peer.account(receive, Way::Tls);
    settings["smtp"]["auth"] = auth.clone();
    settings["receive"].as_object_mut().unwrap().remove("auth");
    settings
}

async fn verify(client: &Client, path: &str) -> Value {
    client.post_empty(format!("{path}/verify")).await.value(200)
}

async fn status(client: &Client, path: &str) -> Value {
    client.get(path.to_owned()).await.value(200)["status"].clone()
}

#[test]
fn however_many_need_a_token_one_renews_it_and_no_refresh_token_is_lost() {
    run(async {
        let (peer, issuer) = start(LIFETIME).await;
        let (tenant, client) = service().await.tenant();
        let auth = issuer.auth(&peer.user, &issuer.consent());
        let path = account(&client, "ada", &settings(&peer, Receive::Imap, &auth)).await;
        for _ in 0..3 {
            let probes = join_all((0..10).map(|_| verify(&client, &path))).await;
            for probe in probes {
                assert_eq!(probe["success"], true, "{probe}");
            }
            let last = *issuer.issued().last().unwrap();
            until("the token has expired", async || {
                (last.elapsed() > Duration::from_secs(LIFETIME.into())).then_some(())
            })
            .await;
        }
        let issued = issuer.issued();
        assert!(issued.len() >= 3, "once in each round: {issued:?}");
        let gaps: Vec<_> = issued.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let least = Duration::from_secs(3) - Duration::from_millis(200);
        assert!(gaps.iter().all(|gap| *gap >= least), "one renewal per expiry: {gaps:?}");
        assert_eq!((issuer.reused(), issuer.used()), (0, issuer.asked().len()), "each refresh token was used once");
        assert_eq!(peer.logins(), 60, "no login was refused, none was repeated");

        let message = json!({"to": [peer.user], "subject": "by token", "text": "hello"});
        assert_eq!(client.post(format!("{path}/messages"), &message).await.value(200)["state"], "sent");
        assert_eq!(client.post_empty(format!("{path}/pull")).await.value(200)["new"], 1);

        let shown = client.get(path).await.value(200);
        let auth = &shown["receive"]["auth"];
        assert_eq!((&auth["hasClientSecret"], &auth["hasRefreshToken"]), (&json!(true), &json!(true)), "{shown}");
        let items = format!("{:?}", service().await.aws().await.items_of(&format!("T#{tenant}#")).await);
        assert!(items.contains("TOKEN#"), "the tokens are in the table");
        for secret in ["CANARY-access-", "CANARY-refresh-", CLIENT_SECRET] {
            assert!(!items.contains(secret) && !shown.to_string().contains(secret), "{secret}");
            assert!(!service().await.logs().contains(secret), "{secret}");
        }
    });
}

#[test]
fn a_token_that_a_server_refuses_is_renewed_once() {
    run(async {
        let (peer, issuer) = start(3600).await;
        let (_, client) = service().await.tenant();
        let auth = issuer.auth(&peer.user, &issuer.consent());
        let path = account(&client, "ada", &settings(&peer, Receive::Pop3, &auth)).await;
        assert_eq!(verify(&client, &path).await["success"], true);
        assert_eq!(issuer.issued().len(), 1, "both sides share it");
        peer.sandbox.drop_tokens(&peer.user);
        let probe = verify(&client, &path).await;
        assert_eq!(probe["success"], true, "{probe}");
        assert_eq!((issuer.issued().len(), issuer.reused()), (2, 0));
        assert_eq!(status(&client, &path).await["authFailures"], 0);
    });
}

#[test]
fn a_revoked_grant_is_an_authentication_failure_until_it_is_given_anew() {
    run(async {
        let (peer, issuer) = start(3600).await;
        let (_, client) = service().await.tenant();
        let auth = issuer.auth(&peer.user, &issuer.consent());
        let mut settings = settings(&peer, Receive::Imap, &auth);
        settings.as_object_mut().unwrap().remove("receive");
        let path = account(&client, "ada", &settings).await;
        issuer.revoke();
        let probe = verify(&client, &path).await;
        assert_eq!(
            (&probe["smtp"]["code"], &probe["smtp"]["phase"]),
            (&json!("auth_failed"), &json!("auth")),
            "{probe}"
        );
        assert!(probe["smtp"]["message"].as_str().unwrap().contains("invalid_grant"), "{probe}");
        assert_eq!(probe["smtp"]["consentNeeded"], true, "{probe}");
        let after = status(&client, &path).await;
        assert_eq!(
            (&after["state"], &after["errorCode"]),
            (&json!("authFailed"), &json!("INVALID_CREDENTIALS")),
            "{after}"
        );
        verify(&client, &path).await;
        assert_eq!((issuer.asked().len(), peer.logins()), (1, 0), "nobody is asked again");

        settings["smtp"]["auth"] = issuer.auth(&peer.user, &issuer.consent());
        let _ = client.put(path.clone(), &settings).await.is(200);
        assert_eq!(verify(&client, &path).await["success"], true);
        assert_eq!(status(&client, &path).await["state"], "ok");
    });
}

#[test]
fn an_endpoint_in_trouble_says_nothing_about_the_account() {
    run(async {
        let (peer, issuer) = start(3600).await;
        let (_, client) = service().await.tenant();
        let auth = issuer.auth(&peer.user, &issuer.consent());
        let path = account(&client, "ada", &settings(&peer, Receive::Imap, &auth)).await;
        issuer.turn(Mood::Broken(500));
        for _ in 0..2 {
            let probe = verify(&client, &path).await;
            for side in ["smtp", "receive"] {
                assert_eq!(probe[side]["code"], "connect_failed", "{probe}");
                let words = "the token endpoint answers with status 500";
                assert_eq!(
                    (&probe[side]["phase"], &probe[side]["message"]),
                    (&json!("auth"), &json!(words)),
                    "{probe}"
                );
            }
        }
        let after = status(&client, &path).await;
        assert_eq!((&after["state"], &after["authFailures"]), (&json!("connectFailed"), &json!(0)), "{after}");
        assert_eq!(
            (issuer.asked().len(), peer.logins()),
            (1, 0),
            "an endpoint in trouble is left in peace for a while"
        );
        issuer.turn(Mood::Good);
        let waiting = Instant::now();
        until("it works again", async || (verify(&client, &path).await["success"] == true).then_some(())).await;
        assert!(waiting.elapsed() < Duration::from_secs(40));
        assert_eq!(issuer.reused(), 0);
    });
}

#[test]
fn settings_that_were_tried_first_can_be_stored_although_their_token_is_used_up() {
    run(async {
        let (peer, issuer) = start(3600).await;
        let (tenant, client) = service().await.tenant();
        let settings = settings(&peer, Receive::Imap, &issuer.auth(&peer.user, &issuer.consent()));
        let both = json!({"smtp": settings["smtp"], "receive": settings["receive"]});
        let probe = client.post("/v1/validate-credentials", &both).await.value(200);
        assert_eq!(probe["success"], true, "{probe}");
        let _ = client.put("/v1/accounts/ada?verify=true", &settings).await.is(201);
        assert_eq!(verify(&client, "/v1/accounts/ada").await["success"], true);
        assert_eq!(issuer.reused(), 0);
        let _ = client.delete("/v1/accounts/ada").await.is(204);
        let left = service().await.aws().await.items_of(&format!("T#{tenant}#A#ada")).await;
        assert!(left.is_empty(), "the tokens go with the account: {left:?}");
    });
}

#[test]
fn an_application_signs_in_by_its_own_secret() {
    run(async {
        let (peer, issuer) = start(3600).await;
        let (_, client) = service().await.tenant();
        let auth = json!({"type": "oauth2", "provider": "microsoft", "grant": "client_credentials", "username": peer.user,
            "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "tenantId": "example.test", "tokenUrl": format!("{}/token", issuer.url)});
        let path = account(&client, "ada", &settings(&peer, Receive::Pop3, &auth)).await;
        let probe = verify(&client, &path).await;
        assert_eq!(probe["success"], true, "{probe}");
        let asked = issuer.asked();
        assert_eq!(asked.len(), 1, "one scope, one token: {asked:?}");
        assert_eq!(asked[0]["grant_type"], "client_credentials");
        assert_eq!(asked[0]["scope"], "https://outlook.office365.com/.default");
        assert!(!asked[0].contains_key("refresh_token"));
    });
}

/// A3.6/24: the request of the seed and both of its answers, over all three protocols.
#[test]
fn a_token_server_gives_tokens_or_passwords() {
    run(async {
        let (peer, issuer) = start(3600).await;
        let (_, client) = service().await.tenant();
        let auth = json!({"type": "tokenServer", "url": format!("{}/server?key=1", issuer.url)});
        let path = account(&client, "ada", &settings(&peer, Receive::Pop3, &auth)).await;
        for answer in [
            json!({"user": peer.user, "accessToken": "never given out"}),
            json!({"user": peer.user, "pass": peer.password}),
        ] {
            issuer.hand(answer);
            let probe = verify(&client, &path).await;
            assert_eq!(probe["success"], true, "{probe}");
        }
        let mut asked: Vec<_> = issuer
            .server_asked()
            .iter()
            .map(|query| (query["key"].clone(), query["account"].clone(), query["proto"].clone()))
            .collect();
        asked.sort();
        let ask = |protocol: &str| ("1".to_owned(), "ada".to_owned(), protocol.to_owned());
        assert_eq!(asked, [ask("pop3"), ask("pop3"), ask("smtp"), ask("smtp")]);
        let mut imap = json!({"receive": peer.receive(Receive::Imap, Way::Tls)});
        imap["receive"]["auth"] = auth.clone();
        assert_eq!(client.post("/v1/validate-credentials", &imap).await.value(200)["success"], true);
        assert_eq!(issuer.server_asked().last().unwrap()["proto"], "imap");

        // The query is kept like a password: it stays where the rest does, and goes to no other place.
        let bare = json!({"type": "tokenServer", "url": format!("{}/server", issuer.url)});
        let _ = client.put(path.clone(), &settings(&peer, Receive::Pop3, &bare)).await.is(200);
        assert_eq!(verify(&client, &path).await["success"], true);
        assert!(issuer.server_asked().iter().all(|query| query["key"] == "1"), "{:?}", issuer.server_asked());
        let elsewhere = json!({"type": "tokenServer", "url": format!("{}/other", issuer.url)});
        let _ = client.put(path.clone(), &settings(&peer, Receive::Pop3, &elsewhere)).await.is(200);
        let shown = client.get(path.clone()).await.value(200);
        assert_eq!(shown["smtp"]["auth"]["hasQuery"], false, "{shown}");
        let _ = client.put(path.clone(), &settings(&peer, Receive::Pop3, &auth)).await.is(200);

        issuer.hand(json!({"user": peer.user, "accessToken": "CANARY-wrong"}));
        let probe = verify(&client, &path).await;
        assert_eq!((&probe["smtp"]["code"], &probe["receive"]["code"]), (&json!("auth_failed"), &json!("auth_failed")));
        let message = probe["smtp"]["message"].as_str().unwrap();
        assert!(message.starts_with("the server refuses the access token (status 401)"), "{message}");
        assert!(!probe.to_string().contains("CANARY"));
        issuer.hand(json!({"error": "CANARY"}));
        let probe = verify(&client, &path).await;
        assert_eq!(probe["smtp"]["code"], "connect_failed", "{probe}");
    });
}
