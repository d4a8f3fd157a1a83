//! Email Service 1.0: `POST /send-test-email` (contracts A4.3). What is not given is taken, field by field, from the
//! tenant's account `default`; its password goes to the server that it was stored for, and nowhere else.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use shared::http::door::renamed;
use shared::http::{Call, Reply, lenient};
use shared::mail::Deadline;
use shared::model::account::{AccountInput, AuthInput, Grant, OAuth2, OAuth2Input, Provider, ServerInput};
use shared::model::views::TestEmailInput;
use shared::model::{Account, AccountId, Address, Auth, Code, FieldError, Problem, Security, Server};
use shared::ops::{Tools, test_email as testing};
use shared::store::AccountRow;

/// The account that is the tenant's email configuration.
const DEFAULT: &str = "default";

/// Where Microsoft takes mail, where nothing says otherwise.
const MICROSOFT: (&str, u16) = ("smtp.office365.com", 587);

/// Our pointers in this door's words.
const WORDS: &[(&str, &str)] = &[
    ("/smtp/host", "smtp_host"),
    ("/smtp/port", "smtp_port"),
    ("/smtp/auth/username", "smtp_user"),
    ("/smtp/auth/password", "smtp_pass"),
    ("/smtp/auth", "microsoft_auth"),
    ("/smtp", "smtp_host"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    #[serde(deserialize_with = "lenient::text")]
    email: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    smtp_host: Option<String>,
    #[serde(deserialize_with = "lenient::port")]
    smtp_port: Option<u16>,
    #[serde(deserialize_with = "lenient::text")]
    smtp_user: Option<String>,
    #[serde(deserialize_with = "lenient::secret")]
    smtp_pass: Option<SecretString>,
    #[serde(deserialize_with = "lenient::text")]
    from_name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    from_address: Option<String>,
    microsoft_auth: Option<MicrosoftAuth>,
}

/// The seed shows no fields (A4.3/24): these are Qlik's, in either way of writing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MicrosoftAuth {
    #[serde(alias = "client_id", deserialize_with = "lenient::text")]
    client_id: Option<String>,
    #[serde(alias = "client_secret", deserialize_with = "lenient::secret")]
    client_secret: Option<SecretString>,
    #[serde(alias = "provider_tenant_id", alias = "tenantId", alias = "tenant_id", deserialize_with = "lenient::text")]
    provider_tenant_id: Option<String>,
    #[serde(alias = "email_address", deserialize_with = "lenient::text")]
    email_address: Option<String>,
}

/// What to send with: the stored sending side, or a given one.
#[derive(Debug)]
struct Plan {
    to: Address,
    from: Address,
    smtp: Option<ServerInput>,
}

/// Sends the test message; 200 only if the server took it.
pub(crate) async fn test_email(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let asked: Given = call.json()?;
    let default = AccountId::new(DEFAULT).map_err(Problem::internal)?;
    let stored = match call.principal.reaches(&default) {
        true => tools.store.accounts.get(call.tenant(), &default).await?,
        false => None,
    };
    let plan = asked.plan(stored.as_ref().map(|row| &row.account))?;
    let to = plan.to.address.clone();
    let row = row(default, stored, &plan, &call).map_err(|problem| unusable(renamed(problem, WORDS)))?;
    let input = TestEmailInput { to: plan.to, subject: None, text: None, smtp: plan.smtp, from: None };
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    let probe = testing::send(&tools, call.tenant(), &row, input, deadline, call.now).await;
    let probe = probe.map_err(|problem| unusable(renamed(problem, WORDS)))?;
    match probe.smtp {
        Some(verdict) if verdict.success => {
            Reply::ok(&json!({"message": format!("test email sent to {to}: {}", verdict.message)}))
        }
        Some(verdict) => {
            let phase = format!("{:?}", verdict.phase).to_lowercase();
            let words = format!("the test email was not sent: {} (phase {phase})", verdict.message);
            Err(Problem::new(Code::VerificationFailed, words))
        }
        None => Err(Problem::internal("a test message has no verdict")),
    }
}

/// The account that sends, with the sender that was asked for. Only what is stored has a secret.
fn row(id: AccountId, stored: Option<AccountRow>, plan: &Plan, call: &Call) -> Result<AccountRow, Problem> {
    if let Some(row) = stored {
        let account = Account { from: plan.from.clone(), ..row.account };
        return Ok(AccountRow { account, ..row });
    }
    let input = AccountInput {
        name: None,
        from: plan.from.clone(),
        identities: Vec::new(),
        smtp: plan.smtp.clone(),
        receive: None,
        poll: shared::model::Poll { enabled: false, ..Default::default() },
        sent_copy: shared::model::SentCopy::Never,
    };
    let (account, _) = input.check(id, 0, call.now).map_err(Problem::invalid)?;
    Ok(AccountRow { account, version: String::new(), changed_by: call.principal.token.clone(), secret: None })
}

/// The request is well-formed and cannot be carried out with these settings: 422, not 400 (A4.1/5).
fn unusable(problem: Problem) -> Problem {
    match problem.code {
        Code::InvalidRequest => Problem { code: Code::VerificationFailed, ..problem },
        _ => problem,
    }
}

