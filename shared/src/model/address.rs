//! Mail addresses as the API takes and gives them.

use lettre::message::Mailbox;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

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
    const WANTED: &str = "expected an address: \"a@example.com\", \"Name <a@example.com>\" or {\"name\", \"address\"}";
    match Given::deserialize(deserializer).map_err(|_| D::Error::custom(WANTED))? {
        Given::Text(text) => Address::parse(&text),
        Given::Object { name, address } => Some(Address { name, address }).filter(Address::is_valid),
    }
    .ok_or_else(|| D::Error::custom(WANTED))
}

/// Reads an address of a request that may be left out or null.
pub fn given_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "given")] Address);
    Ok(Option::<One>::deserialize(deserializer)?.map(|One(address)| address))
}

/// Reads a list of addresses that may also be given as one value, or as null.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    use serde_json::Value;
    let values = match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::Array(values) => values,
        one => vec![one],
    };
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| given(value).map_err(|error| D::Error::custom(format!("[{index}]: {error}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Address, serde_json::Error> {
        given(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn reads_the_three_forms() {
        for given in
            [r#""a@example.com""#, r#"{"address":"a@example.com"}"#, r#"{"name":null,"address":"a@example.com"}"#]
        {
            assert_eq!(read(given).unwrap(), Address::bare("a@example.com"));
        }
        let named = read(r#""Zoë <zoe@example.com>""#).unwrap();
        assert_eq!(named, Address { name: Some("Zoë".into()), address: "zoe@example.com".into() });
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
            assert!(read(given).is_err(), "{given}");
        }
    }
}
