//! `AWS::Serverless::Function` and `AWS::Serverless::HttpApi`: functions, their triggers, the authorizer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::intrinsics::Scope;
use super::parameters::scalar_text;
use super::read::{arn_name, number, optional_number, typed};
use super::yaml::{invalid, join};
use super::{Authorizer, Function, QueueTrigger, Route, ScheduleTrigger, TemplateError, streams};

/// What SAM has for a function: 3 s and 128 MB unless said otherwise.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    #[serde(default = "default_timeout", deserialize_with = "number")]
    timeout: u32,
    #[serde(default = "default_memory", deserialize_with = "number")]
    memory_size: u32,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    events: BTreeMap<String, Event>,
}

fn default_timeout() -> u32 {
    3
}

fn default_memory() -> u32 {
    128
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HttpApiEvent {
    #[serde(rename = "ApiId")]
    _api: Option<IgnoredAny>,
    method: Option<String>,
    path: Option<String>,
    #[serde(default)]
    auth: EventAuth,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EventAuth {
    authorizer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SqsEvent {
    queue: String,
    #[serde(default = "default_batch", deserialize_with = "number")]
    batch_size: u32,
    #[serde(rename = "MaximumBatchingWindowInSeconds", default, deserialize_with = "number")]
    window_seconds: u32,
    #[serde(default)]
    function_response_types: Vec<String>,
    #[serde(default)]
    scaling_config: ScalingConfig,
    #[serde(default = "yes")]
    enabled: bool,
}

fn default_batch() -> u32 {
    10
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ScalingConfig {
    #[serde(default, deserialize_with = "optional_number")]
    maximum_concurrency: Option<u32>,
}

/// Retries of the scheduler and its own name have no local meaning: a tick that is lost is followed by another.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ScheduleEvent {
    schedule_expression: String,
    input: Option<String>,
    state: Option<String>,
    #[serde(rename = "Name")]
    _name: Option<IgnoredAny>,
    #[serde(rename = "OmitName")]
    _omit_name: Option<IgnoredAny>,
    #[serde(rename = "Description")]
    _description: Option<IgnoredAny>,
    #[serde(rename = "RetryPolicy")]
    _retry_policy: Option<IgnoredAny>,
}

/// The binary that SAM builds for the function.
pub(super) fn binary(resource: &Value, path: &str) -> Result<String, TemplateError> {
    resource
        .pointer("/Metadata/BuildProperties/Binary")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| invalid(path, "Metadata.BuildProperties.Binary is missing"))
}

/// Reads one function. `default_authorizer` is the API's, by its key in the template.
pub(super) fn read(
    logical_id: &str,
    resource: &Value,
    scope: &Scope<'_>,
    default_authorizer: Option<&str>,
) -> Result<Function, TemplateError> {
    let path = join("Resources", logical_id);
    let at = join(&path, "Properties");
    let mut used = Map::new();
    for key in ["Timeout", "MemorySize", "Environment", "Events"] {
        if let Some(value) = resource.pointer(&format!("/Properties/{key}")) {
            used.insert(key.to_owned(), scope.resolve(value, &join(&at, key))?);
        }
    }
    let properties: Properties = typed(Value::Object(used), &at)?;
    let mut function = Function {
        logical_id: logical_id.to_owned(),
        name: scope.resources.get(logical_id).map(|named| named.name.clone()).unwrap_or_default(),
        binary: binary(resource, &path)?,
        memory_mb: properties.memory_size,
        timeout: Duration::from_secs(properties.timeout.into()),
        statements: Vec::new(),
        environment: environment(properties.environment.variables, &at)?,
        routes: Vec::new(),
        queues: Vec::new(),
        streams: Vec::new(),
        schedules: Vec::new(),
    };
    for (name, event) in properties.events {
        let at = join(&join(&at, "Events"), &name);
        function.add(&name, event, default_authorizer, &at)?;
    }
    Ok(function)
}

fn environment(variables: Map<String, Value>, path: &str) -> Result<BTreeMap<String, String>, TemplateError> {
    variables
        .into_iter()
        .map(|(name, value)| match scalar_text(&value) {
            Some(text) => Ok((name, text)),
            None => Err(invalid(&join(path, &format!("Environment.Variables.{name}")), "not a text")),
        })
        .collect()
}

impl Function {
    fn add(
        &mut self,
        name: &str,
        event: Event,
        default_authorizer: Option<&str>,
        path: &str,
    ) -> Result<(), TemplateError> {
        match event.kind.as_str() {
            "HttpApi" => {
                let properties = if event.properties.is_null() { Value::Object(Map::new()) } else { event.properties };
                self.routes.push(route(typed(properties, path)?, default_authorizer, path)?);
            }
            "SQS" => self.queues.push(queue_trigger(typed(event.properties, path)?)),
            "DynamoDB" => self.streams.push(streams::trigger(name, event.properties, path)?),
            "ScheduleV2" => {
                self.schedules.push(schedule(name, typed(event.properties, path)?, path)?);
            }
            kind => {
                return Err(invalid(path, format!("events of type {kind} have no local meaning")));
            }
        }
        Ok(())
    }
}

/// Without path and method an event is the `$default` route.
fn route(event: HttpApiEvent, default_authorizer: Option<&str>, path: &str) -> Result<Route, TemplateError> {
    let authorized = match event.auth.authorizer.as_deref() {
        Some("NONE") => false,
        None => default_authorizer.is_some(),
        named if named == default_authorizer => true,
        Some(other) => {
            return Err(invalid(path, format!("{other} is not the default authorizer")));
        }
    };
    let route_path = event.path.unwrap_or_else(|| "$default".to_owned());
    if route_path != "$default" && !route_path.starts_with('/') {
        return Err(invalid(path, "a path begins with a slash"));
    }
    let method = event.method.unwrap_or_else(|| "ANY".to_owned()).to_ascii_uppercase();
    Ok(Route { method, path: route_path, authorized })
}

fn queue_trigger(event: SqsEvent) -> QueueTrigger {
    QueueTrigger {
        queue: arn_name(&event.queue).to_owned(),
        batch_size: event.batch_size,
        window: Duration::from_secs(event.window_seconds.into()),
        partial_failures: event.function_response_types.iter().any(|kind| kind == "ReportBatchItemFailures"),
        max_concurrency: event.scaling_config.maximum_concurrency,
        enabled: event.enabled,
    }
}

fn schedule(name: &str, event: ScheduleEvent, path: &str) -> Result<ScheduleTrigger, TemplateError> {
    let input = event
        .input
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| invalid(&join(path, "Input"), error.to_string()))?;
    Ok(ScheduleTrigger {
        name: name.to_owned(),
        expression: event.schedule_expression,
        input,
        enabled: event.state.as_deref() != Some("DISABLED"),
    })
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ApiAuth {
    default_authorizer: Option<String>,
    #[serde(default)]
    authorizers: BTreeMap<String, ApiAuthorizer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ApiAuthorizer {
    function_arn: String,
    authorizer_payload_format_version: Option<String>,
    #[serde(default)]
    enable_simple_responses: bool,
    #[serde(rename = "EnableFunctionDefaultPermissions")]
    _permissions: Option<IgnoredAny>,
    identity: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Identity {
    headers: Vec<String>,
    #[serde(default = "default_ttl", deserialize_with = "number")]
    reauthorize_every: u32,
}

/// API Gateway keeps an answer for 300 s unless told otherwise.
fn default_ttl() -> u32 {
    300
}

/// The API's default authorizer and its key in the template; `None` for an API without.
pub(super) fn authorizer(
    logical_id: &str,
    properties: &Value,
    scope: &Scope<'_>,
) -> Result<Option<(String, Authorizer)>, TemplateError> {
    let at = join(&join("Resources", logical_id), "Properties.Auth");
    let Some(auth) = properties.get("Auth") else {
        return Ok(None);
    };
    let mut auth: ApiAuth = typed(scope.resolve(auth, &at)?, &at)?;
    let Some(name) = auth.default_authorizer.take() else {
        return Err(invalid(&at, "an API with authorizers needs a DefaultAuthorizer"));
    };
    let authorizer =
        auth.authorizers.remove(&name).ok_or_else(|| invalid(&at, format!("there is no authorizer {name}")))?;
    if !auth.authorizers.is_empty() {
        return Err(invalid(&at, "more than one authorizer has no local meaning"));
    }
    let version = authorizer.authorizer_payload_format_version.as_deref();
    if version != Some("2.0") || !authorizer.enable_simple_responses {
        return Err(invalid(&at, "only payload format \"2.0\" with simple responses has a local meaning"));
    }
    let headers = authorizer.identity.headers.iter().map(|name| name.to_ascii_lowercase()).collect();
    let authorizer = Authorizer {
        function: arn_name(&authorizer.function_arn).to_owned(),
        headers,
        ttl: Duration::from_secs(authorizer.identity.reauthorize_every.into()),
    };
    Ok(Some((name, authorizer)))
}
