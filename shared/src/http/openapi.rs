//! `/openapi.json`, rendered from [`routes`](super::routes) and from the schemas that shapes derive.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::batch::BatchAnswer;
use super::problem::ProblemDocument;
use super::routes::{ALL, In, Route};
use crate::model::account::{AccountInput, AuthInput};
use crate::model::again::{AcknowledgeInput, Acknowledged, ReparseInput, Reparsed, RewindInput, Rewound};
use crate::model::autoconfig::Autoconfig;
use crate::model::change::{MessageChange, Removed};
use crate::model::content::DryRun;
use crate::model::diagnosis::{DiagnoseInput, Diagnosis};
use crate::model::files::{FileInput, FileTicket};
use crate::model::message::Message;
use crate::model::pii::{PiiResolver, PiiResolverInput, PiiToken, PiiTokenInput};
use crate::model::probe::Probe;
use crate::model::risk::Risk;
use crate::model::send::{OutboxItem, Outgoing, SendRequest};
use crate::model::suppression::{Suppression, SuppressionInput};
use crate::model::template::{RenderInput, Rendered, Template, TemplateInput};
use crate::model::views::{
    AccountVersion, AccountView, Health, Imported, MailFolder, MessageDetail, Pulled, PulledNow, Pushed, QueuedPulls,
    Synced, SyncedAll, TestEmailInput, TokenCreated, TokenInput, TokenView, ValidateInput,
};
use crate::model::waiting::{AwaitInput, Awaited};
use crate::model::webhook::{
    Delivery, MockPayload, ReplayInput, Replayed, RotateInput, WebhookInput, WebhookSecret, WebhookTest,
    WebhookTestInput, WebhookView,
};

/// The document, OpenAPI 3.1.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ALL {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Halfpenny",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Send and receive mail through your customers' own mailboxes: SMTP out, POP3 or IMAP in.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    })
}

fn operation(route: &Route) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for answer in route.answers {
        let mut response = json!({"description": answer.about});
        if let Some(shape) = answer.shape {
            response["content"] = json!({"application/json": {"schema": reference(shape)}});
        }
        responses.insert(answer.status.to_string(), response);
    }
    // 405 too: a parameter may be given in a way that makes another path of it.
    let general: &[u16] = if route.scope.is_some() { &[401, 403, 404, 405, 500, 503] } else { &[] };
    for status in general.iter().chain(route.problems) {
        responses.entry(status.to_string()).or_insert_with(|| problem(*status));
    }
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.function],
        "parameters": parameters(route),
        "responses": responses,
    });
    if let Some(shape) = route.request {
        let content = |kind: &&str| ((*kind).to_owned(), json!({"schema": reference(shape)}));
        let content: Map<String, Value> = request_types(route).iter().map(content).collect();
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    if route.scope.is_none() {
        operation["security"] = json!([]);
    }
    operation
}

/// PATCH tells its two languages apart by their media types (RFC 6902 §6, RFC 7396 §4).
fn request_types(route: &Route) -> &'static [&'static str] {
    match (route.method, route.request) {
        ("PATCH", Some("OutboxPatch" | "WebhookPatch")) => &["application/json", "application/merge-patch+json"],
        ("PATCH", _) => &["application/json", "application/merge-patch+json", "application/json-patch+json"],
        _ => &["application/json"],
    }
}

fn problem(status: u16) -> Value {
    let mut content = json!({"application/problem+json": {"schema": reference("ProblemDocument")}});
    if status == 401 {
        // Without any Authorization header the gateway itself answers, in its own words.
        content["application/json"] =
            json!({"schema": {"type": "object", "properties": {"message": {"type": "string"}}}});
    }
    json!({"description": "A problem; `code` says which.", "content": content})
}

fn parameters(route: &Route) -> Vec<Value> {
    let of_path = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let of_path =
        of_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let others = route.parameters.iter().map(|parameter| {
        let place = match parameter.place {
            In::Path => "path",
            In::Query => "query",
            In::Header => "header",
        };
        json!({"name": parameter.name, "in": place, "description": parameter.about, "schema": {"type": "string"}})
    });
    of_path.chain(others).collect()
}

