//! Values as front doors take them, where they take more than one form.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a port that may be a number, a text of digits, or empty: Email Service 1.0 writes `"587"` (A4.3/19), jetQuery
/// both.
pub fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    deserializer.deserialize_any(Port)
}

/// Reads a text where an empty one means "not given", as web forms send it.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.trim().is_empty()))
}

/// Reads a secret where an empty one means "not given".
pub fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<secrecy::SecretString>, D::Error> {
    use secrecy::ExposeSecret;
    let given = Option::<secrecy::SecretString>::deserialize(deserializer)?;
    Ok(given.filter(|secret| !secret.expose_secret().is_empty()))
}

/// Tells `null` from a field that is absent.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

struct Port;

impl Visitor<'_> for Port {
    type Value = Option<u16>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a port from 1 to 65535, as a number or a text of digits")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let port = u16::try_from(number).ok().filter(|port| *port != 0);
        port.map(Some).ok_or_else(|| E::custom("expected a port from 1 to 65535"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() {
            return Ok(None);
        }
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map_or_else(|| Err(E::custom("expected a port from 1 to 65535")), |number| self.visit_u64(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A4.3/19, A4.4/28, A4.4/30.
    #[test]
    fn a_port_has_several_forms_and_one_range() {
        let read = |json: &str| port(&mut serde_json::Deserializer::from_str(json)).ok();
        for (json, wanted) in [
            ("587", Some(Some(587))),
            ("\"587\"", Some(Some(587))),
            ("65535", Some(Some(65535))),
            ("null", Some(None)),
            ("\"\"", Some(None)),
            ("0", None),
            ("65536", None),
            ("\"65536\"", None),
            ("\"+25\"", None),
            ("\" 25\"", None),
            ("\"smtp\"", None),
            ("-1", None),
            ("25.5", None),
            ("true", None),
        ] {
            assert_eq!(read(json), wanted, "{json}");
        }
    }
}
