//! `infra/template.yaml` as the local service needs it: the one source of functions, routes, triggers and
//! resources, read so that what runs locally is what is deployed.
//!
//! YAML (short or long intrinsics) -> JSON in the long form ([`yaml`]) -> Globals merged as SAM does ([`globals`])
//! -> intrinsics resolved ([`intrinsics`]) -> the typed values below ([`functions`], [`resources`]).
//! What cannot be honoured is refused by name and path; nothing is skipped in silence except resource types
//! that have no local meaning (alarms, the bucket's policy).

mod functions;
mod globals;
mod intrinsics;
mod parameters;
mod policies;
mod read;
mod resources;
mod streams;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use intrinsics::Scope;
pub(crate) use parameters::parse_overrides;
pub(crate) use streams::StreamTrigger;
#[cfg(test)]
pub(crate) use streams::{Pattern, Rule};
use yaml::invalid;

/// The account that a template is read into: what pseudo parameters and generated names are made of.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// `AWS::Region`.
    pub(crate) region: String,
    /// `AWS::AccountId`, 12 digits.
    pub(crate) account: String,
    /// `AWS::StackName`; unnamed resources are called `<stack>-<logical id>`, in lower case.
    pub(crate) stack: String,
    /// Scheme, host and port of SQS, without a slash at the end: a queue's URL is `<base>/<account>/<name>`.
    pub(crate) queue_url_base: String,
}

/// The part of a template that the local service acts on.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Every `AWS::Serverless::Function`, in the template's order.
    pub(crate) functions: Vec<Function>,
    /// The HTTP API's authorizer, if one is declared as default.
    pub(crate) authorizer: Option<Authorizer>,
    /// CloudFormation properties of every `AWS::DynamoDB::Table`, resolved, `TableName` set.
    pub(crate) tables: Vec<Value>,
    /// The names of every `AWS::S3::Bucket`.
    pub(crate) buckets: Vec<String>,
    /// Every `AWS::SQS::Queue`.
    pub(crate) queues: Vec<Queue>,
    /// The names of every `AWS::Events::EventBus`.
    pub(crate) buses: Vec<String>,
}

/// One Lambda function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Function {
    /// Its key in the template, `PullWorker`.
    pub(crate) logical_id: String,
    /// The function name by which it is invoked: `FunctionName`, or else the name of its binary.
    pub(crate) name: String,
    /// The cargo binary, `Metadata.BuildProperties.Binary`.
    pub(crate) binary: String,
    /// `MemorySize` in MB.
    pub(crate) memory_mb: u32,
    /// `Timeout`.
    pub(crate) timeout: Duration,
    /// What it may do: `Policies`, or those of its `Role`.
    pub(crate) statements: Vec<Statement>,
    /// `Environment.Variables`, resolved.
    pub(crate) environment: BTreeMap<String, String>,
    /// Events of type `HttpApi`.
    pub(crate) routes: Vec<Route>,
    /// Events of type `SQS`.
    pub(crate) queues: Vec<QueueTrigger>,
    /// Events of type `DynamoDB`.
    pub(crate) streams: Vec<StreamTrigger>,
    /// Events of type `ScheduleV2`.
    pub(crate) schedules: Vec<ScheduleTrigger>,
}

/// One statement of a policy, with `Effect: Allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// `Action`, with wildcards.
    pub(crate) actions: Vec<String>,
    /// `Resource`: ARNs, resolved, with wildcards.
    pub(crate) resources: Vec<String>,
}

/// One route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The method in capitals; `ANY` matches each.
    pub(crate) method: String,
    /// The path with `{variables}`, or `$default`.
    pub(crate) path: String,
    /// Whether the authorizer is asked first.
    pub(crate) authorized: bool,
}

/// The Lambda authorizer of the HTTP API: payload format 2.0 with simple responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorizer {
    /// The function's name (as [`Function::name`]).
    pub(crate) function: String,
    /// The identity sources: header names in lower case.
    pub(crate) headers: Vec<String>,
    /// How long an answer is kept; zero: not at all.
    pub(crate) ttl: Duration,
}

/// An SQS queue that feeds a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueTrigger {
    /// The queue's name.
    pub(crate) queue: String,
    /// Messages in one event at most.
    pub(crate) batch_size: u32,
    /// How long a batch may be gathered.
    pub(crate) window: Duration,
    /// Whether the function reports `batchItemFailures`.
    pub(crate) partial_failures: bool,
    /// `ScalingConfig.MaximumConcurrency`: invocations at once.
    pub(crate) max_concurrency: Option<u32>,
    /// `Enabled`.
    pub(crate) enabled: bool,
}

/// An EventBridge schedule that starts a function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScheduleTrigger {
    /// The event's key in the template.
    pub(crate) name: String,
    /// `rate(…)`, `cron(…)` or `at(…)`, as written.
    pub(crate) expression: String,
    /// The event that the function gets; `None`: EventBridge's own.
    pub(crate) input: Option<Value>,
    /// `State` is not `DISABLED`.
    pub(crate) enabled: bool,
}

