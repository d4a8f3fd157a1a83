use serde_json::{Value, json};

use super::*;
use crate::model::AccountId;
use crate::model::account::AccountInput;

const ORIGINAL: &str = "Message-ID: <2@x.example>\r\nReferences: <0@x.example> <1@x.example>\r\n\
    From: Bob <bob@example.org>\r\nTo: Ada <ada@example.test>, eve@example.org\r\nCc: SALES@example.test, bob@example.org\r\n\
    Date: Tue, 03 Mar 2026 10:05:07 +0100\r\nSubject: Grüße\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hi <b>Ada</b> <script>x</script><img src=\"cid:logo\"></p>\r\n";

fn account() -> Account {
    let json = json!({"from": "ada@example.test", "identities": ["sales@example.test"], "smtp": {"host": "h", "port": 25, "security": "none", "auth": {"type": "none"}}});
    let input: AccountInput = serde_json::from_value(json).unwrap();
    input.check(AccountId::new("box").unwrap(), 60, Timestamp(0)).unwrap().0
}

fn file(name: &str, id: Option<&str>) -> AttachmentInput {
    AttachmentInput {
        filename: name.to_owned(),
        content: Some("QQ==".to_owned()),
        disposition: if id.is_some() { Disposition::Inline } else { Disposition::Attachment },
        content_id: id.map(str::to_owned),
        ..AttachmentInput::default()
    }
}

fn filled(source: &str, request: Value) -> Result<SendRequest, Problem> {
    let mut request: SendRequest = serde_json::from_value(request).unwrap();
    let reference = request.reference.clone().unwrap();
    let original =
        read(source.as_bytes(), vec![file("a.pdf", None), file("logo.png", Some("logo")), file("b.png", Some("b"))]);
    refuse_loop(&request, &original)?;
    thread(&mut request, &original);
    subject(&mut request, reference.action, &original.subject);
    recipients(&mut request, reference.action, &account(), &original);
    if reference.quote {
        quote::append(&mut request, reference.action, &original);
    }
    carry(&mut request, &reference, original)?;
    Ok(request)
}

fn addresses(list: &[Address]) -> Vec<&str> {
    list.iter().map(|address| address.address.as_str()).collect()
}

fn refer(action: &str) -> Value {
    json!({"reference": {"message": "x", "action": action}})
}

#[test]
fn a_reply_goes_to_the_author_with_thread_subject_and_quotation() {
    let mut request = refer("reply");
    request["text"] = json!("Thanks\n");
    let reply = filled(ORIGINAL, request).unwrap();
    assert_eq!(reply.in_reply_to, ["<2@x.example>"]);
    assert_eq!(reply.references, ["<0@x.example>", "<1@x.example>", "<2@x.example>"]);
    assert_eq!((reply.subject.as_deref(), addresses(&reply.to)), (Some("Re: Grüße"), vec!["bob@example.org"]));
    let text = reply.text.unwrap();
    assert!(
        text.starts_with("Thanks\n\nOn 3 March 2026 at 09:05 UTC, Bob <bob@example.org> wrote:\n> Hi Ada"),
        "{text}"
    );
    assert!(reply.html.is_none() && reply.cc.is_empty() && reply.attachments.is_empty());
}

#[test]
fn a_reply_to_all_leaves_ourselves_out() {
    let reply = filled(ORIGINAL, refer("replyAll")).unwrap();
    assert_eq!((addresses(&reply.to), addresses(&reply.cc)), (vec!["bob@example.org"], vec!["eve@example.org"]));
    let html = reply.html.unwrap();
    assert!(
        html.contains("<blockquote type=\"cite\"") && html.contains("<b>Ada</b>") && !html.contains("script"),
        "{html}"
    );
    let names: Vec<&str> = reply.attachments.iter().map(|file| file.filename.as_str()).collect();
    assert_eq!(names, ["logo.png"], "the picture that the quotation shows, and nothing else");
    let mut given = refer("replyAll");
    given["to"] = json!("only@example.org");
    let reply = filled(ORIGINAL, given).unwrap();
    assert_eq!((addresses(&reply.to), reply.cc.len()), (vec!["only@example.org"], 0));
}

