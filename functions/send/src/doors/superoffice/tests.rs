use serde_json::{Map, Value, json};
use shared::model::send::{Outgoing, Priority};
use shared::model::{Code, Problem, Timestamp};

use super::answer::Look;
use super::carriers::{CONNECTION, EMAIL, REQUEST};
use super::clock::Clock;
use super::connection::Connection;
use super::media::{self, Format};
use super::read::{self, Properties};
use super::select::Selection;
use super::{calendar, form, mail, xml};

/// The sample request of the seed, as far as its values matter.
fn sample() -> Value {
    json!({
        "To": [{}, {}], "Cc": [{}, {}], "Bcc": [{}, {}], "Subject": "voluptas", "HTMLBody": "neque", "From": null,
        "Sent": "2023-06-02T14:13:40.2660122+02:00", "Size": 934, "Priority": "High", "Flags": "Answered",
        "MessageID": "est", "PlainBody": "ut", "IsSent": true, "EMailSOInfo": null, "ServerId": 420,
        "Attachments": [{}, {}], "CustomHeaderList": [{}, {}], "FolderName": "Becker, McDermott and McKenzie",
        "EmailItemId": 453, "AccountId": 346, "ReceivedAt": "2008-07-21T14:13:40.2660122+02:00", "InReplyTo": null,
        "RepliedAt": "2001-10-06T14:13:40.2660122+02:00", "HasCalendarData": true, "CalMethod": "Add",
        "CalReplyStatus": "Accepted",
    })
}

fn email(value: Value) -> Properties {
    read::whole(&EMAIL, value).unwrap()
}

fn look() -> Look {
    Look { clock: Clock::new(None), selection: None }
}

fn sent() -> Outgoing {
    serde_json::from_value(json!({
        "id": "0".repeat(32), "account": "default", "state": "sent", "messageId": "<a@example.com>", "size": 4711,
        "createdAt": "2026-11-21T07:36:10Z", "sentAt": "2026-11-21T07:36:11.250Z",
        "recipients": [{"address": "b@example.com", "state": "sent", "attempts": 1}],
    }))
    .unwrap()
}

/// A2.4/19 to A2.4/46.
#[test]
fn a_2_4_all_28_properties_come_back_in_their_order() {
    let answer = look().at(email(sample()), Ok(&sent()));
    let names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted: Vec<_> = EMAIL.properties.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, wanted);
    assert_eq!(names.len(), 28);
    let mut same = sample();
    for (name, value) in [
        ("To", json!([])),
        ("Cc", json!([])),
        ("Bcc", json!([])),
        ("Attachments", json!([])),
        ("CustomHeaderList", json!([])),
        ("Sent", json!("2026-11-21T07:36:11.2500000+00:00")),
        ("Size", json!(4711)),
        ("MessageID", json!("<a@example.com>")),
        ("TableRight", Value::Null),
        ("FieldProperties", Value::Null),
    ] {
        same[name] = value;
    }
    assert_eq!(answer, same);
}

/// A2.5/50b.
#[test]
fn a_2_5_50b_names_are_matched_without_case_and_unknown_ones_ignored() {
    let given = json!({"subject": "s", "htmlBody": "h", "MESSAGEID": "m", "to": [{"address": "a@example.com"}],
                       "nothing": {"of": "ours"}, "tableRight": {"mask": 1}});
    let mail = email(given);
    assert_eq!((&mail["Subject"], &mail["HTMLBody"], &mail["MessageID"]), (&json!("s"), &json!("h"), &json!("m")));
    assert_eq!(mail["To"][0]["Address"], "a@example.com");
    assert_eq!((&mail["TableRight"], mail.len()), (&Value::Null, 28));
    let address = mail["To"][0].as_object().unwrap();
    assert_eq!(address.keys().collect::<Vec<_>>().len(), 11);
    assert_eq!(
        (&address["ContactId"], &address["Name"], &address["DuplicatePersonIds"]),
        (&json!(0), &Value::Null, &json!([]))
    );
}

