//! Parts of a message that are shown within it: pictures that its HTML names by their Content-ID (RFC 2392).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;

use super::header::part_header;
use super::layout::layout;
use super::{guard, slice};

/// Largest picture that is shown, and how many: a page is one answer.
const MAX_PICTURE: u64 = 2 << 20;
const MAX_PICTURES: usize = 100;

/// Types of pictures that hold nothing but picture elements: SVG can hold a page.
const PICTURES: [&str; 6] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/x-icon"];

/// Pictures by their content ids, as `data:` URLs (RFC 2397). What they are is told by their first bytes, never by
/// their headers.
pub fn pictures(raw: &[u8]) -> HashMap<String, String> {
    guard(|| {
        let mut found = HashMap::new();
        for part in layout(raw).files.iter().take(MAX_PICTURES) {
            let head = part_header(slice(raw, &part.header));
            let body = slice(raw, &part.body);
            let Some(id) = head.content_id.filter(|_| head.encoding.decoded_len(body) <= MAX_PICTURE) else {
                continue;
            };
            let bytes = head.encoding.decode(body);
            let kind = infer::get(&bytes).map(|kind| kind.mime_type()).filter(|kind| PICTURES.contains(kind));
            if let Some(kind) = kind {
                // The first of two with one id is meant, as readers do it (RFC 2392 §2 forbids the second).
                found.entry(id).or_insert_with(|| format!("data:{kind};base64,{}", STANDARD.encode(&bytes)));
            }
        }
        found
    })
    .unwrap_or_default()
}
