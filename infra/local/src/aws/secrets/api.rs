//! The operations of Secrets Manager: names, defaults and error codes of the API reference.

use rusqlite::Transaction;
use serde_json::{Map, Value, json};

use super::CURRENT;
use super::requests::{Create, Delete, Filter, Get, Id, List, ListVersions, Put, Stage, parse};
use super::rows::{self, Secret, Version};
use crate::aws::{ACCOUNT, AwsError, REGION};

/// Days a deleted secret can be restored, when the request names none.
const RECOVERY_DAYS: i64 = 30;
/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Answers one operation inside the caller's transaction.
pub(super) fn handle(t: &Transaction<'_>, operation: &str, body: Value, now: i64) -> Result<Value, AwsError> {
    match operation {
        "CreateSecret" => create(t, parse(body)?, now),
        "GetSecretValue" => get_value(t, &parse(body)?),
        "PutSecretValue" => put_value(t, parse(body)?, now),
        "UpdateSecretVersionStage" => update_version_stage(t, &parse(body)?, now),
        "DescribeSecret" => describe(t, &parse(body)?),
        "DeleteSecret" => delete(t, &parse(body)?, now),
        "RestoreSecret" => restore(t, &parse(body)?),
        "ListSecrets" => list(t, &parse(body)?),
        "ListSecretVersionIds" => list_version_ids(t, &parse(body)?),
        _ => Err(AwsError::refused("UnknownOperationException", format!("{operation} is not emulated."))),
    }
}

fn create(t: &Transaction<'_>, request: Create, now: i64) -> Result<Value, AwsError> {
    let name = request.name;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
    if !(1..=512).contains(&name.len()) || !name.bytes().all(allowed) {
        let message =
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
        return Err(AwsError::refused("ValidationException", message));
    }
    let value = request.value.checked()?;
    let id = token(request.client_request_token)?;
    let secret = match rows::find(t, &name)? {
        Some(Secret { deleted_at: Some(_), .. }) => {
            let message =
                "You can't create this secret because a secret with this name is already scheduled for deletion.";
            return Err(invalid_request(message));
        }
        // The same request again is answered as the first time was.
        Some(found) if same_version(t, &found.name, &id, value.as_deref())? => found,
        Some(_) => {
            let message = format!("The operation failed because the secret {name} already exists.");
            return Err(AwsError::refused("ResourceExistsException", message));
        }
        None => {
            let secret = new_secret(&name, request.description, &request.tags, now);
            rows::insert(t, &secret)?;
            if let Some(value) = &value {
                rows::insert_version(t, &name, &id, value, now)?;
                rows::move_stage(t, &name, CURRENT, &id, now)?;
            }
            secret
        }
    };
    let mut answer = json!({ "ARN": secret.arn, "Name": secret.name });
    if value.is_some() {
        answer["VersionId"] = id.into();
    }
    Ok(answer)
}

fn new_secret(name: &str, description: Option<String>, tags: &[Value], now: i64) -> Secret {
    // AWS ends an ARN with six random characters, so that a new secret of an old name is another one.
    let random = uuid::Uuid::new_v4().simple().to_string();
    Secret {
        name: name.to_owned(),
        arn: format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{}", &random[..6]),
        description,
        tags: Value::from(tags).to_string(),
        created_at: now,
        changed_at: now,
        deleted_at: None,
    }
}

fn same_version(t: &Transaction<'_>, name: &str, id: &str, value: Option<&str>) -> Result<bool, AwsError> {
    Ok(rows::version(t, name, id)?.is_some_and(|version| Some(version.value.as_str()) == value))
}

/// The client request token becomes the version's id.
fn token(given: Option<String>) -> Result<String, AwsError> {
    match given {
        Some(token) if (32..=64).contains(&token.len()) => Ok(token),
        Some(_) => Err(invalid_parameter("ClientRequestToken must be 32-64 characters long.")),
        None => Ok(uuid::Uuid::new_v4().to_string()),
    }
}

fn get_value(t: &Transaction<'_>, request: &Get) -> Result<Value, AwsError> {
    let secret = living(t, &request.secret_id)?;
    let stage = request.version_stage.as_deref();
    let version = match (&request.version_id, stage) {
        (Some(id), None) => rows::version(t, &secret.name, id)?,
        (Some(id), Some(stage)) => rows::version(t, &secret.name, id)?.filter(|version| version.has(stage)),
        (None, stage) => match rows::staged(t, &secret.name, stage.unwrap_or(CURRENT))? {
            Some(id) => rows::version(t, &secret.name, &id)?,
            None => None,
        },
    };
    let Some(version) = version else {
        let wanted = match &request.version_id {
            Some(id) => format!("VersionId: {id}"),
            None => format!("staging label: {}", stage.unwrap_or(CURRENT)),
        };
        return Err(not_found(&format!("Secrets Manager can't find the specified secret value for {wanted}")));
    };
    let mut answer = json!({
        "ARN": secret.arn, "Name": secret.name, "VersionId": version.id, "VersionStages": version.stages,
        "CreatedDate": seconds(version.created_at),
    });
    for (member, value) in serde_json::from_str::<Map<String, Value>>(&version.value)? {
        answer[member] = value;
    }
    Ok(answer)
}

