//! EmailEngine's settings, as far as they are settings here: where its authentication server is (A3.6/24), and the one
//! URL that its webhooks go to, with the events that were chosen (A3.5/23). That is a webhook like any other, under an
//! id of its own: its log, its secret and its replays are those of `/v1/webhooks`.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::http::engine::{in_their_words, masked_url, unmasked_url};
use shared::http::{Call, Reply, lenient};
use shared::model::account::{check_url, split_query};
use shared::model::webhook::{Format, WebhookInput};
use shared::model::{Code, EventType, FieldError, Problem};
use shared::ops::{Tools, emailengine};
use shared::store::{ENGINE_WEBHOOK, Preferences, WebhookRow};

use crate::webhooks;

/// All events.
const ALL: &str = "*";

/// What we know of EmailEngine's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    #[serde(deserialize_with = "lenient::present")]
    auth_server: Option<Option<SecretString>>,
    #[serde(deserialize_with = "lenient::present")]
    webhooks: Option<Option<SecretString>>,
    webhooks_enabled: Option<bool>,
    webhook_events: Option<Vec<String>>,
}

/// `GET /v1/settings?authServer=true&webhooks=true`: the settings that are asked for.
pub(crate) async fn settings(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let mut shown = serde_json::Map::new();
    if call.flag("authServer")? == Some(true) {
        let preferences = tools.store.preferences.get(call.tenant(), call.now).await?;
        shown.insert("authServer".to_owned(), json!(preferences.auth_server.as_ref().map(masked)));
    }
    let [url, on, events] = [call.flag("webhooks")?, call.flag("webhooksEnabled")?, call.flag("webhookEvents")?];
    if [url, on, events].contains(&Some(true)) {
        let row = tools.store.webhooks.get(call.tenant(), ENGINE_WEBHOOK).await?;
        let row = row.filter(|row| webhooks::within(row.settings.accounts.as_deref(), &call));
        let url_of = |row: &WebhookRow| masked(&row.settings.url.clone().into());
        let fields = [
            ("webhooks", url, json!(row.as_ref().map(url_of))),
            ("webhooksEnabled", on, json!(row.as_ref().is_some_and(WebhookRow::is_on))),
            ("webhookEvents", events, json!(row.as_ref().map(names).unwrap_or_default())),
        ];
        let asked = fields.into_iter().filter(|(_, asked, _)| *asked == Some(true));
        shown.extend(asked.map(|(name, _, value)| (name.to_owned(), value)));
    }
    Reply::ok(&Value::Object(shown))
}

/// A query may be what somebody is known by.
fn masked(url: &SecretString) -> String {
    let (url, query) = split_query(url);
    masked_url(&url, query.is_some())
}

/// The events of a webhook in EmailEngine's words.
fn names(row: &WebhookRow) -> Vec<&'static str> {
    let Some(kinds) = &row.settings.events else { return vec![ALL] };
    let mut names: Vec<_> = kinds.iter().filter_map(|kind| emailengine::name_of(*kind)).collect();
    names.dedup();
    names
}

/// `POST /v1/settings`. What is wrong with one setting changes none.
pub(crate) async fn settle(tools: Tools, call: Call) -> Result<Reply, Problem> {
    if call.principal.accounts.is_some() {
        let words = "this token is for some accounts only, and the setting is for all";
        return Err(Problem::new(Code::Forbidden, words));
    }
    let Settings { auth_server, webhooks, webhooks_enabled, webhook_events } = call.json()?;
    let preferences = match auth_server {
        Some(wish) => Some(Preferences { auth_server: auth_server_of(&tools, &call, wish).await? }),
        None => None,
    };
    let mut updated = Vec::new();
    for (name, given) in [
        ("webhooks", webhooks.is_some()),
        ("webhooksEnabled", webhooks_enabled.is_some()),
        ("webhookEvents", webhook_events.is_some()),
    ] {
        updated.extend(given.then_some(name));
    }
    if !updated.is_empty() {
        let events = webhook_events.map(|names| kinds(&names)).transpose()?;
        let wish = Wish { url: webhooks, enabled: webhooks_enabled, events };
        tell(&tools, &call, wish).await.map_err(in_their_words)?;
    }
    if let Some(preferences) = preferences {
        // Accounts registered from now on ask it.
        tools.store.preferences.put(call.tenant(), &preferences, call.now).await?;
        updated.push("authServer");
    }
    Reply::ok(&json!({"updated": updated}))
}

