//! Who calls.

use super::ids::{AccountId, Tenant};

/// The verified caller, as `authorize` found it behind the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant on whose behalf the call runs.
    pub tenant: Tenant,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The accounts it may touch; `None` means all of the tenant's.
    pub accounts: Option<Vec<AccountId>>,
    /// Which token it came with: `root`, or the first characters of the token's hash. For logs and history.
    pub token: String,
}

/// A right that a token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read messages and settings.
    Read,
    /// Send and pull mail.
    Send,
    /// Change accounts and tokens.
    Admin,
    /// Act for any tenant by the `Tenant` header.
    Tenants,
}

impl Scope {
    /// All scopes, in the order of their rank.
    pub const ALL: [Self; 4] = [Self::Read, Self::Send, Self::Admin, Self::Tenants];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
            Self::Tenants => "tenants",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl Principal {
    /// Whether the caller carries this right.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the caller may touch this account.
    pub fn reaches(&self, account: &AccountId) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(account))
    }
}
