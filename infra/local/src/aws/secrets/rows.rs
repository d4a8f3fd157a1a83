//! The secrets' statements. Each runs inside a transaction of the caller.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{CURRENT, MAX_VERSIONS, PREVIOUS};
use crate::aws::AwsError;

/// A day in milliseconds: a version younger than it is never dropped.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// One secret without its values.
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) description: Option<String>,
    /// JSON list of `{Key, Value}`.
    pub(super) tags: String,
    pub(super) created_at: i64,
    pub(super) changed_at: i64,
    /// Set while the secret waits for its deletion.
    pub(super) deleted_at: Option<i64>,
}

/// One version of a secret.
pub(super) struct Version {
    pub(super) id: String,
    /// JSON: `{"SecretString": …}` or `{"SecretBinary": …}`.
    pub(super) value: String,
    pub(super) created_at: i64,
    /// In alphabetical order.
    pub(super) stages: Vec<String>,
}

/// Removes the secrets whose recovery window is over.
pub(super) fn purge(t: &Transaction<'_>, now: i64) -> Result<(), AwsError> {
    t.prepare_cached("DELETE FROM secrets WHERE delete_after <= ?1")?.execute([now])?;
    Ok(())
}

/// By name, ARN, or ARN without its random end.
pub(super) fn find(t: &Transaction<'_>, id: &str) -> Result<Option<Secret>, AwsError> {
    const COLUMNS: &str = "name, arn, description, tags, created_at, changed_at, deleted_at";
    // A name has no colon, an ARN begins with one part and a colon.
    let by = if id.starts_with("arn:") { "?1 IN (arn, substr(arn, 1, length(arn) - 7))" } else { "name = ?1" };
    let found =
        t.prepare_cached(&format!("SELECT {COLUMNS} FROM secrets WHERE {by}"))?.query_row([id], secret).optional()?;
    Ok(found)
}

fn secret(row: &Row<'_>) -> rusqlite::Result<Secret> {
    Ok(Secret {
        name: row.get(0)?,
        arn: row.get(1)?,
        description: row.get(2)?,
        tags: row.get(3)?,
        created_at: row.get(4)?,
        changed_at: row.get(5)?,
        deleted_at: row.get(6)?,
    })
}

pub(super) fn insert(t: &Transaction<'_>, secret: &Secret) -> Result<(), AwsError> {
    t.execute(
        "INSERT INTO secrets (name, arn, description, tags, created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![secret.name, secret.arn, secret.description, secret.tags, secret.created_at],
    )?;
    Ok(())
}

/// By name, after `after`, `limit` at most; those that wait for deletion only when `deleted`.
pub(super) fn list(t: &Transaction<'_>, after: &str, limit: u32, deleted: bool) -> Result<Vec<Secret>, AwsError> {
    let mut statement = t.prepare_cached(
        "SELECT name, arn, description, tags, created_at, changed_at, deleted_at FROM secrets
         WHERE name > ?1 AND (?3 OR deleted_at IS NULL) ORDER BY name LIMIT ?2",
    )?;
    let secrets = statement.query_map(params![after, limit, deleted], secret)?.collect::<Result<_, _>>()?;
    Ok(secrets)
}

/// `None` takes the secret back from its deletion; else it is kept until the second time.
pub(super) fn set_deletion(t: &Transaction<'_>, name: &str, deletion: Option<(i64, i64)>) -> Result<(), AwsError> {
    let (deleted_at, delete_after) = deletion.unzip();
    t.execute(
        "UPDATE secrets SET deleted_at = ?2, delete_after = ?3 WHERE name = ?1",
        params![name, deleted_at, delete_after],
    )?;
    Ok(())
}

pub(super) fn delete(t: &Transaction<'_>, name: &str) -> Result<(), AwsError> {
    t.execute("DELETE FROM secrets WHERE name = ?1", [name])?;
    Ok(())
}

/// All versions, the oldest first.
pub(super) fn versions(t: &Transaction<'_>, name: &str) -> Result<Vec<Version>, AwsError> {
    select_versions(t, name, None)
}

