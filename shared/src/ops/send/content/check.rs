//! What of a request can be checked without any I/O.

use super::unsubscribe;
use crate::mail::compose;
use crate::model::content::DsnNotify;
use crate::model::pii::is_token;
use crate::model::send::SendRequest;
use crate::model::{Account, Address, FieldError};
use crate::ops::send::sources;

/// Most recipients of one message.
const RECIPIENTS: usize = 100;

/// Most attachments of one message.
const ATTACHMENTS: usize = 100;

/// Longest name of a person, and longest part of a correlation, in bytes: they stand in the row, which has to stay
/// small.
const NAME_BYTES: usize = 256;

/// Longest In-Reply-To and longest References.
const ID_BYTES: usize = 8 << 10;

/// Checks a request and says who its author is. All wrong fields are named at once.
pub(in crate::ops) fn check(request: &SendRequest, account: &Account) -> Result<Address, Vec<FieldError>> {
    let mut errors = Vec::new();
    let recipients = request.recipients().len();
    if recipients == 0 {
        errors.push(FieldError::new("/to", "missing", "name at least one recipient in to, cc or bcc"));
    }
    if recipients > RECIPIENTS {
        errors.push(FieldError::new(
            "/to",
            "too_many",
            format!("{recipients} recipients; the limit recipients is {RECIPIENTS}"),
        ));
    }
    let empty = request.subject.is_none()
        && request.text.is_none()
        && request.html.is_none()
        && request.attachments.is_empty()
        && request.raw.is_none()
        && request.invite.is_none();
    if empty {
        errors.push(FieldError::new("/text", "missing", "give at least one of subject, text, html, attachments"));
    }
    check_sizes(request, &mut errors);
    errors.extend(sources::check(request));
    check_wishes(request, &mut errors);
    let from = author(request, account);
    for (pointer, who) in [("/from", Some(&from)), ("/envelopeFrom", request.envelope_from.as_ref())] {
        if let Some(who) = who.filter(|who| !account.speaks_for(who)) {
            let detail = format!("{} is neither the account's address nor one of its identities", who.address);
            errors.push(FieldError::new(pointer, "not_an_identity", detail));
        }
    }
    if errors.is_empty() { Ok(from) } else { Err(errors) }
}

/// In whose name it is written.
pub(super) fn author(request: &SendRequest, account: &Account) -> Address {
    request.from.clone().unwrap_or_else(|| account.from.clone())
}

/// What is said twice, in two ways.
pub(super) fn conflicts(request: &SendRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |fields: &[(&str, bool)], why: &str| {
        for (pointer, _) in fields.iter().filter(|(_, given)| *given) {
            errors.push(FieldError::new(*pointer, "conflict", why));
        }
    };
    let bodies = [("/text", request.text.is_some()), ("/html", request.html.is_some())];
    let ids = [("/inReplyTo", !request.in_reply_to.is_empty()), ("/references", !request.references.is_empty())];
    if request.markdown.is_some() {
        refuse(&bodies, "markdown gives both bodies: leave this out");
    }
    if request.reference.is_some() {
        refuse(&ids, "reference gives these: leave this out");
    }
    if request.raw.is_some() {
        let why = "raw is the whole message: leave this out";
        refuse(&bodies, why);
        refuse(&ids, why);
        let others = [
            ("/from", request.from.is_some()),
            ("/replyTo", !request.reply_to.is_empty()),
            ("/subject", request.subject.is_some()),
            ("/markdown", request.markdown.is_some()),
            ("/reference", request.reference.is_some()),
            ("/invite", request.invite.is_some()),
            ("/listUnsubscribe", request.list_unsubscribe.is_some()),
            ("/headers", !request.headers.is_empty()),
            ("/priority", request.priority.is_some()),
            ("/attachments", !request.attachments.is_empty()),
            ("/links", request.links.is_some()),
        ];
        refuse(&others, why);
    }
    errors
}

/// What cannot be changed of a stored mail: what was worked out of these when it was accepted stands in it.
pub(super) fn changes(before: &SendRequest, after: &SendRequest) -> Vec<FieldError> {
    let fixed = [("/raw", before.raw != after.raw), ("/reference", before.reference != after.reference)];
    let refuse = |pointer| {
        let detail = "this was worked out when the mail was accepted: cancel it and send another";
        FieldError::new(pointer, "conflict", detail)
    };
    let mut errors: Vec<FieldError> =
        fixed.into_iter().filter(|(_, changed)| *changed).map(|(pointer, _)| refuse(pointer)).collect();
    if errors.is_empty() {
        // What follows from them stands beside them in a stored mail, and is no conflict as long as it is the same.
        let mut asked = after.clone();
        if after.raw.is_some() {
            asked.from = after.from.clone().filter(|_| after.from != before.from);
            asked.subject = after.subject.clone().filter(|_| after.subject != before.subject);
        }
        if after.reference.is_some()
            && (&after.in_reply_to, &after.references) == (&before.in_reply_to, &before.references)
        {
            (asked.in_reply_to, asked.references) = (Vec::new(), Vec::new());
        }
        errors = conflicts(&asked);
    }
    errors
}

