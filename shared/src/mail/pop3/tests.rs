//! Every rule and every trap, against scripted servers.

use futures_util::FutureExt;
use tokio::io::DuplexStream;

use super::*;
use crate::mail::auth::Credential;
use crate::mail::limits::{POP3_EXCESS_BYTES, POP3_PIPELINE};
use crate::mail::scripted::{Peer, bob, bob_by_token, scripted};
use crate::model::ProbeCode;

const CAPA: &str = "CAPA\r\n";
const GREETING: &[u8] = b"+OK ready <1896.697170952@dbc.mtview.ca.us>";

/// A session behind USER and PASS, with these capabilities and this script.
async fn opened(capabilities: &str, turns: &[(&str, &str)]) -> (Client<DuplexStream>, Peer) {
    let capabilities = format!("+OK\r\n{capabilities}.\r\n");
    let start = [(CAPA, capabilities.as_str()), ("USER bob\r\n", "+OK\r\n"), ("PASS secret\r\n", "+OK\r\n")];
    let (wire, peer) = scripted(start.into_iter().chain(turns.iter().copied()));
    (login(wire, GREETING, &bob("secret")).await.unwrap(), peer)
}

async fn refused_login(turns: &[(&str, &str)]) -> Error {
    let (wire, peer) = scripted(turns.iter().copied());
    let error = login(wire, GREETING, &bob("secret")).await.unwrap_err();
    peer.done().await;
    error
}

#[tokio::test]
async fn login_takes_sasl_plain_at_once_or_user_and_pass() {
    let plain = "AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n";
    let scripts: [&[(&str, &str)]; 4] = [
        &[(CAPA, "-ERR what?\r\n"), ("USER bob\r\n", "+OK\r\n"), ("PASS secret\r\n", "+OK\r\n")],
        &[(CAPA, "+OK\r\nUSER\r\nSASL CRAM-MD5\r\n.\r\n"), ("USER bob\r\n", "+OK\r\n"), ("PASS secret\r\n", "+OK\r\n")],
        &[(CAPA, "+OK\r\nsasl login plain\r\n.\r\n"), (plain, "+OK Logged in.\r\n")],
        &[(CAPA, "+OK\r\nSASL PLAIN\r\n.\r\n"), (plain, "+ \r\n"), ("AGJvYgBzZWNyZXQ=\r\n", "+OK\r\n")],
    ];
    for script in scripts {
        let (wire, peer) = scripted(script.iter().copied());
        drop(login(wire, GREETING, &bob("secret")).await.unwrap());
        peer.done().await;
    }
}

#[tokio::test]
async fn a_response_that_makes_the_line_too_long_waits_for_the_servers_plus() {
    // "AUTH PLAIN " + 240 + CRLF = 253 bytes go at once; 244 more make 257.
    for (password, at_once) in [("p".repeat(175), true), ("p".repeat(178), false)] {
        let credential = bob(&password);
        let response = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("\0bob\0{password}"));
        let capa = (CAPA.to_owned(), "+OK\r\nSASL PLAIN\r\n.\r\n".to_owned());
        let turns = if at_once {
            vec![capa, (format!("AUTH PLAIN {response}\r\n"), "+OK\r\n".to_owned())]
        } else {
            vec![
                capa,
                ("AUTH PLAIN\r\n".to_owned(), "+\r\n".to_owned()),
                (format!("{response}\r\n"), "+OK\r\n".to_owned()),
            ]
        };
        let (wire, peer) = scripted(turns);
        drop(login(wire, GREETING, &credential).await.unwrap());
        peer.done().await;
    }
}

#[tokio::test]
async fn only_a_no_to_the_credentials_counts_as_one() {
    let cases = [
        ("-ERR [AUTH] no", ProbeCode::AuthFailed, false, Some("AUTH")),
        ("-ERR no", ProbeCode::AuthFailed, false, None),
        ("-ERR [IN-USE] locked", ProbeCode::ProtocolError, true, Some("IN-USE")),
        ("-ERR [login-delay] wait", ProbeCode::ProtocolError, true, Some("LOGIN-DELAY")),
        ("-ERR [SYS/TEMP] disk", ProbeCode::ProtocolError, true, Some("SYS/TEMP")),
        ("-ERR [SYS/PERM] gone", ProbeCode::ProtocolError, false, Some("SYS/PERM")),
    ];
    for (answer, code, transient, response_code) in cases {
        let answer = format!("{answer}\r\n");
        let by_pass = [(CAPA, "-ERR\r\n"), ("USER bob\r\n", "+OK\r\n"), ("PASS secret\r\n", answer.as_str())];
        let by_sasl = [(CAPA, "+OK\r\nSASL PLAIN\r\n.\r\n"), ("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n", answer.as_str())];
        for error in [refused_login(&by_pass).await, refused_login(&by_sasl).await] {
            assert_eq!((error.code, error.is_transient(), error.phase), (code, transient, Phase::Auth), "{answer}");
            assert_eq!(error.refusal.unwrap().enhanced.as_deref(), response_code);
        }
    }
}

