//! What a subject is about, without what mail programs put before it (RFC 5256 §2.1, and what they really write).

/// Words for "answer" and "forward" before a colon, in the languages of common mail programs.
const PREFIXES: [&str; 36] = [
    "re",
    "fw",
    "fwd", // English, and the RFC
    "aw",
    "wg",
    "antwort", // German
    "sv",
    "vs",
    "vb",
    "vl", // Scandinavian
    "antw",
    "doorst", // Dutch
    "tr",
    "réf",
    "ref", // French
    "rv",
    "res",
    "enc", // Spanish, Portuguese
    "r",
    "i",
    "rif", // Italian
    "odp",
    "pd", // Polish
    "ynt",
    "ilt", // Turkish
    "atb", // Welsh
    "отв",
    "пересл",
    "на", // Russian
    "回复",
    "答复",
    "转发",
    "回覆",
    "轉寄", // Chinese
    "返信",
    "転送", // Japanese
];

/// Longest such word with its counter, in bytes.
const MAX_PREFIX: usize = 24;

/// The base of a subject, in lower case and with single blanks, and whether it says that it is an answer or passed on.
pub fn base_subject(subject: &str) -> (String, bool) {
    let folded = subject.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut rest, mut answers) = (folded.as_str(), false);
    loop {
        if let Some(shorter) = rest.strip_suffix("(fwd)") {
            (rest, answers) = (shorter.trim_end(), true);
        } else if let Some(behind) = behind_prefix(rest) {
            (rest, answers) = (behind, true);
        } else if let Some(behind) = behind_blob(rest) {
            rest = behind;
        } else {
            return (rest.to_owned(), answers);
        }
    }
}

/// Behind `re:`, `aw:`, `re[2]:`, `re (2) :` or `回复：`.
fn behind_prefix(text: &str) -> Option<&str> {
    let (at, colon) = text.char_indices().find(|(_, c)| matches!(c, ':' | '：'))?;
    let head = text.get(..at).filter(|head| head.len() <= MAX_PREFIX)?;
    let word = head.trim_end_matches(|c: char| c.is_ascii_digit() || "[]()^ ".contains(c));
    PREFIXES.contains(&word).then(|| text.get(at + colon.len_utf8()..).unwrap_or_default().trim_start())
}

/// Behind the name of a mailing list, `[name]`, unless that is all.
fn behind_blob(text: &str) -> Option<&str> {
    let (_, behind) = text.strip_prefix('[')?.split_once(']')?;
    Some(behind.trim_start()).filter(|behind| !behind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mail_programs_put_before_a_subject_is_taken_off() {
        for answer in [
            "Re: Invoice 7",
            "RE : invoice  7",
            "AW: WG: Invoice 7",
            "Re[2]: Invoice 7",
            "Re (3): Invoice 7",
            "RE^2: Invoice 7",
            "[list] Re: Invoice 7",
            "Re: [list] Invoice 7",
            "Fwd: [list] Re: Invoice 7 (fwd)",
            "SV: VS: TR: RV: Odp: YNT: Invoice 7",
            "回复：Invoice 7",
            "Отв: Invoice 7",
        ] {
            assert_eq!(base_subject(answer), ("invoice 7".to_owned(), true), "{answer}");
        }
        for (subject, base) in [
            ("Invoice 7", "invoice 7"),
            ("[list] Invoice 7", "invoice 7"),
            ("[x]", "[x]"),
            ("Note: remember", "note: remember"),
            ("Reply to me", "reply to me"),
            ("10:30 works", "10:30 works"),
            ("", ""),
        ] {
            assert_eq!(base_subject(subject), (base.to_owned(), false), "{subject}");
        }
        assert_eq!(base_subject("Re:"), (String::new(), true));
        let long = "re:".repeat(100_000);
        assert_eq!(base_subject(&long), (String::new(), true));
    }
}
