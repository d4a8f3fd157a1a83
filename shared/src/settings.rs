//! What the template hands to every function, read once at the start: the only reader of the environment.
//!
//! There are no defaults here: `infra/template.yaml` sets every variable, and a default in two places is one too many.

use std::{path::PathBuf, str::FromStr, time::Duration};

use crate::model::Tenant;

/// Everything that differs between stages, typed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The DynamoDB table (`HALFPENNY_TABLE`).
    pub table: String,
    /// The S3 bucket (`HALFPENNY_BUCKET`).
    pub bucket: String,
    /// URL of the queue of messages to deliver (`HALFPENNY_DELIVER_QUEUE`).
    pub deliver_queue: String,
    /// URL of the queue of mailboxes to pull (`HALFPENNY_PULL_QUEUE`).
    pub pull_queue: String,
    /// URL of the queue of events to tell webhooks (`HALFPENNY_WEBHOOK_QUEUE`).
    pub webhook_queue: String,
    /// URL of the queue for changes that cannot be announced (`HALFPENNY_NOTIFY_DEAD_LETTERS`).
    pub notify_dead_letters: String,
    /// Name of the event bus (`HALFPENNY_EVENT_BUS`).
    pub event_bus: String,
    /// SHA-256 of the operator's token, lower-case hex; none: there is no such token (`HALFPENNY_ROOT_TOKEN_SHA256`).
    pub root_token_sha256: Option<String>,
    /// The tenant of the operator's token (`HALFPENNY_ROOT_TENANT`).
    pub root_tenant: Tenant,
    /// Private networks that tenant-given hosts may reach, a comma list that [`crate::net::Egress`] reads
    /// (`HALFPENNY_ALLOW_NETS`).
    pub allow_nets: String,
    /// Ports of the local host's own services, which no tenant may reach; read from the endpoints that the AWS SDK
    /// uses (`AWS_ENDPOINT_URL_*`), so that there are none on AWS.
    pub own_ports: Vec<u16>,
    /// PEM file with roots beside the public ones (`HALFPENNY_CA_FILE`).
    pub ca_file: Option<PathBuf>,
    /// How long a pull or a delivery owns its mailbox or message (`HALFPENNY_LEASE_SECONDS`).
    pub lease_seconds: u32,
    /// Waits between delivery attempts; the last one repeats (`HALFPENNY_BACKOFF_SECONDS`).
    pub backoff_seconds: Vec<u32>,
    /// Pauses after refused logins in a row; the last one repeats (`HALFPENNY_LOGIN_PAUSE_SECONDS`).
    pub login_pause_seconds: Vec<u32>,
    /// Rests of the schedule after troubles of a receiving server, each soon behind the one before; the last one repeats
    /// (`HALFPENNY_TROUBLE_SECONDS`).
    pub trouble_seconds: Vec<u32>,
    /// A deferred message fails for good when it is this old (`HALFPENNY_EXPIRE_SECONDS`).
    pub expire_seconds: u32,
    /// Longest life of a secret in memory (`HALFPENNY_SECRET_CACHE_SECONDS`).
    pub secret_cache_seconds: u32,
    /// Distance of two ticks of the schedule (`HALFPENNY_TICK_SECONDS`).
    pub tick_seconds: u32,
    /// How long a message may be in the queue before it is handed on again.
    pub queued_seconds: u32,
    /// Smallest `poll.minSeconds` that an account may ask for (`HALFPENNY_MIN_POLL_SECONDS`).
    pub min_poll_seconds: u32,
    /// Every HTTP answer leaves within this time (`HALFPENNY_HTTP_BUDGET_SECONDS`).
    pub http_budget: Duration,
    /// An inline send begins no DATA after this time (`HALFPENNY_INLINE_DATA_SECONDS`).
    pub inline_data: Duration,
    /// A probe's whole budget (`HALFPENNY_PROBE_SECONDS`).
    pub probe: Duration,
    /// Name, TCP, greeting and TLS of a mail server together (`HALFPENNY_CONNECT_SECONDS`).
    pub connect: Duration,
    /// Any single reply of a mail server (`HALFPENNY_REPLY_SECONDS`).
    pub reply: Duration,
    /// How long one mailbox of many may take before it is left to an invocation of its own
    /// (`HALFPENNY_MAILBOX_SECONDS`).
    pub mailbox: Duration,
    /// The reply to a message's final dot (`HALFPENNY_DOT_SECONDS`).
    pub dot: Duration,
    /// How long a tenant's webhooks are kept in memory (`HALFPENNY_WEBHOOK_CACHE_SECONDS`).
    pub webhook_cache_seconds: u32,
    /// How long a webhook's receiver may take (`HALFPENNY_WEBHOOK_REPLY_SECONDS`).
    pub webhook_reply: Duration,
    /// Waits between the tries of a webhook; the last one repeats (`HALFPENNY_WEBHOOK_BACKOFF_SECONDS`).
    pub webhook_backoff_seconds: Vec<u32>,
    /// A delivery is given up when it has been tried for this long (`HALFPENNY_WEBHOOK_EXPIRE_SECONDS`).
    pub webhook_expire_seconds: u32,
    /// A webhook where nothing arrives for this long is switched off (`HALFPENNY_WEBHOOK_FAILING_SECONDS`).
    pub webhook_failing_seconds: u32,
}

