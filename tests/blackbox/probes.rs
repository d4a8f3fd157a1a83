//! Probes: verify, validate-credentials and test-email say what is wrong, in the server's words, and never leak a
//! credential to somebody who could not prove who he is.

use sandbox::{At, Certificate, Protocol, Rule, Service as Port};
use serde_json::{Value, json};
use tests::peer::{Peer, Receive, Way};

use crate::{account, masked, run, service};

/// The three protocols, and how each begins TLS.
const PROTOCOLS: [(Protocol, &str); 3] =
    [(Protocol::Smtp, "STARTTLS"), (Protocol::Pop3, "STLS"), (Protocol::Imap, "STARTTLS")];

/// The side of one protocol, to be validated.
fn side(peer: &Peer, protocol: Protocol, way: Way) -> (&'static str, Value) {
    match protocol {
        Protocol::Smtp => ("smtp", json!({"smtp": peer.smtp(way)})),
        Protocol::Pop3 => ("receive", json!({"receive": peer.receive(Receive::Pop3, way)})),
        Protocol::Imap => ("receive", json!({"receive": peer.receive(Receive::Imap, way)})),
    }
}

/// Validates one side; 200 whatever comes of it. Returns the verdict.
async fn validate(side: &str, body: &Value) -> Value {
    let (tenant, client) = service().await.tenant();
    let probe = client.post("/v1/validate-credentials", body).await.value(200);
    assert_eq!(probe["success"], probe[side]["success"], "{probe}");
    assert_eq!(probe.as_object().unwrap().len(), 2, "only what was asked for: {probe}");
    let mut stored = service().await.aws().await.items_of(&format!("T#{tenant}#")).await;
    // How often a server refused is counted, by a hash of server and user; of the settings nothing is kept.
    stored.retain(|key, _| !key.starts_with(&format!("T#{tenant}#G")));
    assert!(stored.is_empty(), "nothing is stored");
    probe[side].clone()
}

#[test]
fn good_settings_are_good_over_every_protocol() {
    run(async {
        let peer = Peer::start().await;
        for (protocol, _) in PROTOCOLS {
            for way in Way::BOTH {
                let (name, body) = side(&peer, protocol, way);
                let verdict = masked(validate(name, &body).await, &["/durationMs", "/message"]);
                let mut wanted = json!({"success": true, "code": "ok", "message": "*", "connectionFailed": false, "phase": "select", "durationMs": "*"});
                if protocol == Protocol::Smtp {
                    wanted["phase"] = json!("auth");
                    wanted["smtpResponseCode"] = json!(235);
                }
                assert_eq!(verdict, wanted, "{protocol:?} {way:?}");
            }
        }
        assert!(!peer.saw_credential_in_clear());
        assert!(peer.sandbox.received().is_empty(), "no message is sent");
    });
}

#[test]
fn a_refused_password_is_told_in_the_servers_words() {
    run(async {
        let peer = Peer::start().await;
        for (protocol, _) in PROTOCOLS {
            let (name, mut body) = side(&peer, protocol, Way::Starttls);
            body[name]["auth"]["password"] = json!("not hers");
            let verdict = validate(name, &body).await;
            assert_eq!(verdict["code"], "auth_failed", "{verdict}");
            assert_eq!((&verdict["phase"], &verdict["connectionFailed"]), (&json!("auth"), &json!(false)), "{verdict}");
            assert!(
                !verdict["message"].as_str().unwrap().is_empty() && !verdict.to_string().contains("not hers"),
                "{verdict}"
            );
            if protocol == Protocol::Smtp {
                assert_eq!(verdict["smtpResponseCode"], 535);
            }
        }
    });
}