fn reference(shape: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{shape}")})
}

/// Every shape that a route names, with all that it refers to.
fn schemas() -> BTreeMap<String, Value> {
    let mut found = Vec::new();
    add::<AccountInput>(&mut found);
    add::<AuthInput>(&mut found);
    add::<AccountView>(&mut found);
    add::<AccountVersion>(&mut found);
    add::<Imported>(&mut found);
    add::<TokenInput>(&mut found);
    add::<TokenCreated>(&mut found);
    add::<TokenView>(&mut found);
    webhooks(&mut found);
    stored_mail(&mut found);
    add::<Probe>(&mut found);
    add::<DiagnoseInput>(&mut found);
    add::<Diagnosis>(&mut found);
    add::<Risk>(&mut found);
    add::<Autoconfig>(&mut found);
    add::<ValidateInput>(&mut found);
    add::<TestEmailInput>(&mut found);
    add::<SendRequest>(&mut found);
    add::<Outgoing>(&mut found);
    add::<SuppressionInput>(&mut found);
    add::<Suppression>(&mut found);
    add::<DryRun>(&mut found);
    add::<OutboxItem>(&mut found);
    add::<BatchAnswer<'_>>(&mut found);
    add::<TemplateInput>(&mut found);
    add::<Template>(&mut found);
    add::<RenderInput>(&mut found);
    add::<Rendered>(&mut found);
    add::<PiiTokenInput>(&mut found);
    add::<PiiToken>(&mut found);
    add::<PiiResolverInput>(&mut found);
    add::<PiiResolver>(&mut found);
    add::<Health>(&mut found);
    add::<ProblemDocument<'_>>(&mut found);
    let mut schemas: BTreeMap<String, Value> =
        found.into_iter().filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?))).collect();
    let whole = |schema| joined(&schemas, schema);
    let wholes: Vec<_> = schemas.iter().filter_map(|(name, schema)| Some((name.clone(), whole(schema)?))).collect();
    schemas.extend(wholes);
    schemas.insert("AccountCreate".to_owned(), account_create(&schemas));
    let words = "An account in jetQuery's field names, a list of them, or app.settings.json; comments are tolerated.";
    schemas.insert("JetQueryConfiguration".to_owned(), json!({"type": ["object", "array"], "description": words}));
    schemas.insert("AccountPatch".to_owned(), account_patch());
    schemas.insert("BatchInput".to_owned(), batch_input(&schemas));
    let words = "Merge patch of SendRequest: what it names is replaced, null removes.";
    schemas.insert("OutboxPatch".to_owned(), json!({"type": "object", "description": words}));
    let words = "Merge patch of WebhookInput: what it names is replaced, null removes.";
    schemas.insert("WebhookPatch".to_owned(), json!({"type": "object", "description": words}));
    let versions = ("AccountVersionPage", "AccountVersion");
    for (page, item) in [
        versions,
        ("AccountPage", "AccountView"),
        ("TokenPage", "TokenView"),
        ("WebhookPage", "WebhookView"),
        ("DeliveryPage", "Delivery"),
        ("MessagePage", "Message"),
        ("MailFolderPage", "MailFolder"),
        ("RiskPage", "Risk"),
        ("SuppressionPage", "Suppression"),
        ("TemplatePage", "Template"),
        ("OutboxPage", "OutboxItem"),
    ] {
        let schema = json!({
            "type": "object",
            "required": ["items", "nextCursor"],
            "properties": {"items": {"type": "array", "items": reference(item)}, "nextCursor": {"type": ["string", "null"]}},
        });
        schemas.insert(page.to_owned(), schema);
    }
    let words = "Outgoing mail that was accepted since then is not searched yet: ask again. Left out where all is.";
    if let Some(page) = schemas.get_mut("MessagePage") {
        page["properties"]["notSearchedSince"] = json!({"type": "string", "format": "date-time", "description": words});
    }
    schemas
}

