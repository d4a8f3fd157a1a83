//! Addresses: `local@domain` checked by RFC 5322 §3.4.1 and RFC 6532 §3.2, domain in punycode.

use super::{ComposeError, Mailbox};
use idna::AsciiDenyList;
use mail_builder::headers::address::Address;
use std::net::{IpAddr, Ipv6Addr};

/// Longest address that fits a path of 256 octets with its angle brackets (RFC 5321 §4.5.3.1.3).
const MAX_ADDRESS: usize = 254;
/// Longest domain and label (RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

/// An address as it goes over the wire, in header and envelope alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrSpec {
    /// `local@domain`, the domain in ASCII and lower case.
    pub address: String,
    /// The local part is not ASCII, so that it needs SMTPUTF8 (RFC 6531 §3.2).
    pub smtputf8: bool,
}

/// Checks an address and turns its domain into ASCII.
///
/// # Errors
/// What is wrong with it, in words for the caller.
pub fn addr_spec(address: &str) -> Result<AddrSpec, &'static str> {
    if address.chars().any(char::is_control) {
        return Err("an address must not contain control characters");
    }
    let (local, domain) = address.rsplit_once('@').ok_or("an address has the form local@domain")?;
    check_local(local)?;
    let address = format!("{local}@{}", ascii_domain(domain)?);
    if address.len() > MAX_ADDRESS {
        return Err("an address must not be longer than 254 bytes");
    }
    Ok(AddrSpec { address, smtputf8: !local.is_ascii() })
}

/// Local part: dot-atom or quoted-string (RFC 5322 §3.4.1). The 64 octets of RFC 5321 §4.5.3.1.1 are no limit here,
/// because reply addresses of large services are longer and have to be answered.
fn check_local(local: &str) -> Result<(), &'static str> {
    if let Some(quoted) = local.strip_prefix('"') {
        return match quoted.strip_suffix('"') {
            Some(inner) if is_quoted_content(inner) => Ok(()),
            _ => Err("the quotes of the part before @ are not closed"),
        };
    }
    if local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)) {
        Ok(())
    } else {
        Err("the part before @ has an empty piece or a character that needs quotes")
    }
}

/// RFC 5322 §3.2.4: an inner quote or backslash is escaped.
fn is_quoted_content(inner: &str) -> bool {
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '"' || (c == '\\' && chars.next().is_none()) {
            return false;
        }
    }
    true
}

/// RFC 5322 §3.2.3, widened by UTF-8 (RFC 6532 §3.2).
fn is_atext(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        c if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        c => !c.is_whitespace(),
    }
}

fn ascii_domain(domain: &str) -> Result<String, &'static str> {
    if let Some(literal) = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
        return if is_address_literal(literal) {
            Ok(domain.to_owned())
        } else {
            Err("the part between [ and ] is not an IP address")
        };
    }
    // RFC 5891 §4.4: U-labels become A-labels; STD3 leaves letters, digits and hyphens (RFC 1123 §2.1).
    let ascii = idna::domain_to_ascii_cow(domain.as_bytes(), AsciiDenyList::STD3)
        .map_err(|_| "the part after @ is not a domain name")?;
    let good = ascii.len() <= MAX_DOMAIN && ascii.split('.').all(is_label);
    if good { Ok(ascii.into_owned()) } else { Err("the part after @ is not a domain name") }
}

/// RFC 1123 §2.1.
fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

/// RFC 5321 §4.1.3.
fn is_address_literal(literal: &str) -> bool {
    match literal.strip_prefix("IPv6:") {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
    }
}

/// A checked mailbox, and whether it needs SMTPUTF8.
pub(super) fn mailbox(pointer: &str, mailbox: &Mailbox) -> Result<(Address<'static>, bool), ComposeError> {
    let name = mailbox.name.as_deref();
    if name.is_some_and(|name| name.chars().any(char::is_control)) {
        let detail = "remove line breaks and control characters from the name";
        return Err(ComposeError::new(format!("{pointer}/name"), "invalid_address", detail));
    }
    let spec = addr_spec(&mailbox.address)
        .map_err(|detail| ComposeError::new(format!("{pointer}/address"), "invalid_address", detail))?;
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    Ok((Address::new_address(name.map(str::to_owned), spec.address), spec.smtputf8))
}
