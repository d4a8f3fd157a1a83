//! What Qlik's actions answer (A5.5, A5.7): an attempt is 200 whether or not it succeeded.

use serde::Serialize;

use super::Reply;
use crate::model::{Problem, Verdict};

/// What came of connecting, or of sending.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    /// Whether it worked.
    success: bool,
    /// The server's words, or ours.
    message: String,
    /// Name, TCP, time-out or TLS (A5.5/31).
    connection_failed: bool,
    /// The basic reply code; absent where the server said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_response_code: Option<u16>,
    /// Ours beside it (A5.5/32): the enhanced code (RFC 3463), such as `2.6.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    enhanced_status_code: Option<String>,
}

/// The answer to an attempt that was made.
pub fn attempted(verdict: Verdict) -> Result<Reply, Problem> {
    Reply::ok(&Attempt {
        success: verdict.success,
        connection_failed: verdict.connection_failed,
        smtp_response_code: verdict.smtp_response_code,
        enhanced_status_code: verdict.smtp_response_code.and_then(|code| enhanced(code, &verdict.message)),
        message: verdict.message,
    })
}

/// The answer where nothing could be attempted.
pub fn unattempted(why: &str) -> Result<Reply, Problem> {
    Reply::ok(&Attempt {
        success: false,
        message: format!("the configuration is incomplete: {why}"),
        connection_failed: false,
        smtp_response_code: None,
        enhanced_status_code: None,
    })
}

/// A reply is written as its code, its enhanced code if it has one, and its text.
fn enhanced(code: u16, message: &str) -> Option<String> {
    let second = message.strip_prefix(&code.to_string())?.split_whitespace().next()?;
    let numbers: Vec<&str> = second.split('.').collect();
    let fits = numbers.len() == 3
        && numbers.iter().all(|number| (1..=3).contains(&number.len()))
        && second.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    fits.then(|| second.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A5.5/32.
    #[test]
    fn the_enhanced_code_stands_behind_the_basic_one() {
        assert_eq!(enhanced(250, "250 2.6.0 queued as 7").as_deref(), Some("2.6.0"));
        for (code, message) in
            [(250, "250 queued"), (250, "250"), (535, "250 2.6.0"), (220, "220 1.2.3.4 ready"), (220, "220 a.b.c")]
        {
            assert_eq!(enhanced(code, message), None, "{message}");
        }
    }
}
