//! PII tokens in messages. What is stored and shown of a message holds the tokens; what they stand for is asked for
//! anew at every attempt, stands in memory only while the message is composed and sent, and is taken out of whatever
//! the server says back.
//!
//! A token that nobody knows fails the message: it is never sent as it stands. One that came with somebody else's
//! words, in a quotation, is never resolved: he could ask for what he must not know.

mod fields;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use http::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use self::fields::Kind;
use crate::mail::{Deadline, compose};
use crate::model::pii::{is_token, tokens_in};
use crate::model::send::{Recipient, SendRequest};
use crate::model::{Address, Code, FieldError, Problem, Tenant, Timestamp};
use crate::net::http::Request;
use crate::ops::Tools;

/// How long a resolver may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Largest answer of a resolver in bytes.
const ANSWER_BYTES: usize = 1 << 20;

/// Most different tokens of one message.
const TOKENS: usize = 200;

/// The domain of addresses that stand for tokens where only an address can stand (RFC 2606 §2).
const DOMAIN: &str = "pii.invalid";

/// What tokens stand for. Never stored, never shown.
#[derive(Debug, Default)]
pub(in crate::ops) struct Clear(BTreeMap<String, SecretString>);

/// The words of a resolver.
#[derive(Deserialize)]
struct Resolved {
    values: BTreeMap<String, SecretString>,
}

/// Finds out what all tokens of a message stand for.
///
/// # Errors
/// 422 with the pointer of each token that nobody knows; 503 where the resolver cannot be asked right now.
pub(in crate::ops) async fn resolve(tools: &Tools, tenant: &Tenant, request: &SendRequest) -> Result<Clear, Problem> {
    let tokens = fields::tokens(request);
    if tokens.is_empty() {
        return Ok(Clear::default());
    }
    if request.invite.is_some() {
        let detail = "an invitation is read by calendars and cannot hold PII tokens: leave one of both out";
        return Err(Problem::invalid(vec![FieldError::new("/invite", "conflict", detail)]));
    }
    if tokens.len() > TOKENS {
        let detail = format!("{} different PII tokens; the limit piiTokens is {TOKENS}", tokens.len());
        return Err(Problem::invalid(vec![FieldError::new("", "too_many", detail)]));
    }
    let now = Timestamp::now();
    let wanted: Vec<String> = tokens.keys().cloned().collect();
    let mut clear = tools.store.pii.reveal(tenant, &wanted, now).await?;
    let missing: BTreeSet<&String> = tokens.keys().filter(|token| !clear.contains_key(*token)).collect();
    if !missing.is_empty() {
        clear.extend(asked(tools, tenant, &missing, now).await?);
    }
    let unknown = tokens.iter().filter(|(token, _)| !clear.contains_key(*token));
    let errors: Vec<FieldError> = unknown
        .map(|(token, pointer)| {
            FieldError::new(pointer, "unresolved_token", format!("nobody knows what {token} stands for"))
        })
        .collect();
    if errors.is_empty() { Ok(Clear(clear)) } else { Err(Problem::invalid(errors)) }
}

/// Asks the tenant's resolver, if there is one. It is told tokens only.
async fn asked(
    tools: &Tools,
    tenant: &Tenant,
    tokens: &BTreeSet<&String>,
    now: Timestamp,
) -> Result<BTreeMap<String, SecretString>, Problem> {
    let Some(resolver) = tools.store.pii.resolver(tenant, now).await? else {
        return Ok(BTreeMap::new());
    };
    let trouble = |why: &str| {
        Problem::new(Code::TryAgain, format!("PII tokens cannot be resolved right now: the resolver {why}"))
            .retry_after(30)
    };
    let url = Url::parse(&resolver.url).map_err(|_| trouble("has no usable URL"))?;
    let body = serde_json::to_vec(&serde_json::json!({"tokens": tokens})).map_err(Problem::internal)?;
    let mut request = Request::json(url, body);
    if let Some(secret) = &resolver.secret {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()));
        let mut bearer = bearer.map_err(|_| trouble("has a secret that is no header"))?;
        bearer.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, bearer);
    }
    let until = Deadline::after(PATIENCE).instant();
    let answer = tools.network.fetch(request, ANSWER_BYTES, until).await.map_err(|error| {
        tracing::warn!(%error, "the PII resolver cannot be asked");
        trouble("did not answer")
    })?;
    if answer.status != 200 {
        return Err(trouble(&format!("answered with status {}", answer.status)));
    }
    // What was not asked for is not believed.
    let resolved: Resolved = serde_json::from_slice(&answer.body).map_err(|_| trouble("gave no values"))?;
    Ok(resolved.values.into_iter().filter(|(token, _)| tokens.contains(token)).collect())
}

