use super::*;
use crate::mail::auth::Credential;
use crate::mail::scripted::bob_by_token;
use crate::model::{Phase, ProbeCode};

/// What a server is told, and what it answers.
type Turns<'a, A> = Vec<(&'a str, &'a A)>;

const CAPABILITY: &str = "* CAPABILITY IMAP4rev1 UIDPLUS\r\n";

async fn refused(greeting: &str, credential: &Credential, turns: &[(&str, &[u8])]) -> Error {
    let (wire, peer) = scripted(turns.iter().copied());
    let error = login(wire, greeting.as_bytes(), credential).await.unwrap_err();
    peer.done().await;
    error
}

/// What comes of this answer to the password.
async fn answered(answer: &[u8]) -> Error {
    refused(std::str::from_utf8(GREETING).unwrap(), &bob("secret"), &[(SIGN_IN, answer)]).await
}

#[tokio::test]
async fn the_password_goes_out_in_the_best_way_on_offer() {
    let told = "OK [CAPABILITY IMAP4rev1 UIDPLUS] in\r\n";
    let [told1, told2] = ["a1", "a2"].map(|tag| format!("{tag} {told}"));
    let without_code = format!("{CAPABILITY}a3 OK done\r\n");
    let cases: [(&str, &str, Turns<'_, str>); 7] = [
        ("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi", "secret", vec![(SIGN_IN, &told1)]),
        (
            "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED] hi",
            "secret",
            vec![
                ("a1 CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 auth=plain\r\na1 OK\r\n"),
                ("a2 AUTHENTICATE PLAIN\r\n", "+ \r\n"),
                ("AGJvYgBzZWNyZXQ=\r\n", &told2),
            ],
        ),
        // What was said before STARTTLS does not count.
        (
            "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR] hi",
            "pa\"s\\s",
            vec![
                ("a1 CAPABILITY\r\n", "* CAPABILITY IMAP4rev1\r\na1 OK\r\n"),
                ("a2 LOGIN \"bob\" \"pa\\\"s\\\\s\"\r\n", &told2),
            ],
        ),
        (
            "* OK [CAPABILITY IMAP4rev1] hi",
            "s\u{e9}cret",
            vec![("a1 LOGIN \"bob\" {7}\r\n", "* OK wait\r\n+ go on\r\n"), ("s\u{e9}cret\r\n", &told1)],
        ),
        ("* OK [CAPABILITY IMAP4rev1 LITERAL-] hi", "\u{e9}", vec![("a1 LOGIN \"bob\" {2+}\r\n\u{e9}\r\n", &told1)]),
        // No code anywhere: asked before and after.
        (
            "* OK hi",
            "",
            vec![
                ("a1 CAPABILITY\r\n", "* CAPABILITY IMAP4rev1\r\na1 OK done\r\n"),
                ("a2 LOGIN \"bob\" \"\"\r\n", "a2 OK\r\n"),
                ("a3 CAPABILITY\r\n", &without_code),
            ],
        ),
        ("* PREAUTH [CAPABILITY IMAP4rev1 UIDPLUS] bob", "secret", vec![("", "")]),
    ];
    for (greeting, password, turns) in cases {
        let (wire, peer) = scripted(turns);
        let client = login(wire, greeting.as_bytes(), &bob(password)).await.unwrap();
        assert!(client.capabilities().has("uidplus") && !client.capabilities().has("STARTTLS"), "{greeting}");
        drop(client);
        peer.done().await;
    }
}

#[tokio::test]
async fn only_a_no_to_the_credentials_counts_as_one() {
    let cases: [(&[u8], ProbeCode, bool, Option<&str>); 9] = [
        (b"a1 NO [AUTHENTICATIONFAILED] no\r\n", ProbeCode::AuthFailed, false, Some("AUTHENTICATIONFAILED")),
        (b"a1 NO\r\n", ProbeCode::AuthFailed, false, None),
        (b"a1 NO [ALERT] Konto gesperrt f\xfcr immer\r\n", ProbeCode::AuthFailed, false, Some("ALERT")),
        (b"a1 NO [unavailable] later\r\n", ProbeCode::ProtocolError, true, Some("UNAVAILABLE")),
        (b"a1 NO [INUSE] later\r\n", ProbeCode::ProtocolError, true, Some("INUSE")),
        (b"a1 NO [LIMIT] later\r\n", ProbeCode::ProtocolError, true, Some("LIMIT")),
        (b"a1 NO [PRIVACYREQUIRED] TLS\r\n", ProbeCode::AuthUnavailable, false, Some("PRIVACYREQUIRED")),
        (b"a1 BAD what?\r\n", ProbeCode::ProtocolError, false, None),
        (b"* BYE [AUTHENTICATIONFAILED] out\r\n", ProbeCode::AuthFailed, false, Some("AUTHENTICATIONFAILED")),
    ];
    for (answer, code, transient, response_code) in cases {
        let error = answered(answer).await;
        assert_eq!((error.code, error.is_transient(), error.phase), (code, transient, Phase::Auth), "{error}");
        assert_eq!(error.refusal.unwrap().enhanced.as_deref(), response_code);
    }
    // The words of the third survive, printable.
    assert_eq!(answered(cases[2].0).await.refusal.unwrap().text.matches('?').count(), 1);
}

#[tokio::test]
async fn bye_keeps_its_words_and_its_code_and_asks_to_come_back() {
    for (answer, words, code) in [
        ("* BYE [UNAVAILABLE] maintenance\r\n", "UNAVAILABLE maintenance", Some("UNAVAILABLE")),
        ("* BYE too many connections\r\n", "too many connections", None),
        ("* BYE [ALERT] go\r\n", "ALERT go", None),
        ("* BYE\r\n", "", None),
    ] {
        let error = answered(answer.as_bytes()).await;
        assert_eq!((error.code, error.phase, error.detail.as_str()), (ProbeCode::ProtocolError, Phase::Auth, words));
        assert_eq!(error.refusal.as_ref().and_then(|refusal| refusal.enhanced.as_deref()), code);
        assert!(error.is_transient() && !error.is_auth_refusal());
    }
    // When the command's own status still follows, it decides.
    let error = answered(b"* BYE out\r\na1 NO [AUTHENTICATIONFAILED] wrong\r\n").await;
    assert!(error.is_auth_refusal() && error.detail == "AUTHENTICATIONFAILED wrong");
}

#[tokio::test]
async fn the_status_of_another_command_is_never_ours() {
    for answer in [
        "a7 NO [AUTHENTICATIONFAILED] old\r\n",
        "A1 OK in\r\n",
        "a11 OK in\r\n",
        "a OK in\r\n",
        "a1 BYE in\r\n",
        "a1 MAYBE\r\n",
        "\r\n",
    ] {
        let error = answered(answer.as_bytes()).await;
        assert_eq!((error.code, error.is_auth_refusal()), (ProbeCode::ProtocolError, false), "{answer}");
        assert!(error.detail.starts_with("not expected"), "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_echoes_the_password_does_not_get_it_into_our_words() {
    for answer in [
        "a1 NO secret AGJvYgBzZWNyZXQ= c2VjcmV0\r\n",
        "* BYE secret\r\n",
        "zzz secret AGJvYgBzZWNyZXQ=\r\n",
        "a1 NO [secret] x\r\n",
    ] {
        let error = answered(answer.as_bytes()).await;
        let all = format!("{error} {:?}", error.refusal).to_ascii_lowercase();
        assert!(!all.contains("secret") && !all.contains("agjvyg") && !all.contains("c2vjc"), "{all}");
    }
}

#[tokio::test]
async fn nothing_is_sent_that_should_not_be() {
    let no_way = "* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=CRAM-MD5\r\na1 OK\r\n".as_bytes();
    let open = "* OK [CAPABILITY IMAP4rev1] hi";
    let cases: [(&str, Credential, Turns<'_, [u8]>); 4] = [
        ("* OK hi", bob("secret"), vec![("a1 CAPABILITY\r\n", no_way)]),
        (open, Credential::None, vec![("", b"")]),
        (open, bob("a\r\na2 DELETE INBOX"), vec![("", b"")]),
        (open, bob("a\0b"), vec![("", b"")]),
    ];
    for (greeting, credential, turns) in cases {
        let error = refused(greeting, &credential, &turns).await;
        assert_eq!((error.code, error.phase), (ProbeCode::AuthUnavailable, Phase::Auth));
    }
}

#[tokio::test]
async fn a_server_that_refuses_a_literal_does_not_get_it() {
    let turns: [(&str, &[u8]); 1] = [("a1 LOGIN \"bob\" {2}\r\n", b"a1 NO [AUTHENTICATIONFAILED] no\r\n")];
    let error = refused("* OK [CAPABILITY IMAP4rev1] hi", &bob("\u{e9}"), &turns).await;
    assert!(error.is_auth_refusal());
}

#[tokio::test]
async fn a_second_challenge_is_cancelled() {
    let turns: [(&str, &[u8]); 2] = [(SIGN_IN, b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n"), ("*\r\n", b"a1 BAD cancelled\r\n")];
    let error = refused(std::str::from_utf8(GREETING).unwrap(), &bob("secret"), &turns).await;
    assert_eq!((error.code, error.detail.as_str()), (ProbeCode::ProtocolError, "cancelled"));
}

#[tokio::test]
async fn a_greeting_that_refuses_or_is_none_ends_it() {
    for (greeting, refusal) in [
        ("* BYE [UNAVAILABLE] later", true),
        ("* BYE", true),
        ("+OK pop3", false),
        ("* NO", false),
        ("* 5 EXISTS", false),
    ] {
        let error = refused(greeting, &bob("secret"), &[("", b"")]).await;
        assert_eq!(
            (error.code, error.phase, error.refusal.is_some()),
            (ProbeCode::GreetingFailed, Phase::Greeting, refusal)
        );
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn endless_lines_and_endless_responses_end() {
    let line = [b"* OK ".as_slice(), &vec![b'x'; 200_000]].concat();
    let error = answered(&line).await;
    assert_eq!((error.code, error.phase), (ProbeCode::ProtocolError, Phase::Auth));
    let responses = b"* 1 EXISTS\r\n".repeat(crate::mail::limits::UNTAGGED_LINES + 1);
    assert_eq!(answered(&responses).await.detail, "too many untagged responses");
    let literals =
        b"* LIST () NIL {60000}\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 60_000)).collect::<Vec<_>>();
    let literals = [literals.as_slice(), b" {60000}\r\n", &vec![b'x'; 60_000], b"\r\n"].concat();
    assert_eq!(answered(&literals).await.detail, "a response that does not end");
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_is_no_login() {
    let whole = b"* OK x\r\na1 OK [CAPABILITY IMAP4rev1] in\r\n";
    for cut in 0..whole.len() {
        let error = answered(&whole[..cut]).await;
        assert_eq!(
            (error.code, error.phase, error.is_transient()),
            (ProbeCode::ProtocolError, Phase::Auth, true),
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn logout_takes_bye_for_an_answer() {
    for (answer, fine) in
        [("* BYE\r\na2 OK\r\n", true), ("* BYE\r\n", true), ("a2 OK\r\n", true), ("", false), ("a2 BAD no\r\n", false)]
    {
        let (client, peer) = opened("", &[("a2 LOGOUT\r\n", answer)]).await;
        assert_eq!(client.logout().await.is_ok(), fine, "{answer}");
        peer.done().await;
    }
}

/// `user=bob^Aauth=Bearer CANARY-token^A^A`.
const XOAUTH2: &str = "dXNlcj1ib2IBYXV0aD1CZWFyZXIgQ0FOQVJZLXRva2VuAQE=";

#[tokio::test]
async fn an_access_token_goes_out_by_the_mechanism_on_offer() {
    let oauthbearer = "bixhPWJvYiwBYXV0aD1CZWFyZXIgQ0FOQVJZLXRva2VuAQE=";
    let told = "a1 OK [CAPABILITY IMAP4rev1] in\r\n";
    for (offer, turns) in [
        ("SASL-IR AUTH=XOAUTH2 AUTH=PLAIN", vec![(format!("a1 AUTHENTICATE XOAUTH2 {XOAUTH2}\r\n"), told)]),
        ("SASL-IR AUTH=OAUTHBEARER", vec![(format!("a1 AUTHENTICATE OAUTHBEARER {oauthbearer}\r\n"), told)]),
        ("AUTH=XOAUTH2", vec![("a1 AUTHENTICATE XOAUTH2\r\n".to_owned(), "+ \r\n"), (format!("{XOAUTH2}\r\n"), told)]),
    ] {
        let greeting = format!("* OK [CAPABILITY IMAP4rev1 {offer}] hi");
        let (wire, peer) = scripted(turns);
        drop(login(wire, greeting.as_bytes(), &bob_by_token("CANARY-token")).await.unwrap());
        peer.done().await;
    }
    let error = refused("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", &bob_by_token("t"), &[("", b"")]).await;
    assert_eq!(error.code, ProbeCode::AuthUnavailable);
    let error = refused("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi", &bob_by_token("t\x01"), &[("", b"")]).await;
    assert_eq!(error.code, ProbeCode::AuthUnavailable);
}

#[tokio::test]
async fn the_challenge_that_explains_a_refused_token_is_answered_and_told() {
    for (offer, command, acknowledgement, last, code) in [
        ("XOAUTH2", format!("XOAUTH2 {XOAUTH2}"), "\r\n", "NO AUTHENTICATE failed CANARY-token", ProbeCode::AuthFailed),
        (
            "OAUTHBEARER",
            "OAUTHBEARER bixhPWJvYiwBYXV0aD1CZWFyZXIgQ0FOQVJZLXRva2VuAQE=".to_owned(),
            "AQ==\r\n",
            "NO [AUTHENTICATIONFAILED] no",
            ProbeCode::AuthFailed,
        ),
        ("XOAUTH2", format!("XOAUTH2 {XOAUTH2}"), "\r\n", "NO [UNAVAILABLE] later", ProbeCode::ProtocolError),
    ] {
        let command = format!("a1 AUTHENTICATE {command}\r\n");
        let last = format!("a1 {last}\r\n");
        // {"status":"400"}
        let turns: [(&str, &[u8]); 2] =
            [(&command, b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n"), (acknowledgement, last.as_bytes())];
        let greeting = format!("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH={offer}] hi");
        let error = refused(&greeting, &bob_by_token("CANARY-token"), &turns).await;
        assert_eq!((error.code, error.phase), (code, Phase::Auth), "{error}");
        assert!(error.detail.starts_with("the server refuses the access token (status 400): "), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
    // A refusal without an explanation is one all the same; endless explanations are none.
    let greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi";
    let command = format!("a1 AUTHENTICATE XOAUTH2 {XOAUTH2}\r\n");
    let turns: [(&str, &[u8]); 1] = [(&command, b"a1 NO AUTHENTICATE failed.\r\n")];
    assert!(refused(greeting, &bob_by_token("CANARY-token"), &turns).await.is_auth_refusal());
    let turns: [(&str, &[u8]); 2] = [(&command, b"+ e30=\r\n"), ("\r\n", b"+ e30=\r\n")];
    assert_eq!(refused(greeting, &bob_by_token("CANARY-token"), &turns).await.code, ProbeCode::ProtocolError);
}
