//! Fetching the messages of a folder.

use std::collections::HashSet;

use super::Run;
use super::folder::{Folder, is_final_no};
use super::keep::{Arrival, Content, internal_date};
use super::lost::Intake;
use super::spool::{Landing, Source};
use crate::mail::imap::{Client, Fetched, Listed, Missing};
use crate::mail::limits::FETCH_PART_BYTES;
use crate::mail::{self, BoxedStream};

/// Headers of a message that is too large to be stored lie within its first bytes.
const HEAD_BYTES: u64 = 64 << 10;

impl Folder {
    /// Fetches messages. Where the server says no to all of them because of one, they are asked for one by one: its no
    /// to that one must not end the run, or everything behind it would never come.
    pub(super) async fn fetch(
        &self,
        run: &Run<'_>,
        client: &mut Client<BoxedStream>,
        wanted: &[&Listed],
        unread: bool,
        intake: &mut Intake<'_>,
    ) -> Result<(), mail::Error> {
        let mut came = HashSet::new();
        let refused = match self.fetch_all(run, client, wanted, unread, intake, &mut came).await {
            Err(error) if is_final_no(&error) => error,
            other => return other,
        };
        for message in wanted {
            if came.contains(&message.uid) {
                continue;
            }
            match self.fetch_all(run, client, &[message], unread, intake, &mut came).await {
                Err(error) if is_final_no(&error) => {
                    tracing::warn!(uid = message.uid, %error, "the server does not give a message that it lists");
                }
                other => other?,
            }
        }
        // None of many came: that is the server's trouble and no message's.
        if came.is_empty() && wanted.len() > 1 { Err(refused) } else { Ok(()) }
    }

    async fn fetch_all(
        &self,
        run: &Run<'_>,
        client: &mut Client<BoxedStream>,
        wanted: &[&Listed],
        unread: bool,
        intake: &mut Intake<'_>,
        came: &mut HashSet<u32>,
    ) -> Result<(), mail::Error> {
        let most = run.receive.max_message_bytes;
        let whole: Vec<u32> = wanted
            .iter()
            .filter(|message| message.size <= most.min(FETCH_PART_BYTES))
            .map(|message| message.uid)
            .collect();
        // Larger than the server said when it listed them.
        let mut grown = Vec::new();
        if !whole.is_empty() {
            let mut fetch = client.fetch(&whole, most.min(FETCH_PART_BYTES));
            while let Some(fetched) = fetch.next().await? {
                let place = fetched.uid;
                if let Some(size) = fetched.dropped {
                    let Fetched { flags, internal_date, email_id, .. } = fetched;
                    grown.push(Listed { uid: place, size, flags, internal_date, email_id });
                    continue;
                }
                came.insert(place);
                intake.take(place, self.arrival(run, fetched, unread)).await;
            }
        }
        let large_ones = wanted.iter().copied().filter(|message| message.size > most.min(FETCH_PART_BYTES));
        for message in large_ones.chain(&grown) {
            let content = large(client, message, most, unread).await?;
            if let Some(content) = content {
                let arrival = Arrival { content, ..self.outline(run, message) };
                came.insert(message.uid);
                intake.take(message.uid, arrival).await;
            }
        }
        Ok(())
    }

    fn arrival(&self, run: &Run<'_>, fetched: Fetched, unread: bool) -> Arrival {
        let listed = Listed {
            uid: fetched.uid,
            size: fetched.body.len() as u64,
            flags: fetched.flags,
            internal_date: fetched.internal_date,
            email_id: fetched.email_id,
        };
        Arrival { content: Content::of(Ok(Source::Memory(fetched.body.into())), unread), ..self.outline(run, &listed) }
    }

    pub(super) fn outline(&self, run: &Run<'_>, message: &Listed) -> Arrival {
        Arrival {
            id: self.id(run, message.uid),
            key: self.key(message.uid).to_string(),
            folder: self.name.clone(),
            flags: message.flags.clone(),
            received_at: message.internal_date.as_deref().and_then(internal_date),
            size: message.size,
            email_id: message.email_id.clone(),
            run: self.ledger.run + 1,
            content: Content::TooLarge(Vec::new()),
        }
    }
}

/// A message beyond one part: whole if the account takes that size, else its head.
async fn large(
    client: &mut Client<BoxedStream>,
    message: &Listed,
    most: u64,
    unread: bool,
) -> Result<Option<Content>, mail::Error> {
    if message.size > most {
        let mut bytes = Vec::new();
        client.fetch_part(message.uid, 0, HEAD_BYTES, |piece| bytes.extend_from_slice(piece)).await?;
        return Ok(Some(Content::TooLarge(bytes)));
    }
    let mut landing = Landing::default();
    let whole = client.fetch_large(message.uid, message.size, most, |piece| landing.take(piece)).await?;
    Ok(match whole {
        Ok(_) => Some(Content::of(landing.finish(), unread)),
        // Larger than announced: left out, the cursor would pass it and it would be lost.
        Err(Missing::TooLarge) => {
            Some(Content::TooLarge(landing.head(usize::try_from(HEAD_BYTES).unwrap_or_default())))
        }
        Err(Missing::Vanished) => None,
    })
}
