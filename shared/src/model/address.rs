//! Mail addresses as the API takes and gives them.

use lettre::message::Mailbox;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::pii::is_token;

/// One address. Answers always use the object; requests may give `"a@example.com"`,
/// `"Name <a@example.com>"` or the object, and are read by [`given`] and its like, which check. What was received
/// is taken as it came: a stranger's message may name anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Address {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `local@domain` (RFC 5321 §4.1.2).
    pub address: String,
}

impl Address {
    /// An address without a display name.
    pub fn bare(address: impl Into<String>) -> Self {
        Self { name: None, address: address.into() }
    }

    /// Reads `a@b` or `Name <a@b>` (RFC 5322 §3.4), refusing what could not be sent to.
    pub fn parse(text: &str) -> Option<Self> {
        let mailbox: Mailbox = text.trim().parse().ok()?;
        let address = Self { name: mailbox.name, address: mailbox.email.to_string() };
        address.is_valid().then_some(address)
    }

    /// Whether the address can stand on the wire: an addr-spec, and no control character anywhere.
    pub fn is_valid(&self) -> bool {
        let clean = |text: &str| !text.chars().any(char::is_control);
        clean(&self.address)
            && self.name.as_deref().is_none_or(clean)
            && self.address.parse::<lettre::Address>().is_ok()
    }

    /// The domain behind the last `@`.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Same mailbox: the domain without regard to case, the local part too (every real provider does).
    pub fn same_mailbox(&self, other: &str) -> bool {
        self.address.eq_ignore_ascii_case(other)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Text(String),
    Object { name: Option<String>, address: String },
}

/// Reads an address of a request: in any of its forms, and one that could be sent to.
pub fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    read::<D, false>(deserializer)
}

/// With `TOKENS` a PII token may stand for the address.
fn read<'de, D: Deserializer<'de>, const TOKENS: bool>(deserializer: D) -> Result<Address, D::Error> {
    const WANTED: &str = "expected an address: \"a@example.com\", \"Name <a@example.com>\" or {\"name\", \"address\"}";
    match Given::deserialize(deserializer).map_err(|_| D::Error::custom(WANTED))? {
        Given::Text(text) => Address::parse(&text).or_else(|| token(&text).filter(|_| TOKENS)),
        Given::Object { name, address } => {
            let tokens = TOKENS && is_token(&address) && !name.iter().any(|name| name.contains(char::is_control));
            Some(Address { name, address }).filter(|address| tokens || address.is_valid())
        }
    }
    .ok_or_else(|| D::Error::custom(WANTED))
}

/// `NS-EU-…` or `Name <NS-EU-…>`.
fn token(text: &str) -> Option<Address> {
    let text = text.trim();
    if is_token(text) {
        return Some(Address::bare(text));
    }
    let (name, token) = text.strip_suffix('>')?.rsplit_once('<')?;
    let name = name.trim().trim_matches('"');
    let clean = !name.is_empty() && !name.contains(char::is_control) && is_token(token);
    clean.then(|| Address { name: Some(name.to_owned()), address: token.to_owned() })
}

/// Reads an address of a request that may be left out or null.
pub fn given_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    Ok(Option::<One<false>>::deserialize(deserializer)?.map(|One(address)| address))
}

/// Reads a list of addresses that may also be given as one value, or as null. A list is read element by element, so
/// that a wrong one is named by its place.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    deserializer.deserialize_any(OneOrMany::<false>)
}

/// The same for recipients, whom PII tokens may stand for.
pub fn recipients<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    deserializer.deserialize_any(OneOrMany::<true>)
}

/// One address in any of its forms.
struct One<const TOKENS: bool>(Address);

impl<'de, const TOKENS: bool> Deserialize<'de> for One<TOKENS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::<D, TOKENS>(deserializer).map(Self)
    }
}

struct OneOrMany<const TOKENS: bool>;

impl<'de, const TOKENS: bool> Visitor<'de> for OneOrMany<TOKENS> {
    type Value = Vec<Address>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an address or a list of addresses")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        read::<_, TOKENS>(text.into_deserializer()).map(|address| vec![address])
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        read::<_, TOKENS>(MapAccessDeserializer::new(map)).map(|address| vec![address])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut addresses = Vec::new();
        while let Some(One::<TOKENS>(address)) = list.next_element()? {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(json: &str) -> Result<Address, serde_json::Error> {
        given(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn reads_the_three_forms() {
        for given in
            [r#""a@example.com""#, r#"{"address":"a@example.com"}"#, r#"{"name":null,"address":"a@example.com"}"#]
        {
            assert_eq!(read_one(given).unwrap(), Address::bare("a@example.com"));
        }
        let named = read_one(r#""Zoë <zoe@example.com>""#).unwrap();
        assert_eq!(named, Address { name: Some("Zoë".into()), address: "zoe@example.com".into() });
    }

    #[test]
    fn only_recipients_may_be_tokens() {
        for text in [r#""NS-EU-A-1""#, r#"{"address":"NS-EU-A-1"}"#, r#""Ada <NS-EU-A-1>""#] {
            assert!(read_one(text).is_err(), "{text}");
            let found = recipients(&mut serde_json::Deserializer::from_str(text)).unwrap();
            assert_eq!(found[0].address, "NS-EU-A-1");
            assert_eq!(found[0].name.is_some(), text.contains("Ada"));
        }
        for text in [r#""NS-EU-A""#, r#""a\nb <NS-EU-A-1>""#, r#"{"name":"a\nb","address":"NS-EU-A-1"}"#] {
            assert!(recipients(&mut serde_json::Deserializer::from_str(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_sent_to() {
        for given in [
            r#""""#,
            r#""a""#,
            r#""a@b@c""#,
            r#""a@example.com\r\nBcc: e@example.com""#,
            r#"{"name":"x\ny","address":"a@example.com"}"#,
            "7",
        ] {
            assert!(read_one(given).is_err(), "{given}");
        }
    }
}
