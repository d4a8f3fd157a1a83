//! Who is not sent to any more: fed by people, bounces and complaints, asked before every attempt.
//!
//! Asked twice: when a message is accepted, because all of its recipients may be suppressed and then nothing is worth
//! keeping; and before every later attempt, because a message may wait for a year.

use std::collections::HashMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::mail::compose::addr_spec;
use crate::model::send::{Recipient, RecipientState, SendRequest};
use crate::model::suppression::{Suppression, SuppressionInput, SuppressionReason};
use crate::model::{Code, FieldError, MessageId, Problem, Tenant, Timestamp};
use crate::store::{Store, StoreError};

/// How the `error` of a suppressed recipient begins; its reason follows.
const SUPPRESSED: &str = "suppressed";

/// An address as it is compared: the local part without regard to case (every real provider does), the domain in ASCII
/// (RFC 5891 §4.4) and lower case.
///
/// # Errors
/// What is wrong with it, in words for the caller.
pub fn normalised(address: &str) -> Result<String, &'static str> {
    Ok(addr_spec(address)?.address.to_lowercase())
}

/// Suppresses an address from now on; the flag: it was not before.
///
/// # Errors
/// The address is none, the note is too long, or our own storage.
pub async fn add(
    store: &Store,
    tenant: &Tenant,
    input: SuppressionInput,
    now: Timestamp,
) -> Result<(Suppression, bool), Problem> {
    let mut errors = input.check();
    let address = normalised(&input.address.address)
        .map_err(|detail| errors.push(FieldError::new("/address", "invalid_address", detail)));
    let (Ok(address), true) = (address, errors.is_empty()) else {
        return Err(Problem::invalid(errors));
    };
    let SuppressionInput { reason, message, note, .. } = input;
    let suppression = Suppression { address, reason, message, note, created_at: now };
    let is_new = store.suppressions.put(tenant, &suppression).await?;
    Ok((suppression, is_new))
}

/// Suppresses an address because of what came back about a message. One that is suppressed already stays so for the
/// reason that is known.
pub(in crate::ops) async fn feed(
    store: &Store,
    tenant: &Tenant,
    address: &str,
    reason: SuppressionReason,
    message: &MessageId,
    now: Timestamp,
) -> Result<(), StoreError> {
    // What was on the wire is an address.
    let Ok(address) = normalised(address) else { return Ok(()) };
    if store.suppressions.get(tenant, &address).await?.is_none() {
        let message = Some(message.clone());
        store.suppressions.put(tenant, &Suppression { address, reason, message, note: None, created_at: now }).await?;
    }
    Ok(())
}

/// Where a suppressed address is read and taken off the list. Local parts may hold what means something in a path.
pub fn path(suppression: &Suppression) -> String {
    format!("/v1/suppressions/{}", utf8_percent_encode(&suppression.address, NON_ALPHANUMERIC))
}

/// Those recipients that must not be sent to, by their address as given.
#[derive(Debug, Default)]
pub struct Suppressed(HashMap<String, SuppressionReason>);

impl Suppressed {
    /// Asks for all of them at once: each as it is written in the message, and what that stands for.
    pub async fn among<'a>(
        store: &Store,
        tenant: &Tenant,
        addresses: impl Iterator<Item = (&'a str, String)>,
    ) -> Result<Self, StoreError> {
        // An address that cannot be put on the wire cannot be on the list either.
        let compared: Vec<(&str, String)> =
            addresses.filter_map(|(given, clear)| Some((given, normalised(&clear).ok()?))).collect();
        let keys: Vec<String> = compared.iter().map(|(_, key)| key.clone()).collect();
        let found = store.suppressions.among(tenant, &keys).await?;
        let reason = |key: &str| found.iter().find(|row| row.address == key).map(|row| row.reason);
        let given = compared.iter().filter_map(|(given, key)| Some(((*given).to_owned(), reason(key)?)));
        Ok(Self(given.collect()))
    }

    /// Fails each suppressed recipient that still waits, without stopping the others.
    pub fn strike(&self, recipients: &mut [Recipient]) {
        let waiting = |state| matches!(state, RecipientState::Queued | RecipientState::Deferred);
        for recipient in recipients.iter_mut().filter(|recipient| waiting(recipient.state)) {
            if let Some(reason) = self.0.get(&recipient.address) {
                recipient.state = RecipientState::Failed;
                recipient.smtp = None;
                recipient.phase = None;
                recipient.error = Some(format!("{SUPPRESSED}: {}", reason.name()));
            }
        }
    }

    /// The problem of a request all of whose recipients are suppressed; each is named by its place.
    pub fn all(&self, request: &SendRequest) -> Option<Problem> {
        if !request.recipients().iter().all(|address| self.0.contains_key(&address.address)) {
            return None;
        }
        let mut problem = Problem::new(
            Code::RecipientRejected,
            "every recipient is suppressed: nothing is sent; see /v1/suppressions",
        );
        for (field, list) in [("to", &request.to), ("cc", &request.cc), ("bcc", &request.bcc)] {
            for (index, address) in list.iter().enumerate() {
                let reason = self.0.get(&address.address).map_or("", |reason| reason.name());
                let pointer = format!("/{field}/{index}/address");
                problem.errors.push(FieldError::new(pointer, SUPPRESSED, format!("suppressed: {reason}")));
            }
        }
        Some(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_case_and_with_the_domain_in_ascii() {
        let same = ["Zoe@Bücher.example", "zoe@xn--bcher-kva.example", "ZOE@XN--BCHER-KVA.EXAMPLE"];
        for address in same {
            assert_eq!(normalised(address), Ok("zoe@xn--bcher-kva.example".to_owned()), "{address}");
        }
        assert_ne!(normalised("zoe+1@bücher.example"), normalised(same[0]), "a tag may be another person's");
        assert!(normalised("zoe").is_err() && normalised("a@exa_mple.com").is_err());
    }

    #[test]
    fn only_those_who_wait_are_struck() {
        let recipient = |address: &str, state| Recipient { state, ..Recipient::new(address) };
        let suppressed = Suppressed(HashMap::from([("a@x.example".to_owned(), SuppressionReason::HardBounce)]));
        let mut list = [
            recipient("a@x.example", RecipientState::Deferred),
            recipient("a@x.example", RecipientState::Sent),
            recipient("b@x.example", RecipientState::Queued),
        ];
        suppressed.strike(&mut list);
        assert_eq!(
            list.each_ref().map(|one| one.state),
            [RecipientState::Failed, RecipientState::Sent, RecipientState::Queued]
        );
        assert_eq!(list[0].error.as_deref(), Some("suppressed: hardBounce"));
    }
}
