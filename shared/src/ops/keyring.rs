//! What an account signs in with: its stored secrets or given ones, and the tokens that these bring.

use secrecy::{ExposeSecret, SecretString};

use super::Tools;
use super::grants::Wanted;
use super::sign_in::SignInError;
use crate::mail::{self, Credential, Deadline};
use crate::model::account::{OAuth2, SideSecrets, TokenServer};
use crate::model::{AccountId, Auth, Protocol, Server, Tenant, Timestamp};
use crate::oauth::{self, HandedSecret};
use crate::store::{SecretRef, Side};

/// Where the secrets are.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// In the tenant's secret; none: nowhere.
    Stored(Option<&'a SecretRef>),
    /// In the caller's hand.
    Given(&'a SideSecrets),
}

/// One side of one account, and where its secrets are.
#[derive(Clone, Copy)]
pub struct Keyring<'a> {
    /// What to work with.
    pub tools: &'a Tools,
    /// Whose.
    pub tenant: &'a Tenant,
    /// Which account, or [`AccountId::nobody`].
    pub account: &'a AccountId,
    /// Which side.
    pub side: Side,
    /// Where it signs in, and how.
    pub server: &'a Server,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The secrets.
    pub source: Source<'a>,
    /// Until when.
    pub deadline: Deadline,
    /// The time.
    pub now: Timestamp,
}

/// A credential, and whether another one is worth a try where a server refuses it.
#[derive(Debug)]
pub struct Key {
    /// To sign in with.
    pub credential: Credential,
    /// It comes from memory or from the table.
    cached: bool,
}

impl Keyring<'_> {
    /// The credential, its secret or token from memory where it is young enough.
    ///
    /// # Errors
    /// A secret is missing, or a token cannot be had.
    pub async fn key(&self) -> Result<Key, SignInError> {
        match &self.server.auth {
            Auth::Password { username, .. } => Ok(Key {
                credential: password(username, self.secrets(false).await?)?,
                cached: matches!(self.source, Source::Stored(_)),
            }),
            Auth::OAuth2(oauth2) => self.token(oauth2, None).await,
            Auth::TokenServer(server) => Ok(Key { credential: self.handed(server).await?, cached: false }),
            Auth::None => Ok(Key { credential: Credential::None, cached: false }),
        }
    }

    /// The server refused a credential. One that may be old is got afresh, once: somebody may have changed the password
    /// a moment ago, and a token may have been revoked. The refusal stands if nothing else comes of it.
    ///
    /// # Errors
    /// The refusal, or as [`Keyring::key`].
    pub async fn afresh(&self, refused: &Key, refusal: mail::Error) -> Result<Credential, SignInError> {
        match (&self.server.auth, &refused.credential) {
            (Auth::Password { .. }, Credential::Password { username, password: old }) if refused.cached => {
                let new = password(username, self.secrets(true).await?)?;
                match &new {
                    Credential::Password { password, .. } if !same(old, password) => Ok(new),
                    _ => Err(refusal.into()),
                }
            }
            (Auth::OAuth2(oauth2), Credential::Bearer { token, .. }) if refused.cached => {
                Ok(self.token(oauth2, Some(token)).await?.credential)
            }
            _ => Err(refusal.into()),
        }
    }

    async fn token(&self, oauth2: &OAuth2, refused: Option<&SecretString>) -> Result<Key, SignInError> {
        let secrets = self.secrets(false).await?;
        if !secrets.complete(&self.server.auth) {
            return Err(SignInError::NoPassword);
        }
        let Self { tools, tenant, account, protocol, deadline, now, .. } = *self;
        let wanted = Wanted { tools, tenant, account, oauth2, protocol, secrets: &secrets, deadline, now };
        let obtained = wanted.obtain(refused).await?;
        let credential = Credential::Bearer { username: oauth2.username.clone(), token: obtained.token };
        Ok(Key { credential, cached: obtained.cached })
    }

    /// A token server is asked each time: it keeps what there is to keep.
    async fn handed(&self, server: &TokenServer) -> Result<Credential, SignInError> {
        let network = &self.tools.network;
        let query = if server.has_query { self.secrets(false).await?.query } else { None };
        let (account, query) = (self.account, query.as_ref());
        let handed = oauth::ask_server(network, server, query, account, self.protocol, self.deadline).await;
        let handed = handed.map_err(oauth::TokenError::into_mail)?;
        let username = handed.username.or_else(|| server.username.clone()).ok_or(SignInError::NoPassword)?;
        Ok(match handed.secret {
            HandedSecret::Token(token) => Credential::Bearer { username, token },
            HandedSecret::Password(password) => Credential::Password { username, password },
        })
    }

    async fn secrets(&self, afresh: bool) -> Result<SideSecrets, SignInError> {
        let place = match self.source {
            Source::Given(secrets) => return Ok(secrets.clone()),
            Source::Stored(place) => place.ok_or(SignInError::NoPassword)?,
        };
        let fingerprint = self.server.fingerprint(self.protocol);
        let store = &self.tools.store.secrets;
        let found = if afresh {
            store.refresh(self.tenant, self.account, place, self.side, &fingerprint, self.now).await
        } else {
            store.get(self.tenant, self.account, place, self.side, &fingerprint, self.now).await
        };
        Ok(found?)
    }
}

fn password(username: &str, secrets: SideSecrets) -> Result<Credential, SignInError> {
    let password = secrets.password.ok_or(SignInError::NoPassword)?;
    Ok(Credential::Password { username: username.to_owned(), password })
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
