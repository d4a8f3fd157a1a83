//! Where in a request tokens may stand.

use std::collections::BTreeMap;

use crate::model::Address;
use crate::model::pii::{is_token, tokens_in};
use crate::model::send::{AttachmentInput, SendRequest};

/// What a text is, and so how a value is written into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A mail address; a token is all of it.
    Address,
    /// Words, or a URL.
    Plain,
    /// HTML.
    Html,
}

/// Every token of a request, with the pointer to the first place where it stands.
pub(super) fn tokens(request: &SendRequest) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // Contents of files are never searched, and too large to be copied for it.
    let light = |attachment: &AttachmentInput| AttachmentInput {
        filename: attachment.filename.clone(),
        url: attachment.url.clone(),
        ..AttachmentInput::default()
    };
    let mut copy = SendRequest {
        to: request.to.clone(),
        cc: request.cc.clone(),
        bcc: request.bcc.clone(),
        reply_to: request.reply_to.clone(),
        subject: request.subject.clone(),
        text: request.text.clone(),
        html: request.html.clone(),
        headers: request.headers.clone(),
        attachments: request.attachments.iter().map(light).collect(),
        ..SendRequest::default()
    };
    each(&mut copy, &mut |pointer, kind, text| {
        if kind == Kind::Address {
            if is_token(text) {
                found.entry(text.clone()).or_insert_with(|| pointer.to_owned());
            }
            return;
        }
        for place in tokens_in(text) {
            found.entry(text[place].to_owned()).or_insert_with(|| pointer.to_owned());
        }
    });
    found
}

/// Calls `act` with every text in which tokens count, and its pointer.
pub(super) fn each(request: &mut SendRequest, act: &mut dyn FnMut(&str, Kind, &mut String)) {
    let lists = [
        ("to", &mut request.to),
        ("cc", &mut request.cc),
        ("bcc", &mut request.bcc),
        ("replyTo", &mut request.reply_to),
    ];
    for (field, list) in lists {
        for (index, Address { name, address }) in list.iter_mut().enumerate() {
            if let Some(name) = name {
                act(&format!("/{field}/{index}/name"), Kind::Plain, name);
            }
            act(&format!("/{field}/{index}/address"), Kind::Address, address);
        }
    }
    let texts = [
        ("/subject", Kind::Plain, &mut request.subject),
        ("/text", Kind::Plain, &mut request.text),
        ("/html", Kind::Html, &mut request.html),
    ];
    for (pointer, kind, text) in texts {
        if let Some(text) = text {
            act(pointer, kind, text);
        }
    }
    for (index, header) in request.headers.iter_mut().enumerate() {
        for (at, value) in header.values.iter_mut().enumerate() {
            act(&format!("/headers/{index}/values/{at}"), Kind::Plain, value);
        }
    }
    for (index, attachment) in request.attachments.iter_mut().enumerate() {
        act(&format!("/attachments/{index}/filename"), Kind::Plain, &mut attachment.filename);
        if let Some(url) = &mut attachment.url {
            act(&format!("/attachments/{index}/url"), Kind::Plain, url);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_searched_that_is_filled() {
        let mut request: SendRequest = serde_json::from_value(serde_json::json!({
            "to": {"name": "n", "address": "a@b.c"}, "cc": "a@b.c", "bcc": "a@b.c", "replyTo": "a@b.c", "subject": "s",
            "text": "t", "html": "h", "headers": [{"name": "X", "values": ["v", "w"]}], "attachments": [{"url": "u"}],
        }))
        .unwrap();
        let mut count = 0;
        each(&mut request, &mut |_, _, text| {
            count += 1;
            *text = format!("NS-EU-A-{count}");
        });
        assert_eq!((count, tokens(&request).len()), (12, 12));
    }
}