pub(super) fn version(t: &Transaction<'_>, name: &str, id: &str) -> Result<Option<Version>, AwsError> {
    Ok(select_versions(t, name, Some(id))?.pop())
}

fn select_versions(t: &Transaction<'_>, name: &str, id: Option<&str>) -> Result<Vec<Version>, AwsError> {
    let mut statement = t.prepare_cached(
        "SELECT id, value, created_at, (SELECT json_group_array(stage ORDER BY stage) FROM secret_stages
                                        WHERE secret = v.secret AND version = v.id)
         FROM secret_versions v WHERE secret = ?1 AND id = coalesce(?2, id) ORDER BY created_at, id",
    )?;
    let rows = statement.query_map(params![name, id], |row| {
        let stages: String = row.get(3)?;
        Ok((Version { id: row.get(0)?, value: row.get(1)?, created_at: row.get(2)?, stages: vec![] }, stages))
    })?;
    rows.map(|row| {
        let (version, stages) = row?;
        Ok(Version { stages: serde_json::from_str(&stages)?, ..version })
    })
    .collect()
}

/// The id of the version that carries `stage`.
pub(super) fn staged(t: &Transaction<'_>, name: &str, stage: &str) -> Result<Option<String>, AwsError> {
    let version = t
        .prepare_cached("SELECT version FROM secret_stages WHERE secret = ?1 AND stage = ?2")?
        .query_row([name, stage], |row| row.get(0))
        .optional()?;
    Ok(version)
}

/// Stores a version without labels.
///
/// # Errors
/// `LimitExceededException` when the secret has [`MAX_VERSIONS`] that may not be dropped.
pub(super) fn insert_version(t: &Transaction<'_>, name: &str, id: &str, value: &str, now: i64) -> Result<(), AwsError> {
    let count: i64 = t.query_row("SELECT count(*) FROM secret_versions WHERE secret = ?1", [name], |row| row.get(0))?;
    if count >= MAX_VERSIONS {
        let dropped = t.execute(
            "DELETE FROM secret_versions WHERE secret = ?1 AND created_at < ?2 AND NOT EXISTS
                 (SELECT 1 FROM secret_stages WHERE secret = ?1 AND version = secret_versions.id)",
            params![name, now - DAY],
        )?;
        if dropped == 0 {
            let message = "You have exceeded the maximum number of versions of this secret.";
            return Err(AwsError::refused("LimitExceededException", message));
        }
    }
    t.execute(
        "INSERT INTO secret_versions (secret, id, value, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![name, id, value, now],
    )?;
    touch(t, name, now)
}

/// Moves a label to a version. AWSPREVIOUS follows AWSCURRENT: it goes where that came from.
pub(super) fn move_stage(t: &Transaction<'_>, name: &str, stage: &str, to: &str, now: i64) -> Result<(), AwsError> {
    let from = staged(t, name, stage)?;
    set_stage(t, name, stage, to)?;
    if let Some(from) = from.filter(|from| stage == CURRENT && from != to) {
        set_stage(t, name, PREVIOUS, &from)?;
    }
    touch(t, name, now)
}

fn set_stage(t: &Transaction<'_>, name: &str, stage: &str, version: &str) -> Result<(), AwsError> {
    t.prepare_cached(
        "INSERT INTO secret_stages (secret, stage, version) VALUES (?1, ?2, ?3)
         ON CONFLICT (secret, stage) DO UPDATE SET version = excluded.version",
    )?
    .execute([name, stage, version])?;
    Ok(())
}

pub(super) fn remove_stage(t: &Transaction<'_>, name: &str, stage: &str, now: i64) -> Result<(), AwsError> {
    t.execute("DELETE FROM secret_stages WHERE secret = ?1 AND stage = ?2", [name, stage])?;
    touch(t, name, now)
}

fn touch(t: &Transaction<'_>, name: &str, now: i64) -> Result<(), AwsError> {
    t.prepare_cached("UPDATE secrets SET changed_at = ?2 WHERE name = ?1")?.execute(params![name, now])?;
    Ok(())
}
