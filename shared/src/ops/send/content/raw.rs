//! A whole message of the caller's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{field, message_id};
use crate::mail::compose::{self, Raw};
use crate::model::send::SendRequest;
use crate::model::{Account, FieldError, MessageId, Problem, Timestamp};

/// Makes a given message one that may leave, and names its author and recipients beside it. Returns its Message-ID.
pub(super) fn settle(
    request: &mut SendRequest,
    account: &Account,
    id: &MessageId,
    now: Timestamp,
) -> Result<Option<String>, Problem> {
    let Some(given) = &request.raw else {
        return Ok(None);
    };
    let raw: Raw = compose::raw(&bytes(given)?, |from| message_id(id, from), now.to_datetime())
        .map_err(|error| Problem::invalid(vec![field(error)]))?;
    let stranger = [Some(&raw.from), raw.sender.as_ref()].into_iter().flatten().find(|who| !account.speaks_for(who));
    if let Some(who) = stranger {
        let detail = format!("{} is neither the account's address nor one of its identities", who.address);
        return Err(Problem::invalid(vec![FieldError::new("/raw", "not_an_identity", detail)]));
    }
    if request.recipients().is_empty() {
        request.to = raw.recipients;
    }
    request.from = Some(raw.from);
    request.subject = raw.subject;
    request.raw = Some(text(raw.bytes));
    Ok(Some(raw.message_id))
}

/// The message as given: a header has a colon, and base64 has none (RFC 4648 §4).
pub(super) fn bytes(given: &str) -> Result<Vec<u8>, Problem> {
    if given.contains(':') {
        return Ok(given.as_bytes().to_vec());
    }
    let packed: Vec<u8> = given.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).map_err(|error| {
        let detail = format!("neither a message with a header nor base64 (RFC 4648 §4): {error}");
        Problem::invalid(vec![FieldError::new("/raw", "invalid_message", detail)])
    })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| STANDARD.encode(error.as_bytes()))
}
