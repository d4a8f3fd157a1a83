//! The copy in the Sent folder, and the mark on what was answered: made behind the answer to the caller, once, and
//! never instead of it.

use sandbox::{At, Protocol, Rule};
use serde_json::{Value, json};
use tests::client::Client;
use tests::peer::{Peer, Receive, Way};
use tests::until;

use crate::pull::pull_all;
use crate::{account, real, run, service};

/// A caller with an account that makes copies, at a server of its own.
pub(crate) async fn copier() -> (Client, Peer, String) {
    let (_, client) = service().await.tenant();
    let peer = Peer::start().await;
    let mut settings = peer.account(Receive::Imap, Way::Tls);
    settings["sentCopy"] = json!("auto");
    let path = account(&client, "mail", &settings).await;
    (client, peer, path)
}

/// Waits until something about the message is no longer to be done, and returns the message.
pub(crate) async fn done(client: &Client, id: &Value, what: &str) -> Value {
    let path = format!("/v1/outbox/{}", id.as_str().unwrap());
    until(&format!("{what} is done"), async || {
        let message = client.get(path.clone()).await.value(200);
        let state = message[what]["state"].as_str().map(str::to_owned);
        state.is_some_and(|state| state != "pending" && state != "searching").then_some(message)
    })
    .await
}

fn mail(subject: &str) -> Value {
    json!({"to": "bob@example.org", "bcc": "blind@example.org", "subject": subject, "text": "Copy that"})
}

fn copies(peer: &Peer) -> Vec<sandbox::Stored> {
    peer.sandbox.folder(&peer.user, sandbox::Folder::Sent)
}

/// A3.4/21
#[test]
fn a_3_4_21_what_was_sent_is_in_the_sent_folder_once_and_read() {
    run(async {
        let (client, peer, path) = copier().await;
        let sent = client.post(format!("{path}/messages"), &mail("Copied")).await.value(200);
        assert_eq!((&sent["state"], &sent["copy"]), (&json!("sent"), &json!({"state": "pending"})), "{sent}");
        let later = client.post(format!("{path}/messages?wait=0"), &mail("Later")).await.value(202);
        for message in [&sent, &later] {
            let message = done(&client, &message["id"], "copy").await;
            assert_eq!(message["copy"], json!({"state": "stored", "folder": "Sent"}), "{message}");
            assert_eq!(message["state"], "sent");
        }
        let (stored, received) = (copies(&peer), peer.sandbox.received());
        assert_eq!((stored.len(), received.len()), (2, 2));
        for copy in &stored {
            assert!(copy.flags.contains("\\Seen") && copy.flags.len() == 1, "{:?}", copy.flags);
            assert!(received.iter().any(|received| received.bytes == copy.bytes), "byte for byte");
        }
        assert!(!peer.saw_credential_in_clear());
    });
}

/// A3.2/10, A3.4/21
#[test]
fn a_3_4_21_sent_copy_is_respected_per_account_and_per_message() {
    run(async {
        let (client, peer, path) = copier().await;
        let send = async |wish: &str| {
            let mut mail = mail(wish);
            mail["sentCopy"] = json!(wish);
            client.post(format!("{path}/messages"), &mail).await.value(200)
        };
        assert_eq!(send("never").await.get("copy"), None);
        let other = account(&client, "quiet", &peer.account(Receive::Imap, Way::Tls)).await;
        let quiet = client.post(format!("{other}/messages"), &mail("quiet")).await.value(200);
        assert_eq!(quiet.get("copy"), None, "{quiet}");
        let mut pop3 = peer.account(Receive::Pop3, Way::Tls);
        pop3["sentCopy"] = json!("always");
        let pop3 = account(&client, "pop3", &pop3).await;
        let nowhere = client.post(format!("{pop3}/messages"), &mail("nowhere")).await.value(200);
        assert_eq!(nowhere.get("copy"), None, "{nowhere}");
        assert!(copies(&peer).is_empty() && peer.sandbox.received().len() == 3);
        // Gmail files it by itself, behind whatever name; who says always means it.
        let gmail = ["IMAP4rev1", "SASL-IR", "AUTH=PLAIN", "UIDPLUS", "SPECIAL-USE", "X-GM-EXT-1"];
        peer.sandbox.script(Rule::on(Protocol::Imap).capabilities(gmail));
        let auto = done(&client, &send("auto").await["id"], "copy").await;
        assert_eq!(auto["copy"], json!({"state": "server"}), "{auto}");
        let always = done(&client, &send("always").await["id"], "copy").await;
        assert_eq!(always["copy"]["state"], "stored", "{always}");
        assert_eq!(copies(&peer).len(), 1);
        let wrong = json!({"to": "bob@example.org", "subject": "x", "sentCopy": "sometimes"});
        let problem = client.post(format!("{path}/messages"), &wrong).await.problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], "/sentCopy");
    });
}

