//! Names that become parts of keys: checked once, when they enter.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One customer of the operator: up to 60 of `[a-z0-9-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

/// One mailbox of a tenant: `[A-Za-z0-9._@+-]{1,100}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// Id of a stored message: 32 lower-case hex digits, the head of the SHA-256 of its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(String);

/// A name that breaks its rule; the text says which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(pub &'static str);

impl Tenant {
    const RULE: InvalidName = InvalidName("a tenant is 1 to 60 of a-z, 0-9 and '-'");

    /// Checks and takes a tenant's name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        checked(name.into(), 60, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            .map(Self)
            .ok_or(Self::RULE)
    }
}

impl AccountId {
    const RULE: InvalidName = InvalidName("an account is 1 to 100 of A-Z, a-z, 0-9 and . _ @ + -");

    /// Checks and takes an account's name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        checked(name.into(), 100, |b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b)).map(Self).ok_or(Self::RULE)
    }

    /// Stands for settings that are tried and belong to no account; no account can be called so.
    pub fn nobody() -> Self {
        Self("?".to_owned())
    }
}

impl MessageId {
    const RULE: InvalidName = InvalidName("a message id is 32 lower-case hex digits");

    /// Checks and takes an id that a caller gave.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidName> {
        checked(id.into(), 32, |b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            .filter(|id| id.len() == 32)
            .map(Self)
            .ok_or(Self::RULE)
    }

    /// The id of the message that has this key: the same parts always give the same id, which is what makes a
    /// conditional write recognise a message that is already stored. Parts are separated by a length prefix, so
    /// that no two lists of parts share an id.
    pub fn derived(parts: &[&str]) -> Self {
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        Self(hex::encode(&digest(&SHA256, &text).as_ref()[..16]))
    }
}

fn checked(name: String, longest: usize, allowed: impl Fn(u8) -> bool) -> Option<String> {
    (!name.is_empty() && name.len() <= longest && name.bytes().all(allowed)).then_some(name)
}

macro_rules! text_of {
    ($($name:ident),*) => {$(
        impl $name {
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    )*};
}
text_of!(Tenant, AccountId, MessageId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_their_limits() {
        assert!(Tenant::new("a".repeat(60)).is_ok() && Tenant::new("a".repeat(61)).is_err());
        assert!(AccountId::new("a".repeat(100)).is_ok() && AccountId::new("a".repeat(101)).is_err());
        for bad in ["", "A", "a#b", "a/b", "ä"] {
            assert!(Tenant::new(bad).is_err(), "{bad}");
        }
        assert!(AccountId::new("a#b").is_err() && AccountId::new("a/b").is_err());
        assert!(AccountId::new("ada+x@example.com").is_ok());
    }

    #[test]
    fn derived_ids_do_not_collide_across_part_borders() {
        assert_ne!(MessageId::derived(&["ab", "c"]), MessageId::derived(&["a", "bc"]));
        assert_eq!(MessageId::derived(&["a"]), MessageId::derived(&["a"]));
        assert!(MessageId::new(MessageId::derived(&["a"]).as_str()).is_ok());
    }
}