/// One SQS queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    /// The queue's name.
    pub(crate) name: String,
    /// `VisibilityTimeout` in seconds.
    pub(crate) visibility_seconds: u32,
    /// `DelaySeconds`.
    pub(crate) delay_seconds: u32,
    /// `MessageRetentionPeriod` in seconds.
    pub(crate) retention_seconds: u32,
    /// `RedrivePolicy`.
    pub(crate) redrive: Option<Redrive>,
}

/// Where a queue's undeliverable messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redrive {
    /// The name of the dead-letter queue.
    pub(crate) target: String,
    /// Deliveries before a message is moved.
    pub(crate) max_receive_count: u32,
}

/// A template that cannot be used, and the place in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("the template is not YAML: {0}")]
    Yaml(#[from] serde_norway::Error),
    /// A value at `path` cannot be honoured.
    #[error("{path}: {reason}")]
    Invalid {
        /// The place, as `Resources.Send.Properties.Timeout`.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The parameter overrides are malformed or name no parameter.
    #[error("template parameters: {0}")]
    Parameters(String),
}

impl Template {
    /// Reads the template at `path` with `overrides` in place of its parameters' defaults.
    ///
    /// # Errors
    /// [`TemplateError`] with the place of whatever cannot be read, resolved or honoured.
    pub(crate) fn load(
        path: &Path,
        overrides: &BTreeMap<String, String>,
        context: &Context,
    ) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TemplateError::Read { path: path.display().to_string(), source })?;
        Self::parse(&text, overrides, context)
    }

    /// As [`Template::load`], from the text itself.
    pub(crate) fn parse(
        text: &str,
        overrides: &BTreeMap<String, String>,
        context: &Context,
    ) -> Result<Self, TemplateError> {
        let document = yaml::parse(text)?;
        let resources = with_globals(&document)?;
        let declared = section(&document, "Parameters")?;
        let parameters = parameters::values(&declared, overrides)?;
        let names = resources::names(&resources, &parameters, context)?;
        let scope = Scope { context, parameters, resources: names };
        Self::assemble(&resources, &scope)
    }

    fn assemble(resources: &Map<String, Value>, scope: &Scope<'_>) -> Result<Self, TemplateError> {
        let authorizer = authorizer(resources, scope)?;
        let default_authorizer = authorizer.as_ref().map(|(name, _)| name.as_str());
        let mut template = Self {
            functions: Vec::new(),
            authorizer: None,
            tables: Vec::new(),
            buckets: Vec::new(),
            queues: Vec::new(),
            buses: Vec::new(),
        };
        for (logical_id, resource) in resources {
            let Some(named) = scope.resources.get(logical_id) else {
                continue;
            };
            match named.kind.as_str() {
                "AWS::Serverless::Function" => {
                    let statements = policies::read(logical_id, resources, scope)?;
                    let function = functions::read(logical_id, resource, scope, default_authorizer)?;
                    template.functions.push(Function { statements, ..function });
                }
                "AWS::DynamoDB::Table" => {
                    template.tables.push(resources::table(logical_id, resource, scope)?);
                }
                "AWS::S3::Bucket" => template.buckets.push(named.name.clone()),
                "AWS::SQS::Queue" => {
                    template.queues.push(resources::queue(logical_id, resource, scope)?);
                }
                "AWS::Events::EventBus" => template.buses.push(named.name.clone()),
                _ => {}
            }
        }
        template.authorizer = authorizer.map(|(_, authorizer)| authorizer);
        Ok(template)
    }
}

/// The resources, with `Globals` merged into those they concern.
fn with_globals(document: &Value) -> Result<Map<String, Value>, TemplateError> {
    let globals = section(document, "Globals")?;
    if let Some(other) = globals.keys().find(|key| !["Function", "HttpApi"].contains(&key.as_str())) {
        return Err(invalid(&format!("Globals.{other}"), "it has no local meaning"));
    }
    let mut resources = section(document, "Resources")?;
    for resource in resources.values_mut() {
        let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default();
        let global = kind.strip_prefix("AWS::Serverless::").and_then(|kind| globals.get(kind));
        if let Some(global) = global {
            let merged = globals::merge(global, resources::properties(resource).clone());
            if let Some(map) = resource.as_object_mut() {
                map.insert("Properties".to_owned(), merged);
            }
        }
    }
    Ok(resources)
}

/// The default authorizer of the one HTTP API, with its key in the template.
fn authorizer(
    resources: &Map<String, Value>,
    scope: &Scope<'_>,
) -> Result<Option<(String, Authorizer)>, TemplateError> {
    let is_api = |id: &str| scope.resources.get(id).is_some_and(|r| r.kind == "AWS::Serverless::HttpApi");
    let mut apis = resources.iter().filter(|(logical_id, _)| is_api(logical_id));
    let Some((logical_id, api)) = apis.next() else {
        return Ok(None);
    };
    if let Some((second, _)) = apis.next() {
        return Err(invalid(&format!("Resources.{second}"), "a second HTTP API has no local meaning"));
    }
    functions::authorizer(logical_id, resources::properties(api), scope)
}

/// A top-level section; an absent one is empty.
fn section(document: &Value, name: &str) -> Result<Map<String, Value>, TemplateError> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(_) => Err(invalid(name, "it is not a map")),
    }
}