#[test]
fn reply_to_wins_and_who_answers_himself_means_the_others() {
    let elsewhere = ORIGINAL.replacen("From:", "Reply-To: desk@example.org\r\nFrom:", 1);
    assert_eq!(addresses(&filled(&elsewhere, refer("reply")).unwrap().to), ["desk@example.org"]);
    let own = ORIGINAL.replacen("Bob <bob@example.org>", "ada@example.test", 1);
    assert_eq!(addresses(&filled(&own, refer("reply")).unwrap().to), ["ada@example.test", "eve@example.org"]);
    let unusable = ORIGINAL.replacen("From:", "Reply-To: desk@exa_mple.org\r\nFrom:", 1);
    assert_eq!(addresses(&filled(&unusable, refer("reply")).unwrap().to), ["bob@example.org"]);
}

#[test]
fn a_forward_brings_the_header_and_all_files() {
    let mut request = refer("forward");
    request["to"] = json!("new@example.org");
    request["html"] = json!("<html><body><p>See</p></body></html>");
    let forward = filled(ORIGINAL, request).unwrap();
    assert_eq!((forward.subject.as_deref(), addresses(&forward.to)), (Some("Fwd: Grüße"), vec!["new@example.org"]));
    let html = forward.html.unwrap();
    for part in ["<p>See</p>", "Forwarded message", "<b>From:</b> Bob &lt;bob@example.org&gt;", "<b>Subject:</b> Grüße"]
    {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(html.ends_with("</body></html>") && forward.text.is_none());
    let kinds: Vec<_> = forward.attachments.iter().map(|file| (file.filename.as_str(), file.disposition)).collect();
    let (attached, inline) = (Disposition::Attachment, Disposition::Inline);
    assert_eq!(kinds, [("a.pdf", attached), ("logo.png", inline), ("b.png", attached)]);
    let bare = json!({"reference": {"message": "x", "action": "forward", "quote": false, "attachments": false}, "to": "n@example.org"});
    let bare = filled(ORIGINAL, bare).unwrap();
    assert!(bare.text.is_none() && bare.html.is_none() && bare.attachments.is_empty());
}

/// A3.4/20
#[test]
fn a_subject_gets_one_prefix() {
    for (action, original, wanted) in [
        ("reply", "RE: x", "RE: x"),
        ("reply", "Fwd: x", "Re: Fwd: x"),
        ("forward", "FW: x", "FW: x"),
        ("forward", "Re: x", "Fwd: Re: x"),
        ("reply", "", "Re:"),
    ] {
        let source = ORIGINAL.replacen("Grüße", original, 1);
        assert_eq!(filled(&source, refer(action)).unwrap().subject.as_deref(), Some(wanted), "{original}");
    }
}

#[test]
fn without_references_the_one_parent_is_the_thread() {
    let source = ORIGINAL.replacen("References: <0@x.example> <1@x.example>", "In-Reply-To: <1@x.example>", 1);
    assert_eq!(filled(&source, refer("reply")).unwrap().references, ["<1@x.example>", "<2@x.example>"]);
    let nameless = ORIGINAL.replacen("Message-ID", "X-Id", 1);
    let reply = filled(&nameless, refer("reply")).unwrap();
    assert!(reply.in_reply_to.is_empty() && reply.references.is_empty());
}

#[test]
fn a_machine_does_not_answer_a_machine() {
    let automatic = ORIGINAL.replacen("From:", "Auto-Submitted: auto-replied\r\nFrom:", 1);
    let mut request = refer("reply");
    assert!(filled(&automatic, request.clone()).is_ok(), "a person may");
    request["headers"] = json!([{"name": "auto-submitted", "values": ["auto-replied"]}]);
    assert!(filled(ORIGINAL, request.clone()).is_ok());
    assert_eq!(filled(&automatic, request).unwrap_err().errors[0].code, "loop");
}
