//! The secrets of an account: apart from its settings from the first check on.

use secrecy::SecretString;

use super::{Account, Auth, Server};
use crate::model::FieldError;

/// What kind of secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A password.
    Password,
    /// The secret of an OAuth application.
    ClientSecret,
    /// What brings access tokens.
    RefreshToken,
    /// The query of a token server's address.
    Query,
}

impl SecretKind {
    /// Its field in `auth`.
    pub fn field(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::ClientSecret => "clientSecret",
            Self::RefreshToken => "refreshToken",
            Self::Query => "url",
        }
    }
}

/// The secrets of one side. `Debug` shows nothing of them.
#[derive(Clone, Debug, Default)]
pub struct SideSecrets {
    /// A password.
    pub password: Option<SecretString>,
    /// The secret of an OAuth application.
    pub client_secret: Option<SecretString>,
    /// The refresh token that the caller gave; a newer one may have replaced it since.
    pub refresh_token: Option<SecretString>,
    /// The query of a token server's address.
    pub query: Option<SecretString>,
}

impl SideSecrets {
    /// A password alone.
    pub fn password(password: SecretString) -> Self {
        Self { password: Some(password), ..Self::default() }
    }

    /// The secret of this kind.
    pub fn get(&self, kind: SecretKind) -> Option<&SecretString> {
        match kind {
            SecretKind::Password => self.password.as_ref(),
            SecretKind::ClientSecret => self.client_secret.as_ref(),
            SecretKind::RefreshToken => self.refresh_token.as_ref(),
            SecretKind::Query => self.query.as_ref(),
        }
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        [&self.password, &self.client_secret, &self.refresh_token, &self.query].into_iter().all(Option::is_none)
    }

    /// These, and for each that is absent the other's.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            password: self.password.or(other.password),
            client_secret: self.client_secret.or(other.client_secret),
            refresh_token: self.refresh_token.or(other.refresh_token),
            query: self.query.or(other.query),
        }
    }

    /// Whether nothing is absent that this way of signing in needs.
    pub fn complete(&self, auth: &Auth) -> bool {
        auth.secrets().iter().all(|(kind, required)| !required || self.get(*kind).is_some())
    }
}

/// The secrets of an account, as they go to Secrets Manager.
#[derive(Clone, Debug, Default)]
pub struct AccountSecrets {
    /// For `smtp`.
    pub smtp: SideSecrets,
    /// For `receive`.
    pub receive: SideSecrets,
}

impl AccountSecrets {
    /// Pointers of the secrets that an account's settings ask for and that were not given.
    pub fn missing(&self, account: &Account) -> Vec<String> {
        let sides = [
            ("smtp", account.smtp.as_ref(), &self.smtp),
            ("receive", account.receive.as_ref().map(|receive| &receive.server), &self.receive),
        ];
        let mut missing = Vec::new();
        for (side, server, given) in sides {
            for (kind, required) in server.map_or(&[][..], |server| server.auth.secrets()) {
                if *required && given.get(*kind).is_none() {
                    missing.push(format!("/{side}/auth/{}", kind.field()));
                }
            }
        }
        missing
    }
}

impl Account {
    /// Settles which secrets the account has once it replaces `before`. A secret that is left out stays, if it goes to
    /// the same server as before; otherwise it has to be given again.
    ///
    /// # Errors
    /// The secrets that are needed and neither given nor kept.
    pub fn keep_secrets(&mut self, given: &AccountSecrets, before: Option<&Self>) -> Result<(), Vec<FieldError>> {
        let prints = [self.smtp_fingerprint(), self.receive_fingerprint()];
        let earlier = before.map_or([None, None], |before| {
            let receive = before.receive.as_ref().map(|receive| &receive.server.auth);
            let smtp = before.smtp.as_ref().map(|server| &server.auth);
            [(before.smtp_fingerprint(), smtp), (before.receive_fingerprint(), receive)].map(Some)
        });
        let receive = self.receive.as_mut().map(|receive| &mut receive.server);
        let sides = [("smtp", self.smtp.as_mut(), &given.smtp), ("receive", receive, &given.receive)];
        let mut errors = Vec::new();
        for (((side, server, given), print), earlier) in sides.into_iter().zip(prints).zip(earlier) {
            let Some(server) = server else { continue };
            let (earlier_print, earlier) = earlier.unwrap_or_default();
            settle(&format!("/{side}/auth"), server, given, earlier, print == earlier_print, &mut errors);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

fn settle(
    pointer: &str,
    server: &mut Server,
    given: &SideSecrets,
    earlier: Option<&Auth>,
    same: bool,
    errors: &mut Vec<FieldError>,
) {
    for (kind, required) in server.auth.secrets() {
        let had = earlier.is_some_and(|auth| auth.has(*kind));
        let has = given.get(*kind).is_some() || (same && had);
        server.auth.set_has(*kind, has);
        if !has && *required {
            let words = match (kind, had) {
                (SecretKind::Password, false) => "give the password",
                (SecretKind::Password, true) => {
                    "host, port, security, certificate check or username changed: give the password again"
                }
                (_, false) => "this provider and grant need it",
                (_, true) => {
                    "host, port, security, certificate check, username, client id or token endpoint changed: give it again"
                }
            };
            errors.push(FieldError::new(format!("{pointer}/{}", kind.field()), "missing", words));
        }
    }
}
