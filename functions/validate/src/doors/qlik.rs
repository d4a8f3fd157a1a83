//! Qlik's actions that send nothing (A5.6, A5.7).

use serde_json::json;
use shared::http::qlik::{attempted, unattempted};
use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::model::views::AccountErrorCode;
use shared::model::{Code, Problem};
use shared::ops::email_config::load;
use shared::ops::limits::{QLIK_TIER_2, count};
use shared::ops::{Tools, probe};

/// `POST …/actions/validate`: what is known of the configuration without trying it.
pub(crate) async fn validate(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let code = load(&tools, &call.principal).await?.error_code();
    Reply::ok(&json!({"isValid": code == AccountErrorCode::Ok, "errorCode": code}))
}

/// `POST …/actions/verify-connection`: signs in to the stored server.
pub(crate) async fn verify(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let config = load(&tools, &call.principal).await?;
    if config.settings().is_none() {
        return Err(Problem::new(Code::NotFound, "No email config exists for tenant"));
    }
    if let Some(why) = config.missing() {
        return unattempted(why);
    }
    let mut row = config.row.ok_or_else(|| Problem::internal("a complete configuration is an account"))?;
    // The other side of the account is no part of the email configuration.
    row.account.receive = None;
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    let probe = probe::stored(&tools, call.tenant(), &row, deadline, call.now).await?;
    attempted(probe.smtp.ok_or_else(|| Problem::internal("the sending side was not probed"))?)
}
