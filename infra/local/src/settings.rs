//! Everything the local service reads from its environment, once. What is wrong is named, with what would be right.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use std::collections::BTreeMap;

use crate::template::parse_overrides;

/// The highest base port that leaves room for IMAPS at +993.
const MAX_PORT: u16 = u16::MAX - 993;
/// Loopback: the sandbox, and servers of the developer's own. Deployed, the default is none.
const LOCAL_NETS: &str = "127.0.0.0/8,::1/128";

/// The settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The folder that holds `infra/template.yaml`.
    pub(crate) root: PathBuf,
    /// `HALFPENNY_PORT`: the gateway's; the others lie at fixed distances above it. 0: every port is ephemeral.
    pub(crate) port: u16,
    /// `HALFPENNY_DATA`: all state.
    pub(crate) data: PathBuf,
    /// `HALFPENNY_TOKEN`: the operator's token, if it is not to be made up.
    pub(crate) token: Option<String>,
    /// `HALFPENNY_ALLOW_NETS`: CIDRs that hosts named by tenants may lie in.
    pub(crate) allow_nets: String,
    /// `HALFPENNY_CA_FILE`: further roots for mail servers, PEM.
    pub(crate) ca_file: Option<PathBuf>,
    /// `HALFPENNY_SANDBOX`: whether the sandbox mail server runs.
    pub(crate) sandbox: bool,
    /// `HALFPENNY_BUILD`: whether the functions are built first.
    pub(crate) build: bool,
    /// `HALFPENNY_PARAMETERS`: in place of the template's defaults.
    pub(crate) parameters: BTreeMap<String, String>,
    /// `HALFPENNY_SQS_COPIES`: how often SQS delivers a message at most.
    pub(crate) sqs_copies: u32,
    /// `RUST_LOG`: what the service itself logs.
    pub(crate) log: Option<String>,
    /// `AWS_LAMBDA_LOG_LEVEL`: what its functions log, as Lambda's own setting of that name has it.
    pub(crate) function_log: Option<String>,
    /// `CARGO`, set by `cargo run`.
    pub(crate) cargo: PathBuf,
}

/// A setting that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A variable has a value that is not accepted.
    #[error("{name}={value:?}: expected {expected}")]
    Value {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// The service was not started inside the project.
    #[error("there is no infra/template.yaml in {} or above it: start the service inside the project", .0.display())]
    NoProject(PathBuf),
    /// A variable is not text.
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
    /// The working directory is gone.
    #[error("no working directory: {0}")]
    NoFolder(String),
}

impl Settings {
    /// Reads the process environment.
    ///
    /// # Errors
    /// [`SettingsError`], one line each.
    pub(crate) fn from_env() -> Result<Self, SettingsError> {
        let here = std::env::current_dir().map_err(|error| SettingsError::NoFolder(error.to_string()))?;
        let root = project_root(&here).ok_or_else(|| SettingsError::NoProject(here.clone()))?;
        Self::read(root, |name| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(|value| value.into_string().map_err(|_| SettingsError::NotText(name))).transpose()
        })
    }

    /// Reads from `get`, which answers `None` for what is unset or empty.
    fn read(
        root: PathBuf,
        get: impl Fn(&'static str) -> Result<Option<String>, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let token = get("HALFPENNY_TOKEN")?.map(check_token).transpose()?;
        let ca_file = get("HALFPENNY_CA_FILE")?.map(check_ca_file).transpose()?;
        Ok(Self {
            port: get("HALFPENNY_PORT")?.map_or(Ok(9000), check_port)?,
            data: get("HALFPENNY_DATA")?.map_or_else(|| root.join(".halfpenny"), PathBuf::from),
            token,
            allow_nets: get("HALFPENNY_ALLOW_NETS")?.map_or(Ok(LOCAL_NETS.to_owned()), check_nets)?,
            ca_file,
            sandbox: switch("HALFPENNY_SANDBOX", get("HALFPENNY_SANDBOX")?)?,
            build: switch("HALFPENNY_BUILD", get("HALFPENNY_BUILD")?)?,
            parameters: get("HALFPENNY_PARAMETERS")?.map_or(Ok(BTreeMap::new()), check_parameters)?,
            sqs_copies: get("HALFPENNY_SQS_COPIES")?.map_or(Ok(1), check_copies)?,
            log: get("RUST_LOG")?,
            function_log: get("AWS_LAMBDA_LOG_LEVEL")?,
            cargo: get("CARGO")?.map_or_else(|| PathBuf::from("cargo"), PathBuf::from),
            root,
        })
    }
}

