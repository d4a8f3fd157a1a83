//! SuperOffice's EMail agent, A2: batches of mails in, the same mails out, in JSON, XML and forms.

use http::Method;
use sandbox::{At, Protocol, Rule, Service as Port};
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::peer::{Peer, Receive, Way};
use tests::service::TOKEN;

use crate::{account, run, service};

const PATH: &str = "/api/v1/Agents/EMail/SendEMails";

/// A2.4, in the order of the seed.
const PROPERTIES: [&str; 28] = [
    "To",
    "Cc",
    "Bcc",
    "Subject",
    "HTMLBody",
    "From",
    "Sent",
    "Size",
    "Priority",
    "Flags",
    "MessageID",
    "PlainBody",
    "IsSent",
    "EMailSOInfo",
    "ServerId",
    "Attachments",
    "CustomHeaderList",
    "FolderName",
    "EmailItemId",
    "AccountId",
    "ReceivedAt",
    "InReplyTo",
    "RepliedAt",
    "HasCalendarData",
    "CalMethod",
    "CalReplyStatus",
    "TableRight",
    "FieldProperties",
];

/// A caller whose account `default` is at a server of its own.
async fn caller() -> (Client, Peer) {
    let (_, client) = service().await.tenant();
    let peer = Peer::start().await;
    account(&client, "default", &peer.account(Receive::Imap, Way::Starttls)).await;
    (client, peer)
}

fn emails(list: &[Value]) -> Value {
    json!({"OutgoingConnectionInfo": null, "Emails": list, "SentItemsConnectionInfo": null})
}

fn to_grace() -> Value {
    json!({"To": [{"Address": "grace@example.org", "Name": "Grace"}], "Subject": "Hello", "PlainBody": "Hello Grace\n"})
}

async fn send(client: &Client, list: &[Value]) -> Value {
    client.post(PATH, &emails(list)).await.value(200)
}

fn received(peer: &Peer, index: usize) -> String {
    String::from_utf8_lossy(&peer.sandbox.received()[index].bytes).into_owned()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let body = answer.value(status);
    assert_eq!((body["code"].as_str(), body.as_object().unwrap().len()), (Some(code), 2), "decision 26: {body}");
    body["message"].as_str().unwrap().to_owned()
}

/// A2.1/1, A2.3/15, A2.4/19 to 24, A2.4/29 to 31, A2.5/47, A2.5/49, A2.6/53, A2.6/54.
#[test]
fn a_2_1_1_a_batch_goes_out_and_comes_back_in_order() {
    run(async {
        let (client, peer) = caller().await;
        let first = json!({
            "To": [{"ContactId": 524, "Address": "grace@example.org", "Name": "Grace", "DuplicatePersonIds": [808, 908]}, {}],
            "Cc": [{"Address": "alan@example.org", "PersonName": "Alan"}], "Bcc": [{"Address": "hidden@example.org"}],
            "Subject": "Grüße", "HTMLBody": "<p>Hi</p>", "PlainBody": "Hi\n", "From": {"Address": "ada@example.test", "Name": "Ada L."},
            "Priority": "High", "Flags": "Answered", "EMailSOInfo": {"SaleId": 7, "anything": [1, {"else": null}]}, "ServerId": 420,
            "CustomHeaderList": [{"Name": "X-Ticket", "Values": ["42", "43"]}, {"Name": "X-Ticket", "Values": ["44"]}, {}],
            "InReplyTo": {"MessageId": "<before@example.org>", "Subject": "Before"}, "FolderName": "Out", "EmailItemId": 453,
            "AccountId": 346, "ReceivedAt": "2008-07-21T14:13:40.2660122+02:00", "FieldProperties": {"x": {"FieldLength": 1}},
        });
        let answer = client.post(PATH, &emails(&[first, to_grace()])).await;
        let sent = answer.value(200);
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8", "A2.6/54");
        assert_eq!(sent.as_array().unwrap().len(), 2, "A2.6/53: {sent}");
        for mail in sent.as_array().unwrap() {
            let names: Vec<_> = mail.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, PROPERTIES);
            assert_eq!(
                (&mail["IsSent"], &mail["TableRight"], &mail["FieldProperties"]),
                (&json!(true), &Value::Null, &Value::Null)
            );
            assert!(mail["Sent"].as_str().unwrap().ends_with("0000+00:00"), "A2.5/52: {mail}");
        }
        let mail = &sent[0];
        for (name, value) in [
            ("Flags", json!("Answered")),
            ("Priority", json!("High")),
            ("ServerId", json!(420)),
            ("FolderName", json!("Out")),
            ("EmailItemId", json!(453)),
            ("AccountId", json!(346)),
            ("ReceivedAt", json!("2008-07-21T14:13:40.2660122+02:00")),
            ("EMailSOInfo", json!({"SaleId": 7, "anything": [1, {"else": null}]})),
        ] {
            assert_eq!(mail[name], value, "{name}");
        }
        assert_eq!((mail["To"].as_array().unwrap().len(), &mail["To"][0]["ContactId"]), (1, &json!(524)));
        assert_eq!(mail["To"][0]["DuplicatePersonIds"], json!([808, 908]));
        assert_eq!(mail["Bcc"][0]["Address"], "hidden@example.org", "A2.4/21: echoed");
        assert_eq!(sent[1]["From"], Value::Null, "A2.4/24");

        let at_sink = &peer.sandbox.received()[0];
        assert_eq!(at_sink.recipients, ["grace@example.org", "alan@example.org", "hidden@example.org"]);
        assert_eq!(mail["Size"], json!(at_sink.bytes.len()));
        let text = received(&peer, 0);
        assert!(!text.contains("hidden@example.org"), "A2.4/21: never in the message: {text}");
        for line in [
            "X-Ticket: 42\r\n",
            "X-Ticket: 43\r\n",
            "X-Ticket: 44\r\n",
            "X-Priority: 1",
            "Importance: high",
            "In-Reply-To: <before@example.org>\r\n",
            "References: <before@example.org>\r\n",
            "text/html",
            "text/plain",
            &format!("Message-ID: {}\r\n", mail["MessageID"].as_str().unwrap()),
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(
            received(&peer, 1).contains("From: \"Ada\" <ada@example.test>")
                || received(&peer, 1).contains("From: Ada <ada@example.test>")
        );
    });
}

