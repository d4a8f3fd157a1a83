//! Stored servers as given ones, without their secrets: what a front door starts from that names only some fields.
//! A secret that is left out stays as long as it goes to the same place ([`super::Account::keep_secrets`]).

use super::{Protocol, Receive, ReceiveInput, Server, ServerInput};

impl From<&Server> for ServerInput {
    fn from(server: &Server) -> Self {
        Self {
            host: server.host.clone(),
            port: server.port,
            security: server.security,
            verify_certificate: server.verify_certificate,
            auth: Some((&server.auth).into()),
        }
    }
}

impl From<&Receive> for ReceiveInput {
    fn from(receive: &Receive) -> Self {
        let usual = Self::new(receive.protocol, (&receive.server).into());
        Self {
            folders: receive.folders.clone(),
            keep_on_server: receive.keep_on_server,
            delete_after_days: receive.delete_after_days,
            delete_when_acknowledged: receive.delete_when_acknowledged,
            max_message_bytes: receive.max_message_bytes,
            ..usual
        }
    }
}

impl ReceiveInput {
    /// The same side at another server: what is kept there, how long, and which folders stay as they are.
    #[must_use]
    pub fn moved(self, protocol: Protocol, server: ServerInput) -> Self {
        let folders =
            if protocol == self.protocol { self.folders } else { Self::new(protocol, server.clone()).folders };
        Self {
            folders,
            keep_on_server: self.keep_on_server,
            delete_after_days: self.delete_after_days,
            delete_when_acknowledged: self.delete_when_acknowledged,
            max_message_bytes: self.max_message_bytes,
            ..Self::new(protocol, server)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::AccountInput;
    use crate::model::{AccountId, Timestamp};

    #[test]
    fn what_is_stored_can_be_given_again() {
        let given = r#"{"name": "n", "from": "a@example.com", "identities": ["b@example.com"], "sentCopy": "never",
            "poll": {"enabled": true, "minSeconds": 60, "maxSeconds": 70},
            "smtp": {"host": "h", "port": 25, "security": "none", "verifyCertificate": false, "auth": {"type": "oauth2",
                "username": "u", "provider": "microsoft", "clientId": "c", "clientSecret": "s", "tenantId": "t",
                "scope": "x", "grant": "client_credentials"}},
            "receive": {"protocol": "imap", "host": "i", "port": 993, "security": "tls", "folders": ["Junk"],
                "keepOnServer": false, "deleteAfterDays": 3, "maxMessageBytes": 99,
                "auth": {"type": "password", "username": "u", "password": "p"}}}"#;
        let input: AccountInput = serde_json::from_str(given).unwrap();
        let id = AccountId::new("a").unwrap();
        let again = input.clone();
        let (mut stored, _) = input.check(id.clone(), 0, Timestamp(0)).unwrap();
        let (mut again, secrets) = AccountInput {
            smtp: stored.smtp.as_ref().map(Into::into),
            receive: stored.receive.as_ref().map(Into::into),
            ..again
        }
        .check(id, 0, Timestamp(0))
        .unwrap();
        assert!(secrets.smtp.is_empty() && secrets.receive.is_empty());
        assert!(again.keep_secrets(&secrets, Some(&stored.clone())).is_ok());
        stored.updated_at = again.updated_at;
        assert_eq!(again, stored);
    }

    #[test]
    fn folders_stay_where_the_protocol_stays() {
        let server = || ServerInput {
            host: "h".into(),
            port: 1,
            security: super::super::Security::Tls,
            verify_certificate: true,
            auth: None,
        };
        let imap = ReceiveInput {
            folders: vec!["Junk".into()],
            keep_on_server: false,
            ..ReceiveInput::new(Protocol::Imap, server())
        };
        assert_eq!(imap.clone().moved(Protocol::Imap, server()).folders, ["Junk"]);
        let pop3 = imap.moved(Protocol::Pop3, server());
        assert_eq!((pop3.folders.as_slice(), pop3.keep_on_server), (["INBOX".to_owned()].as_slice(), false));
    }
}
