//! Parameters of MAIL and RCPT that ask for delivery reports (RFC 3461). lettre writes their values as xtext (§4).

use lettre::Address;
use lettre::transport::smtp::extension::{MailParameter, RcptParameter};

use crate::model::content::{Dsn, DsnNotify, DsnReturn};

/// RET and ENVID (RFC 3461 §4.3, §4.4).
pub(super) fn mail(dsn: &Dsn) -> Vec<MailParameter> {
    let other = |keyword: &str, value: String| MailParameter::Other { keyword: keyword.to_owned(), value: Some(value) };
    let ret = dsn.return_.map(|wish| match wish {
        DsnReturn::Full => other("RET", "FULL".to_owned()),
        DsnReturn::Headers => other("RET", "HDRS".to_owned()),
    });
    let id = dsn.envelope_id.clone().map(|id| other("ENVID", id));
    ret.into_iter().chain(id).collect()
}

/// NOTIFY and ORCPT (RFC 3461 §4.1, §4.2). An address beyond ASCII has an address type of its own (RFC 6533 §3), which
/// few servers know: it goes without ORCPT.
pub(super) fn rcpt(dsn: &Dsn, to: &Address) -> Vec<RcptParameter> {
    let other = |keyword: &str, value: String| RcptParameter::Other { keyword: keyword.to_owned(), value: Some(value) };
    let words: Vec<&str> = dsn
        .notify
        .iter()
        .map(|wish| match wish {
            DsnNotify::Never => "NEVER",
            DsnNotify::Success => "SUCCESS",
            DsnNotify::Failure => "FAILURE",
            DsnNotify::Delay => "DELAY",
        })
        .collect();
    let notify = (!words.is_empty()).then(|| other("NOTIFY", words.join(",")));
    let address = to.to_string();
    let orcpt = address.is_ascii().then(|| other("ORCPT", format!("rfc822;{address}")));
    notify.into_iter().chain(orcpt).collect()
}
