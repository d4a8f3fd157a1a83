//! CloudFormation's intrinsic functions, as far as they have a local meaning: `Ref`, `Fn::GetAtt`, `Fn::Sub`, `Fn::Join`.
//! All others are refused by name and path: a guess would run something else than what is deployed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::parameters::scalar_text;
use super::yaml::{invalid, join};
use super::{Context, TemplateError};

/// What a table's stream is called here.
const STREAM_LABEL: &str = "local";

/// What a resource is called, and what else may be asked of it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// The CloudFormation type.
    pub(super) kind: String,
    /// The physical name.
    pub(super) name: String,
}

/// Everything that an intrinsic may refer to.
pub(super) struct Scope<'a> {
    /// The account and its pseudo parameters.
    pub(super) context: &'a Context,
    /// Parameter values by name.
    pub(super) parameters: BTreeMap<String, String>,
    /// Resources by logical id.
    pub(super) resources: BTreeMap<String, Named>,
}

impl Scope<'_> {
    /// `value` with every intrinsic replaced by what it stands for. `path` is its place, for errors.
    pub(super) fn resolve(&self, value: &Value, path: &str) -> Result<Value, TemplateError> {
        Ok(self.resolve_unless_no_value(value, path)?.unwrap_or(Value::Null))
    }

    /// As [`Scope::resolve`]; `None` for `AWS::NoValue`, which removes what it stands in.
    fn resolve_unless_no_value(&self, value: &Value, path: &str) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .filter_map(|(at, item)| self.resolve_unless_no_value(item, &join(path, &at.to_string())).transpose())
                .collect::<Result<_, _>>()
                .map(|items| Some(Value::Array(items))),
            Value::Object(map) => match single_entry(map) {
                Some(("Ref", argument)) => self.reference(argument, path),
                Some((name, argument)) if name.starts_with("Fn::") => {
                    self.call(name, argument, path).map(|text| Some(Value::String(text)))
                }
                _ => self.resolve_map(map, path).map(Some),
            },
            scalar => Ok(Some(scalar.clone())),
        }
    }

    fn resolve_map(&self, map: &Map<String, Value>, path: &str) -> Result<Value, TemplateError> {
        let mut resolved = Map::new();
        for (key, value) in map {
            if let Some(value) = self.resolve_unless_no_value(value, &join(path, key))? {
                resolved.insert(key.clone(), value);
            }
        }
        Ok(Value::Object(resolved))
    }

    fn reference(&self, argument: &Value, path: &str) -> Result<Option<Value>, TemplateError> {
        match argument.as_str() {
            Some("AWS::NoValue") => Ok(None),
            Some(name) => self.referred(name, path).map(|text| Some(Value::String(text))),
            None => Err(invalid(path, "Ref takes a name")),
        }
    }

    fn call(&self, name: &str, argument: &Value, path: &str) -> Result<String, TemplateError> {
        match (name, argument) {
            ("Fn::GetAtt", argument) => self.get_att(argument, path),
            ("Fn::Sub", Value::String(pattern)) => self.substitute(pattern, &Map::new(), path),
            ("Fn::Sub", Value::Array(list)) => match list.as_slice() {
                [Value::String(pattern), Value::Object(own)] => self.substitute(pattern, own, path),
                _ => Err(invalid(path, "Fn::Sub takes a text, or a text and a map")),
            },
            ("Fn::Join", Value::Array(list)) => match list.as_slice() {
                [Value::String(separator), Value::Array(items)] => self.joined(separator, items, path),
                _ => Err(invalid(path, "Fn::Join takes a text and a list")),
            },
            _ => Err(invalid(path, format!("{name} has no local meaning"))),
        }
    }

    fn get_att(&self, argument: &Value, path: &str) -> Result<String, TemplateError> {
        let (resource, attribute) = match argument {
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(resource), Value::String(attribute)] => (resource.as_str(), attribute.as_str()),
                _ => return Err(invalid(path, "Fn::GetAtt takes two names")),
            },
            Value::String(text) => {
                text.split_once('.').ok_or_else(|| invalid(path, "Fn::GetAtt without an attribute"))?
            }
            _ => return Err(invalid(path, "Fn::GetAtt takes two names")),
        };
        self.attribute(resource, attribute, path)
    }

    fn joined(&self, separator: &str, items: &[Value], path: &str) -> Result<String, TemplateError> {
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            parts.extend(self.text(item, path)?);
        }
        Ok(parts.join(separator))
    }

    /// The text that `value` resolves to; `None` for `AWS::NoValue`.
    fn text(&self, value: &Value, path: &str) -> Result<Option<String>, TemplateError> {
        self.resolve_unless_no_value(value, path)?
            .map(|value| scalar_text(&value).ok_or_else(|| invalid(path, "not a text")))
            .transpose()
    }

    /// `${Name}`, `${Name.Attribute}`, `${!literal}`; names of `own` go first.
    fn substitute(&self, pattern: &str, own: &Map<String, Value>, path: &str) -> Result<String, TemplateError> {
        let mut text = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| invalid(path, "Fn::Sub: ${ without }"))?;
            text.push_str(before);
            text.push_str(&self.substituted(name, own, path)?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn substituted(&self, name: &str, own: &Map<String, Value>, path: &str) -> Result<String, TemplateError> {
        if let Some(literal) = name.strip_prefix('!') {
            return Ok(format!("${{{literal}}}"));
        }
        if let Some(value) = own.get(name) {
            let text = self.text(value, path)?;
            return text.ok_or_else(|| invalid(path, format!("Fn::Sub: {name} has no value")));
        }
        match name.split_once('.') {
            Some((resource, attribute)) => self.attribute(resource, attribute, path),
            None => self.referred(name, path),
        }
    }

    /// What `Ref` of a pseudo parameter, a parameter or a resource is.
    fn referred(&self, name: &str, path: &str) -> Result<String, TemplateError> {
        let context = self.context;
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        if let Some(resource) = self.resources.get(name) {
            return match resource.kind.as_str() {
                "AWS::SQS::Queue" => Ok(self.queue_url(&resource.name)),
                "AWS::DynamoDB::Table"
                | "AWS::Events::EventBus"
                | "AWS::S3::Bucket"
                | "AWS::Serverless::Function"
                | "AWS::Serverless::HttpApi" => Ok(resource.name.clone()),
                kind => Err(invalid(path, format!("Ref {name}: {kind} has no local meaning"))),
            };
        }
        match name {
            "AWS::Region" => Ok(context.region.clone()),
            "AWS::AccountId" => Ok(context.account.clone()),
            "AWS::StackName" => Ok(context.stack.clone()),
            "AWS::Partition" => Ok("aws".to_owned()),
            "AWS::URLSuffix" => Ok("amazonaws.com".to_owned()),
            _ => Err(invalid(path, format!("there is no parameter or resource {name}"))),
        }
    }

    fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.context.queue_url_base, self.context.account)
    }

    fn attribute(&self, resource: &str, attribute: &str, path: &str) -> Result<String, TemplateError> {
        let Some(Named { kind, name }) = self.resources.get(resource) else {
            return Err(invalid(path, format!("there is no resource {resource}")));
        };
        let arn = |service: &str, rest: &str| {
            format!("arn:aws:{service}:{}:{}:{rest}", self.context.region, self.context.account)
        };
        match (kind.as_str(), attribute) {
            ("AWS::SQS::Queue", "Arn") => Ok(arn("sqs", name)),
            ("AWS::SQS::Queue", "QueueName") => Ok(name.clone()),
            ("AWS::SQS::Queue", "QueueUrl") => Ok(self.queue_url(name)),
            ("AWS::DynamoDB::Table", "Arn") => Ok(arn("dynamodb", &format!("table/{name}"))),
            ("AWS::DynamoDB::Table", "StreamArn") => {
                Ok(arn("dynamodb", &format!("table/{name}/stream/{STREAM_LABEL}")))
            }
            ("AWS::Events::EventBus", "Arn") => Ok(arn("events", &format!("event-bus/{name}"))),
            ("AWS::S3::Bucket", "Arn") => Ok(format!("arn:aws:s3:::{name}")),
            ("AWS::Logs::LogGroup", "Arn") => Ok(arn("logs", &format!("log-group:{name}:*"))),
            ("AWS::Serverless::Function", "Arn") => Ok(arn("lambda", &format!("function:{name}"))),
            _ => Err(invalid(path, format!("{resource}.{attribute} ({kind}) has no local meaning"))),
        }
    }
}

