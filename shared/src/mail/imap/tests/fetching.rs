use futures_util::FutureExt;

use super::*;
use crate::mail::limits::FETCH_PART_BYTES;
use crate::model::{Phase, ProbeCode};

const ITEMS: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n";

/// What one UID FETCH of 1 to 9 brings, and the error it ends with.
async fn fetched(answer: &[u8], max_bytes: u64) -> (Vec<Fetched>, Option<Error>) {
    let asked = format!("a2 UID FETCH 1:9 {ITEMS}");
    let (mut client, peer) = opened_bytes("", [(asked.as_str(), answer)]).await;
    let mut fetch = client.fetch(&[9, 1, 2, 3, 4, 5, 6, 7, 8], max_bytes);
    let mut messages = Vec::new();
    let error = loop {
        match fetch.next().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => break None,
            Err(error) => {
                assert!(fetch.next().await.is_err(), "an error must not look like the end");
                break Some(error);
            }
        }
    };
    drop(client);
    peer.done().await;
    (messages, error)
}

fn bodies(messages: &[Fetched]) -> Vec<(u32, &str)> {
    messages.iter().map(|message| (message.uid, std::str::from_utf8(&message.body).unwrap())).collect()
}

#[tokio::test]
async fn messages_come_whole_whatever_comes_between() {
    let exists = "* 300 EXISTS\r\n".repeat(300);
    let answer = [
        b"* 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 5 BODY[] {5}\r\na)\r\n{)\r\n".as_slice(),
        exists.as_bytes(),
        // The UID behind the literal; a literal that looks like the end; lower case.
        b"* 2 fetch (body[] {12}\r\na2 OK done\r\n UID 2 FLAGS ())\r\n",
        // Somebody else's flags, with and without UID; what nobody knows; Latin-1.
        b"* 3 FETCH (FLAGS (\\Deleted))\r\n* 3 FETCH (UID 3 FLAGS (\\Deleted))\r\n* OK [ALERT] f\xfcr {5}\r\n* OK [ALERT]\xe9\r\n* X-NEWS (1 2\r\n",
        b"* 3 FETCH (X-GOOFY (a \"b\") X-LIT {5}\r\n) {5} UID 3 BODY[] {1}\r\nc)\r\n",
        // Empty, quoted, twice, not asked for.
        b"* 4 FETCH (UID 4 RFC822.SIZE 0 BODY[] {0}\r\n)\r\n* 5 FETCH (UID 5 BODY[] \"q\\\"\\\\uoted\")\r\n",
        b"* 5 FETCH (UID 5 BODY[] {1}\r\nx)\r\n* 77 FETCH (UID 77 BODY[] {1}\r\nx)\r\n",
        // Expunged meanwhile: NIL, and nothing where there was something.
        b"* 6 FETCH (UID 6 BODY[] NIL)\r\n* 7 FETCH (UID 7 RFC822.SIZE 9 BODY[] {0}\r\n)\r\n* 8 FETCH (UID 8 BODY[] \"\")\r\n",
        b"a2 OK [X] done {5}\r\n",
    ]
    .concat();
    let (messages, error) = fetched(&answer, 100).await;
    assert!(error.is_none(), "{error:?}");
    let expected = [(1, "a)\r\n{"), (2, "a2 OK done\r\n"), (3, "c"), (4, ""), (5, "q\"\\uoted"), (8, "")];
    assert_eq!(bodies(&messages), expected);
    assert_eq!((messages[0].size, messages[0].flags.as_slice()), (Some(5), ["\\Seen".to_owned()].as_slice()));
    assert_eq!(messages[0].internal_date.as_deref(), Some("17-Jul-1996 02:44:25 -0700"));
}

