//! Well-known mail providers, as data: where their servers are and what they ask of whoever signs in.
//!
//! The table is for people who connect a mailbox: `autoconfig` fills in the settings, `diagnose` names the provider's
//! own remedy, `risks` warns before a provider switches something off; and sending leaves the copy in the Sent folder to
//! those who make it themselves. Nothing else depends on it.

mod table;

use crate::model::{Protocol, Security};

pub use table::ALL;

/// A provider.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// Stable id.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Domains of its customers' addresses.
    pub domains: &'static [&'static str],
    /// Domains in which its mail servers and the MX of its customers' own domains lie.
    pub servers: &'static [&'static str],
    /// Sending, best first.
    pub smtp: &'static [Place],
    /// Receiving, best first.
    pub receive: &'static [(Protocol, Place)],
    /// What to sign in as.
    pub username: Username,
    /// What passwords are good for there.
    pub passwords: Passwords,
    /// Whether it takes OAuth 2.0 for mail, and by which of our providers (`microsoft`, `google`, `generic`).
    pub oauth2: Option<&'static str>,
    /// What it sends for a customer it puts into the customer's Sent folder by itself.
    pub files_sent: bool,
    /// What else there is to know.
    pub note: &'static str,
}

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its name.
    pub host: &'static str,
    /// Its port.
    pub port: u16,
    /// How it is secured.
    pub security: Security,
}

/// The form of user names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Username {
    /// The whole address.
    Address,
    /// What stands before the `@`.
    LocalPart,
}

/// What passwords are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passwords {
    /// The account's own password signs in.
    Usual,
    /// Only a password made for this purpose signs in; where to make one.
    App(&'static str),
    /// Passwords are being switched off; `smtp`: still good for sending, up to this date; `receive` likewise.
    Ending {
        /// For sending: the day (RFC 3339 date) of which they are off by default.
        smtp: &'static str,
        /// For receiving.
        receive: &'static str,
        /// Where the provider says so.
        source: &'static str,
    },
}

impl Provider {
    /// Where its customers make a password for this purpose.
    pub fn app_password(&self) -> Option<&'static str> {
        match self.passwords {
            Passwords::App(url) => Some(url),
            Passwords::Usual | Passwords::Ending { .. } => None,
        }
    }
}

/// The provider of an address's domain.
pub fn of_domain(domain: &str) -> Option<&'static Provider> {
    ALL.iter().find(|provider| provider.domains.iter().any(|known| known.eq_ignore_ascii_case(domain)))
}

/// The provider that this server, or MX, belongs to.
pub fn of_server(host: &str) -> Option<&'static Provider> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    ALL.iter().find(|provider| provider.servers.iter().any(|domain| is_in(&host, domain)))
}

fn is_in(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_no_two_claim_the_same() {
        assert!(ALL.len() >= 30, "{}", ALL.len());
        let mut ids: Vec<_> = ALL.iter().map(|provider| provider.id).collect();
        let mut domains: Vec<_> = ALL.iter().flat_map(|provider| provider.domains).collect();
        for provider in ALL {
            assert!(!provider.smtp.is_empty() && !provider.servers.is_empty(), "{}", provider.id);
            let places = provider.smtp.iter().chain(provider.receive.iter().map(|(_, place)| place));
            for place in places {
                let usual = match place.security {
                    Security::Tls => [465, 993, 995].contains(&place.port),
                    Security::Starttls => [587, 143, 110].contains(&place.port),
                    Security::None => false,
                };
                assert!(
                    usual && of_server(place.host).is_some_and(|of| of.id == provider.id),
                    "{} {}",
                    provider.id,
                    place.host
                );
            }
            for (protocol, place) in provider.receive {
                let ports: &[u16] = if *protocol == Protocol::Imap { &[993, 143] } else { &[995, 110] };
                assert!(ports.contains(&place.port), "{} {}", provider.id, place.port);
            }
        }
        let (rows, named) = (ids.len(), domains.len());
        ids.sort_unstable();
        ids.dedup();
        domains.sort_unstable();
        domains.dedup();
        assert_eq!((ids.len(), domains.len()), (rows, named));
    }

    #[test]
    fn servers_belong_to_their_providers_and_look_alikes_do_not() {
        let id = |host| of_server(host).map(|provider| provider.id);
        assert_eq!(id("smtp.office365.com"), Some("microsoft365"));
        assert_eq!(id("example-com.mail.protection.outlook.com."), Some("microsoft365"));
        assert_eq!(id("ASPMX.L.GOOGLE.COM"), Some("google"));
        assert_eq!(id("smtp-relay.gmail.com"), Some("google"), "A1.6/55");
        assert_eq!(id("notgoogle.com"), None);
        assert_eq!(id("google.com.evil.example"), None);
        assert_eq!(of_domain("GMX.de").map(|provider| provider.id), Some("gmx"));
    }
}