/// A variable that is missing or wrong. The value is not shown: it may be a secret put into the wrong variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {variable}: {wanted}")]
pub struct SettingsError {
    /// Its name.
    pub variable: &'static str,
    /// What it should hold.
    pub wanted: &'static str,
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names the first variable that is missing or wrong.
    #[allow(clippy::disallowed_methods)] // the one reader that the lint sends everybody else to
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads from any source of variables.
    ///
    /// # Errors
    /// Names the first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let source = Source(lookup);
        let seconds = |name| source.parsed::<u32>(name, "a number of seconds");
        let duration = |name| seconds(name).map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Self {
            table: source.text("HALFPENNY_TABLE", "the name of the DynamoDB table")?,
            bucket: source.text("HALFPENNY_BUCKET", "the name of the S3 bucket")?,
            deliver_queue: source.text("HALFPENNY_DELIVER_QUEUE", "the URL of an SQS queue")?,
            pull_queue: source.text("HALFPENNY_PULL_QUEUE", "the URL of an SQS queue")?,
            webhook_queue: source.text("HALFPENNY_WEBHOOK_QUEUE", "the URL of an SQS queue")?,
            notify_dead_letters: source.text("HALFPENNY_NOTIFY_DEAD_LETTERS", "the URL of an SQS queue")?,
            event_bus: source.text("HALFPENNY_EVENT_BUS", "the name of an event bus")?,
            root_token_sha256: source.root_token("HALFPENNY_ROOT_TOKEN_SHA256")?,
            root_tenant: source.root_tenant("HALFPENNY_ROOT_TENANT")?,
            allow_nets: source.optional("HALFPENNY_ALLOW_NETS").unwrap_or_default(),
            own_ports: source.own_ports(),
            ca_file: source.optional("HALFPENNY_CA_FILE").map(PathBuf::from),
            lease_seconds: seconds("HALFPENNY_LEASE_SECONDS")?,
            backoff_seconds: source.backoff("HALFPENNY_BACKOFF_SECONDS")?,
            login_pause_seconds: source.backoff("HALFPENNY_LOGIN_PAUSE_SECONDS")?,
            trouble_seconds: source.backoff("HALFPENNY_TROUBLE_SECONDS")?,
            expire_seconds: seconds("HALFPENNY_EXPIRE_SECONDS")?,
            secret_cache_seconds: seconds("HALFPENNY_SECRET_CACHE_SECONDS")?,
            tick_seconds: seconds("HALFPENNY_TICK_SECONDS")?,
            queued_seconds: seconds("HALFPENNY_QUEUED_SECONDS")?,
            min_poll_seconds: seconds("HALFPENNY_MIN_POLL_SECONDS")?,
            http_budget: duration("HALFPENNY_HTTP_BUDGET_SECONDS")?,
            inline_data: duration("HALFPENNY_INLINE_DATA_SECONDS")?,
            probe: duration("HALFPENNY_PROBE_SECONDS")?,
            connect: duration("HALFPENNY_CONNECT_SECONDS")?,
            reply: duration("HALFPENNY_REPLY_SECONDS")?,
            mailbox: duration("HALFPENNY_MAILBOX_SECONDS")?,
            dot: duration("HALFPENNY_DOT_SECONDS")?,
            webhook_cache_seconds: seconds("HALFPENNY_WEBHOOK_CACHE_SECONDS")?,
            webhook_reply: duration("HALFPENNY_WEBHOOK_REPLY_SECONDS")?,
            webhook_backoff_seconds: source.backoff("HALFPENNY_WEBHOOK_BACKOFF_SECONDS")?,
            webhook_expire_seconds: seconds("HALFPENNY_WEBHOOK_EXPIRE_SECONDS")?,
            webhook_failing_seconds: seconds("HALFPENNY_WEBHOOK_FAILING_SECONDS")?,
        })
    }
}

/// Where variables come from.
struct Source<F>(F);

