//! Events of type `DynamoDB`: a table's stream that feeds a function, and which of its records do.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::TemplateError;
use super::read::{arn_name, number, optional_number, typed};
use super::yaml::{invalid, join};

/// A DynamoDB stream that feeds a function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StreamTrigger {
    /// The event's key in the template: with the function's name it names the position in the stream.
    pub(crate) name: String,
    /// The table's name.
    pub(crate) table: String,
    /// Records in one event at most.
    pub(crate) batch_size: usize,
    /// How long a batch may be gathered.
    pub(crate) window: Duration,
    /// Whether the function reports `batchItemFailures`.
    pub(crate) partial_failures: bool,
    /// `BisectBatchOnFunctionError`: a batch that fails is tried again in two halves.
    pub(crate) bisect: bool,
    /// `MaximumRetryAttempts`; none: until the records are too old.
    pub(crate) max_retries: Option<u32>,
    /// `MaximumRecordAgeInSeconds`; none: as long as the stream keeps them.
    pub(crate) max_age: Option<Duration>,
    /// The queue that hears of what was given up.
    pub(crate) on_failure: Option<String>,
    /// A record passes where one of them matches; without any, all do.
    pub(crate) filters: Vec<Pattern>,
    /// `Enabled`.
    pub(crate) enabled: bool,
}

/// What is left out has no local meaning (parallel batches, tumbling windows) and is refused.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StreamEvent {
    stream: String,
    starting_position: String,
    #[serde(default = "default_batch", deserialize_with = "number")]
    batch_size: u32,
    #[serde(rename = "MaximumBatchingWindowInSeconds", default, deserialize_with = "number")]
    window_seconds: u32,
    #[serde(default)]
    function_response_types: Vec<String>,
    #[serde(default)]
    bisect_batch_on_function_error: bool,
    #[serde(default, deserialize_with = "optional_number")]
    maximum_retry_attempts: Option<u32>,
    #[serde(default, deserialize_with = "optional_number")]
    maximum_record_age_in_seconds: Option<u32>,
    #[serde(default)]
    destination_config: DestinationConfig,
    #[serde(default)]
    filter_criteria: FilterCriteria,
    #[serde(default = "yes")]
    enabled: bool,
}

fn default_batch() -> u32 {
    100
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DestinationConfig {
    on_failure: Option<Destination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Destination {
    #[serde(rename = "Type")]
    kind: Option<String>,
    destination: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FilterCriteria {
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    pattern: String,
}

/// Reads an event of type `DynamoDB`.
pub(super) fn trigger(name: &str, properties: Value, path: &str) -> Result<StreamTrigger, TemplateError> {
    let event: StreamEvent = typed(properties, path)?;
    if event.starting_position != "TRIM_HORIZON" {
        let at = join(path, "StartingPosition");
        return Err(invalid(&at, "only TRIM_HORIZON has a local meaning: from the oldest record on, nothing is lost"));
    }
    let table = event.stream.split_once(":table/").and_then(|(_, rest)| rest.split_once("/stream/"));
    let (table, _) = table.ok_or_else(|| invalid(&join(path, "Stream"), "it is no table's StreamArn"))?;
    let on_failure = event.destination_config.on_failure.map(|destination| queue(&destination, path)).transpose()?;
    let pattern = |filter: &Filter| Pattern::read(&filter.pattern, &join(path, "FilterCriteria"));
    Ok(StreamTrigger {
        name: name.to_owned(),
        table: table.to_owned(),
        batch_size: event.batch_size as usize,
        window: Duration::from_secs(event.window_seconds.into()),
        partial_failures: event.function_response_types.iter().any(|kind| kind == "ReportBatchItemFailures"),
        bisect: event.bisect_batch_on_function_error,
        max_retries: event.maximum_retry_attempts,
        max_age: event.maximum_record_age_in_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        on_failure,
        filters: event.filter_criteria.filters.iter().map(pattern).collect::<Result<_, _>>()?,
        enabled: event.enabled,
    })
}

fn queue(destination: &Destination, path: &str) -> Result<String, TemplateError> {
    let is_queue = destination.destination.starts_with("arn:aws:sqs:");
    if is_queue && destination.kind.as_deref().is_none_or(|kind| kind == "SQS") {
        return Ok(arn_name(&destination.destination).to_owned());
    }
    Err(invalid(&join(path, "DestinationConfig.OnFailure"), "only an SQS queue has a local meaning"))
}

/// A filter pattern (docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html): objects are followed, a list
/// at their end is what the value may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pattern {
    /// Every member must match.
    Object(Vec<(String, Pattern)>),
    /// One of these must.
    OneOf(Vec<Rule>),
}

/// What a value may be. Every other rule of Lambda's is refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rule {
    /// This very value.
    Equals(Value),
    /// A text that begins so.
    Prefix(String),
    /// A text that ends so.
    Suffix(String),
    /// Whether the member is there at all.
    Exists(bool),
}

impl Pattern {
    fn read(text: &str, path: &str) -> Result<Self, TemplateError> {
        let value = serde_json::from_str(text).map_err(|error| invalid(path, format!("a pattern is JSON: {error}")))?;
        Self::of(value, path)
    }

    fn of(value: Value, path: &str) -> Result<Self, TemplateError> {
        match value {
            Value::Object(members) => {
                let member = |(name, value): (String, Value)| Ok((name, Self::of(value, path)?));
                members.into_iter().map(member).collect::<Result<_, _>>().map(Self::Object)
            }
            Value::Array(rules) => {
                rules.into_iter().map(|rule| Rule::of(rule, path)).collect::<Result<_, _>>().map(Self::OneOf)
            }
            _ => Err(invalid(path, "a value stands in a list")),
        }
    }

    /// Whether a record matches.
    pub(crate) fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Object(members) => {
                members.iter().all(|(name, pattern)| pattern.matches(value.and_then(|value| value.get(name))))
            }
            Self::OneOf(rules) => rules.iter().any(|rule| rule.matches(value)),
        }
    }
}