#[test]
fn a_wrong_port_and_an_unknown_name_are_told_apart() {
    run(async {
        let peer = Peer::start().await;
        let unused = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        for (protocol, _) in PROTOCOLS {
            let (name, mut body) = side(&peer, protocol, Way::Tls);
            body[name]["port"] = json!(unused);
            let verdict = validate(name, &body).await;
            assert_eq!(
                (&verdict["code"], &verdict["phase"], &verdict["connectionFailed"]),
                (&json!("connect_failed"), &json!("connect"), &json!(true)),
                "{verdict}"
            );
            let (name, mut body) = side(&peer, protocol, Way::Tls);
            body[name]["host"] = json!("nowhere.invalid");
            let verdict = validate(name, &body).await;
            assert_eq!(
                (&verdict["code"], &verdict["phase"], &verdict["connectionFailed"]),
                (&json!("dns_failed"), &json!("dns"), &json!(true)),
                "{verdict}"
            );
        }
        assert_eq!(peer.logins(), 0);
    });
}

#[test]
fn a_bad_certificate_never_sees_a_credential() {
    run(async {
        let peer = Peer::start().await;
        for certificate in
            [Certificate::SelfSigned, Certificate::Expired, Certificate::WrongName, Certificate::Untrusted]
        {
            for (protocol, _) in PROTOCOLS {
                peer.sandbox.script(Rule::on(protocol).certificate(certificate));
                for way in Way::BOTH {
                    let (name, body) = side(&peer, protocol, way);
                    let verdict = validate(name, &body).await;
                    assert_eq!(
                        verdict["code"], "certificate_invalid",
                        "{certificate:?} {protocol:?} {way:?}: {verdict}"
                    );
                    assert_eq!(
                        (&verdict["phase"], &verdict["connectionFailed"]),
                        (&json!("tls"), &json!(true)),
                        "{verdict}"
                    );
                }
            }
            peer.sandbox.clear_script();
        }
        assert_eq!(peer.logins(), 0);
        assert!(!peer.saw_credential_in_clear());
    });
}

#[test]
fn an_unchecked_certificate_is_the_callers_choice() {
    run(async {
        let peer = Peer::start().await;
        for (protocol, _) in PROTOCOLS {
            peer.sandbox.script(Rule::on(protocol).certificate(Certificate::SelfSigned));
            let (name, mut body) = side(&peer, protocol, Way::Tls);
            body[name]["verifyCertificate"] = json!(false);
            assert_eq!(validate(name, &body).await["code"], "ok");
        }
    });
}

#[test]
fn stripped_starttls_never_sees_a_credential() {
    run(async {
        for (protocol, command) in PROTOCOLS {
            let peer = Peer::start().await;
            peer.sandbox.script(Rule::on(protocol).at(At::Connect).hide_capability(command));
            let (name, body) = side(&peer, protocol, Way::Starttls);
            let verdict = validate(name, &body).await;
            assert_eq!(verdict["code"], "starttls_unavailable", "{protocol:?}: {verdict}");
            assert_eq!(verdict["connectionFailed"], true, "{verdict}");
            assert_eq!(peer.logins(), 0);
            assert!(!peer.saw_credential_in_clear());
        }
    });
}

#[test]
fn what_is_injected_behind_starttls_is_refused() {
    run(async {
        for (protocol, command) in PROTOCOLS {
            let peer = Peer::start().await;
            let injected = match protocol {
                Protocol::Smtp => "250 injected\r\n",
                Protocol::Pop3 => "+OK injected\r\n",
                Protocol::Imap => "* OK injected\r\n",
            };
            let fired = peer.sandbox.script(Rule::on(protocol).at(At::Command(command)).append(injected));
            let (name, body) = side(&peer, protocol, Way::Starttls);
            let verdict = validate(name, &body).await;
            assert_eq!((&verdict["code"], fired.count()), (&json!("protocol_injection"), 1), "{protocol:?}: {verdict}");
            assert_eq!(peer.logins(), 0);
            assert!(!peer.saw_credential_in_clear());
        }
    });
}