impl Version {
    fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|own| own == stage)
    }
}

fn put_value(t: &Transaction<'_>, request: Put, now: i64) -> Result<Value, AwsError> {
    let secret = living(t, &request.secret_id)?;
    let value = request.value.checked()?;
    let value = value.ok_or_else(|| invalid_parameter("You must provide either SecretString or SecretBinary."))?;
    let id = token(request.client_request_token)?;
    if let Some(stored) = rows::version(t, &secret.name, &id)? {
        if stored.value != value {
            let message = "A resource with the ID you requested already exists.";
            return Err(AwsError::refused("ResourceExistsException", message));
        }
        // A repeated request changes nothing: its labels may have moved on since.
        return Ok(put_answer(&secret, &stored));
    }
    rows::insert_version(t, &secret.name, &id, &value, now)?;
    let mut stages = request.version_stages.filter(|stages| !stages.is_empty()).unwrap_or_else(|| vec![CURRENT.into()]);
    if rows::staged(t, &secret.name, CURRENT)?.is_none() && !stages.iter().any(|stage| stage == CURRENT) {
        // The first version of a secret is its current one, whatever else it is.
        stages.push(CURRENT.into());
    }
    for stage in &stages {
        rows::move_stage(t, &secret.name, stage, &id, now)?;
    }
    Ok(put_answer(&secret, &Version { id, value, created_at: now, stages }))
}

fn put_answer(secret: &Secret, version: &Version) -> Value {
    json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": version.id, "VersionStages": version.stages })
}

/// Moves a label, or takes it away. The label's version must be named to be robbed of it: the compare-and-swap on
/// which two writers of one secret depend.
fn update_version_stage(t: &Transaction<'_>, request: &Stage, now: i64) -> Result<Value, AwsError> {
    let secret = living(t, &request.secret_id)?;
    let (name, stage) = (&secret.name, &request.version_stage);
    let holder = rows::staged(t, name, stage)?;
    let (from, to) = (&request.remove_from_version_id, &request.move_to_version_id);
    for id in [from, to].into_iter().flatten() {
        if rows::version(t, name, id)?.is_none() {
            return Err(not_found(&format!("Secrets Manager can't find the specified secret version: {id}")));
        }
    }
    let moves = holder.is_some() && holder != *to;
    if moves && from.is_none() {
        let holder = holder.unwrap_or_default();
        return Err(invalid_parameter(&format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version \
             {holder}, so you must explicitly reference that version in RemoveFromVersionId."
        )));
    }
    if from.is_some() && *from != holder {
        return Err(invalid_parameter(&format!(
            "When you move staging label {stage}, if you specify RemoveFromVersionId, it must be set to the version \
             that currently has the staging label {stage}."
        )));
    }
    match to {
        Some(to) => rows::move_stage(t, name, stage, to, now)?,
        None if stage == CURRENT => {
            let message = "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.";
            return Err(invalid_parameter(message));
        }
        None => rows::remove_stage(t, name, stage, now)?,
    }
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

fn describe(t: &Transaction<'_>, request: &Id) -> Result<Value, AwsError> {
    entry(t, &existing(t, &request.secret_id)?, "VersionIdsToStages")
}

/// A secret in words; the labels stand under another name in DescribeSecret than in ListSecrets.
fn entry(t: &Transaction<'_>, secret: &Secret, labels: &str) -> Result<Value, AwsError> {
    let versions = rows::versions(t, &secret.name)?;
    let stages: Map<String, Value> = versions
        .into_iter()
        .filter(|version| !version.stages.is_empty())
        .map(|version| (version.id, version.stages.into()))
        .collect();
    let mut answer = json!({
        "ARN": secret.arn, "Name": secret.name, labels: stages,
        "Tags": serde_json::from_str::<Value>(&secret.tags)?,
        "CreatedDate": seconds(secret.created_at), "LastChangedDate": seconds(secret.changed_at),
    });
    if let Some(description) = &secret.description {
        answer["Description"] = description.as_str().into();
    }
    if let Some(at) = secret.deleted_at {
        answer["DeletedDate"] = seconds(at);
    }
    Ok(answer)
}