#[tokio::test]
async fn no_after_messages_is_an_error_behind_them() {
    for (status, transient) in
        [("NO [EXPUNGEISSUED] some are gone", true), ("NO some are gone", false), ("BAD [CLIENTBUG] no", false)]
    {
        let answer = format!("* 1 FETCH (UID 1 BODY[] {{1}}\r\nx)\r\na2 {status}\r\n");
        let (messages, error) = fetched(answer.as_bytes(), 100).await;
        assert_eq!(bodies(&messages), [(1, "x")]);
        let error = error.unwrap();
        assert_eq!((error.code, error.phase, error.is_transient()), (ProbeCode::ProtocolError, Phase::List, transient));
        assert!(error.refusal.is_some());
    }
}

#[tokio::test]
async fn bye_and_stale_tags_end_a_fetch_behind_what_came() {
    let cases = [
        ("* BYE [UNAVAILABLE] restart\r\n", "UNAVAILABLE restart"),
        ("a1 OK stale\r\n", "not expected from an IMAP server here: a1 OK stale"),
        ("+ go\r\n", "not expected from an IMAP server here: +"),
    ];
    for (end, detail) in cases {
        let answer = format!("* 1 FETCH (UID 1 BODY[] {{1}}\r\nx)\r\n{end}");
        let (messages, error) = fetched(answer.as_bytes(), 100).await;
        assert_eq!(bodies(&messages), [(1, "x")]);
        assert_eq!(error.unwrap().detail, detail);
    }
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_brings_no_half_message_and_no_end() {
    let whole = b"* 1 FETCH (UID 1 BODY[] {3}\r\na)\n)\r\n* 2 FETCH (BODY[] {2}\r\nbb UID 2)\r\na2 OK\r\n";
    let complete = [whole.iter().position(|&byte| byte == b'2').unwrap() - 2, whole.len() - "a2 OK\r\n".len()];
    for cut in 0..whole.len() {
        let (messages, error) = fetched(&whole[..cut], 100).await;
        assert_eq!(messages.len(), complete.iter().filter(|&&end| cut >= end).count(), "cut at {cut}");
        assert_eq!(error.unwrap().code, ProbeCode::ProtocolError, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_literal_that_no_message_can_be_is_refused_by_its_announcement() {
    for (length, fits) in [("10", true), ("9999999999", false), ("99999999999999999999999999", false)] {
        let answer = format!("* 1 FETCH (UID 1 BODY[] {{{length}}}\r\n0123456789)\r\na2 OK\r\n");
        let (messages, error) = fetched(answer.as_bytes(), 10).await;
        assert_eq!((messages.len(), error.is_none()), (usize::from(fits), fits), "{length}");
        assert!(fits || error.unwrap().detail.starts_with("a literal of "));
    }
}

/// A server whose sizes lie must not end the session with every message behind that one.
#[tokio::test]
async fn of_a_message_that_is_larger_than_asked_for_only_the_size_comes() {
    let answer =
        b"* 1 FETCH (UID 1 RFC822.SIZE 3 BODY[] {11}\r\n0123456789a)\r\n* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\na2 OK\r\n";
    let (messages, error) = fetched(answer, 10).await;
    assert!(error.is_none());
    let came: Vec<_> = messages.iter().map(|message| (message.uid, message.body.len(), message.dropped)).collect();
    assert_eq!(came, [(1, 0, Some(11)), (2, 1, None)]);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_an_error_not_a_gap() {
    let deep = format!("* 1 FETCH (UID 1 BODYSTRUCTURE {} BODY[] {{1}}\r\nx)\r\na2 OK\r\n", "(".repeat(60_000));
    for answer in [
        "* 1 FETCH (BODY[] {1}\r\nx)\r\na2 OK\r\n",
        "* 1 FETCH (UID 1 BODY[] {1}\r\nx\r\na2 OK\r\n",
        "* 1 FETCH (UID x BODY[] {1}\r\nx)\r\na2 OK\r\n",
        &deep,
    ] {
        let (messages, error) = fetched(answer.as_bytes(), 100).await;
        assert!(messages.is_empty() && error.unwrap().code == ProbeCode::ProtocolError);
    }
}

#[tokio::test]
async fn long_sets_are_fetched_in_several_commands_and_every_ok_counts() {
    let uids: Vec<u32> = (0..2_000).map(|at| 1_000_000_000 + 2 * at).collect();
    let sets = set::render(&uids);
    assert_eq!(sets.len(), 3);
    let asked: Vec<_> = sets.iter().zip(2..).map(|(set, tag)| format!("a{tag} UID FETCH {set} {ITEMS}")).collect();
    let turns = [
        (asked[0].as_str(), b"* 1 FETCH (UID 1000000000 BODY[] {1}\r\nx)\r\na2 OK\r\n".as_slice()),
        (asked[1].as_str(), b"a3 OK\r\n"),
        (asked[2].as_str(), b"* 9 FETCH (UID 1000003998 BODY[] {1}\r\ny)\r\na4 OK\r\n"),
    ];
    let (mut client, peer) = opened_bytes("", turns).await;
    let mut fetch = client.fetch(&uids, 100);
    assert_eq!(fetch.next().await.unwrap().map(|message| message.uid), Some(1_000_000_000));
    assert_eq!(fetch.next().await.unwrap().map(|message| message.uid), Some(1_000_003_998));
    assert_eq!(fetch.next().await.unwrap(), None);
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn an_abandoned_fetch_cannot_be_mistaken_for_the_next_answer() {
    let asked = format!("a2 UID FETCH 1:2 {ITEMS}");
    let answer = "* 1 FETCH (UID 1 BODY[] {1}\r\nx)\r\n* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\na2 OK\r\n";
    let (mut client, peer) = opened("", &[(&asked, answer)]).await;
    assert!(client.fetch(&[1, 2], 100).next().await.unwrap().is_some());
    assert_eq!(client.noop().await.unwrap_err().detail, "an earlier answer was not read to its end");
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn a_caller_that_stops_waiting_cannot_go_on_in_the_middle() {
    let asked = format!("a2 UID FETCH 1 {ITEMS}");
    let (mut client, peer) = opened("", &[(&asked, "* 1 FETCH (UID 1 BODY[] {1}\r\nx)\r\na2 OK\r\n")]).await;
    let mut fetch = client.fetch(&[1], 100);
    assert!(fetch.next().now_or_never().is_none(), "the answer cannot be there yet");
    assert_eq!(fetch.next().await.unwrap_err().detail, "the fetch has failed");
    assert_eq!(client.noop().await.unwrap_err().detail, "an earlier answer was not read to its end");
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn a_refused_fetch_leaves_the_session_usable() {
    let asked = format!("a2 UID FETCH 1 {ITEMS}");
    let (mut client, peer) = opened("", &[(&asked, "a2 NO later\r\n"), ("a3 NOOP\r\n", "a3 OK\r\n")]).await;
    assert!(client.fetch(&[1], 100).next().await.is_err());
    client.noop().await.unwrap();
    drop(client);
    peer.done().await;
}

/// What a fetch of 10 bytes from 4 on brings.
async fn part(answer: &str) -> Result<Option<Vec<u8>>, Error> {
    let (mut client, peer) = opened("", &[("a2 UID FETCH 7 (UID BODY.PEEK[]<4.10>)\r\n", answer)]).await;
    let mut bytes = Vec::new();
    let came = client.fetch_part(7, 4, 10, |piece| bytes.extend_from_slice(piece)).await;
    drop(client);
    peer.done().await;
    let came = came?;
    assert_eq!(came.unwrap_or_default(), bytes.len() as u64);
    Ok(came.map(|_| bytes))
}

#[tokio::test]
async fn parts_are_of_the_right_message_and_the_right_place() {
    for (answer, expected) in [
        ("* 1 FETCH (UID 7 BODY[]<4> {3}\r\nabc)\r\na2 OK\r\n", Some("abc")),
        ("* 1 FETCH (BODY[]<4> {3}\r\nabc UID 7)\r\n* 9 FETCH (UID 9 BODY[]<4> {1}\r\nx)\r\na2 OK\r\n", Some("abc")),
        ("* 1 FETCH (UID 7 BODY[]<4> {0}\r\n)\r\na2 OK\r\n", Some("")),
        ("* 1 FETCH (UID 7 BODY[]<4> \"\")\r\na2 OK\r\n", Some("")),
        ("* 1 FETCH (UID 7 BODY[]<4> NIL)\r\na2 OK\r\n", None),
        ("a2 OK\r\n", None),
    ] {
        assert_eq!(part(answer).await.unwrap().as_deref(), expected.map(str::as_bytes), "{answer}");
    }
    for answer in [
        "* 1 FETCH (UID 7 BODY[] {3}\r\nabc)\r\na2 OK\r\n",
        "* 1 FETCH (UID 7 BODY[]<0> {3}\r\nabc)\r\na2 OK\r\n",
        "* 1 FETCH (UID 7 BODY[]<4> {11}\r\n01234567890)\r\na2 OK\r\n",
        "* 1 FETCH (UID 7 BODY[]<4> \"01234567890\")\r\na2 OK\r\n",
        "* 1 FETCH (UID 7 BODY[]<4> {3}\r\nabc)\r\na2 NO later\r\n",
        "* 1 FETCH (UID 7 BODY[]<4> {3}\r\nab",
    ] {
        assert_eq!(part(answer).await.unwrap_err().code, ProbeCode::ProtocolError, "{answer}");
    }
}

/// Fetches a large message of which the listing says `size`; the server sends parts of these lengths.
async fn large(size: u64, parts: &[u64], max_bytes: u64) -> Result<u64, Missing> {
    let mut turns = Vec::new();
    let mut offset = 0;
    for (part, tag) in parts.iter().zip(2..) {
        let asked = format!("a{tag} UID FETCH 7 (UID BODY.PEEK[]<{offset}.{FETCH_PART_BYTES}>)\r\n");
        let answer = format!(
            "* 1 FETCH (UID 7 BODY[]<{offset}> {{{part}}}\r\n{})\r\na{tag} OK\r\n",
            "x".repeat(usize::try_from(*part).unwrap())
        );
        offset += part;
        turns.push((asked, answer));
    }
    let turns: Vec<_> = turns.iter().map(|(asked, answer)| (asked.as_str(), answer.as_str())).collect();
    let (mut client, peer) = opened("", &turns).await;
    let mut came = 0;
    let result = client.fetch_large(7, size, max_bytes, |piece| came += piece.len() as u64).await.unwrap();
    assert!(result.is_err() || result == Ok(came));
    drop(client);
    peer.done().await;
    result
}

#[tokio::test]
async fn large_messages_come_in_parts_whatever_their_announced_size() {
    const PART: u64 = FETCH_PART_BYTES;
    let limit = 3 * PART;
    // As announced; a whole number of parts; more than announced; less than announced.
    assert_eq!(large(PART + 5, &[PART, 5], limit).await, Ok(PART + 5));
    assert_eq!(large(PART, &[PART, 0], limit).await, Ok(PART));
    assert_eq!(large(10, &[PART, 5], limit).await, Ok(PART + 5));
    assert_eq!(large(2 * PART, &[PART, 5, 0], limit).await, Ok(PART + 5));
    // Gone before and on the way.
    assert_eq!(large(2 * PART, &[0], limit).await, Err(Missing::Vanished));
    assert_eq!(large(2 * PART, &[PART, 0], limit).await, Err(Missing::Vanished));
    // At the limit, and one byte over it.
    assert_eq!(large(PART + 5, &[PART, 5], PART + 5).await, Ok(PART + 5));
    assert_eq!(large(10, &[PART, 6], PART + 5).await, Err(Missing::TooLarge));
}
