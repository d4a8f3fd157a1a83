//! Access tokens for mail servers: from memory, from the table, or renewed by one of all who need one.
//!
//! The order of a renewal: claim the grant, ask the endpoint, store what it gave (the refresh token that replaces the
//! old one above all), and only then use it. A renewal that has begun goes on to its end even where its caller does not
//! wait any more, because an answer that nobody stores may hold the only refresh token that still works.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout_at};

use super::Tools;
use super::sign_in::SignInError;
use crate::background;
use crate::mail::{self, Deadline};
use crate::model::account::{OAuth2, SideSecrets};
use crate::model::{AccountId, Phase, ProbeCode, Protocol, Tenant, Timestamp};
use crate::oauth::{self, Issued, PATIENCE, TokenError};
use crate::store::{Access, Grant, GrantClaim, GrantId, GrantKey, StatusChange, StoreError};

/// Tokens are renewed this long before they expire, so that none expires on its way; short-lived ones after three
/// quarters of their life.
const EARLY_SECONDS: u32 = 300;

/// A claim outlives the longest wait for an endpoint, and what storing may take.
const CLAIM_SECONDS: u32 = 60;

/// After a failure nobody asks the endpoint again for so long.
const REST_SECONDS: i64 = 10;

/// How often one who waits for another's renewal looks.
const LOOK: Duration = Duration::from_millis(200);

/// With less time left than this no renewal is begun: its answer would come too late.
const NEEDED: Duration = Duration::from_secs(3);

/// A day.
const DAY_MILLIS: u64 = 86_400_000;

/// How often storing is tried, at 100, 200, 400… ms.
const STORE_TRIES: u32 = 6;

/// An access token and how it came.
#[derive(Debug)]
pub struct Obtained {
    /// The token.
    pub token: SecretString,
    /// It was not issued just now: where a server refuses it, a new one may help.
    pub cached: bool,
}

/// What a token is wanted for.
#[derive(Clone)]
pub struct Wanted<'a> {
    /// What to work with.
    pub tools: &'a Tools,
    /// Whose.
    pub tenant: &'a Tenant,
    /// For which mailbox.
    pub account: &'a AccountId,
    /// By which grant.
    pub oauth2: &'a OAuth2,
    /// For which server.
    pub protocol: Protocol,
    /// The application's secret and the refresh token that was given.
    pub secrets: &'a SideSecrets,
    /// Until when.
    pub deadline: Deadline,
    /// Since when.
    pub now: Timestamp,
}

/// A way to go on: a token, or the right to renew the grant as it was read.
enum Step {
    Have(SecretString),
    Renew(Grant, GrantClaim),
}

