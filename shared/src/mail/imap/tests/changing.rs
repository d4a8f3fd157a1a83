use super::*;
use crate::model::ProbeCode;

#[tokio::test]
async fn removal_names_its_uids_or_does_not_happen() {
    let (mut client, peer) = opened(
        "UIDPLUS MOVE",
        &[
            ("a2 UID STORE 3:5,9 +FLAGS.SILENT (\\Deleted)\r\n", "* 3 FETCH (UID 3 FLAGS (\\Deleted))\r\na2 OK\r\n"),
            ("a3 UID EXPUNGE 3:5,9\r\n", "* 3 EXPUNGE\r\n* 3 EXPUNGE\r\na3 OK\r\n"),
            ("a4 UID MOVE 7 \"Pap&AOk-\"\r\n", "* OK [COPYUID 1 7 1] moved\r\n* 1 EXPUNGE\r\na4 OK\r\n"),
            ("a5 UID STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "a5 NO [READ-ONLY] no\r\n"),
        ],
    )
    .await;
    client.uid_store_deleted(&[9, 3, 4, 5]).await.unwrap();
    assert!(client.uid_expunge(&[3, 4, 5, 9]).await.unwrap());
    assert_eq!(client.uid_move(7, "Pap\u{e9}").await.unwrap(), Moved::Done(Some((1, 1))));
    assert_eq!(
        client.uid_store_deleted(&[1]).await.unwrap_err().refusal.unwrap().enhanced.as_deref(),
        Some("READ-ONLY")
    );
    // Nothing to do is nothing said.
    client.uid_store_deleted(&[]).await.unwrap();
    drop(client);
    peer.done().await;

    let (mut client, peer) = opened("", &[]).await;
    assert!(!client.uid_expunge(&[1]).await.unwrap());
    assert_eq!(client.uid_move(1, "x").await.unwrap(), Moved::Unsupported);
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn messages_are_stored_and_their_place_is_told() {
    let large = "x".repeat(5_000);
    let (mut client, peer) = opened(
        "LITERAL+ UIDPLUS",
        &[
            ("a2 APPEND \"Sent\" (\\Seen $Sent) {3+}\r\nabc\r\n", "a2 OK [APPENDUID 38505 3955] done\r\n"),
            ("a3 APPEND \"Sent\" () {5000}\r\n", "* 5 EXISTS\r\n+ go\r\n"),
            (&format!("{large}\r\n"), "a3 OK done\r\n"),
            // Refused before the literal: nothing of it is sent.
            ("a4 APPEND \"Sent\" () {5000}\r\n", "a4 NO [TRYCREATE] no folder\r\n"),
            ("a5 NOOP\r\n", "a5 OK\r\n"),
        ],
    )
    .await;
    assert_eq!(client.append("Sent", &["\\Seen", "$Sent"], b"abc").await.unwrap(), Some((38505, 3955)));
    assert_eq!(client.append("Sent", &[], large.as_bytes()).await.unwrap(), None);
    let error = client.append("Sent", &[], large.as_bytes()).await.unwrap_err();
    assert_eq!(error.refusal.unwrap().enhanced.as_deref(), Some("TRYCREATE"));
    for flag in ["", "\\", "a b", "a)\r\nb", "(", "\u{e9}"] {
        assert_eq!(client.append("Sent", &[flag], b"").await.unwrap_err().code, ProbeCode::ProtocolError);
    }
    client.noop().await.unwrap();
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn ok_before_its_literal_is_out_of_step() {
    let (mut client, peer) = opened("", &[("a2 APPEND \"x\" () {1}\r\n", "a2 OK done\r\n")]).await;
    assert_eq!(client.append("x", &[], b"y").await.unwrap_err().code, ProbeCode::ProtocolError);
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn flags_are_added_and_folders_are_made() {
    let (mut client, peer) = opened(
        "",
        &[
            ("a2 UID STORE 7,9 +FLAGS.SILENT (\\Answered)\r\n", "a2 OK\r\n"),
            ("a3 UID STORE 7 +FLAGS.SILENT ($Forwarded)\r\n", "a3 NO [CANNOT] no keywords here\r\n"),
            ("a4 CREATE \"Gesendete &AOQ-\"\r\n", "a4 OK\r\n"),
            ("a5 CREATE \"x\"\r\n", "a5 NO [ALREADYEXISTS] there\r\n"),
        ],
    )
    .await;
    client.uid_store_flag(&[9, 7], r"\Answered").await.unwrap();
    let refused = client.uid_store_flag(&[7], "$Forwarded").await.unwrap_err();
    assert_eq!(refused.refusal.unwrap().enhanced.as_deref(), Some("CANNOT"));
    assert_eq!(client.uid_store_flag(&[7], "a) b").await.unwrap_err().code, ProbeCode::ProtocolError);
    client.create("Gesendete \u{e4}").await.unwrap();
    let there = client.create("x").await.unwrap_err();
    assert_eq!(there.refusal.unwrap().enhanced.as_deref(), Some("ALREADYEXISTS"));
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn without_move_a_copy_is_made_first() {
    let (mut client, peer) = opened(
        "UIDPLUS",
        &[
            ("a2 UID COPY 7 \"Archive\"\r\n", "a2 OK [COPYUID 38505 7 12] done\r\n"),
            ("a3 UID STORE 7 +FLAGS.SILENT (\\Deleted)\r\n", "a3 OK\r\n"),
            ("a4 UID EXPUNGE 7\r\n", "* 3 EXPUNGE\r\na4 OK\r\n"),
            ("a5 UID COPY 8 \"Nowhere\"\r\n", "a5 NO [TRYCREATE] no\r\n"),
        ],
    )
    .await;
    assert_eq!(client.uid_move(7, "Archive").await.unwrap(), Moved::Done(Some((38505, 12))));
    let refused = client.uid_move(8, "Nowhere").await.unwrap_err();
    assert_eq!(refused.refusal.unwrap().enhanced.as_deref(), Some("TRYCREATE"), "and nothing was deleted");
    drop(client);
    peer.done().await;
}

#[tokio::test]
async fn flags_are_added_taken_and_set() {
    let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
    let (mut client, peer) = opened(
        "",
        &[
            ("a2 UID STORE 7 +FLAGS.SILENT (\\Seen $Forwarded)\r\n", "a2 OK\r\n"),
            ("a3 UID STORE 7 -FLAGS.SILENT (\\Flagged)\r\n", "a3 OK\r\n"),
            ("a4 UID STORE 7 FLAGS.SILENT ()\r\n", "a4 OK\r\n"),
        ],
    )
    .await;
    client.uid_mark(7, Marking::Add, &flags(&["\\Seen", "$Forwarded"])).await.unwrap();
    client.uid_mark(7, Marking::Remove, &flags(&["\\Flagged"])).await.unwrap();
    client.uid_mark(7, Marking::Set, &[]).await.unwrap();
    assert!(client.uid_mark(7, Marking::Add, &flags(&["a b"])).await.is_err());
    drop(client);
    peer.done().await;
}
