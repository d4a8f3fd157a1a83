//! The signature of Standard Webhooks (github.com/standard-webhooks, spec §"Signature scheme", symmetric `v1`).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use ring::hmac;
use secrecy::SecretString;

use crate::model::Timestamp;
use crate::store::secret_bytes;

/// `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`: one signature for each secret, the
/// newest first, with a space between them.
pub fn headers(id: &str, now: Timestamp, body: &[u8], secrets: &[SecretString]) -> HeaderMap {
    let seconds = now.seconds().to_string();
    let signatures: Vec<String> = secrets.iter().map(|secret| signature(id, &seconds, body, secret)).collect();
    let signatures = signatures.join(" ");
    let texts = [("webhook-id", id), ("webhook-timestamp", &seconds), ("webhook-signature", &signatures)].into_iter();
    texts.filter_map(|(name, text)| Some((HeaderName::from_static(name), HeaderValue::from_str(text).ok()?))).collect()
}

fn signature(id: &str, seconds: &str, body: &[u8], secret: &SecretString) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret_bytes(secret));
    let mut context = hmac::Context::with_key(&key);
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        context.update(part);
    }
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference libraries.
    #[test]
    fn signs_as_the_reference_does() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let now = Timestamp(1_614_265_330_000);
        let headers = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", now, br#"{"test": 2432232314}"#, &[secret]);
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn two_secrets_sign_side_by_side() {
        let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA"].map(SecretString::from);
        let headers = headers("evt_1", Timestamp(0), b"{}", &secrets);
        let signatures: Vec<_> = headers["webhook-signature"].to_str().unwrap().split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert!(signatures.iter().all(|signature| signature.starts_with("v1,")) && signatures[0] != signatures[1]);
    }
}
