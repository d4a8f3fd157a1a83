//! IAM for the functions: what no policy of the template allows is refused, in the words of AWS and in the log.
//!
//! A function signs with an access key that names it ([`access_key`]), and every request is held to that function's
//! statements. All other keys may do everything, like an account's administrator: they belong to tests, tools and the
//! developer's shell, for which the template has no policy. Only S3 checks the signature, as before; the others take
//! the key's word for it. A presigned URL of S3 counts as its signer, with the rights the signer has when it is used.
//!
//! **Absent on purpose**: Deny, conditions and boundaries, which the template's reader refuses; policies of a resource
//! (the bucket's asks for TLS, which nothing has here); what Lambda itself does with a role (poll a queue, write logs).

pub(super) mod actions;

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::{ACCESS_KEY, ACCOUNT};

/// One statement with `Effect: Allow`. `*` and `?` in it are wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// `Action`: `dynamodb:GetItem`, in any case.
    pub actions: Vec<String>,
    /// `Resource`: ARNs.
    pub resources: Vec<String>,
}

/// An action on a resource, as a request needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// As IAM calls it: `s3:PutObject` for a part of a multipart upload too.
    pub(super) action: String,
    /// Its ARN; `*` where a request is about none.
    pub(super) resource: String,
}

/// A refusal, worded as AWS does.
#[derive(Debug, thiserror::Error)]
#[error(
    "User: arn:aws:sts::{}:assumed-role/{function}/{function} is not authorized to perform: {} on resource: {} \
     because no identity-based policy allows the {} action", ACCOUNT, need.action, need.resource, need.action
)]
pub(crate) struct Denied {
    function: String,
    need: Need,
}

/// What each function may do; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Policies(Arc<BTreeMap<String, Role>>);

#[derive(Debug)]
struct Role {
    function: String,
    statements: Vec<Statement>,
}

/// The access key of a function.
pub(crate) fn access_key(function: &str) -> String {
    format!("{ACCESS_KEY}-{function}")
}

/// The access key that a request is signed with, from its `Authorization`; empty without one.
pub(super) fn caller(headers: &HeaderMap) -> String {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = header.split_once("Credential=").map_or("", |(_, credential)| credential);
    credential.split('/').next().unwrap_or_default().to_owned()
}

impl Policies {
    /// The statements of every function, by its name.
    pub(super) fn new(functions: BTreeMap<String, Vec<Statement>>) -> Self {
        let role = |(function, statements): (String, _)| (access_key(&function), Role { function, statements });
        Self(Arc::new(functions.into_iter().map(role).collect()))
    }

    /// The keys of all functions.
    pub(super) fn access_keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether the caller may do all that a request needs.
    ///
    /// # Errors
    /// The first need that no statement covers; it is in the log already, where a developer looks for it.
    pub(super) fn check(&self, caller: &str, needs: impl IntoIterator<Item = Need>) -> Result<(), Denied> {
        let Some(Role { function, statements }) = self.0.get(caller) else {
            return Ok(());
        };
        for need in needs {
            if !statements.iter().any(|statement| statement.allows(&need)) {
                let Need { action, resource } = &need;
                tracing::error!(function, action, resource, "refused: no policy in infra/template.yaml allows it");
                return Err(Denied { function: function.clone(), need });
            }
        }
        Ok(())
    }
}

impl Statement {
    fn allows(&self, need: &Need) -> bool {
        let action = need.action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| matches(pattern.to_ascii_lowercase().as_bytes(), action.as_bytes()))
            && self.resources.iter().any(|pattern| matches(pattern.as_bytes(), need.resource.as_bytes()))
    }
}

/// `*` is any text, `?` any one byte of it.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        Some((wanted, rest)) => {
            let (first, text) = match text.split_first() {
                Some(split) => split,
                None => return false,
            };
            (*wanted == b'?' || wanted == first) && matches(rest, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies() -> Policies {
        let statement = |actions: &[&str], resources: &[&str]| Statement {
            actions: actions.iter().map(|&text| text.to_owned()).collect(),
            resources: resources.iter().map(|&text| text.to_owned()).collect(),
        };
        Policies::new(BTreeMap::from([(
            "send".to_owned(),
            vec![
                statement(&["s3:Get*"], &["arn:aws:s3:::b/t/*"]),
                statement(&["sqs:SendMessage"], &["arn:q1", "arn:q2"]),
            ],
        )]))
    }

    fn may(action: &str, resource: &str) -> bool {
        let need = Need { action: action.to_owned(), resource: resource.to_owned() };
        policies().check("halfpenny-send", [need]).is_ok()
    }

    #[test]
    fn a_function_may_what_a_statement_allows_on_its_resources_and_nothing_else() {
        assert!(may("s3:GetObject", "arn:aws:s3:::b/t/a/raw/1"));
        assert!(!may("s3:GetObject", "arn:aws:s3:::b/u/a"));
        assert!(!may("s3:GetObject", "arn:aws:s3:::b"));
        assert!(!may("s3:PutObject", "arn:aws:s3:::b/t/a"));
        assert!(may("sqs:sendmessage", "arn:q2"), "actions are the same in any case");
        assert!(!may("sqs:sendmessage", "arn:Q2"), "resources are not");
        assert!(!may("s3:GetObject", "arn:q1"), "action and resource of two statements do not add up");
    }

    #[test]
    fn every_need_of_a_request_must_be_allowed() {
        let need = |resource: &str| Need { action: "sqs:SendMessage".to_owned(), resource: resource.to_owned() };
        policies().check("halfpenny-send", [need("arn:q1"), need("arn:q2")]).unwrap();
        let denied = policies().check("halfpenny-send", [need("arn:q1"), need("arn:q3")]).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "User: arn:aws:sts::000000000000:assumed-role/send/send is not authorized to perform: sqs:SendMessage \
             on resource: arn:q3 because no identity-based policy allows the sqs:SendMessage action"
        );
        for administrator in ["halfpenny", "", "halfpenny-other"] {
            policies().check(administrator, [need("arn:q3")]).unwrap();
        }
    }

    #[test]
    fn the_caller_is_whose_key_signed() {
        let with = |value: &str| caller(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]));
        let signed = "AWS4-HMAC-SHA256 Credential=halfpenny-pull-worker/20260101/us-east-1/sqs/aws4_request, \
                      SignedHeaders=host, Signature=00";
        assert_eq!(with(signed), access_key("pull-worker"));
        assert_eq!(with("Bearer x"), "");
        assert_eq!(caller(&HeaderMap::new()), "");
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*b*d", "abcbd", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