#[test]
fn what_is_there_already_is_not_put_there_again() {
    run(async {
        let (client, peer, path) = copier().await;
        // A server that files by itself, and nobody knows.
        peer.sandbox.files_sent(true);
        let sent = client.post(format!("{path}/messages"), &mail("Filed")).await.value(200);
        let filed = done(&client, &sent["id"], "copy").await;
        assert_eq!(filed["copy"], json!({"state": "found", "folder": "Sent"}), "{filed}");
        peer.sandbox.files_sent(false);
        // The answer to APPEND is lost: the next try finds what this one has stored.
        let lost = peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("APPEND")).times(1).swallow_then_drop());
        let sent = client.post(format!("{path}/messages"), &mail("Lost")).await.value(200);
        let found = done(&client, &sent["id"], "copy").await;
        assert_eq!((&found["copy"]["state"], lost.count()), (&json!("found"), 1), "{found}");
        assert_eq!(copies(&peer).len(), 2, "one of each");
    });
}

#[test]
fn a_folder_that_is_missing_is_made_and_what_fails_for_good_harms_nothing() {
    run(async {
        let (client, peer, path) = copier().await;
        let append = |times: usize, reply: &'static str| {
            Rule::on(Protocol::Imap).at(At::Command("APPEND")).times(times).reply(reply)
        };
        peer.sandbox.script(append(1, "{tag} NO [TRYCREATE] No such folder\r\n"));
        let made = peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("CREATE")).reply("{tag} OK Made\r\n"));
        let sent = client.post(format!("{path}/messages"), &mail("Made")).await.value(200);
        let stored = done(&client, &sent["id"], "copy").await;
        assert_eq!((&stored["copy"]["state"], made.count()), (&json!("stored"), 1), "{stored}");

        peer.sandbox.script(append(usize::MAX, "{tag} NO [OVERQUOTA] The mailbox is full\r\n"));
        let sent = client.post(format!("{path}/messages"), &mail("Full")).await.value(200);
        let failed = done(&client, &sent["id"], "copy").await;
        let error = failed["copy"]["error"].as_str().unwrap();
        assert_eq!((&failed["state"], &failed["copy"]["state"]), (&json!("sent"), &json!("failed")), "{failed}");
        assert!(error.contains("The mailbox is full"), "{error}");
        assert_eq!(peer.sandbox.received().len(), 2, "a copy never costs a second sending");
        assert_eq!(copies(&peer).len(), 1);
    });
}

#[test]
fn a_mailbox_without_a_sent_folder_or_without_its_login_is_told() {
    run(async {
        let (client, peer, path) = copier().await;
        let list = "* LIST () \"/\" INBOX\r\n* LIST (\\Noselect) \"/\" Sent\r\n{tag} OK Listed\r\n";
        peer.sandbox.script(Rule::on(Protocol::Imap).at(At::Command("LIST")).times(1).reply(list));
        let sent = client.post(format!("{path}/messages"), &mail("Nowhere")).await.value(200);
        let failed = done(&client, &sent["id"], "copy").await;
        assert_eq!(failed["copy"]["state"], "failed", "{failed}");
        assert!(failed["copy"]["error"].as_str().unwrap().starts_with("no Sent folder"), "{failed}");
        // The login of the receiving side alone is wrong: the mail is sent.
        let mut settings = peer.account(Receive::Imap, Way::Tls);
        settings["sentCopy"] = json!("auto");
        settings["receive"]["auth"]["password"] = json!("wrong");
        let other = account(&client, "locked", &settings).await;
        let sent = client.post(format!("{other}/messages"), &mail("Locked out")).await.value(200);
        assert_eq!(sent["state"], "sent");
        let failed = done(&client, &sent["id"], "copy").await;
        assert_eq!(failed["copy"]["state"], "failed", "{failed}");
        assert!(failed["copy"]["error"].as_str().is_some_and(|error| !error.is_empty()), "{failed}");
    });
}

/// Lets a message arrive and be pulled; returns its id.
async fn arrived(client: &Client, peer: &Peer, path: &str, subject: &str) -> String {
    let message = format!(
        "From: Grace <grace@example.org>\r\nTo: ada@example.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n\r\nAsking\r\n"
    );
    peer.sandbox.deliver(&peer.user, message).unwrap();
    pull_all(client, path).await;
    let list = client.get(format!("{path}/messages?direction=incoming&subject={subject}")).await.value(200);
    list["items"][0]["id"].as_str().unwrap().to_owned()
}

async fn answer(client: &Client, path: &str, message: &str, action: &str) -> Value {
    let mail = json!({"to": "grace@example.org", "text": "Here", "reference": {"message": message, "action": action}});
    let sent = client.post(format!("{path}/messages"), &mail).await.value(200);
    done(client, &sent["id"], "mark").await
}

