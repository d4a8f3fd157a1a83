//! Logs: ours at the level asked for, our dependencies' never below `info`.
//!
//! At TRACE the AWS SDK, hyper and the Lambda runtime print requests, and so passwords, addresses and bodies. So the
//! level of `AWS_LAMBDA_LOG_LEVEL` (or `RUST_LOG`) holds for this crate and the functions alone, whatever it is.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Crates whose events may carry what callers sent.
const OTHERS: [&str; 14] = [
    "aws_config",
    "aws_credential_types",
    "aws_runtime",
    "aws_sdk_dynamodb",
    "aws_sdk_s3",
    "aws_sdk_secretsmanager",
    "aws_sdk_sqs",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "hyper",
    "hyper_util",
    "lambda_http",
    "lambda_runtime",
];

/// Installs the subscriber: JSON lines where Lambda asks for them, text otherwise.
#[allow(clippy::disallowed_methods)] // Lambda's own switches, read before settings are.
pub fn init() {
    let asked = |name| std::env::var(name).ok().and_then(|level: String| level.parse().ok());
    let level: LevelFilter = asked("AWS_LAMBDA_LOG_LEVEL").or_else(|| asked("RUST_LOG")).unwrap_or(LevelFilter::INFO);
    let quiet = level.min(LevelFilter::INFO);
    let mut filter = EnvFilter::new(format!("{quiet},shared={level}"));
    for function in [
        "authorize",
        "config",
        "deliver",
        "messages",
        "pull",
        "pull_worker",
        "schedule",
        "send",
        "test_email",
        "validate",
    ] {
        filter = add(filter, &format!("{function}={level}"));
    }
    for other in OTHERS {
        filter = add(filter, &format!("{other}={}", level.min(LevelFilter::WARN)));
    }
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).without_time();
    let json = std::env::var("AWS_LAMBDA_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    if json { subscriber.json().init() } else { subscriber.with_ansi(false).init() }
}

fn add(filter: EnvFilter, directive: &str) -> EnvFilter {
    match directive.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}
