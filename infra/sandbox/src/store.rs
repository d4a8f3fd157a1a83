//! Mailboxes, logins, and what SMTP accepted.
//!
//! Everything is kept in memory; with a data directory also in small files (`disk`), written before
//! the client hears of success. A store that lies (another UIDVALIDITY, missing or repeated UIDLs,
//! wrong sizes) would do so in the answers of this module.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::folder::Messages;
pub use crate::folder::{Folder, Stored};
use crate::script::Service;
use crate::{Error, User, disk};

/// The domain whose unknown addresses are refused even when nobody lives there.
const HOME_DOMAIN: &str = "example.test";

/// Locks; a panic of another holder leaves nothing half done that matters here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message that SMTP accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The session, as in the transcript; 0 for a message kept from before a restart.
    pub session: u64,
    /// The port.
    pub service: Service,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Who was logged in.
    pub login: Option<String>,
    /// The reverse path, without angle brackets; empty for `<>`.
    pub from: String,
    /// The accepted recipients, in order.
    pub recipients: Vec<String>,
    /// The message: dots un-stuffed, with the CRLF before the final dot (RFC 5321 §4.1.1.4), nothing added.
    pub bytes: Bytes,
    /// The same as on the wire, dots stuffed, with the final `.` CRLF; empty for a message kept from before a restart.
    pub wire: Bytes,
    /// When the final dot came.
    pub at: OffsetDateTime,
}

/// The logins of one user name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Logins {
    /// All attempts that the server judged.
    pub attempted: usize,
    /// Those with the right password.
    pub accepted: usize,
}

/// `<n>.json` beside `<n>.eml` in `received`.
#[derive(Serialize, Deserialize)]
struct Envelope {
    service: Service,
    tls: bool,
    login: Option<String>,
    from: String,
    recipients: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

#[derive(Debug)]
struct Mailbox {
    password: String,
    folders: BTreeMap<Folder, Messages>,
    /// RFC 1939 §4: a POP3 session has the mailbox for itself.
    pop3_busy: bool,
}

#[derive(Debug, Default)]
struct State {
    mailboxes: HashMap<String, Mailbox>,
    received: Vec<Received>,
    /// The number of the last file in `received`.
    last_received: u32,
    logins: BTreeMap<String, Logins>,
    /// Access tokens, by mailbox.
    tokens: HashMap<String, BTreeSet<String>>,
    /// There has been one: logins by token are offered.
    by_token: bool,
    /// What somebody sends who has logged in is filed in his Sent folder.
    files_sent: bool,
}

/// All state of a sandbox.
#[derive(Debug)]
pub(crate) struct Store {
    root: Option<PathBuf>,
    state: Mutex<State>,
}

/// A folder as IMAP STATUS and SELECT see it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) mod_seq: u64,
    /// Differs when messages have come or gone.
    pub(crate) changes: u64,
    pub(crate) messages: Vec<Stored>,
}

impl Store {
    /// Reads what a data directory holds and opens the mailboxes.
    pub(crate) fn open(root: Option<&Path>, users: &[User]) -> Result<Self, Error> {
        let mut state = State::default();
        if let Some(root) = root {
            (state.last_received, state.received) = read_received(&root.join("received"))?;
        }
        let store = Self { root: root.map(Path::to_owned), state: Mutex::new(state) };
        for user in users {
            store.add_user(&user.address, &user.password)?;
        }
        Ok(store)
    }

    /// Opens a mailbox, or changes its password.
    pub(crate) fn add_user(&self, address: &str, password: &str) -> Result<(), Error> {
        let address = address.to_lowercase();
        let mut state = lock(&self.state);
        if let Some(mailbox) = state.mailboxes.get_mut(&address) {
            password.clone_into(&mut mailbox.password);
            return Ok(());
        }
        let mut folders = BTreeMap::new();
        for folder in Folder::ALL {
            let dir =
                self.root.as_ref().map(|root| disk::address_dir(&root.join("mail"), &address).join(folder.name()));
            folders.insert(folder, Messages::open(dir)?);
        }
        state.mailboxes.insert(address, Mailbox { password: password.to_owned(), folders, pop3_busy: false });
        Ok(())
    }

    /// Judges a login and counts it; on success returns the mailbox's address.
    pub(crate) fn login(&self, user: &str, password: &str) -> Option<String> {
        self.judge(user, |state, user| state.mailboxes.get(user).is_some_and(|mailbox| mailbox.password == password))
    }

