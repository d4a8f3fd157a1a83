//! Tokens: how they look, and who stands behind one.
//!
//! A token is `hp_<tenant>_<43 characters>`: the tenant stands in it because every key begins with its tenant, and 256
//! random bits follow. Stored is its SHA-256 alone. The operator's own token may be any text; its hash is a setting.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::model::principal::Scope;
use crate::model::{Principal, Problem, Tenant, Timestamp};
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// Makes a token for a tenant.
pub fn mint(tenant: &Tenant) -> Result<String, Problem> {
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| Problem::internal("the system has no random numbers"))?;
    Ok(format!("hp_{tenant}_{}", URL_SAFE_NO_PAD.encode(random)))
}

/// What is stored of a token, and its id in paths: SHA-256, lower-case hex.
pub fn hash(token: &str) -> String {
    hex::encode(digest(&SHA256, token.as_bytes()))
}

/// The token in an Authorization header. The doors' schemes differ: `Bearer`, `Token`, `SoTicket`, and `Basic` with the
/// token as the password (RFC 7617 §2).
pub fn presented(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.trim().split_once(' ')?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" | "soticket" => Some(rest.to_owned()),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            Some(pair.split_once(':')?.1.to_owned())
        }
        _ => None,
    }
}

/// Who stands behind a token; none if nobody does, or does no more.
pub async fn principal(
    store: &Store,
    settings: &Settings,
    token: &str,
    now: Timestamp,
) -> Result<Option<Principal>, StoreError> {
    let hash = hash(token);
    if settings.root_token_sha256.as_ref() == Some(&hash) {
        let tenant = settings.root_tenant.clone();
        return Ok(Some(Principal { tenant, scopes: Scope::ALL.to_vec(), accounts: None, token: "root".to_owned() }));
    }
    let Some(tenant) = tenant(token) else {
        return Ok(None);
    };
    let row = store.tokens.get(&tenant, &hash).await?;
    let row = row.filter(|row| row.expires_at.is_none_or(|end| end > now));
    Ok(row.map(|row| Principal { tenant, scopes: row.scopes, accounts: row.accounts, token: hash[..12].to_owned() }))
}

fn tenant(token: &str) -> Option<Tenant> {
    let (tenant, _) = token.strip_prefix("hp_")?.split_once('_')?;
    Tenant::new(tenant).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_tenant_and_no_two_are_alike() {
        let acme = Tenant::new("acme-2").unwrap();
        let (one, two) = (mint(&acme).unwrap(), mint(&acme).unwrap());
        assert_ne!(one, two);
        assert_eq!(tenant(&one), Some(acme));
        assert_eq!(tenant("hp_A_x"), None);
        assert_eq!(tenant("anything"), None);
    }

    #[test]
    fn every_scheme_of_the_doors_is_read() {
        for header in ["Bearer t", "bearer  t", "Token t", "SoTicket t", "Basic dXNlcjp0"] {
            assert_eq!(presented(header).as_deref(), Some("t"), "{header}");
        }
        for header in ["t", "Digest t", "Basic !", "Basic dA=="] {
            assert_eq!(presented(header), None, "{header}");
        }
    }
}