impl Clear {
    /// Whether there was nothing to resolve.
    pub(in crate::ops) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The request as it is composed.
    ///
    /// # Errors
    /// What stands for a recipient is no address. The value is not told.
    pub(in crate::ops) fn fill<'r>(&self, request: &'r SendRequest) -> Result<Cow<'r, SendRequest>, Problem> {
        if self.is_empty() {
            return Ok(Cow::Borrowed(request));
        }
        let mut filled = request.clone();
        let mut errors = Vec::new();
        fields::each(&mut filled, &mut |pointer, kind, text| match kind {
            Kind::Address if is_token(text) => {
                let value = self.address(text);
                if compose::addr_spec(&value).is_err() || !Address::bare(value.clone()).is_valid() {
                    let detail = "the value of this PII token is no mail address";
                    errors.push(FieldError::new(pointer, "unresolved_token", detail));
                }
                *text = value;
            }
            Kind::Address => {}
            Kind::Plain => *text = self.replaced(text, str::to_owned),
            Kind::Html => *text = self.replaced(text, escaped),
        });
        if errors.is_empty() { Ok(Cow::Owned(filled)) } else { Err(Problem::invalid(errors)) }
    }

    /// The address that is written to: what a token stands for, or the address itself.
    pub(in crate::ops) fn address(&self, address: &str) -> String {
        self.0.get(address).map_or_else(|| address.to_owned(), |value| value.expose_secret().trim().to_owned())
    }

    /// A text with its tokens resolved.
    pub(in crate::ops) fn text(&self, text: &str) -> String {
        self.replaced(text, str::to_owned)
    }

    fn replaced(&self, text: &str, written: impl Fn(&str) -> String) -> String {
        let (mut filled, mut from) = (String::with_capacity(text.len()), 0);
        for place in tokens_in(text) {
            if let Some(value) = self.0.get(&text[place.clone()]) {
                filled.push_str(&text[from..place.start]);
                filled.push_str(&written(value.expose_secret()));
                from = place.end;
            }
        }
        filled.push_str(&text[from..]);
        filled
    }

    /// What no word of a server may show: the values, as they are and as they stand on the wire.
    pub(in crate::ops) fn secrets(&self) -> Vec<SecretString> {
        let forms = |value: &SecretString| {
            let value = value.expose_secret().trim();
            let wire = compose::addr_spec(value).map(|spec| spec.address).ok();
            [Some(value.to_owned()), Some(value.to_lowercase()), wire].into_iter().flatten().collect::<Vec<_>>()
        };
        self.0.values().flat_map(forms).map(SecretString::from).collect()
    }

    /// Takes the values out of what a server said about recipients, however it spelt them.
    pub(in crate::ops) fn scrub(&self, recipients: &mut [Recipient]) {
        if self.is_empty() {
            return;
        }
        for recipient in recipients {
            if let Some(reply) = &mut recipient.smtp {
                reply.text = self.scrubbed(&reply.text);
            }
            recipient.error = recipient.error.take().map(|words| self.scrubbed(&words));
        }
    }

    fn scrubbed(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for value in self.secrets() {
            words = without(&words, value.expose_secret());
        }
        for value in self.0.values() {
            // "No such user grace here."
            let local = value.expose_secret().split_once('@').map_or("", |(local, _)| local);
            if local.len() >= LOCAL_BYTES {
                words = without(&words, local);
            }
        }
        words
    }
}

/// Shorter words stand in every sentence.
const LOCAL_BYTES: usize = 4;

