//! Encryption of what is too lively for Secrets Manager: AES-256-GCM (NIST SP 800-38D) under the tenant's data key.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;

use super::random;

/// A tenant's key. Whoever has the table without the secret reads nothing.
#[derive(Clone)]
pub(super) struct DataKey(LessSafeKey);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey")
    }
}

impl DataKey {
    /// 32 bytes; none where these are no key.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?)))
    }

    /// Nonce, ciphertext and tag. `place` is where it is stored: elsewhere it cannot be opened. Nonces are random (96
    /// bits): far below 2^32 writes per tenant none comes twice.
    pub(super) fn seal(&self, place: &str, plain: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random::fill(NONCE_LEN).try_into().ok()?;
        let mut sealed = plain.to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(nonce_used, Aad::from(place.as_bytes()), &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// What was sealed for this place under this key; none for anything else.
    pub(super) fn open(&self, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.0.open_in_place(nonce, Aad::from(place.as_bytes()), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_it_at_the_same_place() {
        let (key, other) = (DataKey::new(&[1; 32]).unwrap(), DataKey::new(&[2; 32]).unwrap());
        let sealed = key.seal("a", b"secret").unwrap();
        assert_eq!(&**key.open("a", &sealed).unwrap(), b"secret");
        assert!(key.open("b", &sealed).is_none() && other.open("a", &sealed).is_none());
        assert_ne!(sealed, key.seal("a", b"secret").unwrap(), "each time another nonce");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("a", &changed).is_none(), "byte {at}");
        }
        assert!(key.open("a", &sealed[..5]).is_none() && DataKey::new(&[1; 31]).is_none());
    }
}
