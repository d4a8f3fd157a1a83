//! The configuration as GET shows it (A5.2).

use serde_json::{Value, json};
use shared::model::account::{Provider, SecretKind};
use shared::model::views::AccountErrorCode;
use shared::model::{Account, Auth, Server, Tenant};
use shared::ops::email_config::EmailConfig;

use super::fields::security_name;

/// What is stored; without a configuration only that there is none (A5.2/6).
pub(super) fn of(tenant: &Tenant, config: &EmailConfig) -> Value {
    let Some((account, server)) = config.settings() else {
        return json!({"isValid": false, "passwordExists": false});
    };
    let code = config.error_code();
    let microsoft = microsoft(account, &server.auth);
    let basic = basic(account, server);
    let secret = [SecretKind::Password, SecretKind::ClientSecret, SecretKind::RefreshToken];
    let mut view = json!({
        "status": {"statusCode": status_code(code), "statusReason": reason(config, code)},
        // A5.2/22: the seed's sample contradicts itself; here one follows from the other.
        "isValid": code == AccountErrorCode::Ok,
        "errorCode": code,
        "tenantId": tenant,
        "authFailures": config.status.smtp.refusals,
        "passwordExists": secret.into_iter().any(|kind| server.auth.has(kind)),
        "serviceProvider": if microsoft.is_some() { "Microsoft365" } else { "BasicAuth" },
        "lastUpdated": account.updated_at,
        "modificationTime": account.updated_at,
    });
    // A5.2/23: the older flat fields mirror those of the provider.
    if let (Value::Object(view), Value::Object(basic)) = (&mut view, &basic) {
        view.extend(basic.iter().filter(|(name, _)| *name != "senderName").map(|(n, v)| (n.clone(), v.clone())));
    }
    view["providerConfig"] = microsoft.unwrap_or(basic);
    view
}

/// What is set of a server; what is missing is left out.
fn basic(account: &Account, server: &Server) -> Value {
    let text = |value: &str| (!value.is_empty()).then(|| Value::from(value));
    let fields = [
        ("username", server.auth.username().and_then(text)),
        ("serverAddress", text(&server.host)),
        ("serverPort", (server.port > 0).then(|| server.port.into())),
        ("securityType", text(security_name(server.security))),
        ("emailAddress", text(&account.from.address)),
        ("senderName", account.from.name.as_deref().and_then(text)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn microsoft(account: &Account, auth: &Auth) -> Option<Value> {
    let Auth::OAuth2(oauth2) = auth else {
        return None;
    };
    (oauth2.provider == Provider::Microsoft).then(|| {
        json!({
            "clientId": oauth2.client_id,
            "emailAddress": account.from.address,
            "providerTenantId": oauth2.tenant_id,
        })
    })
}

/// The seed names none but 0 for OK.
fn status_code(code: AccountErrorCode) -> u8 {
    match code {
        AccountErrorCode::Ok => 0,
        AccountErrorCode::ConfigNotSet => 1,
        AccountErrorCode::IncompleteConfig => 2,
        AccountErrorCode::InvalidCredentials => 3,
        AccountErrorCode::ProviderError => 4,
    }
}

fn reason(config: &EmailConfig, code: AccountErrorCode) -> String {
    let last = config.status.last_error.clone().unwrap_or_default();
    match code {
        AccountErrorCode::Ok => "OK".to_owned(),
        AccountErrorCode::IncompleteConfig => config.missing().unwrap_or_default().to_owned(),
        AccountErrorCode::ConfigNotSet | AccountErrorCode::InvalidCredentials | AccountErrorCode::ProviderError => last,
    }
}
