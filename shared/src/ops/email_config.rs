//! The tenant's email configuration: the sending side of its account `default`, complete or not.

use super::Tools;
use crate::model::views::AccountErrorCode;
use crate::model::{Account, AccountId, Auth, Code, Principal, Problem, Server};
use crate::store::{AccountRow, AccountStatus, Drafted};

/// The account that is the tenant's email configuration.
pub const DEFAULT: &str = "default";

/// What is stored of the configuration.
#[derive(Debug, Default)]
pub struct EmailConfig {
    /// The account `default`.
    pub row: Option<AccountRow>,
    /// What lies over it as long as something is missing.
    pub drafted: Drafted,
    /// How it fares.
    pub status: AccountStatus,
}

/// The name of that account.
pub fn name() -> Result<AccountId, Problem> {
    AccountId::new(DEFAULT).map_err(Problem::internal)
}

/// Reads the configuration, for those whose token reaches the account that it is.
pub async fn load(tools: &Tools, principal: &Principal) -> Result<EmailConfig, Problem> {
    let (name, tenant) = (name()?, &principal.tenant);
    if !principal.reaches(&name) {
        return Err(Problem::new(Code::Forbidden, "this token does not reach the account \"default\""));
    }
    let (row, status) =
        tokio::try_join!(tools.store.accounts.get(tenant, &name), tools.store.statuses.get(tenant, &name))?;
    let drafted = tools.store.drafts.get(tenant, &name, row.as_ref()).await?;
    Ok(EmailConfig { row, drafted, status })
}

impl EmailConfig {
    /// The draft, else the account.
    pub fn latest(&self) -> Option<&AccountRow> {
        self.drafted.draft.as_ref().or(self.row.as_ref())
    }

    /// The settings, with their sending side; none where nothing was configured.
    pub fn settings(&self) -> Option<(&Account, &Server)> {
        let row = self.latest()?;
        Some((&row.account, row.account.smtp.as_ref()?))
    }

    /// What is missing, in words; none where the configuration is complete.
    pub fn missing(&self) -> Option<&'static str> {
        let (account, server) = self.settings()?;
        missing(account, server).or_else(|| server.auth.lacks_secret().then_some("the password is missing"))
    }

    /// Whether it can be used, by what is known without trying. `OK` is the only code of a valid configuration.
    pub fn error_code(&self) -> AccountErrorCode {
        match () {
            () if self.settings().is_none() => AccountErrorCode::ConfigNotSet,
            () if self.missing().is_some() => AccountErrorCode::IncompleteConfig,
            () if self.status.smtp.refusals > 0 => AccountErrorCode::InvalidCredentials,
            () if self.status.smtp.broken => AccountErrorCode::ProviderError,
            () => AccountErrorCode::Ok,
        }
    }
}

/// What settings lack beside their secret; an incomplete account has empty texts and port 0 there.
pub fn missing(account: &Account, server: &Server) -> Option<&'static str> {
    server_missing(server).or_else(|| account.from.address.is_empty().then_some("emailAddress is missing"))
}

/// What the server lacks.
pub fn server_missing(server: &Server) -> Option<&'static str> {
    let unnamed = matches!(&server.auth, Auth::Password { username, .. } if username.is_empty());
    match () {
        () if server.host.is_empty() => Some("serverAddress is missing"),
        () if server.port == 0 => Some("serverPort is missing"),
        () if unnamed => Some("username is missing"),
        () => None,
    }
}
