//! What will stop working soon, or works and should not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountId, Timestamp};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Plan for it.
    Warning,
    /// It fails already, will within days, or anybody on the way can read or pose.
    High,
}

/// Stable kind of a risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskCode {
    /// The provider switches passwords off, on the day in `at`.
    PasswordEnding,
    /// The provider takes passwords made for the purpose only, and may switch those off.
    AppPassword,
    /// The server's certificate is good for 30 days at most, until `at`.
    CertificateExpiring,
    /// The server's certificate is not checked: anybody on the way can pose as the server.
    CertificateUnchecked,
    /// Password and mail travel in the clear.
    Unencrypted,
    /// The server speaks TLS 1.2 at best.
    WeakTls,
    /// The secret of the OAuth application ends within 30 days, at `at`: as given in `clientSecretExpiresAt`.
    ClientSecretExpiring,
    /// The refresh token ends within 30 days, at `at`: as its endpoint says, or because nobody uses it.
    RefreshTokenExpiring,
    /// The server has refused the sign-in, several times perhaps; `at` says when it is tried again.
    SignInFailing,
}

/// One risk of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Risk {
    /// Whose.
    pub account: AccountId,
    /// `smtp` or `receive`.
    pub side: &'static str,
    /// What kind.
    pub code: RiskCode,
    /// How bad.
    pub severity: Severity,
    /// The moment that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What it is, and what to do.
    pub text: String,
}
