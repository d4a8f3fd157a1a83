//! Tables, buckets and queues, and the names of all resources.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::intrinsics::{Named, Scope};
use super::read::{arn_name, number, typed};
use super::yaml::{invalid, join};
use super::{Context, Queue, Redrive, TemplateError, functions};

/// SQS's own defaults: 30 s, no delay, 4 days.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueProperties {
    #[serde(default = "default_visibility", deserialize_with = "number")]
    visibility_timeout: u32,
    #[serde(default, deserialize_with = "number")]
    delay_seconds: u32,
    #[serde(default = "default_retention", deserialize_with = "number")]
    message_retention_period: u32,
    redrive_policy: Option<RedriveProperties>,
    #[serde(default)]
    fifo_queue: bool,
}

fn default_visibility() -> u32 {
    30
}

fn default_retention() -> u32 {
    345_600
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedriveProperties {
    dead_letter_target_arn: String,
    #[serde(deserialize_with = "number")]
    max_receive_count: u32,
}

/// The property that names a resource of `kind`; `None` for types that nothing refers to locally.
fn name_property(kind: &str) -> Option<&'static str> {
    match kind {
        "AWS::Serverless::Function" => Some("FunctionName"),
        "AWS::DynamoDB::Table" => Some("TableName"),
        "AWS::S3::Bucket" => Some("BucketName"),
        "AWS::SQS::Queue" => Some("QueueName"),
        "AWS::Events::EventBus" => Some("Name"),
        _ => None,
    }
}

/// What every resource is called: its own name if the template gives one (which may refer to parameters only),
/// else its binary for a function, else `<stack>-<logical id>` in lower case.
pub(super) fn names(
    resources: &Map<String, Value>,
    parameters: &BTreeMap<String, String>,
    context: &Context,
) -> Result<BTreeMap<String, Named>, TemplateError> {
    let scope = Scope { context, parameters: parameters.clone(), resources: BTreeMap::new() };
    resources
        .iter()
        .map(|(logical_id, resource)| {
            let path = join("Resources", logical_id);
            let kind = kind(resource, &path)?;
            let name = name(logical_id, &kind, resource, &scope, &path)?;
            Ok((logical_id.clone(), Named { kind, name }))
        })
        .collect()
}

fn name(
    logical_id: &str,
    kind: &str,
    resource: &Value,
    scope: &Scope<'_>,
    path: &str,
) -> Result<String, TemplateError> {
    let given = name_property(kind).and_then(|property| Some((property, resource.get("Properties")?.get(property)?)));
    if let Some((property, value)) = given {
        let at = join(path, &format!("Properties.{property}"));
        return typed(scope.resolve(value, &at)?, &at);
    }
    if kind == "AWS::Serverless::Function" {
        return functions::binary(resource, path);
    }
    Ok(format!("{}-{logical_id}", scope.context.stack).to_ascii_lowercase())
}

/// The type of a resource. SAM types without a local meaning, and conditional resources of the others, are refused.
fn kind(resource: &Value, path: &str) -> Result<String, TemplateError> {
    let kind = resource.get("Type").and_then(Value::as_str).ok_or_else(|| invalid(path, "Type is missing"))?;
    let known = name_property(kind).is_some() || kind == "AWS::Serverless::HttpApi";
    if !known && kind.starts_with("AWS::Serverless::") {
        return Err(invalid(path, format!("{kind} has no local meaning")));
    }
    if known && resource.get("Condition").is_some() {
        return Err(invalid(&join(path, "Condition"), "conditions have no local meaning"));
    }
    Ok(kind.to_owned())
}

/// A table's CloudFormation properties, resolved and with its name.
pub(super) fn table(logical_id: &str, resource: &Value, scope: &Scope<'_>) -> Result<Value, TemplateError> {
    let at = join(&join("Resources", logical_id), "Properties");
    let mut properties = scope.resolve(properties(resource), &at)?;
    if let (Some(map), Some(named)) = (properties.as_object_mut(), scope.resources.get(logical_id)) {
        map.insert("TableName".to_owned(), Value::String(named.name.clone()));
    }
    Ok(properties)
}

/// A queue; the resolved properties that have no local meaning (encryption, tags) are left out.
pub(super) fn queue(logical_id: &str, resource: &Value, scope: &Scope<'_>) -> Result<Queue, TemplateError> {
    let at = join(&join("Resources", logical_id), "Properties");
    let properties: QueueProperties = typed(scope.resolve(properties(resource), &at)?, &at)?;
    if properties.fifo_queue {
        return Err(invalid(&join(&at, "FifoQueue"), "FIFO queues have no local meaning"));
    }
    Ok(Queue {
        name: scope.resources.get(logical_id).map(|named| named.name.clone()).unwrap_or_default(),
        visibility_seconds: properties.visibility_timeout,
        delay_seconds: properties.delay_seconds,
        retention_seconds: properties.message_retention_period,
        redrive: properties.redrive_policy.map(|redrive| Redrive {
            target: arn_name(&redrive.dead_letter_target_arn).to_owned(),
            max_receive_count: redrive.max_receive_count,
        }),
    })
}

/// A resource's properties; a resource may have none at all.
pub(super) fn properties(resource: &Value) -> &Value {
    static NONE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::Object(Map::new()));
    resource.get("Properties").unwrap_or(&NONE)
}
