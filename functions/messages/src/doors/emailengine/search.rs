//! EmailEngine's search: its terms, as far as the index of words and the rows can answer them.

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::http::{Call, Reply};
use shared::model::{FieldError, Message, Problem, Timestamp};
use shared::ops::Tools;
use shared::ops::search::Query;
use shared::store::Range;

use super::{has, hits, incoming, page_of, paged, shown, wanted};

/// Most candidates that one search looks at where flags or sizes are asked for, which no index knows.
const SCANNED: usize = 2000;

/// What is searched for: EmailEngine's terms, of which those of IMAP that are about places in a mailbox are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    from: Option<String>,
    to: Option<String>,
    cc: Option<String>,
    subject: Option<String>,
    body: Option<String>,
    header: Map<String, Value>,
    answered: Option<bool>,
    deleted: Option<bool>,
    draft: Option<bool>,
    flagged: Option<bool>,
    seen: Option<bool>,
    unseen: Option<bool>,
    larger: Option<u64>,
    smaller: Option<u64>,
    since: Option<Timestamp>,
    before: Option<Timestamp>,
    sent_since: Option<Timestamp>,
    sent_before: Option<Timestamp>,
    thread_id: Option<String>,
    seq: Option<Value>,
    uid: Option<Value>,
    modseq: Option<Value>,
    bcc: Option<Value>,
    email_id: Option<Value>,
    gmail_raw: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Search {
    search: Terms,
}

/// A page of what a search finds. Words are whole words here. Where flags, sizes or the like are asked for, the newest
/// [`SCANNED`] candidates are looked at, and `notSearched` says how many are left, if any are.
pub(crate) async fn search(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let (page, size) = wanted(&call)?;
    let terms = call.json::<Search>()?.search;
    terms.check()?;
    let query = terms.query(call.query.get("path").map(String::as_str))?;
    let range = Range { since: terms.since, before: terms.before };
    let hits = hits(&tools, &call, query, range).await?;
    if hits.are_final() && !terms.asks_rows() {
        return page_of(&tools, &call, &hits, page, size).await;
    }
    let account = call.account()?;
    let (mut found, mut seen) = (Vec::new(), 0);
    while seen < hits.len().min(SCANNED) {
        let rows = hits.slice(&tools.store, call.tenant(), &account, seen, 100).await?;
        found.extend(rows.iter().filter_map(incoming).filter(|row| terms.fit(&row.message)).map(shown));
        seen += 100;
    }
    let messages = found.iter().skip(page.saturating_mul(size)).take(size).cloned().collect();
    let mut answer = paged(found.len(), page, size, messages);
    if hits.len() > SCANNED {
        answer["notSearched"] = (hits.len() - SCANNED).into();
    }
    Reply::ok(&answer)
}

impl Terms {
    fn check(&self) -> Result<(), Problem> {
        let refused = [
            ("seq", self.seq.is_some()),
            ("uid", self.uid.is_some()),
            ("modseq", self.modseq.is_some()),
            ("bcc", self.bcc.is_some()),
            ("emailId", self.email_id.is_some()),
            ("gmailRaw", self.gmail_raw.is_some()),
        ];
        let known = |name: &String| name.eq_ignore_ascii_case("message-id");
        let headers = self.header.keys().filter(|name| !known(name)).map(|name| format!("header/{name}"));
        let names = refused.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned()).chain(headers);
        let words =
            "is not searched for here: from, to, cc, subject, body, dates, flags, sizes and header message-id are";
        let errors: Vec<FieldError> =
            names.map(|name| FieldError::new(format!("/search/{name}"), "unsupported", words)).collect();
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
    }

    /// What the index is asked.
    fn query(&self, path: Option<&str>) -> Result<Query, Problem> {
        let plain = |text: &str| text.replace('"', " ");
        let fields = [("from:", &self.from), ("to:", &self.to), ("to:", &self.cc), ("subject:", &self.subject)];
        let fields = fields.into_iter().filter_map(|(name, text)| Some(format!("{name}\"{}\"", plain(text.as_ref()?))));
        let ids = self.header.values().filter_map(Value::as_str).map(|id| id.trim_matches(['<', '>']).to_owned());
        let texts = fields.chain(self.body.as_deref().map(plain)).chain(ids);
        let query = Query::within(path, &texts.collect::<Vec<_>>().join(" "))?;
        Ok(match &self.thread_id {
            Some(thread) => query.in_thread(thread),
            None => query,
        })
    }

    /// Whether something is asked that only rows tell.
    fn asks_rows(&self) -> bool {
        let flags = [self.answered, self.deleted, self.draft, self.flagged, self.seen, self.unseen];
        let sizes = [self.larger, self.smaller];
        let times = [self.sent_since, self.sent_before];
        flags.iter().any(Option::is_some) || sizes.iter().any(Option::is_some) || times.iter().any(Option::is_some)
    }

    fn fit(&self, message: &Message) -> bool {
        let flag = |wanted: Option<bool>, name: &str| wanted.is_none_or(|wanted| has(message, name) == wanted);
        flag(self.answered, "\\Answered")
            && flag(self.deleted, "\\Deleted")
            && flag(self.draft, "\\Draft")
            && flag(self.flagged, "\\Flagged")
            && flag(self.seen, "\\Seen")
            && flag(self.unseen.map(|unseen| !unseen), "\\Seen")
            && self.larger.is_none_or(|size| message.size > size)
            && self.smaller.is_none_or(|size| message.size < size)
            && self.sent_since.is_none_or(|since| message.date.is_some_and(|date| since <= date))
            && self.sent_before.is_none_or(|before| message.date.is_some_and(|date| date < before))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terms_become_a_query_and_what_is_not_known_is_named() {
        let terms: Terms = serde_json::from_value(json!({
            "from": "Ada \"L\"", "subject": "due date", "body": "invoice", "unseen": true, "larger": 10,
            "header": {"Message-ID": "<1@x>"}, "since": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        assert!(terms.check().is_ok() && terms.asks_rows());
        let same = Query::within(Some("INBOX"), "from:\"Ada L\" subject:\"due date\" invoice 1@x").unwrap();
        assert_eq!(terms.query(Some("INBOX")).unwrap(), same);
        let wrong: Terms = serde_json::from_value(json!({"seq": "1:*", "header": {"x-y": "z"}})).unwrap();
        let problem = wrong.check().unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/search/seq", "/search/header/x-y"]);
    }
}