/// Wishes about the envelope and about lists, and ids of other messages.
fn check_wishes(request: &SendRequest, errors: &mut Vec<FieldError>) {
    if let Some(wish) = &request.list_unsubscribe {
        errors.extend(unsubscribe::headers(wish).err());
        let twice = |name: &str| name.to_ascii_lowercase().starts_with("list-unsubscribe");
        for (index, _) in request.headers.iter().enumerate().filter(|(_, header)| twice(&header.name)) {
            let pointer = format!("/headers/{index}/name");
            errors.push(FieldError::new(pointer, "conflict", "listUnsubscribe writes this: leave one of both out"));
        }
    }
    if let Some(dsn) = &request.dsn {
        if dsn.notify.contains(&DsnNotify::Never) && dsn.notify.len() > 1 {
            errors.push(FieldError::new("/dsn/notify", "conflict", "never stands alone (RFC 3461 §4.1)"));
        }
        if dsn.notify.len() > 3 {
            errors.push(FieldError::new("/dsn/notify", "too_many", "name each wish once"));
        }
        let fits = |id: &String| (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if dsn.envelope_id.as_ref().is_some_and(|id| !fits(id)) {
            let detail = "1 to 100 printable ASCII characters (RFC 3461 §4.4)";
            errors.push(FieldError::new("/dsn/envelopeId", "invalid_value", detail));
        }
    }
    for (pointer, ids) in [("/inReplyTo", &request.in_reply_to), ("/references", &request.references)] {
        let bytes: usize = ids.iter().map(String::len).sum();
        if bytes > ID_BYTES {
            let detail = format!("{bytes} bytes; the limit idBytes is {ID_BYTES}");
            errors.push(FieldError::new(pointer, "too_long", detail));
        }
    }
}

/// What goes into the row is bounded here: DynamoDB refuses an item of over 400 KB, and then it is too late to say why.
fn check_sizes(request: &SendRequest, errors: &mut Vec<FieldError>) {
    let mut short = |pointer: String, text: &str| {
        if text.len() > NAME_BYTES {
            let detail = format!("{} bytes; the limit nameBytes is {NAME_BYTES}", text.len());
            errors.push(FieldError::new(pointer, "too_long", detail));
        }
    };
    let lists = [("to", &request.to), ("cc", &request.cc), ("bcc", &request.bcc), ("replyTo", &request.reply_to)];
    for (field, list) in lists {
        for (index, address) in list.iter().enumerate() {
            short(format!("/{field}/{index}/name"), address.name.as_deref().unwrap_or_default());
        }
    }
    short("/from/name".to_owned(), request.from.as_ref().and_then(|from| from.name.as_deref()).unwrap_or_default());
    if let Some(correlation) = &request.correlation {
        short("/correlation/source".to_owned(), &correlation.source);
        short("/correlation/id".to_owned(), &correlation.id);
    }
    // Composing checks every other address, but these stand in no header.
    for (index, address) in request.bcc.iter().enumerate().filter(|(_, address)| !is_token(&address.address)) {
        if let Err(detail) = compose::addr_spec(&address.address) {
            errors.push(FieldError::new(format!("/bcc/{index}/address"), "invalid_address", detail));
        }
    }
    if request.attachments.len() > ATTACHMENTS {
        let detail = format!("{}; the limit attachments is {ATTACHMENTS}", request.attachments.len());
        errors.push(FieldError::new("/attachments", "too_many", detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::AccountInput;
    use crate::model::{AccountId, Timestamp};

    fn wrong(json: serde_json::Value) -> Vec<String> {
        let account = serde_json::json!({"from": "a@example.com", "smtp": {"host": "h", "port": 25, "security": "none", "auth": {"type": "none"}}});
        let account: AccountInput = serde_json::from_value(account).unwrap();
        let (account, _) = account.check(AccountId::new("box").unwrap(), 60, Timestamp(0)).unwrap();
        let request: SendRequest = serde_json::from_value(json).unwrap();
        check(&request, &account).err().into_iter().flatten().map(|error| error.pointer).collect()
    }

    #[test]
    fn what_goes_into_the_row_ends_at_its_limit() {
        let mail = |length: usize| {
            let name = "n".repeat(length);
            serde_json::json!({
                "to": {"name": name, "address": "b@example.com"}, "text": "x", "correlation": {"source": name, "id": name},
            })
        };
        assert!(wrong(mail(NAME_BYTES)).is_empty());
        assert_eq!(wrong(mail(NAME_BYTES + 1)), ["/to/0/name", "/correlation/source", "/correlation/id"]);
    }

    #[test]
    fn a_blind_recipient_is_checked_like_any_other() {
        for address in ["b@exa_mple.com", "b@xn--a.com"] {
            let to = wrong(serde_json::json!({"bcc": [address], "text": "x"}));
            assert_eq!(to, ["/bcc/0/address"], "{address}");
        }
        // Each part is short enough to be read, the whole is not (RFC 5321 §4.5.3.1.3).
        let long = format!("{}@{}.example.com", "b".repeat(60), "d".repeat(60) + &".d".repeat(80));
        assert_eq!(wrong(serde_json::json!({"bcc": [long], "text": "x"})), ["/bcc/0/address"]);
    }

    #[test]
    fn attachments_are_counted() {
        let mail = |count: usize| {
            let file = serde_json::json!({"filename": "a", "fileId": "0".repeat(64)});
            serde_json::json!({"to": "b@example.com", "attachments": vec![file; count]})
        };
        assert!(wrong(mail(ATTACHMENTS)).is_empty());
        assert_eq!(wrong(mail(ATTACHMENTS + 1)), ["/attachments"]);
    }
}
