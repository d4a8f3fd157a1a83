//! What to do about each cause, in words for whoever has the mailbox's settings before them.

use super::stages::{Examination, Subject};
use crate::mail::providers;
use crate::model::Cause;

/// The words for a cause, with what the provider says about it.
pub(super) fn text(cause: Cause, subject: &Subject, examination: &Examination) -> String {
    let words = match cause {
        _ if cause <= Cause::ProtocolViolation => connection(cause),
        _ if cause <= Cause::ProtocolInjection => security(cause),
        _ if cause <= Cause::CredentialsRefused => sign_in(cause),
        _ => mailbox(cause),
    };
    let mut text = words.to_owned();
    if cause == Cause::CertificateWrongName
        && let Some(certificate) = examination.tls.as_ref().and_then(|facts| facts.certificate.as_ref())
    {
        text = format!("{text} It is for: {}.", certificate.names.join(", "));
    }
    if cause == Cause::FolderMissing && !examination.folders.is_empty() {
        text = format!("{text} There are: {}.", examination.folders.join(", "));
    }
    let of_provider = (cause >= Cause::OauthRequired && cause <= Cause::CredentialsRefused)
        .then(|| providers::of_server(&subject.server.host))
        .flatten();
    if let Some(provider) = of_provider {
        let link = provider.app_password().map(|url| format!(" App passwords: {url}")).unwrap_or_default();
        let note = if provider.note.is_empty() { String::new() } else { format!(" {}", provider.note) };
        text = format!("{text} {}:{note}{link}", provider.name);
    }
    text
}

fn connection(cause: Cause) -> &'static str {
    match cause {
        Cause::HostUnknown => {
            "This host name does not exist: look for a typing mistake, or ask autoconfig for the right one."
        }
        Cause::HostNotAllowed => {
            "This host or port may not be reached from here. Name a server on the public Internet, or have the operator allow its network."
        }
        Cause::PortClosed => {
            "Nothing listens on this port. Use the usual one: for sending 465 (tls) or 587 (starttls), for IMAP 993 (tls), for POP3 995 (tls)."
        }
        Cause::PortBlocked => {
            "Port 25 is blocked on the way, as it is on most networks: it is for mail between servers. Send through port 587 (starttls) or 465 (tls)."
        }
        Cause::TimeoutDns => {
            "The name servers do not answer: try again, and if it stays so, have the domain's administrator check them."
        }
        Cause::TimeoutConnect => {
            "The server does not take the connection: the port is wrong, or a firewall drops it. Use the usual port, or have the server's administrator let us in."
        }
        Cause::TimeoutGreeting => {
            "The server takes the connection and says nothing: the port is wrong, or the server is overloaded."
        }
        Cause::TimeoutTls => {
            "The server does not finish the TLS handshake: it is overloaded, or something on the way swallows TLS."
        }
        Cause::TimeoutCapabilities => {
            "The server greets and then answers no more: it is overloaded, or slows down whom it does not know. Try again later."
        }
        Cause::TimeoutAuth => {
            "The server does not answer the sign-in: the service behind it that knows the passwords is slow. Try again later."
        }
        Cause::TimeoutMail => "The server takes the sign-in and then does not answer MAIL or RCPT. Try again later.",
        Cause::TimeoutSelect => {
            "The server takes the sign-in and does not open the mailbox in time: it is very large or damaged. Try again, then ask the provider."
        }
        Cause::TlsExpected => "This port speaks TLS from the first byte: set security to tls.",
        Cause::TlsNotSpoken => "This port begins without TLS: set security to starttls.",
        Cause::WrongProtocol => {
            "This port belongs to another mail protocol: set the protocol that is spoken there, or the port of the one that you want."
        }
        Cause::NotAMailServer => "What answers on this port is no mail server: check host and port.",
        Cause::TooManyConnections => {
            "The server has too many connections from this user or from us at once: close other programs that use the mailbox, or wait some minutes."
        }
        Cause::AddressRefused => {
            "The server refuses to talk to our address: ask its administrator to let us in, or use the provider's submission port (465 or 587)."
        }
        Cause::ServerBusy => {
            "The server asks to come back later. Nothing is wrong with the settings as far as can be told."
        }
        Cause::ConnectionClosed => {
            "The server hangs up in the middle: it is overloaded, or it refuses us without saying so. Try again, then ask its administrator."
        }
        _ => {
            "The server's words are not those of the protocol: host and port lead to something else, or something on the way changes the dialogue."
        }
    }
}

