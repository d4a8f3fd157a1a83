//! What routes answer beyond the resources themselves, and the smaller bodies that they take.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account::{AccountInput, ReceiveInput, ServerInput};
use super::calendar::Appointment;
use super::principal::Scope;
use super::{Account, AccountId, Address, Message, MessageId, Security, SendState, Timestamp};

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items; there may be fewer than `limit` although `nextCursor` is there.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// One page of stored mail.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessagePage<T> {
    /// The messages; there may be fewer than `limit` although `nextCursor` is there.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
    /// Only where words or a conversation are searched for, and much was sent lately: outgoing mail that was accepted
    /// since then has not been searched. Each search gets on with it; left out where all has been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_searched_since: Option<Timestamp>,
}

/// How an account fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum AccountState {
    /// The last use worked.
    Ok,
    /// Never used since its settings changed.
    #[default]
    Unverified,
    /// The server refused the credentials.
    AuthFailed,
    /// The server cannot be reached or used.
    ConnectFailed,
    /// Switched off.
    Disabled,
}

/// Why an account is not usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountErrorCode {
    /// Nothing is wrong that we know of.
    #[default]
    Ok,
    /// There are no settings.
    ConfigNotSet,
    /// A password is missing.
    IncompleteConfig,
    /// The server refused the credentials.
    InvalidCredentials,
    /// The server cannot be reached or used.
    ProviderError,
}

/// An account's fortunes, beside its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// In a word.
    pub state: AccountState,
    /// Why.
    pub error_code: AccountErrorCode,
    /// Refused logins in a row.
    pub auth_failures: u32,
    /// The last pull that brought or changed something.
    pub last_pull_at: Option<Timestamp>,
    /// The last message that its server took.
    pub last_send_at: Option<Timestamp>,
    /// The last failure in the server's words.
    pub last_error: Option<String>,
    /// When it is pulled next; null where it is not polled.
    pub next_poll_at: Option<Timestamp>,
    /// No login before this time, because the server refused the last ones; left out where nothing is held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_login_at: Option<Timestamp>,
}

/// An account with its status, as answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    /// The settings.
    #[serde(flatten)]
    pub settings: Account,
    /// How it fares.
    pub status: Status,
    /// What is dangerous about the settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl AccountView {
    /// Puts settings and status together and names what is dangerous.
    pub fn new(settings: Account, status: Status) -> Self {
        let sides =
            [("smtp", settings.smtp.as_ref()), ("receive", settings.receive.as_ref().map(|receive| &receive.server))];
        let mut warnings = Vec::new();
        for (side, server) in sides.into_iter().filter_map(|(side, server)| Some((side, server?))) {
            if server.security == Security::None {
                warnings.push(format!("{side}.security is none: password and mail travel in clear"));
            }
            if !server.verify_certificate {
                warnings.push(format!("{side}.verifyCertificate is false: anybody on the way can pose as the server"));
            }
        }
        Self { settings, status, warnings }
    }
}

/// An account as it was once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountVersion {
    /// Its ETag, and its name in `restore`.
    pub version: String,
    /// Since when it was so.
    pub changed_at: Timestamp,
    /// Which token made it so: `root`, or the first characters of the token's id.
    pub changed_by: String,
    /// Whether it is so now.
    pub current: bool,
    /// The settings, without secrets; what is said about secrets is what was true then.
    pub settings: Account,
}

/// What an import has written.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Imported {
    /// Each account.
    pub accounts: Vec<ImportedAccount>,
}

/// An account that was imported.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ImportedAccount {
    /// Its name.
    pub account: AccountId,
    /// Whether there was none before.
    pub created: bool,
    /// Whether its password is missing still.
    pub incomplete: bool,
}

/// Settings to probe; either side or both. Nothing is stored.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateInput {
    /// The sending side.
    #[serde(default)]
    pub smtp: Option<ServerInput>,
    /// The receiving side.
    #[serde(default)]
    pub receive: Option<ReceiveInput>,
}

impl ValidateInput {
    /// The same settings as an account, so that they are checked by the same rules.
    pub fn into_account(self) -> AccountInput {
        AccountInput {
            name: None,
            from: Address::bare("probe@localhost"),
            identities: Vec::new(),
            smtp: self.smtp,
            receive: self.receive,
            poll: super::Poll::default(),
            sent_copy: super::SentCopy::default(),
        }
    }
}

/// A message that proves that an account can send.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestEmailInput {
    /// Who gets it.
    #[serde(deserialize_with = "super::address::given")]
    pub to: Address,
    /// Left out: a sentence that says what it is.
    #[serde(default)]
    pub subject: Option<String>,
    /// Left out: a sentence that says what it is.
    #[serde(default)]
    pub text: Option<String>,
    /// Settings to try instead of the stored ones. The stored password goes to the stored server only.
    #[serde(default)]
    pub smtp: Option<ServerInput>,
    /// Sender to try instead of the stored one; must be the account's or one of its identities.
    #[serde(default, deserialize_with = "super::address::given_option")]
    pub from: Option<Address>,
}

/// A folder of a mailbox, as its server lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailFolder {
    /// Its name.
    pub name: String,
    /// What stands between the levels of the name.
    #[schema(value_type = Option<String>)]
    pub delimiter: Option<char>,
    /// What the server says about it: `\\Noselect`, `\\HasChildren` … (RFC 3501 §7.2.2).
    pub attributes: Vec<String>,
    /// What it is for: `\\Junk`, `\\Sent` … (RFC 6154 §2), by the server's word, else by its name.
    pub special_use: Option<String>,
    /// Messages in it; null where it holds none, or is not counted: the first 200 are.
    pub messages: Option<u32>,
    /// Messages without the flag `\\Seen`.
    pub unseen: Option<u32>,
    /// The UID that the next message will have, at least.
    pub uid_next: Option<u32>,
    /// The epoch of its UIDs.
    pub uid_validity: Option<u32>,
    /// Whether the account's settings have it pulled.
    pub pulled: bool,
}