#[tokio::test]
async fn a_server_that_echoes_the_password_does_not_get_it_into_our_words() {
    let error =
        refused_login(&[(CAPA, "-ERR\r\n"), ("USER bob\r\n", "+OK\r\n"), ("PASS secret\r\n", "-ERR PASS secret?\r\n")])
            .await;
    assert_eq!((error.detail.as_str(), error.refusal.unwrap().text.as_str()), ("PASS ***?", "PASS ***?"));
    let error =
        refused_login(&[(CAPA, "-ERR\r\n"), ("USER bob\r\n", "+OK\r\n"), ("PASS secret\r\n", "secret is wrong\r\n")])
            .await;
    assert_eq!((error.code, error.detail.as_str()), (ProbeCode::ProtocolError, "not a POP3 answer: *** is wrong"));
}

#[tokio::test]
async fn nothing_is_sent_that_should_not_be() {
    let nobody: [(&str, &str); 1] = [(CAPA, "+OK\r\n.\r\n")];
    let no_user: [(&str, &str); 1] = [(CAPA, "+OK\r\nSTLS\r\nUIDL\r\n.\r\n")];
    let cases =
        [(nobody, Credential::None), (no_user, bob("secret")), (nobody, bob("a\r\nDELE 1")), (nobody, bob("a\0b"))];
    for (script, credential) in cases {
        let (wire, peer) = scripted(script);
        let error = login(wire, GREETING, &credential).await.unwrap_err();
        assert_eq!((error.code, error.phase), (ProbeCode::AuthUnavailable, Phase::Auth));
        peer.done().await;
    }
}

#[tokio::test]
async fn a_greeting_that_refuses_or_is_none_ends_it() {
    for (greeting, refusal) in
        [("-ERR [SYS/TEMP] later", true), ("-ERR go away", true), ("220 smtp", false), ("+OKAY", false)]
    {
        let (wire, peer) = scripted([("", "")]);
        let error = login(wire, greeting.as_bytes(), &bob("secret")).await.unwrap_err();
        assert_eq!(
            (error.code, error.phase, error.refusal.is_some()),
            (ProbeCode::GreetingFailed, Phase::Greeting, refusal)
        );
        assert!(error.is_transient());
        peer.done().await;
    }
}