/// A2.5/51.
#[test]
fn a_2_5_51_items_that_hold_nothing_are_no_items() {
    let given = json!({"To": [{}, null, {"ContactId": 0, "Name": "", "DuplicatePersonIds": [], "TableRight": null},
                              {"Name": "n", "Address": "a@example.com"}]});
    let request = mail::request(&email(given)).unwrap();
    assert_eq!(request.to.len(), 1);
    // Whoever has a name and no address was meant to get it.
    let error = mail::request(&email(json!({"To": [{"Name": "n"}]}))).unwrap_err();
    assert_eq!(error.errors[0].pointer, "/To/0/Address");
}

#[test]
fn values_of_another_kind_are_named() {
    for (value, pointer) in [
        (json!({"Emails": [{"Size": "big"}]}), "/Emails/0/Size"),
        (json!({"Emails": [{"Size": 2_147_483_648_u64}]}), "/Emails/0/Size"),
        (json!({"Emails": [{"To": "a@example.com"}]}), "/Emails/0/To"),
        (json!({"Emails": [{"IsSent": "maybe"}]}), "/Emails/0/IsSent"),
        (json!({"Emails": [{"Sent": "yesterday"}]}), "/Emails/0/Sent"),
        (json!({"Emails": [{"To": ["a@example.com"]}]}), "/Emails/0/To/0"),
        (json!({"emails": {"Subject": "x"}}), "/Emails"),
        (json!([]), ""),
    ] {
        let error = read::whole(&REQUEST, value).unwrap_err();
        assert_eq!((error.code, error.errors[0].pointer.as_str()), (Code::InvalidRequest, pointer));
    }
}

/// A2.5/52.
#[test]
fn a_2_5_52_times_with_seven_digits_and_any_offset_are_read() {
    for time in ["2023-06-02T14:13:40.2660122+02:00", "0001-01-01T00:00:00", "2008-07-21T14:13:40Z", ""] {
        assert!(read::whole(&EMAIL, json!({"Sent": time})).is_ok(), "{time}");
    }
}

/// A2.2/11.
#[test]
fn a_2_2_11_times_are_told_in_the_zone_that_was_asked_for() {
    let told = |zone: &str| Clock::new(Some(zone)).tell(Timestamp::parse("2026-07-01T12:00:00.123Z").unwrap());
    for (zone, wanted) in [
        ("NO", "2026-07-01T14:00:00.1230000+02:00"),
        ("us-ny", "2026-07-01T08:00:00.1230000-04:00"),
        ("AU-ACT", "2026-07-01T22:00:00.1230000+10:00"),
        ("Europe/Oslo", "2026-07-01T14:00:00.1230000+02:00"),
        ("+05:30", "2026-07-01T17:30:00.1230000+05:30"),
        ("-02:00", "2026-07-01T10:00:00.1230000-02:00"),
        ("UTC", "2026-07-01T12:00:00.1230000+00:00"),
        ("Middle-earth", "2026-07-01T12:00:00.1230000+00:00"),
    ] {
        assert_eq!(told(zone), wanted, "{zone}");
    }
    let mut mail = email(json!({"ReceivedAt": "2008-07-21T14:13:40.2660122+02:00", "RepliedAt": "2008-01-21T14:13:40",
                                "InReplyTo": {"Sent": "2008-07-21T12:00:00Z"}}));
    Clock::new(Some("NO")).turn(&EMAIL, &mut mail);
    assert_eq!(mail["ReceivedAt"], "2008-07-21T14:13:40.2660122+02:00");
    assert_eq!(mail["RepliedAt"], "2008-01-21T14:13:40.0000000+01:00", "a time without offset is local");
    assert_eq!(mail["InReplyTo"]["Sent"], "2008-07-21T14:00:00.0000000+02:00");
}

