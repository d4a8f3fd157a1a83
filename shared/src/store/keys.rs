//! The one place that builds keys: typed constructors only, so that no access can leave its tenant.
//!
//! Single table, `pk` and `sk` strings, TTL attribute `ttl` (epoch seconds), three KEYS_ONLY indexes:
//! `by-time` (`lpk`, `lsk`), `by-due` (`duesh`, `due` as epoch milliseconds) and `by-outbox` (`opk`, `osk`).
//!
//! | item | pk | sk | index keys |
//! |---|---|---|---|
//! | account | `T#<tenant>#A` | `<account>` | |
//! | account's status | `T#<tenant>#S` | `<account>` | |
//! | token | `T#<tenant>#K` | `<sha256 of the token, hex>` | |
//! | suppressed address | `T#<tenant>#X` | `<address>` | |
//! | that there are any | `T#<tenant>#P` | `X` | |
//! | template | `T#<tenant>#J` | `<name>` | |
//! | personal data | `T#<tenant>#V` | `<token>` | |
//! | who resolves other tokens | `T#<tenant>#P` | `RESOLVER` | |
//! | link to a file | `T#<tenant>#L#<name>` | `L` | |
//! | preferences | `T#<tenant>#P` | `P` | |
//! | refused sign-ins of one user at one server | `T#<tenant>#G` | `<hash of host and user>` | |
//! | ledger of one folder | `T#<tenant>#A#<account>` | `L#<source>` | |
//! | UIDs that were in one folder, and their flags | `T#<tenant>#A#<account>` | `U#<source>` | |
//! | earlier version of an account | `T#<tenant>#A#<account>` | `H#<time>#<version>` | |
//! | incomplete account | `T#<tenant>#A#<account>` | `DRAFT` | |
//! | counter of one window | `T#<tenant>#N` | `<what>#<time>` | |
//! | pull lease | `T#<tenant>#A#<account>` | `LEASE` | |
//! | tokens of one OAuth grant | `T#<tenant>#A#<account>` | `TOKEN#<grant>` | |
//! | message, incoming or outgoing | `T#<tenant>#M#<id>` | `M` | `T#<tenant>#A#<account>`, `<time>#<id>`, outgoing `<time>#<id>#out`; outgoing that waits: `DUE#<shard>`, due; and `T#<tenant>#O`, `<account>#<time>#<id>` |
//! | where a message stands that was renumbered or moved at its server | `T#<tenant>#M#<id of its new key>` | `M` | |
//! | body of an outgoing message up to 8 KB | `T#<tenant>#M#<id>` | `B#<fingerprint head>` | |
//! | recipients of an outgoing message beyond 20 | `T#<tenant>#M#<id>` | `R#<attempt>` | |
//! | where a file that is no object yet can be found | `T#<tenant>#F#<first half of sha256>` | `<sha256>` | |
//! | webhook | `T#<tenant>#H` | `<webhook>` | |
//! | event on its way to a webhook, or delivered | `T#<tenant>#H#<webhook>` | `<milliseconds>-<event>` | |
//! | words of messages that came lately | `T#<tenant>#W#<account>` | `E#<time>#<random>` | |
//! | which segments the index of words has | `T#<tenant>#W#<account>` | `M` | |
//! | the message under a Message-ID of the caller's | `T#<tenant>#I#<hash>` | `I` | |
//! | a mailbox that is polled | `POLL#<shard>` | `<tenant>#<account>` | |
//!
//! Only `POLL#` and `DUE#` keys do not begin with a tenant; they lead to ids and times, never to content.
//!
//! | S3 object | key |
//! |---|---|
//! | source of a message, as received or sent | `t/<tenant>/raw/<message id>` |
//! | attachment, by its content | `t/<tenant>/files/<sha256>` |
//! | segment of a mailbox's index of words | `t/<tenant>/words/<hash of the account>/<random>` |
//! | body of an outgoing message over 8 KB | `t/<tenant>/body/<message id>-<fingerprint head>` |
//!
//! Secrets: `halfpenny/<tenant>/<shard>`; [`WEBHOOK_KEY`].
//!
//! A tenant holds no `#` and no `/` ([`Tenant`]), an account no `#` ([`AccountId`]), an id is hex: so no key can be
//! read in two ways.

mod ids;

use aws_sdk_dynamodb::types::AttributeValue;
pub use ids::{GrantId, MessageKey, SourceId, idempotent_id, incoming_id, random_id};
use ring::digest::{SHA256, digest};

use super::grants::GrantKey;
use super::table::{Item, text, text_of};
use crate::model::send::Lane;
use crate::model::template::TemplateId;
use crate::model::{AccountId, Direction, MessageId, Tenant, Timestamp};