/// The sample request of the seed as it stands there: nobody is named in it, so that nothing can be sent.
#[test]
fn a_2_5_51_the_sample_of_the_seed_is_answered_per_item() {
    run(async {
        let (client, peer) = caller().await;
        let sample = json!({"To": [{}, {}], "Cc": [{}, {}], "Bcc": [{}, {}], "Subject": "voluptas", "HTMLBody": "neque", "From": null,
            "Sent": "2023-06-02T14:13:40.2660122+02:00", "Size": 934, "Priority": "High", "Flags": "Answered", "MessageID": "est",
            "PlainBody": "ut", "IsSent": true, "EMailSOInfo": null, "ServerId": 420, "Attachments": [{}, {}], "CustomHeaderList": [{}, {}],
            "FolderName": "Becker, McDermott and McKenzie", "EmailItemId": 453, "AccountId": 346,
            "ReceivedAt": "2008-07-21T14:13:40.2660122+02:00", "InReplyTo": null, "RepliedAt": "2001-10-06T14:13:40.2660122+02:00",
            "HasCalendarData": true, "CalMethod": "Add", "CalReplyStatus": "Accepted"});
        let answer = send(&client, &[sample.clone(), json!({}), to_grace()]).await;
        for (index, mail) in answer.as_array().unwrap()[..2].iter().enumerate() {
            assert_eq!(
                (&mail["IsSent"], &mail["Sent"], &mail["Error"]["Code"]),
                (&json!(false), &Value::Null, &json!("invalid_request")),
                "{index}"
            );
            assert_eq!(mail["Error"]["Fields"][0]["Pointer"], "/To");
        }
        let echoed = &answer[0];
        for name in ["HasCalendarData", "CalMethod", "CalReplyStatus", "RepliedAt", "MessageID", "Flags", "Subject"] {
            assert_eq!(echoed[name], sample[name], "{name}");
        }
        assert_eq!(answer[2]["IsSent"], true, "A2.6/55: the others are sent");
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

/// A2.2/4, A2.2/5, A2.1/2, and the path behind an installation's folder (A2.5/50b).
#[test]
fn a_2_2_4_every_scheme_and_the_scope() {
    run(async {
        let (tenant, client) = service().await.tenant();
        let peer = Peer::start().await;
        account(&client, "default", &peer.account(Receive::Imap, Way::Starttls)).await;
        let anybody = service().await.client().with_token(None);
        let basic = {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(format!("tje0:{TOKEN}"))
        };
        for (path, authorization) in [
            (PATH.to_owned(), format!("Bearer {TOKEN}")),
            (format!("/Cust12345{PATH}"), format!("SoTicket {TOKEN}")),
            (PATH.to_owned(), format!("Basic {basic}")),
        ] {
            let ask =
                anybody.ask(Method::POST, &path).header("authorization", &authorization).header("tenant", &tenant);
            let answer = ask.header("so-apptoken", "partner").json(&emails(&[to_grace()])).send().await;
            assert_eq!(answer.value(200)[0]["IsSent"], true, "{path}");
        }
        let without = anybody.ask(Method::POST, PATH).header("x-xsrf-token", "from a cookie").json(&emails(&[]));
        assert_eq!(without.send().await.status, 401, "A2.2/5: there are no cookies here");
        let _ = refused(&client.with_token(Some("hp_no.body")).post(PATH, &emails(&[])).await, 401, "unauthorized");

        let token = client.post("/v1/tokens", &json!({"name": "r", "scopes": ["read"]})).await.value(201);
        let reader = service().await.client().with_token(token["token"].as_str());
        let words = refused(&reader.post(PATH, &emails(&[to_grace()])).await, 403, "forbidden");
        assert!(words.contains("send"), "A2.1/2: {words}");
        assert_eq!(peer.sandbox.received().len(), 3);
        let _ = refused(&client.get(PATH).await, 405, "method_not_allowed");
    });
}

/// A2.1/3, A2.2/8 to A2.2/11, A2.5/50b.
#[test]
fn a_2_1_3_select_nulls_and_headers_shape_the_answer() {
    run(async {
        let (client, _peer) = caller().await;
        let body = json!({"emails": [{"to": [{"address": "grace@example.org", "name": "Grace"}], "subject": "s", "plainBody": "p",
                                     "receivedAt": "2008-07-21T12:00:00.2660122+00:00"}]});
        let ask = client.ask(Method::POST, format!("{PATH}?$select=subject,isSent,To/Address,Sent,ReceivedAt,no/such"));
        let ask = ask.header("accept-language", "sv").header("so-language", "no").header("so-culture", "nb-NO");
        let answer = ask.header("so-timezone", "US-NY").json(&body).send().await.value(200);
        let mail = answer[0].as_object().unwrap();
        assert_eq!(mail.keys().map(String::as_str).collect::<Vec<_>>(), PROPERTIES, "nulled, not removed");
        assert_eq!((&mail["Subject"], &mail["IsSent"]), (&json!("s"), &json!(true)));
        assert_eq!((&mail["To"][0]["Address"], &mail["To"][0]["Name"]), (&json!("grace@example.org"), &Value::Null));
        assert!(mail["Size"].is_null() && mail["Cc"].is_null() && mail["MessageID"].is_null(), "{answer}");
        assert_eq!(mail["ReceivedAt"], "2008-07-21T08:00:00.2660122-04:00", "A2.2/11");
        let sent = mail["Sent"].as_str().unwrap();
        assert!(sent.ends_with("-04:00") || sent.ends_with("-05:00"), "{sent}");
    });
}

/// A2.2/6, A2.2/7, A2.2/13.
#[test]
fn a_2_2_6_and_7_json_xml_and_forms_in_and_out() {
    run(async {
        let (client, peer) = caller().await;
        let json = emails(&[to_grace()]).to_string();
        let xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><request><OutgoingConnectionInfo/><Emails><EMail><To><EMailAddress>\
                   <Address>grace@example.org</Address></EMailAddress></To><Subject>Fish &amp; chips</Subject><PlainBody>x</PlainBody></EMail></Emails></request>";
        let form = "Emails[0].To[0].Address=grace%40example.org&Emails[0].Subject=A+form&Emails[0].PlainBody=x";
        let cases = [
            ("application/json; charset=utf-8", json.as_str(), "application/json; charset=utf-8"),
            ("text/json", &json, "text/json"),
            ("application/json-patch+json", &json, "application/merge-patch+json"),
            ("application/merge-patch+json", &json, "application/json-patch+json"),
            ("application/xml", xml, "text/xml"),
            ("text/xml; charset=utf-8", xml, "application/xml; charset=utf-8"),
            ("application/x-www-form-urlencoded", form, "application/json"),
        ];
        for (index, (sent_as, body, accept)) in cases.iter().enumerate() {
            let ask = client.ask(Method::POST, PATH).header("accept", accept).body(sent_as, (*body).to_owned());
            let answer = ask.send().await;
            let kind = accept.split(';').next().unwrap();
            assert_eq!(answer.is(200).header("content-type"), format!("{kind}; charset=utf-8"), "{sent_as}");
            assert_eq!(peer.sandbox.received().len(), index + 1, "{sent_as}: {}", answer.text());
            if kind.ends_with("xml") {
                let text = answer.text();
                assert!(
                    text.contains("<Subject>Fish &amp; chips</Subject>") && text.contains("<IsSent>true</IsSent>"),
                    "{text}"
                );
            } else {
                assert_eq!(answer.json()[0]["IsSent"], true);
            }
        }
        let ask = |kind: &str, body: &str| client.ask(Method::POST, PATH).body(kind, body.to_owned());
        let _ =
            refused(&ask("application/json", &json).header("accept", "text/html").send().await, 406, "not_acceptable");
        let _ = refused(&ask("text/plain", &json).send().await, 415, "unsupported_media_type");
        let _ = refused(&ask("application/json", "{").send().await, 400, "malformed_json");
        let _ = refused(
            &ask("text/xml", "<!DOCTYPE a SYSTEM \"http://127.0.0.1/\"><a/>").send().await,
            400,
            "malformed_json",
        );
        let words =
            refused(&ask("application/json", "{\"Emails\":[{\"Size\":\"x\"}]}").send().await, 422, "invalid_request");
        assert!(words.contains("Emails/0/Size"), "{words}");
        assert_eq!(peer.sandbox.received().len(), cases.len(), "what was refused was not sent");
    });
}

/// A2.3/14, A2.3/17: the connection of the call; nothing of it is kept.
#[test]
fn a_2_3_14_a_connection_of_the_call_sends_and_is_forgotten() {
    run(async {
        let (_, client) = service().await.tenant();
        let password = "n0t stored anywhere 4711";
        let peer = Peer::with_password(password).await;
        let connection = |server: String, ssl: bool, password: &str| json!({"ServerName": server, "UserName": peer.user, "Password": password, "Folder": "", "UseSSL": ssl});
        let smtps = format!("localhost:{}", peer.sandbox.port(Port::Smtps));
        let submission = format!("localhost:{}", peer.sandbox.port(Port::Submission));
        for (server, ssl) in [(smtps.clone(), true), (submission, false)] {
            let body = json!({"OutgoingConnectionInfo": connection(server, ssl, password), "Emails": [to_grace()]});
            let answer = client.post(PATH, &body).await.value(200);
            assert_eq!(answer[0]["IsSent"], true, "{answer}");
        }
        assert!(peer.sandbox.received().iter().all(|mail| mail.tls && mail.from == peer.user));
        let wrong = json!({"OutgoingConnectionInfo": connection(smtps, true, "wrong"), "Emails": [to_grace()]});
        let answer = client.post(PATH, &wrong).await.value(200);
        assert_eq!((&answer[0]["IsSent"], &answer[0]["Error"]["Code"]), (&json!(false), &json!("failed")));
        assert_eq!(answer[0]["Error"]["Recipients"][0]["SmtpResponseCode"], 535, "{answer}");

        let private =
            json!({"OutgoingConnectionInfo": connection("10.1.2.3".into(), true, password), "Emails": [to_grace()]});
        let answer = client.post(PATH, &private).await.value(200);
        assert_eq!(answer[0]["IsSent"], false, "egress is filtered: {answer}");
        let words = refused(
            &client.post(PATH, &json!({"OutgoingConnectionInfo": {"UserName": "u"}, "Emails": []})).await,
            422,
            "invalid_request",
        );
        assert!(words.contains("OutgoingConnectionInfo/ServerName"), "{words}");

        let accounts = client.get("/v1/accounts").await.value(200);
        assert_eq!(accounts["items"], json!([]), "no account came of it");
        assert!(!service().await.logs().contains(password));
    });
}

/// A2.4/34, A2.5/48, A2.4/42 to A2.4/44.
#[test]
fn a_2_5_48_attachments_arrive_and_are_described() {
    run(async {
        let (client, peer) = caller().await;
        let calendar = "QkVHSU46VkNBTEVOREFSDQpNRVRIT0Q6UkVRVUVTVA0KQkVHSU46VkVWRU5UDQpVSUQ6MQ0KRU5EOlZFVkVOVA0KRU5EOlZDQUxFTkRBUg0K";
        let mut mail = to_grace();
        mail["Attachments"] = json!([
            {"Filename": "übersicht.pdf", "Type": "application/pdf", "Encoding": "base64", "Stream": "JVBERi0xLjQK", "Size": 1},
            {"Filename": "run.exe", "Type": "application/octet-stream", "Stream": "TVo=", "IsSafeFileExtension": true},
            {"Filename": "invite.ics", "Type": "text/calendar", "Stream": calendar}, {}]);
        let answer = send(&client, &[mail]).await;
        let files = answer[0]["Attachments"].as_array().unwrap();
        let told: Vec<_> = files
            .iter()
            .map(|file| json!([file["Filename"], file["Size"], file["IsSafeFileExtension"], file["Stream"]]))
            .collect();
        assert_eq!(told[0], json!(["übersicht.pdf", 9, true, "JVBERi0xLjQK"]));
        assert_eq!(told[1], json!(["run.exe", 2, false, "TVo="]));
        assert_eq!(
            json!([answer[0]["HasCalendarData"], answer[0]["CalMethod"], answer[0]["CalReplyStatus"]]),
            json!([true, "Request", "Unknown"])
        );
        let text = received(&peer, 0);
        assert!(
            text.contains("JVBERi0xLjQK") && text.contains("run.exe") && text.contains("method=\"REQUEST\""),
            "{text}"
        );
    });
}

/// A2.6/55, decision 5: what cannot be sent now has failed, and stays so.
#[test]
fn a_2_6_55_what_is_refused_for_now_has_failed() {
    run(async {
        let (client, peer) = caller().await;
        let rule = || Rule::on(Protocol::Smtp).at(At::Command("RCPT"));
        peer.sandbox.script(rule().matching("later@").reply("451 4.7.1 Come back later\r\n"));
        peer.sandbox.script(rule().matching("never@").reply("550 5.1.1 No such user\r\n"));
        let to = |address: &str| json!({"To": [{"Address": address}], "Subject": "s"});
        let mut both = to("never@example.org");
        both["Cc"] = json!([{"Address": "grace@example.org"}]);
        let mut stranger = to("grace@example.org");
        stranger["From"] = json!({"Address": "stranger@example.org"});
        let mut reserved = to("grace@example.org");
        reserved["CustomHeaderList"] = json!([{"Name": "Bcc", "Values": ["x@example.org"]}]);
        let list = [to("later@example.org"), to("never@example.org"), both, stranger, reserved];
        let answer = send(&client, &list).await;
        let told: Vec<_> =
            answer.as_array().unwrap().iter().map(|mail| json!([mail["IsSent"], mail["Error"]["Code"]])).collect();
        let wanted = [
            json!([false, "failed"]),
            json!([false, "failed"]),
            json!([true, "partial"]),
            json!([false, "invalid_request"]),
            json!([false, "invalid_request"]),
        ];
        assert_eq!(told, wanted, "{answer}");
        assert_eq!(answer[0]["Error"]["Recipients"][0]["SmtpResponseCode"], 451);
        assert_eq!(
            answer[2]["Error"]["Recipients"],
            json!([{"Address": "never@example.org", "State": "failed", "SmtpResponseCode": 550, "Message": "No such user"}])
        );
        assert_eq!(answer[3]["Error"]["Fields"][0]["Pointer"], "/From");
        assert_eq!(answer[4]["Error"]["Fields"][0]["Pointer"], "/CustomHeaderList/0/name");
        assert_eq!(peer.sandbox.received().len(), 1);
    });
}

/// Decision 3: the key of a mail is key#index.
#[test]
fn a_repeated_batch_with_its_key_is_sent_once() {
    run(async {
        let (client, peer) = caller().await;
        let ask = async |list: &[Value]| {
            client
                .ask(Method::POST, PATH)
                .header("idempotency-key", "batch-1")
                .json(&emails(list))
                .send()
                .await
                .value(200)
        };
        let mut other = to_grace();
        other["Subject"] = json!("Other");
        let first = ask(&[to_grace(), other.clone()]).await;
        assert_eq!(ask(&[to_grace(), other.clone()]).await, first);
        assert_eq!(peer.sandbox.received().len(), 2);
        let changed = ask(&[other]).await;
        assert_eq!(changed[0]["Error"]["Code"], "idempotency_mismatch");
    });
}

/// A2.3/18: without a stored account there is nothing to send with; a token for one account sends through it.
#[test]
fn a_2_3_18_the_callers_stored_configuration() {
    run(async {
        let (_, client) = service().await.tenant();
        let _ = refused(&client.post(PATH, &emails(&[to_grace()])).await, 404, "account_not_found");
        let peer = Peer::start().await;
        account(&client, "office", &peer.account(Receive::Imap, Way::Tls)).await;
        let body = json!({"name": "o", "scopes": ["send"], "accounts": ["office"]});
        let token = client.post("/v1/tokens", &body).await.value(201);
        let office = service().await.client().with_token(token["token"].as_str());
        assert_eq!(send(&office, &[to_grace()]).await[0]["IsSent"], true);
    });
}