fn inbox_flags(peer: &Peer) -> Vec<String> {
    peer.sandbox.messages(&peer.user).iter().map(|message| message.flags.iter().cloned().collect()).collect()
}

/// A3.4/20, A3.1/5
#[test]
fn a_3_4_20_what_was_answered_or_forwarded_is_marked_at_the_server_and_here() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Imap, Way::Tls)).await;
        for (action, flag) in [("reply", "\\Answered"), ("replyAll", "\\Answered"), ("forward", "$Forwarded")] {
            let id = arrived(&client, &peer, &path, action).await;
            let message = answer(&client, &path, &id, action).await;
            assert_eq!(message["mark"], json!({"state": "set", "message": id, "flag": flag}), "{message}");
            assert_eq!(inbox_flags(&peer).last().unwrap(), flag);
            let stored = client.get(format!("{path}/messages/{id}")).await.value(200);
            assert_eq!(stored["flags"], json!([flag]), "{stored}");
        }
        // The folder has new numbers: the same UID is another message now, but its Message-ID tells.
        let id = arrived(&client, &peer, &path, "renumbered").await;
        let other = arrived(&client, &peer, &path, "other").await;
        let select = "* FLAGS (\\Seen \\Answered)\r\n* 5 EXISTS\r\n* OK [UIDVALIDITY 7] New\r\n* OK [UIDNEXT 9] Next\r\n{tag} OK [READ-WRITE] Selected\r\n";
        let renumbered = peer
            .sandbox
            .script(Rule::on(Protocol::Imap).at(At::Command("SELECT")).times(1).reply(select).and_continue());
        let message = answer(&client, &path, &id, "reply").await;
        assert_eq!((&message["mark"]["state"], renumbered.count()), (&json!("set"), 1), "{message}");
        let flags = inbox_flags(&peer);
        assert_eq!((flags[3].as_str(), flags[4].as_str()), ("\\Answered", ""), "{flags:?}");
        // The server does not take the flag: the mail is sent, and the rest is told.
        peer.sandbox
            .script(Rule::on(Protocol::Imap).at(At::Command("UID STORE")).reply("{tag} NO [CANNOT] Read only\r\n"));
        let message = answer(&client, &path, &other, "reply").await;
        assert_eq!((&message["state"], &message["mark"]["state"]), (&json!("sent"), &json!("failed")), "{message}");
        assert!(message["mark"]["error"].as_str().unwrap().contains("Read only"), "{message}");
    });
}

#[test]
fn what_was_pulled_by_pop3_is_marked_here_alone() {
    run(async {
        let (_, client) = service().await.tenant();
        let peer = Peer::start().await;
        let path = account(&client, "mail", &peer.account(Receive::Pop3, Way::Tls)).await;
        let id = arrived(&client, &peer, &path, "pop").await;
        let message = answer(&client, &path, &id, "reply").await;
        assert_eq!(message["mark"]["state"], "set", "{message}");
        let stored = client.get(format!("{path}/messages/{id}")).await.value(200);
        assert_eq!(stored["flags"], json!(["\\Answered"]), "{stored}");
    });
}

/// A3.4/20, A3.4/21
#[test]
fn a_real_dovecot_has_the_copy_in_the_folder_that_it_names_and_the_mark() {
    run(async {
        let (dovecot, _) = real::servers().await;
        let user = "copied@example.test";
        let (_, client) = service().await.tenant();
        let path = account(&client, "mail", &real::settings(user, Receive::Imap, Way::Starttls).await).await;
        dovecot.deliver(user, &[tests::corpus::plain(1)]);
        assert_eq!(pull_all(&client, &path).await, 1);
        let list = client.get(format!("{path}/messages?direction=incoming")).await.value(200);
        let id = list["items"][0]["id"].as_str().unwrap();
        let mail = json!({"to": "someone@example.test", "text": "Grüße\n.\n", "reference": {"message": id, "action": "reply"}});
        let sent = client.post(format!("{path}/messages"), &mail).await.value(200);
        let message = done(&client, &sent["id"], "copy").await;
        assert_eq!(message["copy"], json!({"state": "stored", "folder": "Gesendet"}), "{message}");
        let copies = dovecot.folder(user, "Gesendet");
        assert_eq!(copies.len(), 1);
        assert!(copies[0].0.ends_with(":2,S"), "read: {}", copies[0].0);
        assert_eq!(copies[0].1.len() as u64, message["size"].as_u64().unwrap(), "byte for byte");
        let source = client.get(format!("{path}/messages/{}/source?inline=true", sent["id"].as_str().unwrap())).await;
        assert!(source.is(200).body == copies[0].1);
        let message = done(&client, &sent["id"], "mark").await;
        assert_eq!(message["mark"]["state"], "set", "{message}");
        let inbox = dovecot.folder(user, "");
        assert!(inbox[0].0.ends_with(":2,R"), "answered: {}", inbox[0].0);
    });
}