/// Shards of the due index: a partition takes 1,000 writes a second, and every send writes to it twice.
pub const DUE_SHARDS: u8 = 8;

/// Shards of the due index behind those, for mail to many: so that no newsletter stands before somebody's mail.
pub const BULK_SHARDS: u8 = 4;

/// Shards of the polled mailboxes: one shard is read by one invocation.
pub const POLL_SHARDS: u8 = 16;

/// Name of the index over time.
pub const BY_TIME: &str = "by-time";

/// Name of the index over due times.
pub const BY_DUE: &str = "by-due";

/// Name of the index over what a tenant's outbox lists: what waits, is being sent by a worker, or is unknown. Mail
/// that is sent while its caller waits is never in it and costs nothing; queued or deferred mail costs one write when
/// it enters and one when it leaves. A page costs half a unit per 4 KB of keys, and a unit per row shown.
pub const BY_OUTBOX: &str = "by-outbox";

/// The secret under whose key the signing secrets of all webhooks are encrypted. It is no tenant's and stands outside
/// `halfpenny/`: whoever delivers webhooks may read it, and no password (decision 19).
pub(super) const WEBHOOK_KEY: &str = "halfpenny-webhooks/key";

/// Primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pk: String,
    sk: String,
}

impl Key {
    /// The partition key.
    pub fn pk(&self) -> &str {
        &self.pk
    }

    /// The key of an item that was read.
    pub(super) fn of(item: &Item) -> Option<Self> {
        Some(Self { pk: text_of(item, "pk")?.to_owned(), sk: text_of(item, "sk")?.to_owned() })
    }

    /// The sort key.
    pub fn sk(&self) -> &str {
        &self.sk
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} / {}", self.pk, self.sk)
    }
}

fn key(pk: String, sk: impl Into<String>) -> Key {
    Key { pk, sk: sk.into() }
}

pub(super) fn accounts(tenant: &Tenant) -> String {
    format!("T#{tenant}#A")
}

pub(super) fn account(tenant: &Tenant, account: &AccountId) -> Key {
    key(accounts(tenant), account.as_str())
}

pub(super) fn statuses(tenant: &Tenant) -> String {
    format!("T#{tenant}#S")
}

pub(super) fn status(tenant: &Tenant, account: &AccountId) -> Key {
    key(statuses(tenant), account.as_str())
}

pub(super) fn tokens(tenant: &Tenant) -> String {
    format!("T#{tenant}#K")
}

pub(super) fn token(tenant: &Tenant, hash: &str) -> Key {
    key(tokens(tenant), hash)
}

pub(super) fn templates(tenant: &Tenant) -> String {
    format!("T#{tenant}#J")
}

pub(super) fn template(tenant: &Tenant, name: &TemplateId) -> Key {
    key(templates(tenant), name.as_str())
}

pub(super) fn pii_token(tenant: &Tenant, token: &str) -> Key {
    key(format!("T#{tenant}#V"), token)
}

pub(super) fn pii_resolver(tenant: &Tenant) -> Key {
    key(format!("T#{tenant}#P"), "RESOLVER")
}

pub(super) fn link(tenant: &Tenant, name: &str) -> Key {
    key(format!("T#{tenant}#L#{name}"), "L")
}

pub(super) fn preferences(tenant: &Tenant) -> Key {
    key(format!("T#{tenant}#P"), "P")
}

pub(super) fn webhooks(tenant: &Tenant) -> String {
    format!("T#{tenant}#H")
}

/// An id of ours, or one that a caller gives: [`is_webhook_id`].
pub(super) fn webhook(tenant: &Tenant, webhook: &str) -> Key {
    key(webhooks(tenant), webhook)
}

/// The deliveries of a webhook, by the time of their events.
pub(super) fn deliveries(tenant: &Tenant, webhook: &str) -> String {
    format!("T#{tenant}#H#{webhook}")
}

pub(super) fn delivery(tenant: &Tenant, webhook: &str, delivery: &str) -> Key {
    key(deliveries(tenant, webhook), delivery)
}

pub(super) fn suppressions(tenant: &Tenant) -> String {
    format!("T#{tenant}#X")
}

pub(super) fn suppression(tenant: &Tenant, address: &str) -> Key {
    key(suppressions(tenant), address)
}

pub(super) fn suppresses(tenant: &Tenant) -> Key {
    key(format!("T#{tenant}#P"), "X")
}