    /// The same for a login by access token.
    pub(crate) fn login_by_token(&self, user: &str, token: &str) -> Option<String> {
        self.judge(user, |state, user| {
            state.mailboxes.contains_key(user) && state.tokens.get(user).is_some_and(|tokens| tokens.contains(token))
        })
    }

    /// Whether logins by access token are offered.
    pub(crate) fn knows_tokens(&self) -> bool {
        lock(&self.state).by_token
    }

    pub(crate) fn add_token(&self, address: &str, token: &str) {
        let mut state = lock(&self.state);
        state.by_token = true;
        state.tokens.entry(address.to_lowercase()).or_default().insert(token.to_owned());
    }

    pub(crate) fn drop_tokens(&self, address: &str) {
        lock(&self.state).tokens.remove(&address.to_lowercase());
    }

    fn judge(&self, user: &str, right: impl FnOnce(&State, &str) -> bool) -> Option<String> {
        let user = user.to_lowercase();
        let mut state = lock(&self.state);
        let right = right(&state, &user);
        let logins = state.logins.entry(user.clone()).or_default();
        logins.attempted += 1;
        logins.accepted += usize::from(right);
        right.then_some(user)
    }

    pub(crate) fn logins(&self) -> BTreeMap<String, Logins> {
        lock(&self.state).logins.clone()
    }

    /// Whether mail for an address can be taken: a mailbox of ours, or a domain that is not ours.
    pub(crate) fn takes(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        let state = lock(&self.state);
        let domain = domain_of(&address);
        let local = domain == HOME_DOMAIN || state.mailboxes.keys().any(|known| domain_of(known) == domain);
        !local || state.mailboxes.contains_key(&address)
    }

    /// Keeps an accepted message and puts it into the mailboxes of its recipients.
    pub(crate) fn accept(&self, message: Received) -> Result<u32, Error> {
        let mut state = lock(&self.state);
        let number = state.last_received + 1;
        if let Some(root) = &self.root {
            write_received(&root.join("received"), number, &message)?;
        }
        for recipient in message.recipients.iter().map(|address| address.to_lowercase()).collect::<BTreeSet<_>>() {
            if let Some(inbox) = folder_of(&mut state, &recipient, Folder::Inbox) {
                inbox.add(message.bytes.clone(), BTreeSet::new(), message.at)?;
            }
        }
        if let (true, Some(login)) = (state.files_sent, message.login.as_deref()) {
            let seen = BTreeSet::from(["\\Seen".to_owned()]);
            if let Some(sent) = folder_of(&mut state, &login.to_lowercase(), Folder::Sent) {
                sent.add(message.bytes.clone(), seen, message.at)?;
            }
        }
        state.received.push(message);
        state.last_received = number;
        Ok(number)
    }

