use super::*;
use crate::model::{Phase, ProbeCode};

#[tokio::test]
async fn status_tells_the_state_of_a_folder() {
    let (mut client, peer) = opened(
        "CONDSTORE",
        &[
            (
                "a2 STATUS \"Entw&APw-rfe\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)\r\n",
                // Outlook's blank at the end.
                "* 5 EXISTS\r\n* STATUS Entw&APw-rfe (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 4294967295 UNSEEN 1 HIGHESTMODSEQ 18446744073709551615) \r\na2 OK\r\n",
            ),
            ("a3 STATUS \"x\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)\r\n", "a3 NO [NONEXISTENT] none\r\n"),
            ("a4 STATUS \"x\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)\r\n", "* STATUS x (MESSAGES 3)\r\na4 OK\r\n"),
        ],
    )
    .await;
    let status = client.status("Entw\u{fc}rfe").await.unwrap();
    let expected =
        Status { messages: 3, uid_next: 9, uid_validity: u32::MAX, unseen: Some(1), highest_mod_seq: Some(u64::MAX) };
    assert_eq!(status, expected);
    let error = client.status("x").await.unwrap_err();
    assert_eq!((error.code, error.phase, error.is_transient()), (ProbeCode::ProtocolError, Phase::Select, false));
    assert_eq!(error.refusal.unwrap().enhanced.as_deref(), Some("NONEXISTENT"));
    assert_eq!(client.status("x").await.unwrap_err().detail, "STATUS without all that was asked for");
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn opening_a_folder_brings_its_epoch_or_fails() {
    let answer = b"* FLAGS (\\Seen \\* OIB-Seen-[Gmail]/All )\r\n* 12 EXISTS\r\n* 0 RECENT\r\n\
        * OK [PERMANENTFLAGS (\\Seen OIB-Seen-[Gmail]/All)] fl\xe4gs {5}\r\n* OK [UIDVALIDITY 7] \xfc\r\n* OK [UIDNEXT 100]\r\n\
        * NO [UIDNOTSTICKY] sorry\r\n* OK [HIGHESTMODSEQ 5]\r\n* 13 EXISTS\r\na2 OK [READ-ONLY] done\r\n";
    let (mut client, peer) = opened_bytes(
        "",
        [
            ("a2 SELECT \"INBOX\"\r\n", answer.as_slice()),
            ("a3 EXAMINE \"a \\\"b\\\"\"\r\n", b"* OK [UIDVALIDITY 8]\r\na3 OK\r\n"),
            ("a4 SELECT \"&AAoACg-\"\r\n", b"* 1 EXISTS\r\na4 OK [READ-WRITE]\r\n"),
        ],
    )
    .await;
    let selected = client.select("INBOX").await.unwrap();
    let expected = Selected {
        exists: 13,
        uid_validity: 7,
        uid_next: Some(100),
        flags: ["\\Seen", "\\*", "OIB-Seen-[Gmail]/All"].map(str::to_owned).to_vec(),
        read_only: true,
        uid_not_sticky: true,
        highest_mod_seq: Some(5),
    };
    assert_eq!(selected, expected);
    let selected = client.examine("a \"b\"").await.unwrap();
    assert_eq!((selected.uid_validity, selected.uid_next, selected.read_only), (8, None, true));
    assert_eq!(client.select("\n\n").await.unwrap_err().detail, "a folder without UIDVALIDITY");
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn folders_come_with_their_names_and_uses() {
    let answer = b"* LIST (\\HasChildren) \"/\" inbox\r\n* LIST (\\Sent \\X-Mine) \".\" \"Gesendete &AOQ-\"\r\n\
        * LIST (\\Noselect) NIL {8}\r\nR&D x{5}\r\n* LIST () \"/\" (broken\r\n* LIST (\\Trash) \"\\\\\" Tr\xfcb\r\n* 5 EXISTS\r\na2 OK\r\n";
    let (mut client, peer) =
        opened_bytes("SPECIAL-USE LIST-EXTENDED", [("a2 LIST \"\" \"*\" RETURN (SPECIAL-USE)\r\n", answer.as_slice())])
            .await;
    let folders = client.list_folders().await.unwrap();
    let short: Vec<_> =
        folders.iter().map(|folder| (folder.name.as_str(), folder.delimiter, folder.special_use)).collect();
    assert_eq!(
        short,
        [
            ("INBOX", Some('/'), None),
            ("Gesendete \u{e4}", Some('.'), Some(SpecialUse::Sent)),
            ("R&D x{5}", None, None),
            ("Tr\u{fffd}b", Some('\\'), Some(SpecialUse::Trash)),
        ]
    );
    assert_eq!(folders[1].attributes, ["\\Sent", "\\X-Mine"]);
    drop(client);
    peer.done().await;
    let (mut client, peer) = opened("SPECIAL-USE", &[("a2 LIST \"\" \"*\"\r\n", "a2 OK\r\n")]).await;
    assert_eq!(client.list_folders().await.unwrap(), []);
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn searches_drop_the_last_message_that_a_star_always_finds() {
    let many: Vec<u32> = (1_000_000_000..1_000_020_000).collect();
    let line = many.iter().rev().map(|uid| format!(" {uid}")).collect::<String>();
    assert!(line.len() > 200_000, "longer than any other line may be");
    let all = format!("* SEARCH{line} (MODSEQ 7)\r\na3 OK\r\n");
    let (mut client, peer) = opened(
        "",
        &[
            ("a2 UID SEARCH UID 100:*\r\n", "* SEARCH 99\r\na2 OK\r\n"),
            ("a3 UID SEARCH UID 1:*\r\n", &all),
            ("a4 UID SEARCH HEADER Message-ID \"<a\\\"b@c>\"\r\n", "* SEARCH 7 3 7\r\n* SEARCH\r\na4 OK\r\n"),
            ("a5 UID SEARCH UID 1:*\r\n", "* ESEARCH (TAG \"a5\") UID ALL 1:5\r\na5 OK\r\n"),
            ("a6 UID SEARCH UID 1:*\r\n", "* SEARCH 5\r\na6 NO later\r\n"),
        ],
    )
    .await;
    assert_eq!(client.search_uids(100).await.unwrap(), Vec::<u32>::new());
    assert_eq!(client.search_uids(0).await.unwrap(), many);
    assert_eq!(client.search_message_id("<a\"b@c>").await.unwrap(), [3, 7]);
    assert_eq!(client.search_uids(1).await.unwrap_err().code, ProbeCode::ProtocolError);
    assert_eq!(client.search_uids(1).await.unwrap_err().detail, "later");
    drop(client);
    peer.done().await;
}

const LISTING: &str = "UID FETCH 10:* (UID RFC822.SIZE FLAGS INTERNALDATE)\r\n";

fn listed(uid: u32, size: u64, flags: &[&str]) -> Listed {
    Listed {
        uid,
        size,
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        internal_date: None,
        email_id: None,
    }
}

#[tokio::test]
async fn listings_are_in_order_whatever_comes_between() {
    let answer = b"* 1 FETCH (UID 9 RFC822.SIZE 1 FLAGS ())\r\n* 4 FETCH (RFC822.SIZE 40 UID 40 FLAGS ())\r\n\
        * 3 FETCH (X-GOOFY (a \"b\") UID 30 RFC822.SIZE 5000000000 FLAGS (\\Seen L\xe4rm))\r\n* 300 EXISTS\r\n* 2 EXPUNGE\r\n\
        * 2 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (UID 30 FLAGS (\\Flagged))\r\n* 9 FETCH (UID 90 FLAGS ())\r\n* VANISHED 5\r\n* WHATEVER\r\n\
        * 1 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 0 UID 11)\r\n* 5 FETCH (UID 50 RFC822.SIZE 50)\r\na2 OK\r\n";
    let again = [b"a3 ", &b""[..]].concat();
    let asked = [format!("a2 {LISTING}"), format!("{}{LISTING}", String::from_utf8(again).unwrap())];
    let second = String::from_utf8_lossy(answer).replace("a2 OK", "a3 OK");
    let (mut client, peer) =
        opened_bytes("", [(asked[0].as_str(), answer.as_slice()), (asked[1].as_str(), second.as_bytes())]).await;
    let first = Listed { internal_date: Some("17-Jul-1996 02:44:25 -0700".to_owned()), ..listed(11, 0, &[]) };
    let all = [first, listed(30, 5_000_000_000, &["\\Flagged"]), listed(40, 40, &[]), listed(50, 50, &[])];
    assert_eq!(client.listing(10, 100).await.unwrap(), all);
    assert_eq!(client.listing(10, 2).await.unwrap(), all[..2]);
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn a_listing_asks_for_no_more_than_it_takes_and_leaps_over_gaps() {
    let items = "(UID RFC822.SIZE FLAGS INTERNALDATE)\r\n";
    let asked = |tag: u32, range: &str| format!("a{tag} UID FETCH {range} {items}");
    let line = |uid: u32| format!("* 1 FETCH (UID {uid} RFC822.SIZE {uid} FLAGS ())\r\n");
    let turns = [
        ("a2 SELECT \"INBOX\"\r\n".to_owned(), "* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 1000]\r\na2 OK\r\n".to_owned()),
        // Enough at once.
        (asked(3, "1:5"), format!("{}{}{}a3 OK\r\n", line(3), line(1), line(5))),
        // A gap, a longer range, and what lies behind UIDNEXT.
        (asked(4, "6:10"), "a4 OK\r\n".to_owned()),
        (asked(5, "11:27"), format!("{}a5 OK\r\n", line(27))),
        (asked(6, "28:92"), "* 7 EXISTS\r\na6 OK\r\n".to_owned()),
        (asked(7, "93:349"), "a7 OK\r\n".to_owned()),
        (asked(8, "350:*"), format!("{}a8 OK\r\n", line(1003))),
        // The last message, which a star always finds.
        (asked(9, "1000:*"), format!("{}a9 OK\r\n", line(999))),
        (asked(10, "1:*"), format!("{}{}a10 OK\r\n", line(1), line(2))),
        (asked(11, "4294967295:*"), "a11 OK\r\n".to_owned()),
    ];
    let turns: Vec<_> = turns.iter().map(|(asked, answer)| (asked.as_str(), answer.as_str())).collect();
    let (mut client, peer) = opened("", &turns).await;
    client.select("INBOX").await.unwrap();
    for (from, max, uids) in [
        (1, 2, vec![1, 3]),
        (6, 2, vec![27, 1003]),
        (1000, 2, vec![]),
        (1, usize::MAX, vec![1, 2]),
        (u32::MAX, 2, vec![]),
    ] {
        let listed = client.listing(from, max).await.unwrap();
        assert_eq!(listed.iter().map(|message| message.uid).collect::<Vec<_>>(), uids);
    }
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn a_listing_with_a_line_that_cannot_be_read_is_no_listing() {
    let deep = format!("* 1 FETCH (UID 10 BODYSTRUCTURE {})\r\na2 OK\r\n", "(".repeat(60_000));
    for answer in [
        "* 1 FETCH (UID 10 RFC822.SIZE x y)\r\na2 OK\r\n",
        "* 1 FETCH\r\na2 OK\r\n",
        &deep,
        "* 1 FETCH (UID 10 RFC822.SIZE 5)\r\na2 NO later\r\n",
    ] {
        let asked = format!("a2 {LISTING}");
        let (mut client, peer) = opened("", &[(&asked, answer)]).await;
        let error = client.listing(10, 100).await.unwrap_err();
        assert_eq!((error.code, error.phase), (ProbeCode::ProtocolError, Phase::List));
        drop(client);
        peer.done().await;
    }
}

/// RFC 8474 §5.1: only a server that has it is asked, and its name of a message is that of its copies.
#[tokio::test]
async fn the_servers_own_name_of_a_message_comes_with_it() {
    let turns = [
        (
            "a2 UID FETCH 1:* (UID RFC822.SIZE FLAGS INTERNALDATE EMAILID)\r\n",
            "* 1 FETCH (UID 4 EMAILID (M6d99ac3275bb4e) RFC822.SIZE 3 FLAGS (\\Seen))\r\na2 OK\r\n",
        ),
        (
            "a3 UID FETCH 4 (UID FLAGS INTERNALDATE RFC822.SIZE EMAILID BODY.PEEK[])\r\n",
            "* 1 FETCH (UID 4 FLAGS () RFC822.SIZE 3 BODY[] {3}\r\nabc EMAILID (M6d99ac3275bb4e))\r\na3 OK\r\n",
        ),
    ];
    let (mut client, peer) = opened("OBJECTID", &turns).await;
    let named = Some("M6d99ac3275bb4e".to_owned());
    assert_eq!(client.listing(1, 10).await.unwrap(), [Listed { email_id: named.clone(), ..listed(4, 3, &["\\Seen"]) }]);
    let fetched = client.fetch(&[4], 100).next().await.unwrap().unwrap();
    assert_eq!((fetched.email_id, fetched.body.as_slice()), (named, &b"abc"[..]));
    drop(client);
    peer.done().await;
}
