//! Who calls: read from what the authorizer put into the request's context.
//!
//! The authorizer always answers `isAuthorized: true` and puts either the principal or `error` into its context,
//! so that a refusal leaves in the envelope of the door it came to, and not in API Gateway's own.
//!
//! | context | meaning |
//! |---|---|
//! | `tenant` | the token's tenant |
//! | `scopes` | its rights, joined by blanks |
//! | `accounts` | the accounts it may touch, joined by commas; `*` for all |
//! | `token` | which token: `root`, or the first 12 hex digits of its hash |
//! | `error` | instead of all these: why there is no principal |

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::model::principal::Scope;
use crate::model::{AccountId, Code, Principal, Problem, Tenant};

/// Renders a principal as the authorizer's context.
pub fn to_context(principal: &Principal) -> BTreeMap<&'static str, String> {
    let scopes: Vec<_> = principal.scopes.iter().map(|scope| scope.name()).collect();
    let accounts = principal.accounts.as_ref().map_or_else(
        || "*".to_owned(),
        |accounts| accounts.iter().map(AccountId::as_str).collect::<Vec<_>>().join(","),
    );
    BTreeMap::from([
        ("tenant", principal.tenant.to_string()),
        ("scopes", scopes.join(" ")),
        ("accounts", accounts),
        ("token", principal.token.clone()),
    ])
}

/// Reads the context back. `tenant_header` is the `Tenant` header, if one was sent: another tenant than the
/// token's needs the scope `tenants`.
pub fn from_context(context: &HashMap<String, Value>, tenant_header: Option<&str>) -> Result<Principal, Problem> {
    let text = |name: &str| context.get(name).and_then(Value::as_str).unwrap_or_default();
    let unauthorized =
        || Problem::new(Code::Unauthorized, "the token is unknown or expired; send Authorization: Bearer <token>");
    let mut principal = Principal {
        tenant: Tenant::new(text("tenant")).map_err(|_| unauthorized())?,
        scopes: text("scopes").split(' ').filter_map(Scope::parse).collect(),
        accounts: match text("accounts") {
            "*" => None,
            list => Some(list.split(',').filter_map(|name| AccountId::new(name).ok()).collect()),
        },
        token: text("token").to_owned(),
    };
    if let Some(wanted) = tenant_header.filter(|wanted| *wanted != principal.tenant.as_str()) {
        if !principal.may(Scope::Tenants) {
            return Err(Problem::new(
                Code::Forbidden,
                "this token may not act for another tenant: leave the Tenant header out",
            ));
        }
        principal.tenant =
            Tenant::new(wanted).map_err(|rule| Problem::new(Code::Forbidden, format!("the Tenant header: {rule}")))?;
    }
    Ok(principal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(principal: &Principal) -> HashMap<String, Value> {
        to_context(principal).into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
    }

    fn principal(scopes: Vec<Scope>, accounts: Option<Vec<AccountId>>) -> Principal {
        Principal { tenant: Tenant::new("acme").unwrap(), scopes, accounts, token: "t".into() }
    }

    #[test]
    fn what_the_authorizer_wrote_is_what_is_read() {
        let one = principal(vec![Scope::Read], Some(vec![AccountId::new("a@b.c").unwrap()]));
        assert_eq!(from_context(&context(&one), None).unwrap(), one);
        let all = principal(Scope::ALL.to_vec(), None);
        assert_eq!(from_context(&context(&all), Some("acme")).unwrap(), all);
    }

    #[test]
    fn another_tenant_needs_the_scope() {
        let plain = principal(vec![Scope::Admin], None);
        assert_eq!(from_context(&context(&plain), Some("other")).unwrap_err().code, Code::Forbidden);
        let root = principal(vec![Scope::Tenants], None);
        assert_eq!(from_context(&context(&root), Some("other")).unwrap().tenant.as_str(), "other");
        assert_eq!(from_context(&context(&root), Some("a#b")).unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn no_account_list_is_no_account_and_not_all() {
        let none = principal(vec![Scope::Read], Some(vec![]));
        assert!(!from_context(&context(&none), None).unwrap().reaches(&AccountId::new("a").unwrap()));
        assert_eq!(from_context(&HashMap::new(), None).unwrap_err().code, Code::Unauthorized);
    }
}