    pub(crate) fn files_sent(&self, files: bool) {
        lock(&self.state).files_sent = files;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// Puts a message into the INBOX.
    pub(crate) fn deliver(&self, address: &str, bytes: Bytes) -> Result<u32, Error> {
        self.append(&address.to_lowercase(), Folder::Inbox, bytes, BTreeSet::new(), OffsetDateTime::now_utc())
    }

    /// Puts a message into a folder; returns its UID.
    pub(crate) fn append(
        &self,
        address: &str,
        folder: Folder,
        bytes: Bytes,
        flags: BTreeSet<String>,
        date: OffsetDateTime,
    ) -> Result<u32, Error> {
        let mut state = lock(&self.state);
        let messages = folder_of(&mut state, address, folder).ok_or_else(|| Error::NoMailbox(address.to_owned()))?;
        messages.add(bytes, flags, date)
    }

    /// Puts the same message into another folder; returns its UID there.
    pub(crate) fn copy(&self, address: &str, message: Stored, to: Folder) -> Result<u32, Error> {
        let mut state = lock(&self.state);
        let messages = folder_of(&mut state, address, to).ok_or_else(|| Error::NoMailbox(address.to_owned()))?;
        messages.add_copy(message)
    }

    /// What a folder holds now; nothing for an unknown address.
    pub(crate) fn messages(&self, address: &str, folder: Folder) -> Vec<Stored> {
        self.view(&address.to_lowercase(), folder).map(|view| view.messages).unwrap_or_default()
    }

    /// A folder's counters and messages (which are shared, not copied).
    pub(crate) fn view(&self, address: &str, folder: Folder) -> Option<View> {
        let mut state = lock(&self.state);
        folder_of(&mut state, address, folder).map(|messages| View {
            uid_validity: messages.uid_validity(),
            uid_next: messages.uid_next(),
            mod_seq: messages.mod_seq(),
            changes: messages.changes(),
            messages: messages.all().cloned().collect(),
        })
    }

    /// A folder's `View::changes` alone, which costs nothing.
    pub(crate) fn changes(&self, address: &str, folder: Folder) -> Option<u64> {
        Some(folder_of(&mut lock(&self.state), address, folder)?.changes())
    }

    /// UIDs that were removed after a mod-sequence, ascending.
    pub(crate) fn removed_since(&self, address: &str, folder: Folder, mod_seq: u64) -> Vec<u32> {
        let mut state = lock(&self.state);
        folder_of(&mut state, address, folder).map(|messages| messages.removed_since(mod_seq)).unwrap_or_default()
    }

    /// Renumbers a folder; returns its new UIDVALIDITY.
    pub(crate) fn renumber(&self, address: &str, folder: Folder) -> Result<u32, Error> {
        let mut state = lock(&self.state);
        folder_of(&mut state, address, folder).ok_or_else(|| Error::NoMailbox(address.to_owned()))?.renumber()
    }

    /// One message; `None` when it was removed meanwhile.
    pub(crate) fn message(&self, address: &str, folder: Folder, uid: u32) -> Option<Stored> {
        folder_of(&mut lock(&self.state), address, folder)?.get(uid).cloned()
    }

    /// Sets the flags of a message; false when it was removed meanwhile.
    pub(crate) fn set_flags(
        &self,
        address: &str,
        folder: Folder,
        uid: u32,
        flags: BTreeSet<String>,
    ) -> Result<bool, Error> {
        match folder_of(&mut lock(&self.state), address, folder) {
            Some(messages) => messages.set_flags(uid, flags),
            None => Ok(false),
        }
    }

    /// Removes messages for good.
    pub(crate) fn remove(&self, address: &str, folder: Folder, uids: &[u32]) -> Result<(), Error> {
        match folder_of(&mut lock(&self.state), address, folder) {
            Some(messages) => messages.remove(uids),
            None => Ok(()),
        }
    }

    /// Takes the mailbox for a POP3 session; false if another has it.
    pub(crate) fn take_pop3(&self, address: &str) -> bool {
        match lock(&self.state).mailboxes.get_mut(address) {
            Some(mailbox) => !std::mem::replace(&mut mailbox.pop3_busy, true),
            None => false,
        }
    }

    /// Gives the mailbox back.
    pub(crate) fn release_pop3(&self, address: &str) {
        if let Some(mailbox) = lock(&self.state).mailboxes.get_mut(address) {
            mailbox.pop3_busy = false;
        }
    }
}

fn folder_of<'a>(state: &'a mut State, address: &str, folder: Folder) -> Option<&'a mut Messages> {
    state.mailboxes.get_mut(address)?.folders.get_mut(&folder)
}

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

fn write_received(dir: &Path, number: u32, message: &Received) -> Result<(), Error> {
    disk::make_dir(dir)?;
    disk::write(&dir.join(format!("{number}.eml")), &message.bytes)?;
    let envelope = Envelope {
        service: message.service,
        tls: message.tls,
        login: message.login.clone(),
        from: message.from.clone(),
        recipients: message.recipients.clone(),
        at: message.at,
    };
    disk::write_json(&dir.join(format!("{number}.json")), &envelope)
}

fn read_received(dir: &Path) -> Result<(u32, Vec<Received>), Error> {
    disk::make_dir(dir)?;
    let numbers = disk::numbered(dir)?;
    let mut received = Vec::new();
    for number in &numbers {
        let envelope: Option<Envelope> = disk::read_json(&dir.join(format!("{number}.json")))?;
        let bytes = disk::read(&dir.join(format!("{number}.eml")))?;
        let (Some(envelope), Some(bytes)) = (envelope, bytes) else {
            continue;
        };
        received.push(Received {
            session: 0,
            service: envelope.service,
            tls: envelope.tls,
            login: envelope.login,
            from: envelope.from,
            recipients: envelope.recipients,
            bytes: bytes.into(),
            wire: Bytes::new(),
            at: envelope.at,
        });
    }
    Ok((numbers.last().copied().unwrap_or_default(), received))
}
