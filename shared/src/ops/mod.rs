//! Use cases that two or more functions share. They see `mail` and `store`; neither of those sees the other.
//!
//! - [`send`]: accept a mail durably, then try to deliver it; `send` and `deliver` share the attempt.
//! - [`pull`]: read a mailbox and store what is new, each message once.
//! - [`again`]: announce or read again what is stored; acknowledge it.
//! - [`change`]: what a caller does with a stored message; [`folders`]: the mailbox's folders.
//! - [`probe`]: does an account work?
//! - [`autoconfig`]: which settings does an address need?
//! - [`diagnose`]: why does it not, and how is it mended?
//! - [`test_email`]: does an account deliver?
//! - [`follow_up`]: what is done at the mailbox once a message has left: [`resolve`], [`sent_copy`], [`mark`].
//! - [`bounces`]: what came back about a message after it had left?
//! - [`suppressions`]: who is not sent to any more?
//! - [`search`]: which messages have these words?
//! - [`risks`]: what will stop working soon?
//! - [`notify`]: what happened, as events; [`webhooks`]: who is told.
//! - [`schedule`]: who is due?
//! - [`sign_in`]: a connection with the account's credential, for all of them.
//! - [`files`]: a file by the hash of its content, wherever it is.
//! - [`jetquery`], [`emailengine`]: a stored message in the words of others.
//! - [`pii`]: what tokens in messages stand for.
//! - [`templates`]: texts with places for parameters.
//! - [`keyring`], [`grants`]: that credential, and the OAuth tokens in it.
//! - [`tokens`]: who calls?
//! - [`guesses`]: how often may a given password be tried?
//! - [`fortunes`]: what an account's status says after a success or a failure, and whether it may sign in now.
//! - [`email_config`]: the account that is the tenant's email configuration, complete or not.
//! - [`limits`]: how often a tenant may call.

pub mod again;
pub mod autoconfig;
pub mod bounces;
pub mod change;
pub mod diagnose;
pub mod email_config;
pub mod emailengine;
pub mod files;
pub mod folders;
pub mod follow_up;
pub mod fortunes;
pub mod grants;
pub mod guesses;
pub mod jetquery;
pub mod keyring;
pub mod limits;
mod mark;
pub mod notify;
pub mod pii;
pub mod probe;
pub mod pull;
pub mod resolve;
pub mod risks;
pub mod schedule;
pub mod search;
pub mod send;
pub mod sent_copy;
pub mod sign_in;
pub mod suppressions;
pub mod templates;
pub mod test_email;
pub mod tokens;
pub mod webhooks;

use std::sync::Arc;

use crate::mail::Timeouts;
use crate::mail::trace::Trace;
use crate::net::{Network, SetupError};
use crate::settings::{Settings, SettingsError};
use crate::store::Store;

/// What a use case works with. Clones share everything.
#[derive(Clone, Debug)]
pub struct Tools {
    /// What the template says.
    pub settings: Arc<Settings>,
    /// AWS.
    pub store: Store,
    /// The way out.
    pub network: Arc<Network>,
    /// What is said to receiving servers, where somebody wants to see it: off, but in a copy made for one call.
    pub trace: Trace,
}

/// The environment does not allow the function to start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable is missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The roots of trust cannot be read.
    #[error(transparent)]
    Network(#[from] SetupError),
}

impl Tools {
    /// Reads the environment and builds the clients; connects to nothing yet.
    pub async fn from_env() -> Result<Self, StartError> {
        let settings = Settings::from_env()?;
        let timeouts = Timeouts { connect: settings.connect, reply: settings.reply, dot: settings.dot };
        let ca_file = settings.ca_file.as_deref();
        let network = Network::new(&settings.allow_nets, &settings.own_ports, ca_file, timeouts)?;
        let store = Store::from_settings(&settings).await;
        Ok(Self { settings: Arc::new(settings), store, network: Arc::new(network), trace: Trace::default() })
    }
}
