//! The file `env` in the data directory: the functions' environment beside the service's address and token, one
//! `NAME=value` a line, for `cargo lambda watch --env-file`, for `source`, and for tests.

use std::collections::BTreeMap;

use crate::aws::{ACCESS_KEY, Endpoints, REGION, SECRET_KEY};

/// What every function needs to reach the embedded AWS and nothing else.
pub(crate) fn aws(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let Endpoints { dynamodb, services } = endpoints;
    let variables = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        // Without it an SDK that misses something asks the metadata service of a machine that is no EC2 instance.
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
        ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", dynamodb),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", services),
        ("AWS_ENDPOINT_URL_S3", services),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", services),
        ("AWS_ENDPOINT_URL_SQS", services),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The file's text.
pub(crate) fn render(variables: &BTreeMap<String, String>) -> String {
    variables.iter().map(|(name, value)| format!("{name}={}\n", quote(value))).collect()
}

/// Quotes for a shell, but only where one needs them: `cargo lambda` takes quotes literally.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=:,@%".contains(c);
    match value.chars().all(plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdks_find_every_service() {
        let endpoints =
            Endpoints { dynamodb: "http://127.0.0.1:9001".into(), services: "http://127.0.0.1:9002".into() };
        let expected = "\
AWS_ACCESS_KEY_ID=halfpenny
AWS_DEFAULT_REGION=us-east-1
AWS_EC2_METADATA_DISABLED=true
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:9001
AWS_ENDPOINT_URL_DYNAMODB_STREAMS=http://127.0.0.1:9001
AWS_ENDPOINT_URL_EVENTBRIDGE=http://127.0.0.1:9002
AWS_ENDPOINT_URL_S3=http://127.0.0.1:9002
AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:9002
AWS_ENDPOINT_URL_SQS=http://127.0.0.1:9002
AWS_REGION=us-east-1
AWS_SECRET_ACCESS_KEY=halfpenny-local
";
        assert_eq!(render(&aws(&endpoints)), expected);
    }

    #[test]
    fn values_that_a_shell_would_change_are_quoted() {
        for (value, expected) in [
            ("", ""),
            ("60,300", "60,300"),
            ("127.0.0.0/8,::1/128", "127.0.0.0/8,::1/128"),
            ("/a folder/ca.pem", "'/a folder/ca.pem'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
        ] {
            assert_eq!(quote(value), expected);
        }
    }

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let value = "it's $HOME; \"x\" `y` \\ #";
        let file = render(&BTreeMap::from([("V".to_owned(), value.to_owned())]));
        let script = format!("{file}printf %s \"$V\"");
        let output = std::process::Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }
}