/// The nearest folder with a template, upwards: `cargo run` works anywhere in the project.
fn project_root(here: &Path) -> Option<PathBuf> {
    let found = here.ancestors().find(|folder| folder.join("infra/template.yaml").is_file());
    found.map(Path::to_owned)
}

fn wrong(name: &'static str, value: impl Into<String>, expected: impl Into<String>) -> SettingsError {
    SettingsError::Value { name, value: value.into(), expected: expected.into() }
}

fn check_port(value: String) -> Result<u16, SettingsError> {
    let port = value.parse().ok().filter(|port| *port <= MAX_PORT);
    let expected = format!("a number from 0 (any free ports) to {MAX_PORT} (IMAPS is at +993)");
    port.ok_or_else(|| wrong("HALFPENNY_PORT", value, expected))
}

/// RFC 6750 §2.1: the characters of a bearer token, none of which mean anything to a shell.
fn check_token(value: String) -> Result<String, SettingsError> {
    let bytes = value.trim_end_matches('=').bytes();
    if !value.starts_with('=') && bytes.into_iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b)) {
        return Ok(value);
    }
    // The value stays out of the message: it is a secret.
    let expected = "letters, digits and -._~+/ with = at the end only (RFC 6750)";
    Err(wrong("HALFPENNY_TOKEN", "…", expected))
}

fn check_nets(value: String) -> Result<String, SettingsError> {
    match value.split(',').all(is_network) {
        true => Ok(value),
        false => {
            Err(wrong("HALFPENNY_ALLOW_NETS", value, format!("networks with commas between them, as in {LOCAL_NETS}")))
        }
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let Ok(bits) = bits.parse::<u8>() else {
        return false;
    };
    match address.parse() {
        Ok(IpAddr::V4(_)) => bits <= 32,
        Ok(IpAddr::V6(_)) => bits <= 128,
        Err(_) => false,
    }
}

fn check_ca_file(value: String) -> Result<PathBuf, SettingsError> {
    match std::fs::read_to_string(&value) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(PathBuf::from(value)),
        Ok(_) => Err(wrong("HALFPENNY_CA_FILE", value, "certificates in PEM form")),
        Err(error) => {
            Err(wrong("HALFPENNY_CA_FILE", value, format!("a readable file of certificates in PEM form ({error})")))
        }
    }
}

fn switch(name: &'static str, value: Option<String>) -> Result<bool, SettingsError> {
    match value.as_deref() {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => Err(wrong(name, other, "on or off")),
    }
}

fn check_copies(value: String) -> Result<u32, SettingsError> {
    let copies = value.parse().ok().filter(|copies| (1..=10).contains(copies));
    copies.ok_or_else(|| wrong("HALFPENNY_SQS_COPIES", value, "a number from 1 to 10"))
}