impl Wanted<'_> {
    /// A token that is valid for a while. `refused`: one that a server did not take; it is never given again.
    ///
    /// # Errors
    /// The grant is not accepted any more (an authentication failure), or there is no token right now (none).
    pub async fn obtain(&self, refused: Option<&SecretString>) -> Result<Obtained, SignInError> {
        let id = GrantId::of(self.oauth2, self.secrets);
        let key = GrantKey { tenant: self.tenant.clone(), account: self.account.clone(), id };
        let scope = self.oauth2.scope(self.protocol).unwrap_or_default();
        let started = Instant::now();
        let slot = self.tools.store.grants.remembered(&key);
        let mut remembered = timeout_at(self.deadline.instant(), slot.lock_owned()).await.map_err(|_| late())?;
        if let Some(token) = remembered.as_ref().and_then(|grant| young(grant, &scope, refused, self.at(started))) {
            return Ok(Obtained { token, cached: true });
        }
        let (grant, claim) = loop {
            match self.step(&key, &scope, refused, started).await? {
                Some(Step::Have(token)) => return Ok(Obtained { token, cached: true }),
                Some(Step::Renew(grant, claim)) => break (grant, claim),
                None if self.deadline.left() < NEEDED || started.elapsed() > PATIENCE => return Err(late().into()),
                None => sleep(LOOK).await,
            }
        };
        let renewal = Renewal {
            tools: self.tools.clone(),
            key,
            scope,
            oauth2: self.oauth2.clone(),
            secrets: self.secrets.clone(),
            grant,
            claim,
            now: self.at(started),
        };
        // A caller that stops waiting does not stop it. It holds the memory until it is done.
        let task = background::spawn(async move {
            let renewed = renewal.run().await;
            if let Ok((_, grant)) = &renewed {
                *remembered = Some(grant.clone());
            }
            renewed
        });
        let renewed = timeout_at(self.deadline.instant(), task).await.map_err(|_| late())?;
        let (token, _) = renewed.map_err(|_| late())??;
        Ok(Obtained { token, cached: false })
    }

    /// Looks into the table. None: somebody else is renewing; look again.
    async fn step(
        &self,
        key: &GrantKey,
        scope: &str,
        refused: Option<&SecretString>,
        started: Instant,
    ) -> Result<Option<Step>, SignInError> {
        let now = self.at(started);
        let grants = &self.tools.store.grants;
        let grant = grants.load(key, now).await?;
        if matches!(grant.tokens.access.get(scope), Some(Access::Revoked)) {
            return Err(TokenError::Revoked.into_mail().into());
        }
        if let Some(token) = young(&grant, scope, refused, now) {
            return Ok(Some(Step::Have(token)));
        }
        // Valid still, though not for long: good enough while somebody else renews it.
        let valid = valid(&grant, scope, refused, now);
        if grant.claimed_until.is_some_and(|until| until > now) {
            return match (valid, grant.trouble) {
                (Some(token), _) => Ok(Some(Step::Have(token))),
                (None, Some(words)) => Err(mail::Error::new(ProbeCode::ConnectFailed, Phase::Auth, words).into()),
                (None, None) => Ok(None),
            };
        }
        if self.deadline.left() < NEEDED {
            return valid.map(|token| Some(Step::Have(token))).ok_or_else(|| late().into());
        }
        let claim = grants.claim(key, grant.version, now, CLAIM_SECONDS).await?;
        Ok(claim.map(|claim| Step::Renew(grant, claim)))
    }

    /// The caller's time, and what has passed since.
    fn at(&self, started: Instant) -> Timestamp {
        let passed = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.now.0.saturating_add(passed))
    }
}

/// Everything that a renewal needs, so that it can outlive its caller.
struct Renewal {
    tools: Tools,
    key: GrantKey,
    scope: String,
    oauth2: OAuth2,
    secrets: SideSecrets,
    grant: Grant,
    claim: GrantClaim,
    now: Timestamp,
}

impl Renewal {
    async fn run(mut self) -> Result<(SecretString, Grant), SignInError> {
        let started = Instant::now();
        let refresh_token = self.grant.tokens.refresh_token.as_ref().or(self.secrets.refresh_token.as_ref());
        let scope = Some(self.scope.as_str()).filter(|scope| !scope.is_empty());
        let client_secret = self.secrets.client_secret.as_ref();
        let network = &self.tools.network;
        let deadline = Deadline::after(PATIENCE);
        let issued = oauth::request(network, &self.oauth2, scope, client_secret, refresh_token, deadline).await;
        let passed = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        // Lifetimes count from when the token was asked for: it cannot have been issued earlier.
        let asked_at = self.now;
        self.now = Timestamp(self.now.0.saturating_add(passed));
        match issued {
            Ok(issued) => self.keep(issued, asked_at).await,
            Err(TokenError::Revoked) => {
                self.grant.tokens.access.insert(self.scope.clone(), Access::Revoked);
                match self.save().await {
                    // Somebody else has newer tokens: it was only ours that is not accepted.
                    Err(StoreError::Conflict { .. }) => self.theirs().await,
                    Err(error) => Err(error.into()),
                    Ok(()) => Err(TokenError::Revoked.into_mail().into()),
                }
            }
            Err(trouble) => {
                let until = self.now.plus_seconds(REST_SECONDS);
                self.tools.store.grants.rest(&self.key, &self.claim, until, &trouble.to_string()).await?;
                Err(trouble.into_mail().into())
            }
        }
    }