/// The shapes of stored mail and files, and of what moves mail.
fn stored_mail(found: &mut Vec<(String, RefOr<Schema>)>) {
    add::<Pulled>(found);
    add::<RewindInput>(found);
    add::<Rewound>(found);
    add::<ReparseInput>(found);
    add::<Reparsed>(found);
    add::<AcknowledgeInput>(found);
    add::<Acknowledged>(found);
    add::<PulledNow>(found);
    add::<Pushed>(found);
    add::<Synced>(found);
    add::<SyncedAll>(found);
    add::<QueuedPulls>(found);
    add::<Message>(found);
    add::<MessageDetail>(found);
    add::<MessageChange>(found);
    add::<Removed>(found);
    add::<MailFolder>(found);
    add::<FileInput>(found);
    add::<FileTicket>(found);
    add::<AwaitInput>(found);
    add::<Awaited>(found);
}

/// The shapes of webhooks.
fn webhooks(found: &mut Vec<(String, RefOr<Schema>)>) {
    add::<WebhookInput>(found);
    add::<WebhookView>(found);
    add::<WebhookSecret>(found);
    add::<RotateInput>(found);
    add::<WebhookTestInput>(found);
    add::<WebhookTest>(found);
    add::<Delivery>(found);
    add::<ReplayInput>(found);
    add::<Replayed>(found);
    add::<MockPayload>(found);
}

/// What is written as one object is described as one: a part that refuses unknown fields by itself would refuse those of
/// the other parts.
fn joined(schemas: &BTreeMap<String, Value>, schema: &Value) -> Option<Value> {
    let mut whole = json!({"type": "object", "properties": {}, "required": []});
    if let Some(words) = schema.get("description") {
        whole["description"] = words.clone();
    }
    for part in schema["allOf"].as_array()? {
        let name = part["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let part = name.and_then(|name| schemas.get(name)).unwrap_or(part);
        for (name, field) in part["properties"].as_object()? {
            whole["properties"][name] = field.clone();
        }
        let required = part["required"].as_array().cloned().unwrap_or_default();
        whole["required"].as_array_mut()?.extend(required);
    }
    Some(whole)
}

/// An account with its name beside its settings.
fn account_create(schemas: &BTreeMap<String, Value>) -> Value {
    let mut schema = schemas.get("AccountInput").cloned().unwrap_or_default();
    schema["properties"]["account"] = json!({"type": "string", "description": "Its name in paths."});
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("account".into());
    }
    schema
}

/// Mails with the names of their accounts.
fn batch_input(schemas: &BTreeMap<String, Value>) -> Value {
    let mut mail = schemas.get("SendRequest").cloned().unwrap_or_default();
    mail["properties"]["account"] = json!({"type": "string", "description": "The account it leaves through."});
    mail["required"] = json!(["account"]);
    let messages = json!({"type": "array", "minItems": 1, "maxItems": 500, "items": mail});
    json!({"type": "object", "required": ["messages"], "properties": {"messages": messages}, "additionalProperties": false})
}

/// Either language of PATCH.
fn account_patch() -> Value {
    let operation = json!({
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string", "description": "JSON pointer into AccountInput."},
            "from": {"type": "string"},
            "value": {},
        },
    });
    json!({"oneOf": [
        {"type": "object", "description": "Merge patch: what it names is replaced, null removes."},
        {"type": "array", "maxItems": crate::model::patch::OPERATIONS, "items": operation},
    ]})
}

fn add<T: ToSchema>(found: &mut Vec<(String, RefOr<Schema>)>) {
    found.push((T::name().into_owned(), <T as PartialSchema>::schema()));
    T::schemas(found);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` of the document leads somewhere.
    #[test]
    fn no_reference_dangles_and_operations_are_unique() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
        let mut names: Vec<_> = ALL.iter().map(|route| route.operation).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert_eq!(document["paths"]["/v1/accounts/{account}"]["put"]["operationId"], "putAccount");
    }
}
