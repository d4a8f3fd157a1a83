//! What of a request can be checked without any I/O.

use crate::mail::compose;
use crate::model::send::SendRequest;
use crate::model::{Account, Address, FieldError};

/// Most recipients of one message.
const RECIPIENTS: usize = 100;

/// Most attachments of one message.
const ATTACHMENTS: usize = 100;

/// Longest name of a person, and longest part of a correlation, in bytes: they stand in the row, which has to stay
/// small.
const NAME_BYTES: usize = 256;

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
    let empty =
        request.subject.is_none() && request.text.is_none() && request.html.is_none() && request.attachments.is_empty();
    if empty {
        errors.push(FieldError::new("/text", "missing", "give at least one of subject, text, html, attachments"));
    }
    check_sizes(request, &mut errors);
    let from = request.from.clone().unwrap_or_else(|| account.from.clone());
    let allowed =
        std::iter::once(&account.from).chain(&account.identities).any(|identity| identity.same_mailbox(&from.address));
    if !allowed {
        errors.push(FieldError::new(
            "/from",
            "not_an_identity",
            format!("{} is neither the account's address nor one of its identities", from.address),
        ));
    }
    if errors.is_empty() { Ok(from) } else { Err(errors) }
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
    for (index, address) in request.bcc.iter().enumerate() {
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
