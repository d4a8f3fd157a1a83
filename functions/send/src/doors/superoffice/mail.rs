//! From the EMail carrier to our request (contracts A2.4, A2.5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shared::model::send::{AttachmentInput, Disposition, Header, Priority, SendRequest};
use shared::model::{Address, FieldError, Problem};

use super::calendar;
use super::read::Properties;

/// A text that is there and not empty.
pub(super) fn text<'a>(properties: &'a Properties, name: &str) -> Option<&'a str> {
    properties.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The carriers of a list.
fn items<'a>(properties: &'a Properties, name: &str) -> impl Iterator<Item = &'a Properties> {
    properties.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// The same, to be changed.
pub(super) fn items_mut<'a>(properties: &'a mut Properties, name: &str) -> impl Iterator<Item = &'a mut Properties> {
    properties.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// What is to be sent.
///
/// # Errors
/// Every property that cannot be sent, by its place among the items that are not empty.
pub(super) fn request(mail: &Properties) -> Result<SendRequest, Problem> {
    let mut errors = Vec::new();
    let request = SendRequest {
        to: addresses(mail, "To", &mut errors),
        cc: addresses(mail, "Cc", &mut errors),
        bcc: addresses(mail, "Bcc", &mut errors),
        from: from(mail, &mut errors),
        subject: text(mail, "Subject").map(str::to_owned),
        text: text(mail, "PlainBody").map(str::to_owned),
        html: text(mail, "HTMLBody").map(str::to_owned),
        headers: headers(mail, &mut errors),
        priority: text(mail, "Priority").and_then(priority),
        attachments: attachments(mail, &mut errors),
        ..SendRequest::default()
    };
    if errors.is_empty() { Ok(request) } else { Err(Problem::invalid(errors)) }
}

fn addresses(mail: &Properties, list: &str, errors: &mut Vec<FieldError>) -> Vec<Address> {
    let mut read = Vec::new();
    for (index, item) in items(mail, list).enumerate() {
        match address(item) {
            Some(address) => read.push(address),
            None => errors.push(not_an_address(format!("/{list}/{index}/Address"))),
        }
    }
    read
}

/// Left out, or without an address: the account's.
fn from(mail: &Properties, errors: &mut Vec<FieldError>) -> Option<Address> {
    let from = mail.get("From").and_then(Value::as_object)?;
    text(from, "Address")?;
    let read = address(from);
    if read.is_none() {
        errors.push(not_an_address("/From/Address".to_owned()));
    }
    read
}

/// `Address` may hold a whole mailbox; a name beside it wins over the one in it.
fn address(item: &Properties) -> Option<Address> {
    let name = text(item, "Name").or_else(|| text(item, "PersonName"));
    let address = Address { name: name.map(str::to_owned), address: text(item, "Address")?.trim().to_owned() };
    if address.is_valid() {
        return Some(address);
    }
    let read = Address::parse(&address.address)?;
    Some(Address { name: address.name.or(read.name), address: read.address }).filter(Address::is_valid)
}

fn not_an_address(pointer: String) -> FieldError {
    FieldError::new(pointer, "invalid_address", "give an address such as \"a@example.com\"")
}

/// A2.5/49, and A2.4/40: the mail that is answered gives both headers of RFC 5322 §3.6.4, unless they are given.
fn headers(mail: &Properties, errors: &mut Vec<FieldError>) -> Vec<Header> {
    let mut headers = Vec::new();
    for (index, item) in items(mail, "CustomHeaderList").enumerate() {
        let Some(name) = text(item, "Name") else {
            let pointer = format!("/CustomHeaderList/{index}/Name");
            errors.push(FieldError::new(pointer, "missing", "give the header its name"));
            continue;
        };
        let values = item.get("Values").and_then(Value::as_array).into_iter().flatten();
        let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
        headers.push(Header { name: name.to_owned(), values });
    }
    let answered = mail.get("InReplyTo").and_then(Value::as_object).and_then(|envelope| text(envelope, "MessageId"));
    for name in ["In-Reply-To", "References"] {
        let given = headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
        if let Some(id) = answered.filter(|_| !given) {
            headers.push(Header { name: name.to_owned(), values: vec![bracketed(id)] });
        }
    }
    headers
}

fn bracketed(id: &str) -> String {
    let id = id.trim();
    if id.starts_with('<') { id.to_owned() } else { format!("<{id}>") }
}

/// Six steps by name or by number (A2.5/50); ours are three.
fn priority(name: &str) -> Option<Priority> {
    match name.to_ascii_lowercase().as_str() {
        "highest" | "high" | "1" | "2" => Some(Priority::High),
        "normal" | "3" => Some(Priority::Normal),
        "low" | "lowest" | "4" | "5" => Some(Priority::Low),
        _ => None,
    }
}

fn attachments(mail: &Properties, errors: &mut Vec<FieldError>) -> Vec<AttachmentInput> {
    let html = text(mail, "HTMLBody").unwrap_or_default();
    let mut read = Vec::new();
    for (index, item) in items(mail, "Attachments").enumerate() {
        let pointer = format!("/Attachments/{index}/Stream");
        match bytes(item) {
            Some(Ok(bytes)) => read.push(attachment(item, &bytes, html)),
            Some(Err(error)) => {
                let words = format!("no base64 (RFC 4648 §4): {error}");
                errors.push(FieldError::new(pointer, "invalid_base64", words));
            }
            None => errors.push(FieldError::new(pointer, "missing", "give the bytes, base64")),
        }
    }
    read
}

/// The bytes of an attachment: base64, with or without the line breaks of MIME, whatever `Encoding` says of the part
/// that it came from (A2.5/48). An empty text is an empty file.
pub(super) fn bytes(item: &Properties) -> Option<Result<Vec<u8>, base64::DecodeError>> {
    let stream = item.get("Stream").and_then(Value::as_str)?;
    let dense: Vec<u8> = stream.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    Some(STANDARD.decode(dense))
}

/// Inline is what says so, and what the HTML names by its id.
fn attachment(item: &Properties, bytes: &[u8], html: &str) -> AttachmentInput {
    let id = text(item, "Id").map(|id| id.trim_start_matches('<').trim_end_matches('>'));
    let shown = id.filter(|id| html.contains(&format!("cid:{id}")));
    let inline = shown.is_some() || text(item, "Disposition").is_some_and(|word| word.eq_ignore_ascii_case("inline"));
    let kind = text(item, "Type").filter(|kind| kind.contains('/'));
    let filename = text(item, "Filename").or_else(|| text(item, "Description")).unwrap_or("attachment");
    AttachmentInput {
        filename: filename.to_owned(),
        content_type: calendar::media_type(kind, filename, bytes).or_else(|| kind.map(str::to_owned)),
        content: Some(STANDARD.encode(bytes)),
        disposition: if inline { Disposition::Inline } else { Disposition::Attachment },
        content_id: id.filter(|_| inline).map(str::to_owned),
        ..AttachmentInput::default()
    }
}