impl Rule {
    fn of(rule: Value, path: &str) -> Result<Self, TemplateError> {
        let Value::Object(rule) = rule else {
            return Ok(Self::Equals(rule));
        };
        Self::named(&rule).ok_or_else(|| {
            let rule = Value::Object(rule);
            invalid(path, format!("the rule {rule} has no local meaning; values, prefix, suffix and exists have"))
        })
    }

    fn named(rule: &Map<String, Value>) -> Option<Self> {
        let (name, argument) = rule.iter().next().filter(|_| rule.len() == 1)?;
        match name.as_str() {
            "prefix" => Some(Self::Prefix(argument.as_str()?.to_owned())),
            "suffix" => Some(Self::Suffix(argument.as_str()?.to_owned())),
            "exists" => Some(Self::Exists(argument.as_bool()?)),
            _ => None,
        }
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        let text = value.and_then(Value::as_str);
        match self {
            Self::Equals(wanted) => value == Some(wanted),
            Self::Prefix(wanted) => text.is_some_and(|text| text.starts_with(wanted)),
            Self::Suffix(wanted) => text.is_some_and(|text| text.ends_with(wanted)),
            Self::Exists(wanted) => value.is_some() == *wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/my-table/stream/local";

    #[test]
    fn a_stream_of_the_template_is_read() {
        let properties = json!({
            "Stream": STREAM, "StartingPosition": "TRIM_HORIZON", "BatchSize": "7",
            "FunctionResponseTypes": ["ReportBatchItemFailures"], "BisectBatchOnFunctionError": true,
            "MaximumRetryAttempts": 3, "MaximumRecordAgeInSeconds": 60,
            "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": "arn:aws:sqs:us-east-1:000000000000:q"}},
            "FilterCriteria": {"Filters": [{"Pattern": "{\"dynamodb\":{\"Keys\":{\"sk\":{\"S\":[\"M\"]}}}}"}]},
        });
        let trigger = trigger("Changes", properties, "E").unwrap();
        assert_eq!((trigger.table.as_str(), trigger.batch_size, trigger.max_retries), ("my-table", 7, Some(3)));
        assert_eq!(trigger.on_failure.as_deref(), Some("q"));
        assert!(trigger.bisect && trigger.partial_failures && trigger.enabled);
        let record = |sk: &str| json!({"dynamodb": {"Keys": {"sk": {"S": sk}}}});
        assert!(trigger.filters[0].matches(Some(&record("M"))) && !trigger.filters[0].matches(Some(&record("MM"))));
    }

    #[test]
    fn patterns_match_as_lambdas_do() {
        let pattern = |text| Pattern::read(text, "P").unwrap();
        let value = json!({"a": {"b": "middle"}, "n": 5});
        for (text, expected) in [
            (r#"{"a": {"b": [{"prefix": "mid"}]}}"#, true),
            (r#"{"a": {"b": [{"suffix": "mid"}]}}"#, false),
            (r#"{"a": {"b": [{"suffix": "dle"}, "other"]}}"#, true),
            (r#"{"a": {"b": ["other"]}}"#, false),
            (r#"{"n": [5], "a": {"c": [{"exists": false}]}}"#, true),
            (r#"{"n": [5], "a": {"b": [{"exists": false}]}}"#, false),
            (r#"{"z": {"b": ["x"]}}"#, false),
        ] {
            assert_eq!(pattern(text).matches(Some(&value)), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let base = json!({"Stream": STREAM, "StartingPosition": "TRIM_HORIZON"});
        for (name, value, expected) in [
            ("StartingPosition", json!("LATEST"), "E.StartingPosition: only TRIM_HORIZON has a local meaning"),
            ("Stream", json!("arn:aws:kinesis:x"), "E.Stream: it is no table's StreamArn"),
            ("ParallelizationFactor", json!(2), "E: unknown field `ParallelizationFactor`"),
            (
                "DestinationConfig",
                json!({"OnFailure": {"Destination": "arn:aws:sns:x"}}),
                "E.DestinationConfig.OnFailure: only an SQS queue",
            ),
            (
                "FilterCriteria",
                json!({"Filters": [{"Pattern": "{\"a\":[{\"anything-but\":[\"b\"]}]}"}]}),
                "E.FilterCriteria: the rule {\"anything-but\":[\"b\"]} has no local meaning",
            ),
        ] {
            let mut properties = base.clone();
            properties[name] = value;
            let error = trigger("Changes", properties, "E").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