#[test]
fn a_silent_server_ends_in_a_timeout_that_names_the_phase() {
    run(async {
        let mut waits = Vec::new();
        for (protocol, _) in PROTOCOLS {
            for (at, phase) in [(At::Connect, "greeting"), (At::Handshake, "tls")] {
                waits.push(async move {
                    let peer = Peer::start().await;
                    peer.sandbox.script(Rule::on(protocol).at(at).stall_forever());
                    let way = if phase == "tls" { Way::Tls } else { Way::Starttls };
                    let (name, body) = side(&peer, protocol, way);
                    let started = std::time::Instant::now();
                    let verdict = validate(name, &body).await;
                    assert_eq!(
                        (&verdict["code"], &verdict["phase"]),
                        (&json!("timeout"), &json!(phase)),
                        "{protocol:?}: {verdict}"
                    );
                    // ProbeSeconds is 8 here, and another process may have to be started.
                    assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
                });
            }
        }
        futures_util::future::join_all(waits).await;
    });
}

#[test]
fn a_server_that_never_judges_the_login_ends_in_a_timeout_too() {
    run(async {
        let waits = PROTOCOLS.map(|(protocol, _)| async move {
            let peer = Peer::start().await;
            for command in ["AUTH", "PASS", "AUTHENTICATE", "LOGIN"] {
                peer.sandbox.script(Rule::on(protocol).at(At::Command(command)).stall_forever());
            }
            let (name, body) = side(&peer, protocol, Way::Tls);
            let verdict = validate(name, &body).await;
            assert_eq!(
                (&verdict["code"], &verdict["phase"], &verdict["connectionFailed"]),
                (&json!("timeout"), &json!("auth"), &json!(false)),
                "{protocol:?}: {verdict}"
            );
        });
        futures_util::future::join_all(waits).await;
    });
}

#[test]
fn a_server_that_speaks_another_protocol_is_no_mail_server() {
    run(async {
        let peer = Peer::start().await;
        let (_, mut body) = side(&peer, Protocol::Imap, Way::Tls);
        body["receive"]["port"] = json!(peer.sandbox.port(Port::Pop3s));
        let verdict = validate("receive", &body).await;
        assert_eq!(verdict["code"], "greeting_failed", "{verdict}");
        assert_eq!(peer.logins(), 0);
    });
}

#[test]
fn private_networks_and_our_own_ports_are_refused() {
    run(async {
        let service = service().await;
        let peer = Peer::start().await;
        for host in ["10.0.0.1", "192.168.1.1", "169.254.169.254", "::ffff:10.0.0.1", "0.0.0.0", "fd00::1"] {
            let (_, mut body) = side(&peer, Protocol::Imap, Way::Tls);
            body["receive"]["host"] = json!(host);
            let verdict = validate("receive", &body).await;
            assert_eq!(
                (&verdict["code"], &verdict["connectionFailed"]),
                (&json!("host_not_allowed"), &json!(true)),
                "{host}: {verdict}"
            );
        }
        for name in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3"] {
            let port: u16 = service.env(name).rsplit(':').next().unwrap().parse().unwrap();
            let (_, mut body) = side(&peer, Protocol::Imap, Way::Tls);
            body["receive"]["port"] = json!(port);
            assert_eq!(validate("receive", &body).await["code"], "host_not_allowed", "{name}");
        }
    });
}

#[test]
fn settings_to_validate_are_held_to_the_rules_of_an_account() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let with = |place: &str, value: Value| {
            let mut body = json!({"smtp": peer.smtp(Way::Tls)});
            let (parent, name) = place.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value;
            body
        };
        for (place, value, code) in [
            ("/smtp/port", json!(0), "out_of_range"),
            ("/smtp/security", json!("ssl"), "invalid_value"),
            ("/smtp/colour", json!(1), "unknown_field"),
            ("/imap", json!({}), "unknown_field"),
        ] {
            client.post("/v1/validate-credentials", &with(place, value)).await.names(&[(place, code)]);
        }
        let without = with("/smtp/auth", json!({"type": "password", "username": "ada@example.test"}));
        client.post("/v1/validate-credentials", &without).await.names(&[("/smtp/auth/password", "missing")]);
        client.post("/v1/validate-credentials", &json!({})).await.names(&[("/smtp", "missing")]);
        assert_eq!(peer.logins(), 0);
    });
}

