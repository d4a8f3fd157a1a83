//! What a function may do: SAM's `Policies`, or the policies of the role that is its `Role`. Whatever would grant or
//! forbid in another way than by `Allow`, actions and ARNs is refused: an unread Deny would let through here what AWS
//! refuses.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::intrinsics::Scope;
use super::read::typed;
use super::yaml::{invalid, join};
use super::{Statement, TemplateError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: Option<IgnoredAny>,
    #[serde(deserialize_with = "list")]
    statement: Vec<Allow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Allow {
    #[serde(rename = "Sid")]
    _sid: Option<IgnoredAny>,
    #[serde(rename = "Effect")]
    _effect: Effect,
    #[serde(deserialize_with = "list")]
    action: Vec<String>,
    #[serde(deserialize_with = "list")]
    resource: Vec<String>,
}

#[derive(Deserialize)]
enum Effect {
    Allow,
}

/// A list, or its one item: IAM takes both alike.
fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let list = if value.is_array() { value } else { Value::Array(vec![value]) };
    serde_json::from_value(list).map_err(serde::de::Error::custom)
}

/// `AWS::IAM::ManagedPolicy`. Whom it is attached to is said by the functions and roles alone.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Managed {
    #[serde(rename = "Description")]
    _description: Option<IgnoredAny>,
    policy_document: Value,
}

/// `AWS::IAM::Role`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Role {
    #[serde(rename = "AssumeRolePolicyDocument")]
    _assume_role_policy_document: IgnoredAny,
    #[serde(default)]
    managed_policy_arns: Vec<Value>,
    #[serde(default)]
    policies: Vec<Inline>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Inline {
    #[serde(rename = "PolicyName")]
    _policy_name: IgnoredAny,
    policy_document: Value,
}

/// The statements of one function.
pub(super) fn read(
    logical_id: &str,
    resources: &Map<String, Value>,
    scope: &Scope<'_>,
) -> Result<Vec<Statement>, TemplateError> {
    let policies = Policies { resources, scope };
    let path = join("Resources", logical_id);
    let property = |name| resources.get(logical_id).and_then(|function| function.get("Properties")?.get(name));
    match (property("Role"), property("Policies")) {
        (None, None) => Ok(Vec::new()),
        (None, Some(list)) => policies.of_function(list, &join(&path, "Properties.Policies")),
        (Some(role), None) => policies.of_role(role, &join(&path, "Properties.Role")),
        (Some(_), Some(_)) => Err(invalid(&path, "Policies grant nothing beside a Role")),
    }
}

struct Policies<'a> {
    resources: &'a Map<String, Value>,
    scope: &'a Scope<'a>,
}

impl Policies<'_> {
    fn of_function(&self, list: &Value, path: &str) -> Result<Vec<Statement>, TemplateError> {
        let list = list.as_array().ok_or_else(|| invalid(path, "it is not a list"))?;
        let policy = |(at, policy): (usize, &Value)| {
            let path = join(path, &at.to_string());
            match policy.get("Statement") {
                Some(_) => self.document(policy, &path),
                None => self.managed(policy, &path),
            }
        };
        all(list.iter().enumerate().map(policy))
    }

    fn of_role(&self, role: &Value, path: &str) -> Result<Vec<Statement>, TemplateError> {
        let name = match role.get("Fn::GetAtt").and_then(Value::as_array).map(Vec::as_slice) {
            Some([Value::String(name), Value::String(attribute)]) if attribute == "Arn" => name,
            _ => return Err(invalid(path, "only !GetAtt Role.Arn has a local meaning")),
        };
        let role: Role = self.resource(name, "AWS::IAM::Role", path)?;
        let at = join(&join("Resources", name), "Properties");
        let arns = join(&at, "ManagedPolicyArns");
        let managed = role.managed_policy_arns.iter().map(|arn| self.managed(arn, &arns));
        let inline = role.policies.iter().map(|inline| self.document(&inline.policy_document, &join(&at, "Policies")));
        all(managed.chain(inline))
    }

    /// A policy of this template, by reference. SAM's policy templates and those of AWS are not known here.
    fn managed(&self, reference: &Value, path: &str) -> Result<Vec<Statement>, TemplateError> {
        let name = reference.get("Ref").and_then(Value::as_str);
        let name =
            name.ok_or_else(|| invalid(path, "only statements and !Ref of a ManagedPolicy have a local meaning"))?;
        let managed: Managed = self.resource(name, "AWS::IAM::ManagedPolicy", path)?;
        self.document(&managed.policy_document, &join(&join("Resources", name), "Properties.PolicyDocument"))
    }

    fn resource<T: DeserializeOwned>(&self, name: &str, kind: &str, path: &str) -> Result<T, TemplateError> {
        let resource = self.resources.get(name).filter(|resource| resource["Type"] == kind);
        let resource = resource.ok_or_else(|| invalid(path, format!("there is no {kind} {name}")))?;
        typed(resource["Properties"].clone(), &join(&join("Resources", name), "Properties"))
    }

    fn document(&self, document: &Value, path: &str) -> Result<Vec<Statement>, TemplateError> {
        let document: Document = typed(self.scope.resolve(document, path)?, path)?;
        document.statement.into_iter().map(|allow| statement(allow, path)).collect()
    }
}

fn all(policies: impl Iterator<Item = Result<Vec<Statement>, TemplateError>>) -> Result<Vec<Statement>, TemplateError> {
    let statements: Result<Vec<_>, _> = policies.collect();
    Ok(statements?.into_iter().flatten().collect())
}

/// A resource that is no ARN (a name, by `!Ref`) would never match anything.
fn statement(allow: Allow, path: &str) -> Result<Statement, TemplateError> {
    if let Some(other) = allow.resource.iter().find(|resource| !resource.starts_with("arn:") && *resource != "*") {
        return Err(invalid(path, format!("the resource {other} is no ARN")));
    }
    Ok(Statement { actions: allow.action, resources: allow.resource })
}