#[test]
fn every_zone_of_the_table_exists() {
    let zones = include_str!("zones.txt");
    assert!(zones.lines().count() > 250);
    for line in zones.lines() {
        let (zone, _) = line.split_once(' ').unwrap();
        assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{zone}");
    }
}

/// A2.1/3.
#[test]
fn a_2_1_3_select_nulls_what_is_not_named() {
    let mut mail = email(
        json!({"Subject": "s", "To": [{"Address": "a@example.com", "Name": "n"}], "EMailSOInfo": {"SaleId": 7, "x": 1}}),
    );
    Selection::new(Some(" subject,To/Address,EMailSOInfo/saleId,nothing/of/ours")).unwrap().apply(&mut mail);
    assert_eq!(mail.len(), 28);
    assert_eq!(mail["Subject"], "s");
    assert_eq!(mail["To"][0]["Address"], "a@example.com");
    assert_eq!((&mail["To"][0]["Name"], mail["To"][0].as_object().unwrap().len()), (&Value::Null, 11));
    assert_eq!(mail["EMailSOInfo"], json!({"SaleId": 7, "x": null}));
    assert!(["Cc", "Size", "IsSent", "Attachments"].iter().all(|name| mail[*name].is_null()));
    assert_eq!(Selection::new(Some(" ,")), None);
    assert_eq!(Selection::new(Some("To,To/Address")), Selection::new(Some("To/Address,To")));
}

/// A2.2/7.
#[test]
fn a_2_2_7_the_answer_is_of_the_type_that_was_asked_for() {
    for (accept, wanted) in [
        (None, ("application/json", Format::Json)),
        (Some("*/*"), ("application/json", Format::Json)),
        (Some("application/json; charset=utf-8"), ("application/json", Format::Json)),
        (Some("text/json"), ("text/json", Format::Json)),
        (Some("application/xml"), ("application/xml", Format::Xml)),
        (Some("text/xml"), ("text/xml", Format::Xml)),
        (Some("application/json-patch+json"), ("application/json-patch+json", Format::Json)),
        (Some("application/merge-patch+json"), ("application/merge-patch+json", Format::Json)),
        (Some("text/html, text/xml;q=0.5, text/json;q=0.9"), ("text/json", Format::Json)),
        (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), ("application/xml", Format::Xml)),
        (Some("text/*"), ("text/json", Format::Json)),
    ] {
        assert_eq!(media::accepted(accept).unwrap(), wanted, "{accept:?}");
    }
    for accept in ["text/html", "application/json;q=0", "application/x-www-form-urlencoded", "image/*"] {
        assert_eq!(media::accepted(Some(accept)).unwrap_err().code, Code::NotAcceptable, "{accept}");
    }
}