fn delete(t: &Transaction<'_>, request: &Delete, now: i64) -> Result<Value, AwsError> {
    let days = request.recovery_window_in_days;
    let force = request.force_delete_without_recovery;
    if force && days.is_some() {
        let message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
        return Err(invalid_parameter(message));
    }
    let days = days.unwrap_or(RECOVERY_DAYS);
    if !(7..=30).contains(&days) {
        return Err(invalid_parameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."));
    }
    let secret = match rows::find(t, &request.secret_id)? {
        Some(secret) => secret,
        // By force, a secret that does not exist is deleted too: the caller may be repeating itself.
        None if force => new_secret(&request.secret_id, None, &[], now),
        None => {
            return Err(not_found("Secrets Manager can't find the specified secret."));
        }
    };
    let deletion = if force {
        rows::delete(t, &secret.name)?;
        now
    } else if secret.deleted_at.is_some() {
        return Err(marked_for_deletion());
    } else {
        let after = now + days * DAY;
        rows::set_deletion(t, &secret.name, Some((now, after)))?;
        after
    };
    Ok(json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": seconds(deletion) }))
}

fn restore(t: &Transaction<'_>, request: &Id) -> Result<Value, AwsError> {
    let secret = existing(t, &request.secret_id)?;
    rows::set_deletion(t, &secret.name, None)?;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

fn list(t: &Transaction<'_>, request: &List) -> Result<Value, AwsError> {
    let limit = page(request.max_results)?;
    if request.filters.iter().any(|filter| filter.key != "name") {
        return Err(invalid_parameter("Only the filter name is emulated."));
    }
    let matches = |secret: &Secret| {
        let any = |filter: &Filter| filter.values.iter().any(|value| secret.name.starts_with(value.as_str()));
        request.filters.iter().all(any)
    };
    // The whole table is read: filters apply before the page is cut, and a laptop's secrets are few.
    let after = request.next_token.as_deref().unwrap_or_default();
    let found = rows::list(t, after, u32::MAX, request.include_planned_deletion)?;
    let mut found: Vec<Secret> = found.into_iter().filter(matches).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let entries = found.iter().map(|secret| entry(t, secret, "SecretVersionsToStages"));
    let mut answer = json!({ "SecretList": entries.collect::<Result<Vec<_>, _>>()? });
    if let Some(last) = found.last().filter(|_| more) {
        answer["NextToken"] = last.name.as_str().into();
    }
    Ok(answer)
}

/// In one page: a secret has about a hundred versions at most.
fn list_version_ids(t: &Transaction<'_>, request: &ListVersions) -> Result<Value, AwsError> {
    let secret = existing(t, &request.secret_id)?;
    let versions: Vec<Value> = rows::versions(t, &secret.name)?
        .into_iter()
        .filter(|version| request.include_deprecated || !version.stages.is_empty())
        .map(|version| {
            json!({
                "VersionId": version.id, "VersionStages": version.stages, "CreatedDate": seconds(version.created_at),
            })
        })
        .collect();
    Ok(json!({ "ARN": secret.arn, "Name": secret.name, "Versions": versions }))
}

fn page(max_results: Option<u32>) -> Result<usize, AwsError> {
    match max_results.unwrap_or(100) {
        limit @ 1..=100 => Ok(limit as usize),
        _ => Err(invalid_parameter("MaxResults must be between 1 and 100.")),
    }
}

fn existing(t: &Transaction<'_>, id: &str) -> Result<Secret, AwsError> {
    rows::find(t, id)?.ok_or_else(|| not_found("Secrets Manager can't find the specified secret."))
}

/// One that does not wait for its deletion.
fn living(t: &Transaction<'_>, id: &str) -> Result<Secret, AwsError> {
    let secret = existing(t, id)?;
    if secret.deleted_at.is_some() { Err(marked_for_deletion()) } else { Ok(secret) }
}

fn marked_for_deletion() -> AwsError {
    invalid_request("You can't perform this operation on the secret because it was marked for deletion.")
}

fn not_found(message: &str) -> AwsError {
    AwsError::refused("ResourceNotFoundException", message)
}

fn invalid_request(message: &str) -> AwsError {
    AwsError::refused("InvalidRequestException", message)
}

pub(super) fn invalid_parameter(message: &str) -> AwsError {
    AwsError::refused("InvalidParameterException", message)
}

/// Secrets Manager writes times as seconds with a fraction.
fn seconds(milliseconds: i64) -> Value {
    // Exact: milliseconds of any year near ours are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let seconds = milliseconds as f64 / 1000.0;
    seconds.into()
}