fn check_parameters(value: String) -> Result<BTreeMap<String, String>, SettingsError> {
    // A parameter may be a secret: the message has the names only.
    parse_overrides(&value)
        .map_err(|error| wrong("HALFPENNY_PARAMETERS", "…", format!("Name=Value Name=Value ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&'static str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(PathBuf::from("/project"), |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    fn refusal(name: &'static str, value: &str) -> String {
        read(&[(name, value)]).unwrap_err().to_string()
    }

    #[test]
    fn everything_has_a_default() {
        let expected = Settings {
            root: PathBuf::from("/project"),
            port: 9000,
            data: PathBuf::from("/project/.halfpenny"),
            token: None,
            allow_nets: "127.0.0.0/8,::1/128".to_owned(),
            ca_file: None,
            sandbox: true,
            build: true,
            parameters: BTreeMap::new(),
            sqs_copies: 1,
            log: None,
            function_log: None,
            cargo: PathBuf::from("cargo"),
        };
        assert_eq!(read(&[]), Ok(expected));
    }

    #[test]
    fn everything_can_be_set() {
        let settings = read(&[
            ("HALFPENNY_PORT", "0"),
            ("HALFPENNY_DATA", "state"),
            ("HALFPENNY_TOKEN", "hp_a-b.c~d+e/f=="),
            ("HALFPENNY_ALLOW_NETS", "10.0.0.0/8,fd00::/8"),
            ("HALFPENNY_SANDBOX", "off"),
            ("HALFPENNY_BUILD", "off"),
            ("HALFPENNY_PARAMETERS", "LeaseSeconds=2 TickRate=\"rate(1 second)\""),
            ("HALFPENNY_SQS_COPIES", "3"),
            ("RUST_LOG", "trace"),
            ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
            ("CARGO", "/rust/cargo"),
        ])
        .unwrap();
        assert_eq!((settings.port, settings.sandbox, settings.build), (0, false, false));
        assert_eq!(settings.data, PathBuf::from("state"));
        assert_eq!(settings.token.as_deref(), Some("hp_a-b.c~d+e/f=="));
        assert_eq!(settings.allow_nets, "10.0.0.0/8,fd00::/8");
        assert_eq!(settings.parameters["LeaseSeconds"], "2");
        assert_eq!(settings.parameters["TickRate"], "rate(1 second)");
        assert_eq!(settings.sqs_copies, 3);
        assert_eq!(settings.log.as_deref(), Some("trace"));
        assert_eq!(settings.function_log.as_deref(), Some("DEBUG"));
        assert_eq!(settings.cargo, PathBuf::from("/rust/cargo"));
    }

    #[test]
    fn ports_leave_room_for_those_above() {
        assert_eq!(read(&[("HALFPENNY_PORT", "64542")]).unwrap().port, 64542);
        for port in ["64543", "70000", "-1", "http", "9000 "] {
            let expected = format!(
                "HALFPENNY_PORT={port:?}: expected a number from 0 (any free ports) to 64542 (IMAPS is at +993)"
            );
            assert_eq!(refusal("HALFPENNY_PORT", port), expected);
        }
    }

    #[test]
    fn a_token_that_cannot_be_a_bearer_token_is_refused_and_not_repeated() {
        for token in ["two words", "a=b", "=x", "quo'te", "dollar$", "ünicode"] {
            let text = refusal("HALFPENNY_TOKEN", token);
            assert!(text.starts_with("HALFPENNY_TOKEN=") && !text.contains(token), "{text}");
        }
    }

    #[test]
    fn other_wrong_values_say_what_is_right() {
        for (name, value, expected) in [
            ("HALFPENNY_SANDBOX", "no", r#"HALFPENNY_SANDBOX="no": expected on or off"#),
            ("HALFPENNY_BUILD", "0", r#"HALFPENNY_BUILD="0": expected on or off"#),
            ("HALFPENNY_SQS_COPIES", "0", r#"HALFPENNY_SQS_COPIES="0": expected a number from 1 to 10"#),
        ] {
            assert_eq!(refusal(name, value), expected);
        }
        for nets in ["10.0.0.0", "10.0.0.0/33", "::/129", "local/8", "10.0.0.0/8;::1/128"] {
            assert!(refusal("HALFPENNY_ALLOW_NETS", nets).contains("as in 127.0.0.0/8,::1/128"));
        }
        assert!(refusal("HALFPENNY_CA_FILE", "/nowhere/ca.pem").contains("a readable file"));
        assert!(refusal("HALFPENNY_CA_FILE", "/proc/self/status").contains("PEM"));
        assert!(refusal("HALFPENNY_PARAMETERS", "novalue").contains("Name=Value"));
    }

    #[test]
    fn the_project_is_found_from_any_folder_in_it() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = here.parent().and_then(Path::parent).unwrap();
        assert_eq!(project_root(&here.join("src")).as_deref(), Some(project));
        assert_eq!(project_root(Path::new("/")), None);
    }
}
