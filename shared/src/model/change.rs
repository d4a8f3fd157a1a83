//! What a caller wants of a stored message: other flags, another folder, no more of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FieldError, MessageId};

/// Longest folder name in bytes, as in an account's settings.
const FOLDER_BYTES: usize = 255;

/// A change of a stored message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MessageChange {
    /// Its flags.
    pub flags: Option<FlagsChange>,
    /// The folder to move it to: a name, or a special use such as `\Archive`.
    pub folder: Option<String>,
}

/// A change of flags: some more and some less, or these alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FlagsChange {
    /// These too: `\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, or keywords.
    pub add: Vec<String>,
    /// Not these.
    pub remove: Vec<String>,
    /// These alone; without `add` and `remove`.
    pub set: Option<Vec<String>>,
}

/// What became of a message that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The message.
    pub id: MessageId,
    /// It is no longer at the server.
    pub deleted: bool,
    /// The folder it was moved to instead.
    pub folder: Option<String>,
}

impl MessageChange {
    /// Checks what needs no server. All wrong fields are named at once.
    pub fn check(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        if self.folder.is_none() && self.flags.as_ref().is_none_or(FlagsChange::is_empty) {
            let detail =
                "name what is to change: {\"flags\": {\"add\": [\"\\\\Seen\"]}}, {\"folder\": \"Archive\"} or both";
            errors.push(FieldError::new("/flags", "missing", detail));
        }
        if let Some(flags) = &self.flags {
            flags.check(&mut errors);
        }
        let folder = self.folder.as_deref().unwrap_or("x");
        if folder.is_empty() || folder.len() > FOLDER_BYTES || folder.chars().any(char::is_control) {
            let detail = "the name of a folder: 1 to 255 bytes, no control characters";
            errors.push(FieldError::new("/folder", "invalid_value", detail));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl FlagsChange {
    fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.set.is_none()
    }

    fn check(&self, errors: &mut Vec<FieldError>) {
        if self.set.is_some() && !(self.add.is_empty() && self.remove.is_empty()) {
            errors.push(FieldError::new("/flags/set", "conflict", "give set alone, or add and remove"));
        }
        let set = self.set.as_deref().unwrap_or_default();
        for (name, flags) in [("add", self.add.as_slice()), ("remove", self.remove.as_slice()), ("set", set)] {
            let wrong =
                flags.iter().enumerate().filter(|(_, flag)| !is_flag(flag) || flag.eq_ignore_ascii_case(r"\Recent"));
            let detail = "a flag such as \\Seen, or a keyword of printable ASCII without blanks; not \\Recent";
            errors.extend(wrong.map(|(at, _)| FieldError::new(format!("/flags/{name}/{at}"), "invalid_value", detail)));
        }
    }

    /// These flags, changed.
    pub fn of(&self, flags: &[String]) -> Vec<String> {
        if let Some(set) = &self.set {
            return set.clone();
        }
        let has = |list: &[String], flag: &String| list.iter().any(|known| known.eq_ignore_ascii_case(flag));
        let mut changed: Vec<String> = flags.iter().filter(|flag| !has(&self.remove, flag)).cloned().collect();
        for flag in &self.add {
            if !has(&changed, flag) {
                changed.push(flag.clone());
            }
        }
        changed
    }
}

/// A flag is an atom, perhaps behind a backslash (RFC 3501 §9, `flag`).
pub fn is_flag(flag: &str) -> bool {
    let atom = flag.strip_prefix('\\').unwrap_or(flag);
    !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_graphic() && !br#"(){%*"\]"#.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(json: &str) -> Vec<String> {
        let change: MessageChange = serde_json::from_str(json).unwrap();
        change.check().err().unwrap_or_default().into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        assert_eq!(pointers(r#"{"flags": {"add": ["\\Seen", "$Label1"], "remove": ["x"]}, "folder": "A/B"}"#), [""; 0]);
        assert_eq!(pointers(r#"{"flags": {"set": []}}"#), [""; 0], "no flags at all");
        assert_eq!(pointers("{}"), ["/flags"]);
        assert_eq!(
            pointers(r#"{"flags": {"add": ["a b", "\\Recent"], "remove": ["("]}}"#),
            ["/flags/add/0", "/flags/add/1", "/flags/remove/0"]
        );
        assert_eq!(
            pointers(r#"{"flags": {"set": ["é"], "add": ["x"]}, "folder": ""}"#),
            ["/flags/set", "/flags/set/0", "/folder"]
        );
    }

    #[test]
    fn flags_are_changed_without_regard_to_case() {
        let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        let change = FlagsChange { add: flags(&["\\Seen", "a"]), remove: flags(&["\\FLAGGED"]), set: None };
        assert_eq!(change.of(&flags(&["\\Flagged", "A", "b"])), flags(&["A", "b", "\\Seen"]));
        assert_eq!(FlagsChange { set: Some(vec![]), ..change }.of(&flags(&["b"])), flags(&[]));
    }
}