fn security(cause: Cause) -> &'static str {
    match cause {
        Cause::CertificateSelfSigned => {
            "The server's certificate vouches for itself. Have it replaced by one of a public authority (they are free). Only if it is your own server and you accept that anybody on the way could pose as it: set verifyCertificate to false and give the password again."
        }
        Cause::CertificateUnknownIssuer => {
            "Nobody knows the issuer of the server's certificate: it is private, or the server does not send its whole chain. Have the chain completed. Only if it is your own server and you accept that anybody on the way could pose as it: set verifyCertificate to false and give the password again."
        }
        Cause::CertificateExpired => "The server's certificate has expired: its administrator has to renew it.",
        Cause::CertificateNotYetValid => {
            "The server's certificate is not valid yet: its administrator has to check it, and the server's clock."
        }
        Cause::CertificateWrongName => {
            "The server's certificate is for another name: use the name that it is for as host, if it is your provider's."
        }
        Cause::CertificateInvalid => {
            "The server's certificate cannot be accepted: its administrator has to replace it."
        }
        Cause::TlsTooOld => {
            "The server speaks no TLS 1.2 or newer with a safe cipher: its administrator has to update it."
        }
        Cause::TlsFailed => "The TLS handshake fails: its administrator has to look at the server's TLS settings.",
        Cause::StarttlsMissing => {
            "The server does not offer STARTTLS here, or something on the way takes the offer away: use the port with TLS from the first byte."
        }
        Cause::StarttlsRefused => {
            "The server offers STARTTLS and refuses it: use the port with TLS from the first byte, or try again later."
        }
        _ => {
            "Plaintext stands behind the server's answer to STARTTLS: somebody on the way, or a faulty server, slips words into the dialogue. The password was not sent. Use the port with TLS from the first byte."
        }
    }
}

fn sign_in(cause: Cause) -> &'static str {
    match cause {
        Cause::AuthNeedsTls => "The server takes sign-ins only under TLS: set security to starttls or tls.",
        Cause::OauthRequired => "The server takes no passwords any more: connect the mailbox with auth of type oauth2.",
        Cause::MechanismUnsupported => {
            "None of the ways to sign in that the server offers is one of ours (PLAIN, LOGIN, OAuth 2.0): its administrator has to allow one."
        }
        Cause::AppPasswordRequired => {
            "The provider does not take the account's own password here: make an app password there and use it, or connect with auth of type oauth2."
        }
        Cause::SmtpAuthDisabledTenant => {
            "SMTP AUTH is switched off for the whole organisation: its administrator has to allow it (https://aka.ms/smtp_auth_disabled). It is needed with oauth2 as well."
        }
        Cause::SmtpAuthDisabledMailbox => {
            "SMTP AUTH is switched off for this mailbox: the administrator has to tick Authenticated SMTP for it (https://aka.ms/smtp_auth_disabled)."
        }
        Cause::SmtpAuthDisabled => {
            "Microsoft refuses this sign-in: SMTP AUTH is switched off for the mailbox or the organisation (https://aka.ms/smtp_auth_disabled), a policy forbids passwords (auth of type oauth2 uses none), or the password is wrong."
        }
        Cause::PopDisabled => {
            "POP3 is switched off for this mailbox: switch it on in the provider's settings, or use IMAP."
        }
        Cause::ImapDisabled => "IMAP is switched off for this mailbox: switch it on in the provider's settings.",
        Cause::WebLoginRequired => {
            "The provider wants to see a person: sign in once with a browser, confirm that it was you, and try again."
        }
        Cause::AccountLocked => {
            "The account is locked by the organisation's policy or after too many attempts: its administrator has to release it."
        }
        Cause::AccountDisabled => "The account is disabled, or only its administrator can help.",
        Cause::PasswordExpired => "The password has expired: change it with the provider, then store the new one here.",
        Cause::NotAuthorized => {
            "The password is right, but this account may not use this mailbox: its owner has to share it."
        }
        Cause::MailboxInUse => {
            "Another program has the mailbox open, and POP3 allows one at a time: close it or wait some minutes."
        }
        Cause::LoginThrottled => "Too many sign-ins in too short a time: wait some minutes, and poll less often.",
        Cause::AuthTemporarilyUnavailable => "The server cannot check passwords right now: try again later.",
        Cause::UsernameForm => "The user name has to be the whole mail address.",
        Cause::PasswordMissing => "No password is stored for these settings: give it with PUT.",
        _ => {
            "The server refuses this user name and password: check both. With two-factor sign-in many providers ask for an app password."
        }
    }
}

fn mailbox(cause: Cause) -> &'static str {
    match cause {
        Cause::AuthRequired => {
            "The server takes mail only from whoever signs in: set auth to a user name and password."
        }
        Cause::FromNotAllowed => {
            "This account may not send as this address: send as the account's own address, or have the administrator grant Send As for the other one."
        }
        Cause::Greylisted => {
            "The server asks unknown senders to come back after some minutes (greylisting). Nothing is to be done: sending tries again by itself."
        }
        Cause::RecipientRejected => "The server does not know the account's own address: check the address in from.",
        Cause::RelayDenied => {
            "The server does not pass mail on for us: sign in, use the submission port (465 or 587), and send as an address of that server."
        }
        Cause::MailboxFull => "The mailbox, or the server's disk, is full: make room there.",
        Cause::FolderMissing => "A folder that is to be pulled does not exist.",
        _ => "The folder cannot be read by this account: its owner has to share it.",
    }
}
