//! Qlik's test message (A5.5), sent with the stored configuration.

use serde::Deserialize;
use shared::http::qlik::{attempted, unattempted};
use shared::http::{Call, Reply};
use shared::mail::Deadline;
use shared::model::views::TestEmailInput;
use shared::model::{Address, Code, FieldError, Problem};
use shared::ops::email_config::load;
use shared::ops::limits::{QLIK_TIER_2, count};
use shared::ops::{Tools, test_email};

/// The body; nothing of it is required by the seed, and nobody can be written to without an address.
#[derive(Deserialize)]
struct Test {
    body: Option<String>,
    subject: Option<String>,
    recipient: Option<String>,
}

/// `POST …/actions/send-test-email`.
pub(crate) async fn send(tools: Tools, call: Call) -> Result<Reply, Problem> {
    count(&tools, call.tenant(), QLIK_TIER_2, call.now).await?;
    let test: Test = call.json()?;
    let config = load(&tools, &call.principal).await?;
    if config.settings().is_none() {
        return Err(Problem::new(Code::NotFound, "No email config exists for tenant"));
    }
    let to = test.recipient.as_deref().and_then(Address::parse);
    let to =
        to.ok_or_else(|| Problem::invalid(vec![FieldError::new("/recipient", "invalid_value", "a mail address")]))?;
    if let Some(why) = config.missing() {
        return unattempted(why);
    }
    let row = config.row.ok_or_else(|| Problem::internal("a complete configuration is an account"))?;
    let input = TestEmailInput { to, subject: test.subject, text: test.body, smtp: None, from: None };
    let deadline = Deadline::after(tools.settings.probe).min(call.deadline);
    let probe = test_email::send(&tools, call.tenant(), &row, input, deadline, call.now).await?;
    attempted(probe.smtp.ok_or_else(|| Problem::internal("nothing was attempted"))?)
}
