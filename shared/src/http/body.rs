//! Bodies: their limits, and JSON that says which field is wrong.

use serde::Deserializer;
use serde::de::{DeserializeOwned, Error as _, Visitor, value::Error as Asked};

use crate::model::{Code, FieldError, Problem};

/// Largest request body: 4.5 MB. API Gateway takes 10 MB, but Lambda hands over events of at most 6 MB, and a
/// binary body grows by a third on the way (base64).
pub const BODY_BYTES: usize = 4_718_592;

/// Largest body that we answer with; beyond it a presigned URL is given. Lambda's limit is 6 MB, base64 included.
pub const INLINE_ANSWER_BYTES: u64 = 4 << 20;

/// Refuses a body over [`BODY_BYTES`], naming the limit.
pub fn check_size(length: usize) -> Result<(), Problem> {
    if length <= BODY_BYTES {
        return Ok(());
    }
    Err(Problem::new(
        Code::BodyTooLarge,
        format!("the body has {length} bytes, the limit bodyBytes is {BODY_BYTES}; send large attachments by fileId"),
    ))
}

/// Reads a JSON body; an unknown field, a wrong type or a missing one is named by its JSON pointer.
pub fn json<T: DeserializeOwned>(content_type: Option<&str>, body: &[u8]) -> Result<T, Problem> {
    check_type(content_type)?;
    // Syntax first: what is no JSON at all is another problem than JSON of the wrong shape.
    serde_json::from_slice::<&serde_json::value::RawValue>(body)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body is no JSON: {error}")))?;
    if is_list(body) && T::deserialize(Asking).is_err_and(|asked| asked.to_string() == OBJECT) {
        return Err(Problem::invalid(vec![FieldError::new("", "invalid_value", OBJECT)]));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| Problem::invalid(vec![field_error(&error)]))
}

/// The same for JSON that was read already.
pub fn value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| Problem::invalid(vec![field_error(&error)]))
}

fn is_list(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Words where there should be an object.
const OBJECT: &str = "expected an object";

/// Asks a type what it is read from. Serde reads a struct from a list, too, field by field in the order of its
/// declaration: nobody who sends a list to one of our routes means that.
struct Asking;

impl<'de> Deserializer<'de> for Asking {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked::custom("anything"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked::custom(OBJECT))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// JSON types, `curl -d`'s default included: a newcomer's first call should not fail on a header.
fn check_type(content_type: Option<&str>) -> Result<(), Problem> {
    let kind =
        content_type.unwrap_or("application/json").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = kind.ends_with("/json")
        || kind.ends_with("+json")
        || kind == "application/x-www-form-urlencoded"
        || kind == "text/plain";
    if json {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, format!("{kind:?} is not taken here; send application/json")))
}

fn field_error(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let words = error.inner().to_string();
    // serde_json ends its words with " at line 1 column 42", which means nothing to somebody who sent an object.
    let detail = without_value(words.rsplit_once(" at line ").map_or(words.as_str(), |(head, _)| head));
    let mut pointer: String = error.path().iter().map(segment).collect();
    // Serde places an unknown field at its parent or at itself, depending on the container.
    if let Some(field) = named(&detail, "unknown field `") {
        if !pointer.ends_with(&format!("/{field}")) {
            pointer.push_str(&format!("/{field}"));
        }
        return FieldError::new(pointer, "unknown_field", detail);
    }
    if let Some(field) = named(&detail, "missing field `") {
        return FieldError::new(format!("{pointer}/{field}"), "missing", detail);
    }
    FieldError::new(pointer, "invalid_value", detail)
}

/// Serde's words without the value that they show: it may be a password that stands one level too high, or one that
/// was given as a number, and answers are logged by whoever calls.
fn without_value(words: &str) -> String {
    for start in ["invalid type: ", "invalid value: ", "unknown variant "] {
        let Some((found, expected)) = words.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected ")) else {
            continue;
        };
        let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
        // What a type is called here is nothing that a caller could know.
        let expected = if expected.starts_with("struct ") { "an object" } else { expected };
        return format!("{}, expected {expected}", format!("{start}{kind}").trim_end());
    }
    words.to_owned()
}