/// A2.2/6.
#[test]
fn a_2_2_6_the_same_request_in_every_type() {
    let json = r#"{"Emails":[{"Subject":"a b","To":[{"Address":"a@example.com"},{"Address":"b@example.com"}],"CustomHeaderList":[{"Name":"X-A","Values":["1","2"]}],"HasCalendarData":true,"Size":7}]}"#;
    let xml = r#"<?xml version="1.0" encoding="utf-8"?><SendEMails xmlns="urn:x" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
        <OutgoingConnectionInfo i:nil="true"/><Emails><EMail><Subject>a&#32;b</Subject><To><EMailAddress><Address>a@example.com</Address></EMailAddress>
        <EMailAddress><Address><![CDATA[b@example.com]]></Address></EMailAddress></To><CustomHeaderList><EMailCustomHeader><Name>X-A</Name><Values><string>1</string><string>2</string></Values></EMailCustomHeader></CustomHeaderList>
        <HasCalendarData>true</HasCalendarData><Size>7</Size></EMail></Emails></SendEMails>"#;
    let form = "Emails[0].Subject=a+b&Emails[0].To[0].Address=a%40example.com&Emails%5B0%5D%5BTo%5D%5B1%5D%5BAddress%5D=b%40example.com\
                &request.Emails[0].CustomHeaderList[0].Name=X-A&Emails[0].CustomHeaderList[0].Values[0]=1&Emails[0].CustomHeaderList[0].Values[1]=2\
                &Emails[0].HasCalendarData=true&Emails[0].Size=7";
    let read =
        |kind: Option<&str>, body: &str| read::whole(&REQUEST, media::request(kind, body.as_bytes()).unwrap()).unwrap();
    let wanted = read(None, json);
    for (kind, body) in [
        ("application/json; charset=utf-8", json),
        ("text/json", json),
        ("application/json-patch+json", json),
        ("application/merge-patch+json", json),
        ("application/x-www-form-urlencoded", json),
        ("APPLICATION/XML; charset=\"UTF-8\"", xml),
        ("text/xml", xml),
        ("application/x-www-form-urlencoded", form),
    ] {
        assert_eq!(read(Some(kind), body), wanted, "{kind}");
    }
    let refused = |kind, body: &str| media::request(Some(kind), body.as_bytes()).unwrap_err().code;
    assert_eq!(refused("text/html", json), Code::UnsupportedMediaType);
    assert_eq!(refused("application/json; charset=utf-16", json), Code::UnsupportedMediaType);
    assert_eq!(refused("application/json", "{"), Code::MalformedJson);
    for broken in
        ["", "<a>", "<a></b>", "x", "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>", "<a>&b;</a>"]
    {
        assert_eq!(refused("text/xml", broken), Code::MalformedJson, "{broken}");
    }
    let deep = "<a>".repeat(10_000);
    assert_eq!(refused("text/xml", &deep), Code::MalformedJson);
}

#[test]
fn forms_that_contradict_themselves_are_refused() {
    for text in ["Emails=1&Emails[0].Subject=x", "Emails[0].Subject=x&Emails[0].Subject=y", "=x"] {
        assert_eq!(form::read(text).unwrap_err().code, Code::InvalidRequest, "{text}");
    }
    assert_eq!(form::read("").unwrap_err().code, Code::MalformedJson);
    assert_eq!(form::read("a[10]=x&a[9]=y").unwrap(), json!({"a": ["y", "x"]}));
}

#[test]
fn xml_answers_can_be_read_again() {
    let mail =
        email(json!({"Subject": "<&\"\u{1}ü", "To": [{"Address": "a@example.com", "DuplicatePersonIds": [1, 2]}],
        "CustomHeaderList": [{"Name": "X", "Values": ["1", "2"]}], "EMailSOInfo": {"SaleId": 7, "not a name": 1}}));
    let text = xml::write(&EMAIL, &[mail.clone().into()]);
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"utf-8\"?><ArrayOfEMail "), "{text}");
    assert!(text.contains("<DuplicatePersonIds><int>1</int><int>2</int></DuplicatePersonIds>"), "{text}");
    assert!(text.contains("<From i:nil=\"true\"/>"), "{text}");
    let wrapped = text.replace("ArrayOfEMail ", "R ").replace("</ArrayOfEMail>", "</R>");
    let (head, rest) = wrapped.split_at(wrapped.find("<EMail>").unwrap());
    let rest = rest.strip_suffix("</R>").unwrap();
    let again =
        read::whole(&REQUEST, xml::read(&REQUEST, &format!("{head}<Emails>{rest}</Emails></R>")).unwrap()).unwrap();
    let mut wanted = mail;
    wanted["Subject"] = json!("<&\"\u{fffd}ü");
    wanted["EMailSOInfo"] = json!({"SaleId": "7"});
    assert_eq!(again["Emails"][0], Value::from(wanted));
}