    /// Stores what was issued before anybody uses it.
    async fn keep(mut self, issued: Issued, asked_at: Timestamp) -> Result<(SecretString, Grant), SignInError> {
        let early = EARLY_SECONDS.min(issued.lifetime_seconds / 4);
        let access = Access::Token {
            token: issued.access_token.clone(),
            renew_at: asked_at.plus_seconds((issued.lifetime_seconds - early).into()),
            expires_at: asked_at.plus_seconds(issued.lifetime_seconds.into()),
        };
        let now = self.now;
        let tokens = &mut self.grant.tokens;
        tokens.access.retain(|_, access| !matches!(access, Access::Token { expires_at, .. } if *expires_at <= now));
        tokens.access.insert(self.scope.clone(), access);
        if issued.refresh_token.is_some() {
            tokens.refresh_token = issued.refresh_token;
        }
        match self.save().await {
            Ok(()) => {
                if let Some(seconds) = issued.refresh_lifetime_seconds {
                    self.note_end(asked_at.plus_seconds(seconds.into())).await;
                }
                Ok((issued.access_token, self.grant))
            }
            Err(StoreError::Conflict { .. }) => self.theirs().await,
            Err(error) => Err(error.into()),
        }
    }

    /// The end of the refresh token, for whoever asks for risks. Some endpoints name another second each time: only what
    /// moves by a day is written. The token itself is stored already, so that a failure here costs nobody anything.
    async fn note_end(&self, at: Timestamp) {
        let (tenant, account) = (&self.key.tenant, &self.key.account);
        let statuses = &self.tools.store.statuses;
        let noted = async {
            let known = statuses.get(tenant, account).await?.refresh_token_expires_at;
            if *account == AccountId::nobody() || known.is_some_and(|known| known.0.abs_diff(at.0) < DAY_MILLIS) {
                return Ok(());
            }
            let change = StatusChange { refresh_token_expires_at: Some(at), ..StatusChange::default() };
            statuses.change(tenant, account, &change).await
        };
        if let Err(error) = noted.await {
            let error: StoreError = error;
            tracing::warn!(%error, "when a refresh token ends was not noted");
        }
    }

    /// Storage that is busy for a moment must not cost a refresh token.
    async fn save(&mut self) -> Result<(), StoreError> {
        let mut pause = Duration::from_millis(100);
        for _ in 1..STORE_TRIES {
            match self.tools.store.grants.save(&self.key, &self.claim, &mut self.grant, self.now).await {
                Err(error) if error.is_transient() => sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.tools.store.grants.save(&self.key, &self.claim, &mut self.grant, self.now).await
    }

    /// What somebody else stored while we asked.
    async fn theirs(&self) -> Result<(SecretString, Grant), SignInError> {
        let grant = self.tools.store.grants.load(&self.key, self.now).await?;
        match valid(&grant, &self.scope, None, self.now) {
            Some(token) => Ok((token, grant)),
            None => {
                let words = "the access token was renewed elsewhere in the same moment; try again";
                Err(mail::Error::new(ProbeCode::ConnectFailed, Phase::Auth, words).into())
            }
        }
    }
}

/// A token that needs no renewal yet.
fn young(grant: &Grant, scope: &str, refused: Option<&SecretString>, now: Timestamp) -> Option<SecretString> {
    token(grant, scope, refused, |renew_at, _| renew_at > now)
}

/// A token that a server would still take.
fn valid(grant: &Grant, scope: &str, refused: Option<&SecretString>, now: Timestamp) -> Option<SecretString> {
    token(grant, scope, refused, |_, expires_at| expires_at > now)
}

fn token(
    grant: &Grant,
    scope: &str,
    refused: Option<&SecretString>,
    fits: impl Fn(Timestamp, Timestamp) -> bool,
) -> Option<SecretString> {
    let Access::Token { token, renew_at, expires_at } = grant.tokens.access.get(scope)? else {
        return None;
    };
    let refused = refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret());
    (fits(*renew_at, *expires_at) && !refused).then(|| token.clone())
}

fn late() -> mail::Error {
    mail::Error::new(ProbeCode::Timeout, Phase::Auth, "there was no time left for a new access token")
}
