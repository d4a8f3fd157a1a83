//! `/v1/webhooks`.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use shared::http::{Call, Reply, call::wrong_parameter};
use shared::model::views::Page;
use shared::model::webhook::{
    Delivery, DeliveryState, Format, MockPayload, ReplayInput, Replayed, RotateInput, WEBHOOKS, WebhookInput,
    WebhookSecret, WebhookTestInput, WebhookView,
};
use shared::model::{AccountId, Code, EventType, FieldError, Problem, Timestamp};
use shared::ops::notify::{events::example, payload::payload};
use shared::ops::{Tools, webhooks};
use shared::store::{WebhookRow, is_delivery_id, is_webhook_id, new_webhook_id};

/// How long an old secret signs beside the new one, unless said otherwise: a day.
const KEEP_SECONDS: u32 = 86_400;

/// And at most: a week.
const LONGEST_KEEP: u32 = 7 * 86_400;

/// What the example of a payload is signed with: nobody's secret.
const MOCK_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// All webhooks.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let rows = tools.store.webhooks.list(call.tenant()).await?;
    let items = rows.into_iter().filter(|row| within(row.settings.accounts.as_deref(), &call));
    let items: Vec<WebhookView> = items.map(|row| view(row, call.now)).collect();
    Reply::ok(&Page { items, next_cursor: None })
}

/// Makes a webhook; the only answer that shows its secret.
pub(crate) async fn create(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input = checked(&tools, &call, call.json()?).await?;
    let (row, secret) = make(&tools, &call, new_webhook_id(), input).await?;
    let location = format!("/v1/webhooks/{}", row.id);
    Reply::created(&with_secret(row, &secret, call.now), &location)
}

/// Makes a webhook of checked settings.
pub(crate) async fn make(
    tools: &Tools,
    call: &Call,
    id: String,
    input: WebhookInput,
) -> Result<(WebhookRow, SecretString), Problem> {
    let made = tools.store.webhooks.create(call.tenant(), id, input, call.now).await?;
    made.ok_or_else(|| {
        let words = format!("this tenant has {WEBHOOKS} webhooks, which is the limit: remove one first");
        Problem::new(Code::Conflict, words)
    })
}

/// One webhook.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    Reply::ok(&view(found(&tools, &call).await?, call.now))
}

/// Replaces a webhook's settings; switched on, it is forgiven what was.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = found(&tools, &call).await?;
    let input = checked(&tools, &call, call.json()?).await?;
    Reply::ok(&view(tools.store.webhooks.change(call.tenant(), row, input, call.now).await?, call.now))
}

/// Changes some of a webhook's settings (RFC 7396).
pub(crate) async fn patch(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = found(&tools, &call).await?;
    let changes: serde_json::Map<String, Value> = call.json()?;
    let mut settings = serde_json::to_value(&row.settings).map_err(Problem::internal)?;
    for (name, value) in changes {
        match (&mut settings, value) {
            (Value::Object(fields), Value::Null) => drop(fields.remove(&name)),
            (Value::Object(fields), value) => drop(fields.insert(name, value)),
            _ => {}
        }
    }
    let input = serde_path(settings)?;
    let input = checked(&tools, &call, input).await?;
    Reply::ok(&view(tools.store.webhooks.change(call.tenant(), row, input, call.now).await?, call.now))
}

/// The settings that a patch has led to.
fn serde_path(settings: Value) -> Result<WebhookInput, Problem> {
    serde_json::from_value(settings).map_err(|error| {
        let words = format!("the patch does not lead to a webhook: {error}");
        Problem::invalid(vec![FieldError::new("", "invalid_value", words)])
    })
}

/// Removes a webhook.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = found(&tools, &call).await?;
    tools.store.webhooks.delete(call.tenant(), &row.id).await?;
    Ok(Reply::no_content())
}

/// Gives a webhook a new secret; the old one signs beside it for a while.
pub(crate) async fn rotate(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = found(&tools, &call).await?;
    let keep = call.json_or_default::<RotateInput>()?.keep_seconds.unwrap_or(KEEP_SECONDS);
    if keep > LONGEST_KEEP {
        let words = format!("0 to {LONGEST_KEEP}");
        return Err(Problem::invalid(vec![FieldError::new("/keepSeconds", "out_of_range", words)]));
    }
    let until = call.now.plus_seconds(keep.into());
    let (row, secret) = tools.store.webhooks.rotate(call.tenant(), row, until, call.now).await?;
    Reply::ok(&with_secret(row, &secret, call.now))
}

/// Sends an example to a webhook, now and once, even where it is switched off.
pub(crate) async fn test(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = found(&tools, &call).await?;
    let kind = call.json_or_default::<WebhookTestInput>()?.kind.unwrap_or(EventType::MessageReceived);
    let account = row.settings.accounts.as_ref().and_then(|accounts| accounts.first().cloned());
    let account = account.map_or_else(some_account, Ok)?;
    let event = example(kind, call.tenant(), account, call.now);
    Reply::ok(&webhooks::test(&tools, call.tenant(), &row, &event, call.deadline).await?)
}

