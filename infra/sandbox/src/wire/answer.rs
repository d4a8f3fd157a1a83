//! What a protocol answers, and how a plan rearranges it.

use bytes::Bytes;

use crate::script::Plan;

/// What a protocol answers: parts that a rule may reverse, and the end that tells the client it was all.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The status line of a POP3 listing, the first line of an EHLO.
    pub(crate) head: Bytes,
    /// Untagged responses, lines, a message; each of one or more segments, which are shared with the store.
    pub(crate) parts: Vec<Vec<Bytes>>,
    /// The last line.
    pub(crate) end: Bytes,
    /// What follows.
    pub(crate) next: Next,
}

/// What follows an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next input.
    #[default]
    Read,
    /// The TLS handshake.
    Secure,
    /// The end of the session.
    Close,
}

impl Answer {
    /// An answer of one piece.
    pub(crate) fn line(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.push_str("\r\n");
        Self { end: text.into(), ..Self::default() }
    }

    /// An answer whose last line is the end, after which comes `next`.
    pub(crate) fn then(mut self, next: Next) -> Self {
        self.next = next;
        self
    }
}

/// The segments of an answer in the order of the plan.
pub(super) fn arrange(answer: Answer, plan: &Plan, tag: &str) -> Vec<Bytes> {
    let mut segments = vec![with_tag(&plan.prepend, tag)];
    if let Some(reply) = &plan.reply {
        segments.push(with_tag(reply, tag));
    } else {
        segments.push(answer.head);
        let mut parts = answer.parts;
        if plan.reversed {
            parts.reverse();
        }
        segments.extend(parts.into_iter().flatten());
        segments.push(plan.completion.as_ref().map_or(answer.end, |end| with_tag(end, tag)));
    }
    segments.push(with_tag(&plan.append, tag));
    segments
}

fn with_tag(bytes: &Bytes, tag: &str) -> Bytes {
    const MARK: &[u8] = b"{tag}";
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(bytes, MARK) {
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        out.extend_from_slice(tag.as_bytes());
        from = at + MARK.len();
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    out.into()
}

/// Keeps the first `limit` bytes.
pub(super) fn cut(segments: &mut [Bytes], mut limit: usize) {
    for segment in segments.iter_mut() {
        segment.truncate(limit);
        limit -= segment.len();
    }
}