#[test]
fn verify_uses_what_is_stored_and_remembers_the_outcome() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Pop3, Way::Starttls)).await;
        let probe = client.post_empty(format!("{path}/verify")).await.value(200);
        assert_eq!(
            (&probe["success"], &probe["smtp"]["code"], &probe["receive"]["code"]),
            (&json!(true), &json!("ok"), &json!("ok"))
        );
        assert_eq!(client.get(path.clone()).await.value(200)["status"]["state"], "ok");

        peer.sandbox.add_user(&peer.user, "changed meanwhile").unwrap();
        let probe = client.post_empty(format!("{path}/verify")).await.value(200);
        assert_eq!(
            (&probe["success"], &probe["smtp"]["code"], &probe["receive"]["code"]),
            (&json!(false), &json!("auth_failed"), &json!("auth_failed"))
        );
        let status = client.get(path.clone()).await.value(200)["status"].clone();
        assert_eq!((&status["state"], &status["errorCode"]), (&json!("authFailed"), &json!("INVALID_CREDENTIALS")));
        assert!(status["authFailures"].as_u64().unwrap() >= 1 && status["lastError"].is_string(), "{status}");
        let _ = client.post_empty("/v1/accounts/nobody/verify").await.problem(404, "account_not_found");
    });
}

#[test]
fn a_test_email_is_sent_at_once() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Starttls)).await;
        let body = json!({"to": "Ada <ada@example.test>", "subject": "Probe", "text": "It works.\n"});
        let probe = client.post(format!("{path}/test-email"), &body).await.value(200);
        assert_eq!(
            (&probe["success"], &probe["smtp"]["code"], &probe["smtp"]["phase"], &probe["smtp"]["smtpResponseCode"]),
            (&json!(true), &json!("ok"), &json!("data"), &json!(250)),
            "{probe}"
        );
        let received = peer.sandbox.received();
        assert_eq!(
            (received.len(), received[0].recipients.as_slice()),
            (1, ["ada@example.test".to_owned()].as_slice())
        );
        let text = String::from_utf8_lossy(&received[0].bytes).into_owned();
        assert!(text.contains("Subject: Probe\r\n") && text.contains("It works."), "{text}");

        peer.sandbox.script(Rule::on(Protocol::Smtp).at(At::Command("RCPT")).reply("550 5.1.1 No such user here\r\n"));
        let probe = client.post(format!("{path}/test-email"), &body).await.value(200);
        assert_eq!(
            (&probe["success"], &probe["smtp"]["code"], &probe["smtp"]["phase"], &probe["smtp"]["smtpResponseCode"]),
            (&json!(false), &json!("recipient_rejected"), &json!("rcpt"), &json!(550)),
            "{probe}"
        );
        assert!(probe["smtp"]["message"].as_str().unwrap().contains("No such user here"), "{probe}");
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

#[test]
fn a_test_email_sends_the_stored_password_to_the_stored_server_only() {
    run(async {
        let (_, client) = service().await.tenant();
        let (peer, evil) = (Peer::start().await, Peer::start().await);
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Starttls)).await;
        let mut server = evil.smtp(Way::Starttls);
        server["auth"] = json!({"type": "password", "username": "ada@example.test"});
        let answer =
            client.post(format!("{path}/test-email"), &json!({"to": "ada@example.test", "smtp": server})).await;
        answer.names(&[("/smtp/auth/password", "missing")]);
        assert_eq!((evil.logins(), peer.logins()), (0, 0));
        assert!(evil.sandbox.transcript().is_empty());
        client
            .post(format!("{path}/test-email"), &json!({"to": "ada@example.test", "from": "boss@example.test"}))
            .await
            .names(&[("/from", "not_an_identity")]);
        client.post(format!("{path}/test-email"), &json!({"to": "nobody"})).await.names(&[("/to", "invalid_value")]);
        client.post(format!("{path}/test-email"), &json!({})).await.names(&[("/to", "missing")]);
    });
}