fn single_entry(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    match map.len() {
        1 => map.iter().next().map(|(key, value)| (key.as_str(), value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::yaml;

    fn resolve(text: &str) -> Result<Value, TemplateError> {
        let context = Context {
            region: "eu-test-1".to_owned(),
            account: "000000000000".to_owned(),
            stack: "pocket".to_owned(),
            queue_url_base: "http://127.0.0.1:9002".to_owned(),
        };
        let named = |kind: &str, name: &str| Named { kind: kind.to_owned(), name: name.to_owned() };
        let scope = Scope {
            context: &context,
            parameters: [("Rate".to_owned(), "rate(1 minute)".to_owned())].into(),
            resources: [
                ("T".to_owned(), named("AWS::DynamoDB::Table", "pocket-t")),
                ("Q".to_owned(), named("AWS::SQS::Queue", "pocket-q")),
                ("B".to_owned(), named("AWS::S3::Bucket", "pocket-b")),
                ("F".to_owned(), named("AWS::Serverless::Function", "eff")),
                ("R".to_owned(), named("AWS::IAM::Role", "pocket-r")),
            ]
            .into(),
        };
        scope.resolve(&yaml::parse(text).unwrap(), "Here")
    }

    #[test]
    fn references_and_attributes() {
        let text = "{p: !Ref Rate, t: !Ref T, q: !Ref Q, qa: !GetAtt Q.Arn, qn: {'Fn::GetAtt': [Q, QueueName]},\
                    f: !GetAtt F.Arn, b: {'Fn::GetAtt': B.Arn}, r: {Ref: 'AWS::Region'}, n: 5}";
        assert_eq!(
            resolve(text).unwrap(),
            json!({
                "p": "rate(1 minute)", "t": "pocket-t",
                "q": "http://127.0.0.1:9002/000000000000/pocket-q",
                "qa": "arn:aws:sqs:eu-test-1:000000000000:pocket-q", "qn": "pocket-q",
                "f": "arn:aws:lambda:eu-test-1:000000000000:function:eff", "b": "arn:aws:s3:::pocket-b",
                "r": "eu-test-1", "n": 5
            })
        );
    }

    #[test]
    fn substitution_and_joining() {
        let text = "{a: !Sub 'x-${T}-${Q.QueueName}-${!keep}-${AWS::StackName}',\
                    b: !Sub ['${own}/${T}', {own: !Ref Rate}], c: !Join ['-', [a, !Ref T, 3]]}";
        assert_eq!(
            resolve(text).unwrap(),
            json!({"a": "x-pocket-t-pocket-q-${keep}-pocket", "b": "rate(1 minute)/pocket-t", "c": "a-pocket-t-3"})
        );
    }

    #[test]
    fn no_value_removes_what_it_stands_in() {
        assert_eq!(resolve("{a: !Ref AWS::NoValue, b: [1, !Ref AWS::NoValue]}").unwrap(), json!({"b": [1]}));
    }

    #[test]
    fn what_cannot_be_resolved_is_refused_with_its_place() {
        for (text, message) in [
            ("{a: [!If [x, y, z]]}", "Here.a.0: Fn::If has no local meaning"),
            ("{a: {b: !ImportValue x}}", "Here.a.b: Fn::ImportValue has no local meaning"),
            ("{a: {'Fn::FindInMap': [x, y, z]}}", "Here.a: Fn::FindInMap has no local meaning"),
            ("{a: !Ref Nobody}", "Here.a: there is no parameter or resource Nobody"),
            ("{a: !Sub '${Nobody.Arn}'}", "Here.a: there is no resource Nobody"),
            ("{a: !GetAtt Q.Colour}", "Here.a: Q.Colour (AWS::SQS::Queue) has no local meaning"),
            ("{a: !Ref R}", "Here.a: Ref R: AWS::IAM::Role has no local meaning"),
            ("{a: !Sub '${open'}", "Here.a: Fn::Sub: ${ without }"),
        ] {
            assert_eq!(resolve(text).unwrap_err().to_string(), message);
        }
    }
}