fn segment(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    }
}

fn named<'a>(detail: &'a str, start: &str) -> Option<&'a str> {
    detail.strip_prefix(start)?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::AccountInput;

    fn refused(body: &str) -> FieldError {
        json::<AccountInput>(Some("application/json"), body.as_bytes()).unwrap_err().errors.remove(0)
    }

    #[test]
    fn a_list_is_no_object() {
        for body in ["[]", " [1]", r#"["Name", "a@example.com", []]"#] {
            assert_eq!(refused(body), FieldError::new("", "invalid_value", OBJECT), "{body}");
        }
        assert!(json::<serde_json::Value>(None, b"[1]").is_ok() && json::<Vec<u8>>(None, b"[1]").is_ok());
        assert_eq!(refused("7").detail, "invalid type: integer, expected an object");
    }

    #[test]
    fn the_wrong_field_is_named() {
        let unknown = refused(r#"{"from":"a@example.com","smpt":{}}"#);
        assert_eq!((unknown.pointer.as_str(), unknown.code.as_str()), ("/smpt", "unknown_field"));
        let nested = refused(r#"{"from":"a@example.com","smtp":{"host":"h","port":1,"security":"tls","tls":true}}"#);
        assert_eq!((nested.pointer.as_str(), nested.code.as_str()), ("/smtp/tls", "unknown_field"));
        assert_eq!(
            refused(r#"{"from":"a@example.com","smtp":{"host":"h","port":70000,"security":"tls"}}"#).pointer,
            "/smtp/port"
        );
        let security = refused(r#"{"from":"a@example.com","smtp":{"host":"h","port":1,"security":"ssl"}}"#);
        assert_eq!(security.pointer, "/smtp/security");
        assert!(security.detail.contains("`tls`, `starttls`, `none`"), "{}", security.detail);
        assert_eq!(refused(r#"{"smtp":null}"#).pointer, "/from");
        assert_eq!(refused(r#"{"from":"a@example.com","identities":["a@example.com","b"]}"#).pointer, "/identities/1");
    }

    #[test]
    fn no_value_comes_back_least_of_all_a_password_in_the_wrong_place() {
        let server = |auth: &str| {
            let smtp = format!(r#"{{"host":"h","port":1,"security":"tls","auth":{auth}}}"#);
            refused(&format!(r#"{{"from":"a@example.com","smtp":{smtp}}}"#))
        };
        for auth in [
            r#""CANARY, expected \" nothing""#,
            r#"{"type":"CANARY"}"#,
            r#"{"type":"password","username":"u","password":["CANARY"]}"#,
            r#"{"type":"password","username":"u","password":4711}"#,
            r#"{"type":"password","username":{"CANARY":1},"password":"p"}"#,
        ] {
            let error = server(auth);
            assert!(error.pointer.starts_with("/smtp/auth"), "{error:?}");
            assert!(!error.detail.contains("CANARY") && !error.detail.contains("4711"), "{}", error.detail);
        }
        assert_eq!(
            without_value("invalid type: integer `4711`, expected a string"),
            "invalid type: integer, expected a string"
        );
        assert_eq!(without_value("missing field `from`"), "missing field `from`");
    }

    #[test]
    fn what_is_no_json_and_what_is_too_large_are_told_apart() {
        assert_eq!(json::<AccountInput>(None, b"{").unwrap_err().code, Code::MalformedJson);
        assert_eq!(json::<AccountInput>(Some("application/xml"), b"{}").unwrap_err().code, Code::UnsupportedMediaType);
        assert!(check_size(BODY_BYTES).is_ok());
        assert!(check_size(BODY_BYTES + 1).unwrap_err().detail.contains("4718592"));
    }
}