/// What is refused is counted by server and user, whatever their letter case.
pub(super) fn guesses(tenant: &Tenant, host: &str, username: &str) -> Key {
    // RFC 1034 §3.1: a final dot names the same host.
    let host = host.trim_end_matches('.').to_lowercase();
    let id = MessageId::derived(&["guess", &host, &username.to_lowercase()]);
    key(format!("T#{tenant}#G"), id.as_str())
}

/// Ledgers and lease of a mailbox; as an index key, its messages.
pub(super) fn mailbox(tenant: &Tenant, account: &AccountId) -> String {
    format!("T#{tenant}#A#{account}")
}

/// How the sort keys of ledgers begin.
pub(super) const LEDGERS: &str = "L#";

pub(super) fn ledger(tenant: &Tenant, account: &AccountId, source: &SourceId) -> Key {
    key(mailbox(tenant, account), format!("{LEDGERS}{}", source.as_str()))
}

pub(super) fn uids(tenant: &Tenant, account: &AccountId, source: &SourceId) -> Key {
    key(mailbox(tenant, account), format!("U#{}", source.as_str()))
}

pub(super) fn lease(tenant: &Tenant, account: &AccountId) -> Key {
    key(mailbox(tenant, account), "LEASE")
}

/// How the sort keys of earlier versions begin.
pub(super) const HISTORY: &str = "H#";

pub(super) fn history(tenant: &Tenant, account: &AccountId, changed_at: Timestamp, version: &str) -> Key {
    key(mailbox(tenant, account), format!("{HISTORY}{changed_at}#{version}"))
}

pub(super) fn draft(tenant: &Tenant, account: &AccountId) -> Key {
    key(mailbox(tenant, account), "DRAFT")
}

pub(super) fn counter(tenant: &Tenant, what: &str, window: Timestamp) -> Key {
    key(format!("T#{tenant}#N"), format!("{what}#{window}"))
}

pub(super) fn grant(grant: &GrantKey) -> Key {
    key(mailbox(&grant.tenant, &grant.account), format!("TOKEN#{}", grant.id.0))
}

/// All items of one message.
pub(super) fn message_items(tenant: &Tenant, id: &MessageId) -> String {
    format!("T#{tenant}#M#{id}")
}

pub(super) fn message(tenant: &Tenant, id: &MessageId) -> Key {
    key(message_items(tenant, id), "M")
}

/// Where a message stands in its mailbox's time line. Its direction is told there, without its row.
pub(super) fn by_time(
    tenant: &Tenant,
    account: &AccountId,
    at: Timestamp,
    id: &MessageId,
    direction: Direction,
) -> [(String, AttributeValue); 2] {
    let place = match direction {
        Direction::Incoming => in_time_line(at, id),
        Direction::Outgoing => in_time_line(at, id) + OUTGOING,
    };
    [("lpk".to_owned(), text(mailbox(tenant, account))), ("lsk".to_owned(), text(place))]
}

/// How places of outgoing messages in the time line end.
const OUTGOING: &str = "#out";

/// A place in the time line, without direction.
pub(super) fn in_time_line(at: Timestamp, id: &MessageId) -> String {
    format!("{at}#{id}")
}

/// A place in the time line without its direction, and that.
pub(super) fn directed(place: &str) -> (&str, Direction) {
    match place.strip_suffix(OUTGOING) {
        Some(place) => (place, Direction::Outgoing),
        None => (place, Direction::Incoming),
    }
}

/// The message that stands at a place in the time line.
pub(super) fn id_in_time_line(place: &str) -> Option<MessageId> {
    MessageId::new(directed(place).0.rsplit_once('#')?.1).ok()
}

/// Account and time of an item that has them as index keys only.
pub(super) fn by_time_of(item: &Item) -> Option<(AccountId, Timestamp)> {
    let (_, account) = text_of(item, "lpk")?.split_once("#A#")?;
    let (at, _) = text_of(item, "lsk")?.split_once('#')?;
    Some((AccountId::new(account).ok()?, Timestamp::parse(at)?))
}

pub(super) fn body(tenant: &Tenant, id: &MessageId, fingerprint: &str) -> Key {
    key(message_items(tenant, id), format!("B#{}", head(fingerprint)))
}

pub(super) fn recipients(tenant: &Tenant, id: &MessageId, attempt: &str) -> Key {
    key(message_items(tenant, id), format!("R#{attempt}"))
}

/// Files whose content has this head of a hash: `file_uuid` (decision 18).
pub(super) fn file_places(tenant: &Tenant, uuid: &str) -> String {
    format!("T#{tenant}#F#{uuid}")
}

/// A file by its content.
pub(super) fn file_place(tenant: &Tenant, sha256: &str) -> Key {
    key(file_places(tenant, head(sha256)), sha256)
}