impl Given {
    fn plan(self, stored: Option<&Account>) -> Result<Plan, Problem> {
        let wrong = |field: &str, words: &str| Problem::invalid(vec![FieldError::new(field, "invalid_value", words)]);
        let to = self.email.as_deref().ok_or_else(|| wrong("email", "is required"))?;
        let to = Address::parse(to).ok_or_else(|| wrong("email", "must be an email address"))?;
        let from = self.from(stored)?;
        let before = stored.and_then(|account| account.smtp.as_ref());
        let overridden = self.smtp_host.is_some()
            || self.smtp_port.is_some()
            || self.smtp_user.is_some()
            || self.smtp_pass.is_some()
            || self.microsoft_auth.is_some();
        let smtp = if overridden { Some(self.server(before)?) } else { None };
        if smtp.is_none() && before.is_none() {
            return Err(nothing_stored("smtp_host"));
        }
        Ok(Plan { to, from, smtp })
    }

    fn from(&self, stored: Option<&Account>) -> Result<Address, Problem> {
        let user =
            self.smtp_user.as_deref().or(self.microsoft_auth.as_ref().and_then(|auth| auth.email_address.as_deref()));
        let address = match (&self.from_address, stored) {
            (Some(given), _) => Address::parse(given).ok_or_else(|| {
                Problem::invalid(vec![FieldError::new("from_address", "invalid_value", "must be an email address")])
            })?,
            (None, Some(stored)) => stored.from.clone(),
            (None, None) => user.and_then(Address::parse).ok_or_else(|| nothing_stored("from_address"))?,
        };
        let name = self.from_name.clone().or_else(|| stored.and_then(|account| account.from.name.clone()));
        Ok(Address { name: name.or(address.name), address: address.address })
    }

    fn server(self, before: Option<&Server>) -> Result<ServerInput, Problem> {
        // A stored server that does not sign in at Microsoft is not where its tokens go.
        let microsoft = self.microsoft_auth.is_some();
        let known = before.filter(|server| !microsoft || is_microsoft(&server.auth).is_some());
        let (usual_host, usual_port) = microsoft.then_some(MICROSOFT).unzip();
        let host = self.smtp_host.clone().or_else(|| known.map(|server| server.host.clone()));
        let host = host.or_else(|| usual_host.map(str::to_owned)).ok_or_else(|| nothing_stored("smtp_host"))?;
        let port = self.smtp_port.or(known.map(|server| server.port));
        let port = port.or(usual_port).ok_or_else(|| nothing_stored("smtp_port"))?;
        // Nothing here says how to secure a connection: as it is stored for this very server, else as the port implies.
        let same = before.filter(|server| server.host.eq_ignore_ascii_case(&host));
        let security = same.filter(|server| server.port == port).map(|server| server.security);
        let verify_certificate = same.is_none_or(|server| server.verify_certificate);
        let auth = self.auth(before)?;
        let security = security.unwrap_or_else(|| Security::by_port(port));
        Ok(ServerInput { host, port, security, verify_certificate, auth: Some(auth) })
    }

    fn auth(self, before: Option<&Server>) -> Result<AuthInput, Problem> {
        let before = before.map(|server| &server.auth);
        if let Some(given) = self.microsoft_auth {
            return given.auth(before);
        }
        let user = self.smtp_user.clone().or_else(|| match before {
            Some(Auth::Password { username, .. }) => Some(username.clone()),
            // A password is given for a login that signs in otherwise so far.
            Some(auth) if self.smtp_pass.is_some() => auth.username().map(str::to_owned),
            _ => None,
        });
        match (user, self.smtp_pass, before) {
            (Some(username), password, _) => Ok(AuthInput::Password { username, password }),
            (None, Some(_), _) => Err(nothing_stored("smtp_user")),
            (None, None, Some(auth)) => Ok(auth.into()),
            (None, None, None) => Ok(AuthInput::None),
        }
    }
}

impl MicrosoftAuth {
    fn auth(self, before: Option<&Auth>) -> Result<AuthInput, Problem> {
        let stored = before.and_then(is_microsoft);
        let login = || before.and_then(Auth::username).map(str::to_owned);
        let username = self.email_address.or_else(login);
        let client_id = self.client_id.or_else(|| stored.map(|oauth2| oauth2.client_id.clone()));
        Ok(AuthInput::OAuth2(OAuth2Input {
            username: username.ok_or_else(|| nothing_stored("microsoft_auth/emailAddress"))?,
            provider: Provider::Microsoft,
            client_id: client_id.ok_or_else(|| nothing_stored("microsoft_auth/clientId"))?,
            client_secret: self.client_secret,
            client_secret_expires_at: None,
            tenant_id: self.provider_tenant_id.or_else(|| stored.and_then(|oauth2| oauth2.tenant_id.clone())),
            refresh_token: None,
            scope: stored.and_then(|oauth2| oauth2.scope.clone()),
            token_url: stored.and_then(|oauth2| oauth2.token_url.clone()),
            grant: stored.map_or(Grant::ClientCredentials, |oauth2| oauth2.grant),
        }))
    }
}

fn is_microsoft(auth: &Auth) -> Option<&OAuth2> {
    match auth {
        Auth::OAuth2(oauth2) if oauth2.provider == Provider::Microsoft => Some(oauth2),
        _ => None,
    }
}

/// A field is not given, and there is no configuration to take it from (A4.1/5: 404).
fn nothing_stored(field: &str) -> Problem {
    let words = format!("{field} is not given, and the tenant has no stored configuration to take it from");
    Problem::new(Code::AccountNotFound, words)
}

#[cfg(test)]
mod tests;