impl<F: Fn(&str) -> Option<String>> Source<F> {
    fn optional(&self, variable: &'static str) -> Option<String> {
        (self.0)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn text(&self, variable: &'static str, wanted: &'static str) -> Result<String, SettingsError> {
        self.optional(variable).ok_or(SettingsError { variable, wanted })
    }

    fn parsed<T: FromStr>(&self, variable: &'static str, wanted: &'static str) -> Result<T, SettingsError> {
        self.text(variable, wanted)?.parse().map_err(|_| SettingsError { variable, wanted })
    }

    fn list<T: FromStr>(&self, variable: &'static str, wanted: &'static str) -> Result<Vec<T>, SettingsError> {
        let text = self.optional(variable).unwrap_or_default();
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map_err(|_| SettingsError { variable, wanted })
    }

    fn own_ports(&self) -> Vec<u16> {
        const ENDPOINTS: [&str; 7] = [
            "AWS_ENDPOINT_URL_DYNAMODB",
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
            "AWS_ENDPOINT_URL_EVENTBRIDGE",
            "AWS_ENDPOINT_URL_S3",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            "AWS_ENDPOINT_URL_SQS",
            "AWS_LAMBDA_RUNTIME_API",
        ];
        let port = |name| url::Url::parse(&self.optional(name)?).ok()?.port();
        ENDPOINTS.into_iter().filter_map(port).collect()
    }

    fn backoff(&self, variable: &'static str) -> Result<Vec<u32>, SettingsError> {
        const WANTED: &str = "numbers of seconds such as 60,300,900";
        let waits = self.list(variable, WANTED)?;
        if waits.is_empty() { Err(SettingsError { variable, wanted: WANTED }) } else { Ok(waits) }
    }

    fn root_tenant(&self, variable: &'static str) -> Result<Tenant, SettingsError> {
        const WANTED: &str = "a tenant: 1 to 60 of a-z, 0-9 and '-'";
        Tenant::new(self.text(variable, WANTED)?).map_err(|_| SettingsError { variable, wanted: WANTED })
    }

    fn root_token(&self, variable: &'static str) -> Result<Option<String>, SettingsError> {
        let Some(hash) = self.optional(variable) else {
            return Ok(None);
        };
        let hash = hash.to_ascii_lowercase();
        if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Some(hash))
        } else {
            Err(SettingsError { variable, wanted: "64 hex digits (SHA-256 of the operator's token), or empty" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        Some(match name {
            "HALFPENNY_ROOT_TOKEN_SHA256" => "AB".repeat(32),
            "HALFPENNY_ROOT_TENANT" => "local".into(),
            "HALFPENNY_ALLOW_NETS" => "127.0.0.0/8, ::1/128".into(),
            "HALFPENNY_BACKOFF_SECONDS" => "60,300".into(),
            "HALFPENNY_CA_FILE" => String::new(),
            name if name.ends_with("_SECONDS") => "7".into(),
            name => name.to_lowercase(),
        })
    }

    #[test]
    fn reads_every_variable() {
        let settings = Settings::read(variable).unwrap();
        assert_eq!(settings.table, "halfpenny_table");
        assert_eq!(settings.root_token_sha256, Some("ab".repeat(32)));
        assert_eq!(settings.allow_nets, "127.0.0.0/8, ::1/128");
        assert_eq!(settings.backoff_seconds, [60, 300]);
        assert_eq!(settings.ca_file, None);
        assert_eq!((settings.lease_seconds, settings.probe), (7, Duration::from_secs(7)));
    }

    #[test]
    fn names_what_is_missing_and_never_shows_a_value() {
        for missing in [
            "HALFPENNY_TABLE",
            "HALFPENNY_PULL_QUEUE",
            "HALFPENNY_REPLY_SECONDS",
            "HALFPENNY_BACKOFF_SECONDS",
            "HALFPENNY_ROOT_TENANT",
        ] {
            let error = Settings::read(|name| variable(name).filter(|_| name != missing)).unwrap_err();
            assert_eq!(error.variable, missing);
        }
        for (wrong, value) in [
            ("HALFPENNY_LEASE_SECONDS", "-1"),
            ("HALFPENNY_BACKOFF_SECONDS", "60;300"),
            ("HALFPENNY_ROOT_TOKEN_SHA256", "secret"),
            ("HALFPENNY_ROOT_TENANT", "Not A Tenant"),
        ] {
            let error =
                Settings::read(|name| if name == wrong { Some(value.into()) } else { variable(name) }).unwrap_err();
            assert_eq!(error.variable, wrong);
            assert!(error.to_string().contains(wrong) && !error.to_string().contains(value), "{error}");
        }
    }

    #[test]
    fn may_do_without_what_may_be_empty() {
        let optional = ["HALFPENNY_ALLOW_NETS", "HALFPENNY_CA_FILE", "HALFPENNY_ROOT_TOKEN_SHA256"];
        let settings = Settings::read(|name| variable(name).filter(|_| !optional.contains(&name))).unwrap();
        assert!(settings.allow_nets.is_empty() && settings.ca_file.is_none() && settings.root_token_sha256.is_none());
    }
}
