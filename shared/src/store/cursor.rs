//! Paging cursors: a position in one list, sealed against use in another one.
//!
//! The seal is no secret and guards no data: the partition that is read always comes from the caller's own tenant and
//! account, never from the cursor. It turns a mixed-up or shortened cursor into an error instead of a wrong page.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;

use super::{
    StoreError,
    table::{Query, Table, row, text, text_of},
};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as asked for; fewer does not mean the end.
    pub items: Vec<T>,
    /// How to go on; none at the end.
    pub next_cursor: Option<String>,
}

/// A page of the rows of one partition, by their sort keys.
pub(super) async fn rows<T: DeserializeOwned>(
    table: &Table,
    pk: String,
    limit: u32,
    cursor: Option<&str>,
) -> Result<Page<T>, StoreError> {
    // Every sort key of ours begins with a letter or a digit; a space stands before all of them.
    let after = cursor.map_or(Ok(" ".to_owned()), |cursor| open(&pk, cursor))?;
    let values = vec![(":pk", text(&pk)), (":after", text(after))];
    let query = Query {
        condition: "#pk = :pk AND #sk > :after",
        values,
        limit: Some(limit.saturating_add(1)),
        ..Query::default()
    };
    let (mut items, mut more) = table.query(query).await?;
    more |= items.len() > limit as usize;
    items.truncate(limit as usize);
    let last = items.last().and_then(|item| text_of(item, "sk")).filter(|_| more);
    let next_cursor = last.map(|sk| seal(&pk, sk));
    Ok(Page { items: items.into_iter().map(row).collect::<Result<_, _>>()?, next_cursor })
}

const SEAL_BYTES: usize = 8;

/// A cursor behind this position of this list (the name of its partition).
pub(super) fn seal(list: &str, position: &str) -> String {
    let mut bytes = tag(list, position);
    bytes.extend_from_slice(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position that [`seal`] was given.
pub(super) fn open(list: &str, cursor: &str) -> Result<String, StoreError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| StoreError::Cursor)?;
    let (found, position) = bytes.split_at_checked(SEAL_BYTES).ok_or(StoreError::Cursor)?;
    let position = std::str::from_utf8(position).map_err(|_| StoreError::Cursor)?;
    if found == tag(list, position) { Ok(position.to_owned()) } else { Err(StoreError::Cursor) }
}

fn tag(list: &str, position: &str) -> Vec<u8> {
    digest(&SHA256, format!("{}#{list}#{position}", list.len()).as_bytes()).as_ref()[..SEAL_BYTES].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_sealed_to_the_same_list_only() {
        let cursor = seal("T#one#A#box", "2026-11-21T07:36:10.000Z#ab");
        assert_eq!(open("T#one#A#box", &cursor).unwrap(), "2026-11-21T07:36:10.000Z#ab");
        for other in ["T#two#A#box", "T#one#A#bo", "T#one#A"] {
            assert!(matches!(open(other, &cursor), Err(StoreError::Cursor)), "{other}");
        }
    }

    #[test]
    fn refuses_every_altered_character_and_every_shortening() {
        let cursor = seal("list", "position");
        for index in 0..cursor.len() {
            let mut altered = cursor.clone().into_bytes();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            assert!(open("list", std::str::from_utf8(&altered).unwrap()).is_err(), "{index}");
            assert!(open("list", &cursor[..index]).is_err(), "{index}");
        }
    }
}