/// A2.4/27, A2.5/50.
#[test]
fn a_2_4_27_six_priorities_are_three() {
    let of = |name: Value| mail::request(&email(json!({"Priority": name}))).unwrap().priority;
    for (name, wanted) in [
        ("Highest", Some(Priority::High)),
        ("High", Some(Priority::High)),
        ("Normal", Some(Priority::Normal)),
        ("Low", Some(Priority::Low)),
        ("Lowest", Some(Priority::Low)),
        ("NoPriority", None),
        ("", None),
    ] {
        assert_eq!(of(json!(name)), wanted, "{name}");
    }
    assert_eq!(of(json!(2)), Some(Priority::High));
}

/// A2.4/40, A2.5/49.
#[test]
fn a_2_4_40_and_a_2_5_49_headers_of_the_caller_and_of_the_answer() {
    let given = json!({"InReplyTo": {"messageid": "a@example.com"}, "CustomHeaderList": [
        {}, {"Name": "X-A", "Values": ["1", "2"]}, {"Name": "X-A", "Values": ["3"]}, {"Name": "references", "Values": ["<b@example.com>"]}]});
    let headers = mail::request(&email(given)).unwrap().headers;
    let told: Vec<_> = headers.iter().map(|header| (header.name.as_str(), header.values.join("|"))).collect();
    let wanted = [("X-A", "1|2"), ("X-A", "3"), ("references", "<b@example.com>"), ("In-Reply-To", "<a@example.com>")];
    assert_eq!(told, wanted.map(|(name, values)| (name, values.to_owned())));
}

/// A2.5/48.
#[test]
fn a_2_5_48_attachments_are_base64_whatever_encoding_says() {
    let given = json!({"HTMLBody": "<img src=\"cid:logo\">", "Attachments": [
        {"Filename": "a.txt", "Type": "text/plain", "Encoding": "eum", "Stream": "aGVs\r\nbG8="},
        {"Id": "<logo>", "Stream": ""}, {"Description": "Logo", "Id": "x", "Disposition": "INLINE", "Type": "odd", "Stream": "AA=="}]});
    let attachments = mail::request(&email(given)).unwrap().attachments;
    let told: Vec<_> = attachments
        .iter()
        .map(|file| json!([file.filename, file.content_type, file.content, file.disposition, file.content_id]))
        .collect();
    assert_eq!(told[0], json!(["a.txt", "text/plain", "aGVsbG8=", "attachment", null]));
    assert_eq!(told[1], json!(["attachment", null, "", "inline", "logo"]));
    assert_eq!(told[2], json!(["Logo", null, "AA==", "inline", "x"]));
    let wrong = json!({"Attachments": [{"Filename": "a"}, {"Filename": "b", "Stream": "!"}]});
    let error = mail::request(&email(wrong)).unwrap_err();
    let told: Vec<_> = error.errors.iter().map(|error| (error.pointer.as_str(), error.code.as_str())).collect();
    assert_eq!(told, [("/Attachments/0/Stream", "missing"), ("/Attachments/1/Stream", "invalid_base64")]);
}