impl MailFolder {
    /// One of which nothing else is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            delimiter: None,
            attributes: Vec::new(),
            special_use: None,
            messages: None,
            unseen: None,
            uid_next: None,
            uid_validity: None,
            pulled: false,
        }
    }
}

/// What was found in one folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PulledFolder {
    /// Its name.
    pub folder: String,
    /// Messages stored for the first time.
    pub new: u32,
    /// Messages that the server lists.
    pub total: u32,
    /// The server renumbered the folder (IMAP UIDVALIDITY changed): it was read afresh, and what is stored was found
    /// again in it by its content.
    pub reset: bool,
    /// Why it could not be pulled, in the server's words; the other folders were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The result of a pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pulled {
    /// The account.
    pub account: AccountId,
    /// Messages stored for the first time.
    pub new: u32,
    /// Their ids, oldest first.
    pub stored: Vec<MessageId>,
    /// By folder.
    pub folders: Vec<PulledFolder>,
    /// There is more; the rest has been queued.
    pub more: bool,
    /// How long it took.
    pub duration_ms: u64,
}

/// The result of a pull that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PulledNow {
    /// What was found.
    #[serde(flatten)]
    pub pulled: Pulled,
    /// With `debug`: what was said, `C: ` before our lines and `S: ` before the server's; without secrets and messages,
    /// at most 400 lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<String>>,
}

/// An account whose pull was queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuedPull {
    /// The account.
    pub account: AccountId,
    /// True: a worker will pull it.
    pub queued: bool,
}

/// A pull of all accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuedPulls {
    /// Each account that receives.
    pub accounts: Vec<QueuedPull>,
}

/// What came of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pushed {
    /// Messages that were sent, to all or to some.
    pub delivered: u32,
    /// Messages that are tried again later.
    pub deferred: u32,
    /// Messages that failed for good.
    pub failed: u32,
    /// Messages that were handed over and whose reply was lost.
    pub unknown: u32,
    /// Messages that the time or the server's pace did not allow; a worker goes on.
    pub queued: u32,
}

impl Pushed {
    /// Counts a message by the state it came to.
    pub fn count(&mut self, state: SendState) {
        match state {
            SendState::Sent | SendState::Partial => self.delivered += 1,
            SendState::Deferred => self.deferred += 1,
            SendState::Failed | SendState::Canceled => self.failed += 1,
            SendState::Unknown => self.unknown += 1,
            // Counted with what is left.
            SendState::Queued | SendState::Sending => {}
        }
    }

    /// Adds those of another account.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.queued += other.queued;
    }
}

/// A push and a pull of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Synced {
    /// What came of the pull; left out where the account does not receive.
    #[serde(flatten)]
    pub pulled: Option<Pulled>,
    /// What came of the push.
    #[serde(flatten)]
    pub pushed: Pushed,
    /// With `debug`: what was said in the pull, as there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<String>>,
}

/// A push of all accounts, and their pulls, which are queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SyncedAll {
    /// Each account that receives.
    #[serde(flatten)]
    pub pulls: QueuedPulls,
    /// What came of the push.
    #[serde(flatten)]
    pub pushed: Pushed,
}

/// A header as it stood in the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeaderLine {
    /// Its name.
    pub name: String,
    /// Its value, decoded.
    pub value: String,
}

/// Something that was wrong with a message's MIME, and was read all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Defect {
    /// Stable reason.
    pub code: String,
    /// Words.
    pub detail: String,
}

/// A stored message, whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageDetail {
    /// What lists show.
    #[serde(flatten)]
    pub message: Message,
    /// All authors, where there is more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<Address>,
    /// The text body, UTF-8; made from the HTML where there is no text part.
    pub text: Option<String>,
    /// The HTML body, safe to show: no script, no remote content, no pictures. With those of the message itself:
    /// `…/html`.
    pub html: Option<String>,
    /// All headers in order.
    pub headers: Vec<HeaderLine>,
    /// The appointment that it is about; null where there is none, or more than one.
    pub calendar: Option<Appointment>,
    /// How many appointments its calendar parts hold.
    pub appointments: usize,
    /// What was wrong with it.
    pub defects: Vec<Defect>,
}

impl MessageDetail {
    /// What is known without the source.
    pub fn of(message: Message) -> Self {
        Self {
            message,
            authors: Vec::new(),
            text: None,
            html: None,
            headers: Vec::new(),
            calendar: None,
            appointments: 0,
            defects: Vec::new(),
        }
    }
}

/// A token to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenInput {
    /// Words for people.
    pub name: String,
    /// Its rights; none that the maker lacks.
    pub scopes: Vec<Scope>,
    /// The accounts it may touch; left out: all of the tenant's.
    #[serde(default)]
    pub accounts: Option<Vec<AccountId>>,
    /// When it ends; left out: never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A token as stored and shown: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its id in paths: the SHA-256 of the token, lower-case hex.
    pub id: String,
    /// Words for people.
    pub name: String,
    /// Its rights.
    pub scopes: Vec<Scope>,
    /// The accounts it may touch; null: all.
    pub accounts: Option<Vec<AccountId>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A new token: the only answer that shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenCreated {
    /// Send it as `Authorization: Bearer <token>`. It is not stored and cannot be shown again.
    pub token: String,
    /// What is stored of it.
    #[serde(flatten)]
    pub view: TokenView,
}

/// `GET /health`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`: whoever can answer is well.
    pub status: &'static str,
    /// Version of the service.
    pub version: &'static str,
}