/// What a webhook would be sent.
pub(crate) async fn mock(_: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["type", "format"])?;
    let kind = call.query.get("type").map_or(Some(EventType::MessageReceived), |name| EventType::named(name));
    let names = EventType::ALL.map(EventType::name).join(", ");
    let kind = kind.ok_or_else(|| wrong_parameter("type", &format!("one of {names}")))?;
    let format = call.query.get("format").map_or(Some(Format::Standard), |name| Format::named(name));
    let format = format.ok_or_else(|| wrong_parameter("format", "one of standard, emailengine, jetquery"))?;
    let event = example(kind, call.tenant(), some_account()?, call.now);
    let body = payload(format, &event);
    let body = body.ok_or_else(|| wrong_parameter("type", "a kind that this format has words for"))?;
    let secrets = [SecretString::from(MOCK_SECRET)];
    let headers = webhooks::headers(&event.id, call.now, body.to_string().as_bytes(), &secrets);
    let text = |value: &str| value.to_owned();
    let headers = headers.iter().filter_map(|(name, value)| Some((text(name.as_str()), text(value.to_str().ok()?))));
    Reply::ok(&MockPayload { headers: headers.collect(), body })
}

/// What a webhook was told, newest first.
pub(crate) async fn deliveries(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["limit", "cursor", "state"])?;
    let row = found(&tools, &call).await?;
    let limit = call.number("limit", 50, 1, 100)?;
    let state = |name: &String| serde_json::from_value::<DeliveryState>(Value::String(name.clone()));
    let state = call.query.get("state").map(state).transpose();
    let state = state.map_err(|_| wrong_parameter("state", "one of pending, delivered, failed"))?;
    let cursor = call.query.get("cursor").map(String::as_str);
    let page = tools.store.webhooks.deliveries(call.tenant(), &row.id, limit, cursor).await?;
    let items = page.items.into_iter().map(|row| row.shown);
    let items: Vec<Delivery> = items.filter(|shown| state.is_none_or(|state| shown.state == state)).collect();
    Reply::ok(&Page { items, next_cursor: page.next_cursor })
}

/// Tells a webhook of an event once more.
pub(crate) async fn replay(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = found(&tools, &call).await?;
    let missing = || Problem::new(Code::NotFound, "there is no such delivery");
    let id = call.path.get("delivery").filter(|id| is_delivery_id(id)).ok_or_else(missing)?;
    let delivery = tools.store.webhooks.delivery(call.tenant(), &row.id, id).await?.ok_or_else(missing)?;
    if !webhooks::replay(&tools, call.tenant(), &row.id, &delivery, call.now).await? {
        return Err(Problem::new(Code::Conflict, "it is on its way: nextAttemptAt says when it is tried"));
    }
    let shown = Delivery { state: DeliveryState::Pending, next_attempt_at: Some(call.now), ..delivery.shown };
    Reply::accepted(&shown, &format!("/v1/webhooks/{}/deliveries", row.id))
}

/// Tries all that failed since a time once more.
pub(crate) async fn replay_failed(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let row = found(&tools, &call).await?;
    let since = call.json::<ReplayInput>()?.since;
    let (replayed, more) = webhooks::replay_since(&tools, call.tenant(), &row.id, since, call.now).await?;
    Reply::ok(&Replayed { replayed, more })
}

/// The webhook of the path; one that the caller may not touch does not exist for it.
async fn found(tools: &Tools, call: &Call) -> Result<WebhookRow, Problem> {
    let missing = || Problem::new(Code::NotFound, "there is no such webhook");
    let id = call.path.get("webhook").filter(|id| is_webhook_id(id)).ok_or_else(missing)?;
    let row = tools.store.webhooks.get(call.tenant(), id).await?;
    row.filter(|row| within(row.settings.accounts.as_deref(), call)).ok_or_else(missing)
}

/// Settings that may be stored.
pub(crate) async fn checked(tools: &Tools, call: &Call, input: WebhookInput) -> Result<WebhookInput, Problem> {
    let errors = input.check(!tools.settings.allow_nets.is_empty());
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    if !within(input.accounts.as_deref(), call) {
        let words = "your own token reaches fewer accounts: name some of those in accounts";
        return Err(Problem::new(Code::Forbidden, words));
    }
    if webhooks::is_forbidden(tools, &input.url).await {
        let refused = FieldError::new("/url", "host_not_allowed", "this host or port is not allowed");
        return Err(Problem::invalid(vec![refused]));
    }
    Ok(input)
}

/// A caller that may touch some accounts makes and sees webhooks for some of these.
pub(crate) fn within(accounts: Option<&[AccountId]>, call: &Call) -> bool {
    match accounts {
        Some(accounts) => accounts.iter().all(|account| call.principal.reaches(account)),
        None => call.principal.accounts.is_none(),
    }
}

/// The account of an example.
fn some_account() -> Result<AccountId, Problem> {
    AccountId::new("support").map_err(Problem::internal)
}

fn with_secret(row: WebhookRow, secret: &SecretString, now: Timestamp) -> WebhookSecret {
    WebhookSecret { secret: secret.expose_secret().to_owned(), webhook: view(row, now) }
}

fn view(row: WebhookRow, now: Timestamp) -> WebhookView {
    let previous_secret_until = row.previous_until(now);
    WebhookView {
        id: row.id,
        settings: row.settings,
        disabled_reason: row.disabled_reason,
        disabled_at: row.disabled_at,
        failing_since: row.failing_since,
        previous_secret_until,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}