#[tokio::test]
async fn listings_are_read_as_they_are_with_duplicates_and_gaps() {
    let (mut client, peer) = opened(
        "USER\r\nUIDL\r\n",
        &[
            ("STAT\r\n", "+OK 3 1200 and more\r\n"),
            ("UIDL\r\n", "+OK\r\n1 a\r\n2\r\n3 a\r\n4 \u{e9}|x y\n.\r\n"),
            ("LIST\r\n", "+OK 3 messages\r\n1 400\r\n3 5000000000 deleted?\r\n.\r\n"),
        ],
    )
    .await;
    assert_eq!(client.stat().await.unwrap(), Stat { messages: 3, octets: 1200 });
    let ids = client.uidl().await.unwrap().unwrap();
    assert_eq!(ids, [(1, "a".to_owned()), (3, "a".to_owned()), (4, "\u{c3}\u{a9}|x y".to_owned())]);
    assert_eq!(client.list().await.unwrap(), [(1, 400), (3, 5_000_000_000)]);
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn no_uidl_is_a_fact_but_a_moments_trouble_is_an_error() {
    for (capabilities, answer, transient) in [
        ("USER\r\n", "-ERR unknown command", None),
        ("USER\r\n", "-ERR [SYS/TEMP] busy", Some(true)),
        ("USER\r\nUIDL\r\n", "-ERR not now", Some(false)),
    ] {
        let (mut client, peer) = opened(capabilities, &[("UIDL\r\n", &format!("{answer}\r\n"))]).await;
        match (client.uidl().await, transient) {
            (Ok(None), None) => {}
            (Err(error), Some(transient)) => assert_eq!((error.is_transient(), error.phase), (transient, Phase::List)),
            (other, _) => panic!("{answer}: {other:?}"),
        }
        drop(client);
        peer.done().await;
    }
}

#[tokio::test]
async fn a_listing_that_makes_no_sense_is_a_protocol_error() {
    for line in ["x 1", "0 5", "1", "1 -5", "+1 5", "4294967296 1", ""] {
        let (mut client, peer) = opened("USER\r\n", &[("LIST\r\n", &format!("+OK\r\n{line}\r\n.\r\n"))]).await;
        assert_eq!(client.list().await.unwrap_err().code, ProbeCode::ProtocolError, "{line:?}");
        // And the session is over.
        assert_eq!(client.noop().await.unwrap_err().detail, "an earlier answer was not read to its end");
        drop(client);
        peer.done().await;
    }
}

#[tokio::test]
async fn one_by_one_without_pipelining_and_a_refused_message_does_not_stop_the_rest() {
    let (mut client, peer) = opened(
        "USER\r\n",
        &[
            (CAPA, "+OK\r\nUSER\r\n.\r\n"),
            ("RETR 1\r\n", "+OK\r\nA: 1\r\n\r\n..\r\n.\r\n"),
            ("RETR 2\r\n", "-ERR no such message\r\n"),
            ("RETR 3\r\n", "+OK\r\n.\r\n"),
            ("RETR 4\r\n", "+OK\n12345\n.\n"),
            ("QUIT\r\n", "+OK bye\r\n"),
        ],
    )
    .await;
    let mut retrieval = client.retrieve(&[1, 2, 3, 4], 10);
    assert_eq!(retrieval.next().await.unwrap(), Some((1, Err(Missing::TooLarge))));
    let Some((2, Err(Missing::Refused(refusal)))) = retrieval.next().await.unwrap() else { panic!("not refused") };
    assert_eq!((refusal.enhanced, refusal.text.as_str()), (None, "no such message"));
    assert_eq!(retrieval.next().await.unwrap(), Some((3, Ok(Vec::new()))));
    assert_eq!(retrieval.next().await.unwrap(), Some((4, Ok(b"12345\n".to_vec()))));
    assert_eq!(retrieval.next().await.unwrap(), None);
    assert_eq!(client.quit().await.unwrap(), Committed);
    peer.done().await;
}

#[tokio::test]
async fn pipelines_fill_up_at_half_and_survive_refusals_in_the_middle() {
    let numbers: Vec<u32> = (1..=100).collect();
    let commands =
        |range: std::ops::RangeInclusive<u32>| range.map(|number| format!("RETR {number}\r\n")).collect::<String>();
    let answers = |range: std::ops::RangeInclusive<u32>| {
        range
            .map(
                |number| {
                    if number % 10 == 0 { "-ERR gone\r\n".to_owned() } else { format!("+OK\r\n{number}\r\n.\r\n") }
                },
            )
            .collect::<String>()
    };
    assert_eq!(POP3_PIPELINE, 64);
    let turns = [
        (commands(1..=64), answers(1..=32)),
        (commands(65..=96), answers(33..=64)),
        (commands(97..=100), answers(65..=100)),
    ];
    let turns: Vec<_> = turns.iter().map(|(commands, answers)| (commands.as_str(), answers.as_str())).collect();
    let (mut client, peer) = opened("USER\r\nPIPELINING\r\n", &turns).await;
    let mut retrieval = client.retrieve(&numbers, 100);
    for number in 1..=100 {
        let mut message = Vec::new();
        let (got, size) = retrieval.next_into(|piece| message.extend_from_slice(piece)).await.unwrap().unwrap();
        assert_eq!(got, number);
        if number % 10 == 0 {
            assert!(matches!(size, Err(Missing::Refused(_))));
        } else {
            assert_eq!((size, message), (Ok(message_of(number).len() as u64), message_of(number)));
        }
    }
    assert_eq!(retrieval.next().await.unwrap(), None);
    drop(client);
    peer.done().await;
}

fn message_of(number: u32) -> Vec<u8> {
    format!("{number}\r\n").into_bytes()
}

#[tokio::test]
async fn pipelining_told_only_after_login_is_used() {
    let (mut client, peer) = opened(
        "USER\r\n",
        &[(CAPA, "+OK\r\nPIPELINING\r\n.\r\n"), ("RETR 1\r\nRETR 2\r\n", "+OK\r\na\r\n.\r\n+OK\r\nb\r\n.\r\n")],
    )
    .await;
    let mut retrieval = client.retrieve(&[1, 2], 100);
    assert_eq!(retrieval.next().await.unwrap(), Some((1, Ok(b"a\r\n".to_vec()))));
    assert_eq!(retrieval.next().await.unwrap(), Some((2, Ok(b"b\r\n".to_vec()))));
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_brings_no_message_and_no_commit() {
    let whole = "+OK\r\nA: b\r\n\r\n..\r\n.\r\n";
    for cut in 0..whole.len() {
        let (mut client, peer) = opened("USER\r\n", &[("RETR 1\r\n", &whole[..cut])]).await;
        let error = client.retrieve(&[1], 100).next().await.unwrap_err();
        assert_eq!((error.code, error.phase), (ProbeCode::ProtocolError, Phase::List), "cut at {cut}");
        assert!(error.is_transient());
        assert!(client.quit().await.is_err(), "QUIT would commit");
        peer.done().await;
    }
}

#[tokio::test]
async fn a_message_that_does_not_end_is_given_up_and_nothing_is_asked_behind_it() {
    let excess = usize::try_from(POP3_EXCESS_BYTES).unwrap();
    for (bytes, expected) in [(10 + excess, Missing::TooLarge), (11 + excess, Missing::Endless)] {
        let end = if expected == Missing::TooLarge { "\r\n.\r\n" } else { "xx" };
        let answer = format!("+OK\r\n{}{end}", "x".repeat(bytes - 2));
        let (mut client, peer) = opened("USER\r\n", &[("RETR 1\r\n", &answer)]).await;
        let mut came = 0;
        let mut retrieval = client.retrieve(&[1], 10);
        let next = retrieval.next_into(|piece| came += piece.len()).await.unwrap();
        assert_eq!(next, Some((1, Err(expected.clone()))));
        assert!(came <= 10);
        if expected == Missing::Endless {
            assert_eq!(client.stat().await.unwrap_err().code, ProbeCode::ProtocolError);
        }
        drop(client);
        peer.done().await;
    }
}

#[tokio::test]
async fn heads_come_whole_or_not() {
    let answers = ["+OK\r\nA: b\r\n..\r\n\r\n.\r\n", "+OK\r\nA: 789012\r\n.\r\n", "-ERR what?\r\n", "+OK\r\nA: b\r\n"];
    let turns: Vec<_> = ["TOP 1 0\r\n", "TOP 2 0\r\n", "TOP 3 0\r\n", "TOP 4 0\r\n"].into_iter().zip(answers).collect();
    let (mut client, peer) = opened("USER\r\n", &turns).await;
    assert_eq!(client.head(1, 11).await.unwrap(), Ok(b"A: b\r\n.\r\n\r\n".to_vec()));
    assert_eq!(client.head(2, 10).await.unwrap(), Err(Missing::TooLarge));
    assert!(matches!(client.head(3, 10).await.unwrap(), Err(Missing::Refused(_))));
    assert!(client.head(4, 10).await.is_err());
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn marks_count_only_with_ok_to_quit() {
    for (answer, committed) in [("+OK\r\n", true), ("", false), ("-ERR some not removed\r\n", false), ("+O", false)] {
        let (mut client, peer) = opened(
            "USER\r\n",
            &[("DELE 1\r\n", "+OK\r\n"), ("RSET\r\n", "+OK\r\n"), ("DELE 2\r\n", "+OK\r\n"), ("QUIT\r\n", answer)],
        )
        .await;
        client.delete(1).await.unwrap();
        client.reset().await.unwrap();
        client.delete(2).await.unwrap();
        assert_eq!(client.quit().await.is_ok(), committed, "{answer:?}");
        peer.done().await;
    }
}

#[tokio::test]
async fn a_refused_dele_is_told_and_the_session_goes_on() {
    let (mut client, peer) =
        opened("USER\r\n", &[("DELE 9\r\n", "-ERR [SYS/PERM] no\r\n"), ("NOOP\r\n", "+OK\r\n")]).await;
    let error = client.delete(9).await.unwrap_err();
    assert_eq!((error.code, error.detail.as_str()), (ProbeCode::ProtocolError, "SYS/PERM no"));
    client.noop().await.unwrap();
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn an_abandoned_retrieval_cannot_be_mistaken_for_the_next_answer() {
    let (mut client, peer) =
        opened("USER\r\nPIPELINING\r\n", &[("RETR 1\r\nRETR 2\r\n", "+OK\r\na\r\n.\r\n+OK\r\nb\r\n.\r\n")]).await;
    assert!(client.retrieve(&[1, 2], 100).next().await.unwrap().is_some());
    assert_eq!(client.delete(1).await.unwrap_err().detail, "an earlier answer was not read to its end");
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn a_caller_that_stops_waiting_cannot_go_on_in_the_middle() {
    let (mut client, peer) = opened("USER\r\n", &[("RETR 1\r\n", "+OK\r\na\r\n.\r\n")]).await;
    let mut retrieval = client.retrieve(&[1], 100);
    assert!(retrieval.next().now_or_never().is_none(), "the answer cannot be there yet");
    assert!(retrieval.next().await.is_err());
    assert!(client.quit().await.is_err(), "QUIT would commit");
    peer.done().await;
}

#[tokio::test]
async fn an_endless_capability_list_ends() {
    let endless = format!("+OK\r\n{}", "X\r\n".repeat(2_000));
    let (wire, peer) = scripted([(CAPA, endless.as_str())]);
    let error = login(wire, GREETING, &bob("secret")).await.unwrap_err();
    assert_eq!((error.code, error.phase), (ProbeCode::ProtocolError, Phase::Capabilities));
    peer.done().await;
}

#[tokio::test]
async fn an_access_token_goes_out_in_two_steps() {
    let xoauth2 = "dXNlcj1ib2IBYXV0aD1CZWFyZXIgQ0FOQVJZLXRva2VuAQE=\r\n";
    let oauthbearer = "bixhPWJvYiwBYXV0aD1CZWFyZXIgQ0FOQVJZLXRva2VuAQE=\r\n";
    // {"status":"401"}
    let explained = "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n";
    for (mechanism, message, acknowledgement) in
        [("XOAUTH2", xoauth2, "\r\n"), ("OAUTHBEARER", oauthbearer, "AQ==\r\n")]
    {
        let (capa, auth) = (format!("+OK\r\nSASL PLAIN {mechanism}\r\n.\r\n"), format!("AUTH {mechanism}\r\n"));
        let start = [(CAPA, capa.as_str()), (auth.as_str(), "+ \r\n")];
        let (wire, peer) = scripted(start.into_iter().chain([(message, "+OK in\r\n")]));
        drop(login(wire, GREETING, &bob_by_token("CANARY-token")).await.unwrap());
        peer.done().await;

        for (answer, code) in [
            ("-ERR [AUTH] no CANARY-token\r\n", ProbeCode::AuthFailed),
            ("-ERR [SYS/TEMP] later\r\n", ProbeCode::ProtocolError),
        ] {
            let rest = [(message, explained), (acknowledgement, answer)];
            let (wire, peer) = scripted(start.into_iter().chain(rest));
            let error = login(wire, GREETING, &bob_by_token("CANARY-token")).await.unwrap_err();
            peer.done().await;
            assert_eq!((error.code, error.phase), (code, Phase::Auth));
            assert!(error.detail.starts_with("the server refuses the access token (status 401): "), "{error}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
        let turns = [(CAPA, capa.as_str()), (auth.as_str(), "-ERR not now\r\n")];
        let (wire, peer) = scripted(turns);
        let error = login(wire, GREETING, &bob_by_token("CANARY-token")).await.unwrap_err();
        peer.done().await;
        assert_eq!(error.code, ProbeCode::AuthUnavailable);
    }
    let (wire, peer) = scripted([(CAPA, "+OK\r\nSASL PLAIN\r\n.\r\n")]);
    assert_eq!(login(wire, GREETING, &bob_by_token("t")).await.unwrap_err().code, ProbeCode::AuthUnavailable);
    peer.done().await;
}

/// 2,000,000 long ids are more than a function has memory for.
#[tokio::test]
async fn a_list_beyond_all_bounds_is_an_error_that_says_so() {
    let long = format!("1 {}\r\n", "x".repeat(60_000)).repeat(450);
    let many = "1 x\r\n".repeat(POP3_LISTED + 1);
    for (lines, words) in [(long, "bytes"), (many, "lines")] {
        let (mut client, peer) = opened("", &[("UIDL\r\n", &format!("+OK\r\n{lines}.\r\n"))]).await;
        let error = client.uidl().await.unwrap_err();
        assert!(error.detail.starts_with("the answer to UIDL has over ") && error.detail.ends_with(words), "{error}");
        drop((client, peer));
    }
}