/// The message that left under a Message-ID.
pub(super) fn message_id(tenant: &Tenant, message_id: &str) -> Key {
    let hash = MessageId::derived(&["message-id", message_id]);
    key(format!("T#{tenant}#I#{hash}"), "I")
}

/// Tenant and id of a message's primary key, as the due index gives it.
pub(super) fn message_of(pk: &str) -> Option<(Tenant, MessageId)> {
    let (tenant, id) = pk.strip_prefix("T#")?.split_once("#M#")?;
    Some((Tenant::new(tenant).ok()?, MessageId::new(id).ok()?))
}

/// Tenant and account of a status.
pub(super) fn status_of(pk: &str, sk: &str) -> Option<(Tenant, AccountId)> {
    let tenant = pk.strip_prefix("T#")?.strip_suffix("#S")?;
    Some((Tenant::new(tenant).ok()?, AccountId::new(sk).ok()?))
}

/// Tenant and account of a ledger.
pub(super) fn ledger_of(pk: &str, sk: &str) -> Option<(Tenant, AccountId)> {
    sk.strip_prefix("L#")?;
    let (tenant, account) = pk.strip_prefix("T#")?.split_once("#A#")?;
    Some((Tenant::new(tenant).ok()?, AccountId::new(account).ok()?))
}

pub(super) fn due(id: &MessageId, lane: Lane) -> String {
    due_shard(match lane {
        Lane::System | Lane::Transactional => shard(id.as_str(), DUE_SHARDS),
        Lane::Bulk => DUE_SHARDS + shard(id.as_str(), BULK_SHARDS),
    })
}

/// A tenant's outbox.
pub(super) fn outbox(tenant: &Tenant) -> String {
    format!("T#{tenant}#O")
}

/// Where a message stands in its tenant's outbox: by account, then by age.
pub(super) fn in_outbox(account: &AccountId, at: Timestamp, id: &MessageId) -> String {
    format!("{account}#{at}#{id}")
}

pub(super) fn due_shard(shard: u8) -> String {
    format!("DUE#{shard}")
}

/// The index of words of a mailbox. It lives as long as the messages, not as the account.
pub(super) fn search(tenant: &Tenant, account: &AccountId) -> String {
    format!("T#{tenant}#W#{account}")
}

/// How the sort keys of the index's tail begin.
pub(super) const SEARCH_TAIL: &str = "E#";

pub(super) fn search_tail(tenant: &Tenant, account: &AccountId, at: Timestamp, random: &str) -> Key {
    key(search(tenant, account), format!("{SEARCH_TAIL}{at}#{random}"))
}

pub(super) fn search_manifest(tenant: &Tenant, account: &AccountId) -> Key {
    key(search(tenant, account), "M")
}

/// An account's name may be `..`, which no path should hold.
pub(super) fn search_object(tenant: &Tenant, account: &AccountId, name: &str) -> String {
    format!("t/{tenant}/words/{}/{name}", MessageId::derived(&["words", account.as_str()]))
}

pub(super) fn polls(shard: u8) -> String {
    format!("POLL#{shard}")
}

pub(super) fn poll(tenant: &Tenant, account: &AccountId) -> Key {
    let name = format!("{tenant}#{account}");
    key(polls(shard(&name, POLL_SHARDS)), name)
}

/// Tenant and account of a polled mailbox's sort key.
pub(super) fn polled(sk: &str) -> Option<(Tenant, AccountId)> {
    let (tenant, account) = sk.split_once('#')?;
    Some((Tenant::new(tenant).ok()?, AccountId::new(account).ok()?))
}

pub(super) fn raw_object(tenant: &Tenant, id: &MessageId) -> String {
    format!("t/{tenant}/raw/{id}")
}

pub(super) fn file_object(tenant: &Tenant, sha256: &str) -> String {
    format!("t/{tenant}/files/{sha256}")
}

pub(super) fn body_object(tenant: &Tenant, id: &MessageId, fingerprint: &str) -> String {
    format!("t/{tenant}/body/{id}-{}", head(fingerprint))
}

pub(super) fn secret(tenant: &Tenant, shard: u32) -> String {
    format!("halfpenny/{tenant}/{shard}")
}

/// 128 bits of a fingerprint are enough to tell bodies apart.
fn head(fingerprint: &str) -> &str {
    fingerprint.get(..32).unwrap_or(fingerprint)
}

fn shard(name: &str, shards: u8) -> u8 {
    digest(&SHA256, name.as_bytes()).as_ref()[0] % shards
}

#[cfg(test)]
mod tests;