/// A2.4/42 to A2.4/44.
#[test]
fn a_2_4_42_to_44_calendar_properties_follow_from_the_attachment() {
    let file = |text: &str| {
        use base64::Engine;
        let stream = base64::engine::general_purpose::STANDARD.encode(text);
        json!({"Filename": "invite.ics", "Type": "text/calendar", "Stream": stream})
    };
    let event = |head: &str, uid: &str| {
        format!("BEGIN:VCALENDAR\r\n{head}BEGIN:VEVENT\r\nUID:{uid}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
    };
    let reply = "BEGIN:VCALENDAR\nMETHOD:REPLY\nBEGIN:VEVENT\nUID:1\nATTENDEE;PARTSTAT=TENTA\n TIVE:mailto:a@example.com\nEND:VEVENT\nEND:VCALENDAR\n";
    let told = |files: Vec<Value>| {
        let answer =
            look().at(email(json!({"HasCalendarData": true, "CalMethod": "Add", "Attachments": files})), Ok(&sent()));
        json!([answer["HasCalendarData"], answer["CalMethod"], answer["CalReplyStatus"]])
    };
    assert_eq!(told(vec![file(&event("METHOD:REQUEST\r\n", "1"))]), json!([true, "Request", "Unknown"]));
    assert_eq!(told(vec![file(reply)]), json!([true, "Reply", "Tentative"]));
    assert_eq!(told(vec![file(&event("", "1")), file(&event("", "2"))])[0], json!(false), "exactly one");
    assert_eq!(told(vec![file(&(event("", "1") + &event("", "2")))])[0], json!(false), "exactly one");
    assert_eq!(told(Vec::new()), json!([true, "Add", null]), "nothing is known: as given");
    let kind = calendar::media_type(Some("text/calendar"), "invite.ics", event("METHOD:Request\r\n", "1").as_bytes());
    assert_eq!(kind.as_deref(), Some("text/calendar; method=REQUEST; charset=utf-8"));
    assert_eq!(calendar::media_type(Some("text/calendar; method=X"), "a.ics", b"METHOD:Y"), None);
}

/// A2.6/55.
#[test]
fn a_2_6_55_a_failure_is_told_beside_the_mail() {
    let answer = look().at(email(sample()), Err(&Problem::new(Code::AccountNotFound, "there is none")));
    assert_eq!((&answer["IsSent"], &answer["Sent"]), (&json!(false), &Value::Null));
    assert_eq!(answer["Error"], json!({"Code": "account_not_found", "Message": "there is none", "Fields": []}));
    let mut some = sent();
    some.state = shared::model::SendState::Partial;
    some.recipients[0].state = shared::model::RecipientState::Failed;
    some.recipients[0].error = Some("no".into());
    let look = Look { clock: Clock::new(None), selection: Selection::new(Some("Subject")) };
    let answer = look.at(email(sample()), Ok(&some));
    assert_eq!(
        (&answer["IsSent"], &answer["Error"]["Code"]),
        (&Value::Null, &json!("partial")),
        "Error is never nulled"
    );
    assert_eq!(answer["Error"]["Recipients"][0]["Address"], "b@example.com");
}

/// A2.3/17.
#[test]
fn a_2_3_17_a_connection_says_what_its_port_is() {
    let taken = |given: Value| {
        let mut request: Properties = Map::new();
        request.insert("C".to_owned(), read::whole(&CONNECTION, given).unwrap().into());
        Connection::take(&mut request, "C")
    };
    let from = shared::model::Address::bare("a@example.com");
    let server = |given: Value| {
        let sender = taken(given).unwrap().unwrap().sender(Some(&from), Timestamp(0)).unwrap();
        let smtp = sender.row.account.smtp.unwrap();
        (smtp.host, smtp.port, smtp.security.name())
    };
    let with = |name: &str, ssl: bool| json!({"ServerName": name, "UserName": "a@example.com", "Password": "p", "UseSSL": ssl});
    assert_eq!(server(with("mail.example.com", true)), ("mail.example.com".to_owned(), 465, "tls"));
    assert_eq!(server(with("mail.example.com", false)), ("mail.example.com".to_owned(), 587, "starttls"));
    assert_eq!(server(with("mail.example.com:587", true)), ("mail.example.com".to_owned(), 587, "starttls"));
    assert_eq!(server(with("mail.example.com:2465", true)), ("mail.example.com".to_owned(), 2465, "tls"));
    assert!(taken(json!({})).unwrap().is_none(), "nothing given: the stored settings hold");
    assert_eq!(taken(json!({"UserName": "u"})).unwrap_err().errors[0].pointer, "/C/ServerName");
    assert_eq!(taken(json!({"UseGraphApi": true})).unwrap_err().errors[0].pointer, "/C/UseGraphApi");
    let nobody = taken(json!({"ServerName": "h", "UserName": "u"})).unwrap().unwrap();
    assert_eq!(nobody.sender(None, Timestamp(0)).unwrap_err().errors[0].pointer, "/From");
}