/// A text without a word, in whatever case.
fn without(text: &str, word: &str) -> String {
    if word.is_empty() {
        return text.to_owned();
    }
    let (lower, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let (mut left, mut from) = (String::with_capacity(text.len()), 0);
    while let Some(at) = lower[from..].find(&word).map(|at| from + at) {
        left.push_str(&text[from..at]);
        left.push_str("***");
        from = at + word.len();
    }
    left.push_str(&text[from..]);
    left
}

/// For HTML, in text and attributes alike.
pub(in crate::ops) fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The request as it can be shown: tokens stay, and where only an address can stand they look like one.
pub(in crate::ops) fn masked(request: &SendRequest) -> SendRequest {
    let mut masked = request.clone();
    fields::each(&mut masked, &mut |_, kind, text| {
        if kind == Kind::Address && is_token(text) {
            text.push('@');
            text.push_str(DOMAIN);
        }
    });
    masked
}

/// The token behind an address of a masked message; the address itself where there is none.
pub fn unmasked(address: Address) -> Address {
    let token = address.address.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('@'));
    match token.map(str::to_ascii_uppercase).filter(|token| is_token(token)) {
        Some(token) => Address { address: token, ..address },
        None => address,
    }
}

/// Words of a stranger, in which nothing is resolved: each token loses its form, and looks the same.
pub(in crate::ops) fn disarmed(text: &str) -> String {
    let (mut safe, mut from) = (String::with_capacity(text.len()), 0);
    for place in tokens_in(text) {
        safe.push_str(&text[from..place.start]);
        // U+2011, the hyphen that does not break.
        safe.push_str(&text[place.clone()].replace('-', "\u{2011}"));
        from = place.end;
    }
    safe.push_str(&text[from..]);
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clear() -> Clear {
        let values =
            [("NS-EU-A-1", "Grace <b> O'Hara"), ("NS-EU-B-2", " Grace.Hopper@Exämple.org "), ("NS-EU-C-3", "x")];
        Clear(values.into_iter().map(|(token, value)| (token.to_owned(), SecretString::from(value))).collect())
    }

    #[test]
    fn tokens_are_filled_in_by_the_kind_of_their_place() {
        let request: SendRequest = serde_json::from_value(json!({
            "to": [{"name": "NS-EU-A-1", "address": "NS-EU-B-2"}, "ada@example.com"], "cc": "NS-EU-B-2", "subject": "NS-EU-A-1",
            "text": "Dear NS-EU-A-1, NS-EU-C-3.", "html": "<p title=\"NS-EU-A-1\">NS-EU-A-1</p>",
            "headers": [{"name": "X-To", "values": ["NS-EU-A-1"]}],
        }))
        .unwrap();
        let filled = clear().fill(&request).unwrap();
        assert_eq!(filled.to[0].address, "Grace.Hopper@Exämple.org");
        assert_eq!(
            (filled.to[0].name.as_deref(), filled.to[1].address.as_str()),
            (Some("Grace <b> O'Hara"), "ada@example.com")
        );
        assert_eq!(filled.text.as_deref(), Some("Dear Grace <b> O'Hara, x."));
        let name = "Grace &lt;b&gt; O&#39;Hara";
        assert_eq!(filled.html, Some(format!("<p title=\"{name}\">{name}</p>")));
        assert_eq!(filled.headers[0].values, ["Grace <b> O'Hara"]);
        assert_eq!(masked(&request).to[0].address, "NS-EU-B-2@pii.invalid");
        assert_eq!(unmasked(Address::bare("NS-EU-B-2@pii.invalid")).address, "NS-EU-B-2");
        let wrong: SendRequest =
            serde_json::from_value(json!({"to": ["a@example.com", "NS-EU-C-3"], "text": "x"})).unwrap();
        let problem = clear().fill(&wrong).unwrap_err();
        assert_eq!((problem.errors[0].pointer.as_str(), problem.errors.len()), ("/to/1/address", 1));
    }

    #[test]
    fn no_form_of_a_value_survives_in_a_servers_words() {
        let clear = clear();
        for words in [
            "550 5.1.1 <grace.hopper@xn--exmple-cua.org>: no such user",
            "550 GRACE.HOPPER@Exämple.org is unknown",
            "User grace.hopper unknown; ask Grace <b> O'Hara",
        ] {
            let scrubbed = clear.scrubbed(words).to_lowercase();
            assert!(scrubbed.contains("***") && !scrubbed.contains("grace"), "{scrubbed}");
        }
        assert_eq!(Clear::default().scrubbed("250 ok"), "250 ok");
    }

    #[test]
    fn a_strangers_token_is_no_token_any_more() {
        let safe = disarmed("see NS-EU-A-1 and NS-EU-B-2.");
        assert!(tokens_in(&safe).is_empty() && safe.ends_with('.') && safe.starts_with("see NS\u{2011}EU"), "{safe}");
        assert_eq!(clear().text(&safe), safe);
    }
}