/// Where the authentication server is to be (A3.6/24); none: nowhere any more.
async fn auth_server_of(
    tools: &Tools,
    call: &Call,
    given: Option<SecretString>,
) -> Result<Option<SecretString>, Problem> {
    let Some(given) = given.filter(|url| !url.expose_secret().is_empty()) else { return Ok(None) };
    let mut errors = Vec::new();
    check_url("/authServer", given.expose_secret(), &mut errors);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let bare = unmasked_url(&given);
    if bare.expose_secret() == given.expose_secret() {
        return Ok(Some(given));
    }
    let stored = tools.store.preferences.get(call.tenant(), call.now).await?.auth_server;
    Ok(Some(kept(stored, bare)))
}

/// What is stored, where `bare` is what was shown of it.
fn kept(stored: Option<SecretString>, bare: SecretString) -> SecretString {
    stored.filter(|stored| split_query(stored).0 == bare.expose_secret()).unwrap_or(bare)
}

/// What is to become of the webhook; what is not named stays.
struct Wish {
    url: Option<Option<SecretString>>,
    enabled: Option<bool>,
    /// None within: all.
    events: Option<Option<Vec<EventType>>>,
}

/// Events by EmailEngine's names; none: all of them.
fn kinds(names: &[String]) -> Result<Option<Vec<EventType>>, Problem> {
    if names.iter().any(|name| name == ALL) {
        return Ok(None);
    }
    let (mut kinds, mut errors) = (Vec::new(), Vec::new());
    for (index, name) in names.iter().enumerate() {
        match emailengine::named(name) {
            Some(known) => kinds.extend(known),
            None => {
                let words = "is no event of EmailEngine";
                errors.push(FieldError::new(format!("/webhookEvents/{index}"), "invalid_value", words));
            }
        }
    }
    if errors.is_empty() && kinds.is_empty() {
        let words = "name at least one that happens here, or * for all; webhooksEnabled switches all of them off";
        errors.push(FieldError::new("/webhookEvents", "missing", words));
    }
    if errors.is_empty() { Ok(Some(kinds)) } else { Err(Problem::invalid(errors)) }
}

async fn tell(tools: &Tools, call: &Call, wish: Wish) -> Result<(), Problem> {
    let (store, tenant) = (&tools.store.webhooks, call.tenant());
    let row = store.get(tenant, ENGINE_WEBHOOK).await?;
    let before = row.as_ref().map(|row| row.settings.clone());
    let known = before.as_ref().map(|before| SecretString::from(before.url.clone()));
    let url = match wish.url {
        None => known,
        Some(given) => match given.filter(|url| !url.expose_secret().is_empty()) {
            Some(given) => {
                let bare = unmasked_url(&given);
                Some(if bare.expose_secret() == given.expose_secret() { given } else { kept(known, bare) })
            }
            None => {
                store.delete(tenant, ENGINE_WEBHOOK).await?;
                return Ok(());
            }
        },
    };
    let Some(url) = url else {
        if wish.enabled == Some(false) && wish.events.is_none() {
            return Ok(());
        }
        let words = "is required: there is no URL yet that anything could be sent to";
        return Err(Problem::invalid(vec![FieldError::new("/webhooks", "missing", words)]));
    };
    let input = WebhookInput {
        name: before.as_ref().map_or_else(|| Some("EmailEngine".to_owned()), |before| before.name.clone()),
        url: url.expose_secret().to_owned(),
        events: wish.events.unwrap_or_else(|| before.as_ref()?.events.clone()),
        accounts: before.as_ref().and_then(|before| before.accounts.clone()),
        format: Format::EmailEngine,
        enabled: wish.enabled.unwrap_or_else(|| before.is_none_or(|before| before.enabled)),
    };
    let input = webhooks::checked(tools, call, input).await?;
    match row {
        Some(row) => store.change(tenant, row, input, call.now).await.map(drop).map_err(Problem::from),
        None => webhooks::make(tools, call, ENGINE_WEBHOOK.to_owned(), input).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A3.5/23: selectable events.
    #[test]
    fn a_3_5_23_events_are_chosen_by_their_names() {
        let chosen = |names: &[&str]| kinds(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(chosen(&["messageNew", "*"]).unwrap(), None);
        assert_eq!(
            chosen(&["messageNew", "trackOpen", "messageDeliveryError"]).unwrap(),
            Some(vec![EventType::MessageReceived, EventType::MessageDelayed, EventType::MessageUnknown])
        );
        let pointer = |names: &[&str]| chosen(names).unwrap_err().errors[0].pointer.clone();
        assert_eq!(pointer(&["messageNew", "nonsense"]), "/webhookEvents/1");
        assert_eq!(pointer(&["trackOpen"]), "/webhookEvents");
        assert_eq!(pointer(&[]), "/webhookEvents");
    }
}
