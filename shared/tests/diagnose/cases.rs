//! The cases, phase by phase. Replies are as the servers named document or send them.

use sandbox::{At, Certificate, Service};
use serde_json::json;
use shared::model::{Auth, Cause, Protocol, Security};
use shared::ops::diagnose::Subject;

use crate::{Case, Stage, USER, case};

fn insecure(subject: &mut Subject, _: &Stage) {
    subject.server.security = Security::None;
}

pub(crate) fn connection_cases() -> Vec<Case> {
    use Service::{Imap, Imaps, Pop3s, Smtps, Submission};
    vec![
        case("a name that is none", Smtps, Cause::HostUnknown)
            .with(|subject, _| subject.server.host = "no..name".into()),
        case("a private address", Imaps, Cause::HostNotAllowed)
            .with(|subject, _| subject.server.host = "10.0.0.1".into()),
        case("a greeting that never comes", Smtps, Cause::TimeoutGreeting)
            .stalled(At::Connect)
            .with(|_, _| {})
            .works(|stage| json!({"smtp": {"port": stage.ports.smtp[1], "security": "starttls"}})),
        case("a handshake that never ends", Pop3s, Cause::TimeoutTls).stalled(At::Handshake),
        case("no answer to EHLO", Smtps, Cause::TimeoutCapabilities).stalled(At::Command("EHLO")),
        case("no answer to AUTH", Smtps, Cause::TimeoutAuth).stalled(At::Command("AUTH")),
        case("no answer to LOGIN", Imaps, Cause::TimeoutAuth).stalled(At::Command("AUTHENTICATE")),
        case("no answer to MAIL", Submission, Cause::TimeoutMail).stalled(At::Command("MAIL")),
        case("no answer to STAT", Pop3s, Cause::TimeoutSelect).stalled(At::Command("STAT")),
        case("starttls on a TLS port", Smtps, Cause::TlsExpected)
            .with(|subject, _| subject.server.security = Security::Starttls)
            .works(|_| json!({"smtp": {"security": "tls"}})),
        case("no security on a TLS port", Imaps, Cause::TlsExpected)
            .with(insecure)
            .works(|_| json!({"receive": {"security": "tls"}})),
        case("tls on a plain port", Submission, Cause::TlsNotSpoken)
            .with(|subject, _| subject.server.security = Security::Tls)
            .works(|_| json!({"smtp": {"security": "starttls"}})),
        case("IMAP where POP3 is asked for", Imaps, Cause::WrongProtocol)
            .with(|subject, _| subject.protocol = Protocol::Pop3)
            .works(|_| json!({"receive": {"protocol": "imap"}})),
        case("POP3 where mail is to be sent", Pop3s, Cause::WrongProtocol)
            .with(|subject, stage| *subject = Subject { server: subject.server.clone(), ..stage.subject(Smtps) })
            .works(|stage| json!({"smtp": {"port": stage.ports.smtp[0]}})),
        case("a web server", Imap, Cause::NotAMailServer)
            .reply(At::Connect, "HTTP/1.1 400 Bad Request\r\n")
            .works(|stage| json!({"receive": {"port": stage.ports.imap[0], "security": "tls"}})),
        case("too many connections, by Postfix", Smtps, Cause::TooManyConnections)
            .reply(At::Connect, "421 4.7.0 mx.example.test Error: too many connections from 192.0.2.1\r\n"),
        case("an address that is refused", Smtps, Cause::AddressRefused).reply(At::Connect, "554 5.7.1 go away\r\n"),
        case("a server in maintenance", Imaps, Cause::ServerBusy).reply(At::Connect, "* BYE [UNAVAILABLE] later\r\n"),
        case("a connection that is closed", Imaps, Cause::ConnectionClosed)
            .rule(|rule| rule.at(At::Connect).drop_connection()),
        case("closed in the middle", Smtps, Cause::ConnectionClosed)
            .rule(|rule| rule.at(At::Command("AUTH")).drop_connection()),
        case("words of no protocol", Smtps, Cause::ProtocolViolation).reply(At::Command("EHLO"), "hello!\r\n"),
    ]
}

pub(crate) fn tls_cases() -> Vec<Case> {
    use Service::{Imap, Imaps, Pop3, Smtps, Submission};
    let unchecked = |side: &'static str| move |_: &Stage| json!({side: {"verifyCertificate": false}});
    vec![
        case("self-signed", Smtps, Cause::CertificateSelfSigned)
            .rule(|rule| rule.certificate(Certificate::SelfSigned))
            .reaches(unchecked("smtp")),
        case("an unknown authority", Imaps, Cause::CertificateUnknownIssuer)
            .rule(|rule| rule.certificate(Certificate::Untrusted))
            .reaches(unchecked("receive")),
        case("expired", Submission, Cause::CertificateExpired).rule(|rule| rule.certificate(Certificate::Expired)),
        case("another name", Imaps, Cause::CertificateWrongName).rule(|rule| rule.certificate(Certificate::WrongName)),
        case("the name that the certificate is for", Imaps, Cause::CertificateWrongName)
            .with(|subject, _| subject.server.host = "mail.localhost".into())
            .reaches(|_| json!({"receive": {"host": "localhost"}})),
        case("an alert instead of a handshake", Smtps, Cause::TlsTooOld)
            .reply(At::Handshake, "\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}F"),
        case("a broken handshake", Smtps, Cause::TlsFailed).rule(|rule| rule.at(At::Handshake).drop_connection()),
        case("STARTTLS is not offered", Submission, Cause::StarttlsMissing)
            .rule(|rule| rule.hide_capability("STARTTLS"))
            .works(|stage| json!({"smtp": {"port": stage.ports.smtp[0], "security": "tls"}})),
        case("STLS is refused", Pop3, Cause::StarttlsRefused)
            .reply(At::Command("STLS"), "-ERR not today\r\n")
            .works(|stage| json!({"receive": {"port": stage.ports.pop3[0], "security": "tls"}})),
        case("an injection behind STARTTLS", Imap, Cause::ProtocolInjection)
            .rule(|rule| rule.at(At::Command("STARTTLS")).append("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")),
    ]
}

pub(crate) fn sign_in_cases() -> Vec<Case> {
    use Service::{Imap, Imaps, Pop3s, Smtps, Submission};
    let auth = At::Command("AUTH");
    let login = At::Command("AUTHENTICATE");
    vec![
        case("AUTH is offered under TLS only", Submission, Cause::AuthNeedsTls)
            .with(insecure)
            .works(|_| json!({"smtp": {"security": "starttls"}})),
        case("LOGINDISABLED before TLS", Imap, Cause::AuthNeedsTls)
            .with(insecure)
            .works(|_| json!({"receive": {"security": "starttls"}})),
        case("OAuth and nothing else", Smtps, Cause::OauthRequired)
            .rule(|rule| rule.capabilities(["PIPELINING", "AUTH XOAUTH2 OAUTHBEARER"])),
        case("basic authentication has ended", Smtps, Cause::OauthRequired)
            .reply(auth, "550 5.7.30 Basic authentication is not supported for Client Submission.\r\n"),
        case("a mechanism that is not ours", Smtps, Cause::MechanismUnsupported)
            .rule(|rule| rule.capabilities(["PIPELINING", "AUTH GSSAPI NTLM"])),
        case("Gmail wants an app password (534)", Smtps, Cause::AppPasswordRequired).reply(
            auth,
            "534-5.7.9 Application-specific password required. For more information, go to\r\n534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor x - gsmtp\r\n",
        ),
        case("Gmail refuses the account's password (535)", Smtps, Cause::AppPasswordRequired).reply(
            auth,
            "535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8  https://support.google.com/mail/?p=BadCredentials x - gsmtp\r\n",
        ),
        case("Gmail's IMAP wants an app password", Imaps, Cause::AppPasswordRequired).reply(
            login,
            "{tag} NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)\r\n",
        ),
        case("SMTP AUTH is off for the tenant", Submission, Cause::SmtpAuthDisabledTenant).reply(
            auth,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.\r\n",
        ),
        case("SMTP AUTH is off for the mailbox", Submission, Cause::SmtpAuthDisabledMailbox).reply(
            auth,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.\r\n",
        ),
        case("Microsoft's 5.7.139 without more", Submission, Cause::SmtpAuthDisabled)
            .reply(auth, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria\r\n"),
        case("Microsoft's 5.7.3", Submission, Cause::SmtpAuthDisabled)
            .reply(auth, "535 5.7.3 Authentication unsuccessful\r\n"),
        case("locked by a policy", Submission, Cause::AccountLocked).reply(
            auth,
            "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.\r\n",
        ),
        case("POP3 is switched off", Pop3s, Cause::PopDisabled)
            .reply(auth, "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your settings.\r\n"),
        case("IMAP is switched off", Imaps, Cause::ImapDisabled)
            .reply(login, "{tag} NO [ALERT] Your account is not enabled for IMAP use. Please visit your settings.\r\n"),
        case("Gmail wants a browser", Smtps, Cause::WebLoginRequired).reply(
            auth,
            "534-5.7.14 <https://accounts.google.com/signin/continue?x> Please log in via\r\n534 5.7.14 your web browser\r\n",
        ),
        case("Gmail's IMAP wants a browser", Imaps, Cause::WebLoginRequired)
            .reply(login, "{tag} NO [WEBALERT https://accounts.google.com/signin] Web login required.\r\n"),
        case("a disabled account (RFC 5248)", Smtps, Cause::AccountDisabled).reply(auth, "525 5.7.13 disabled\r\n"),
        case("only the administrator can help", Imaps, Cause::AccountDisabled).reply(login, "{tag} NO [CONTACTADMIN] no\r\n"),
        case("an expired password", Imaps, Cause::PasswordExpired).reply(login, "{tag} NO [EXPIRED] no\r\n"),
        case("a password in transition", Smtps, Cause::PasswordExpired).reply(auth, "432 4.7.12 transition\r\n"),
        case("somebody else's mailbox", Imaps, Cause::NotAuthorized).reply(login, "{tag} NO [AUTHORIZATIONFAILED] no\r\n"),
        case("a maildrop in use", Pop3s, Cause::MailboxInUse).reply(auth, "-ERR [IN-USE] locked\r\n"),
        case("too many sign-ins", Pop3s, Cause::LoginThrottled).reply(auth, "-ERR [LOGIN-DELAY] slowly\r\n"),
        case("too many sign-ins at Gmail", Smtps, Cause::LoginThrottled)
            .reply(auth, "454 4.7.0 Too many login attempts, please try again later. x - gsmtp\r\n"),
        case("too many sessions (RFC 5530)", Imaps, Cause::TooManyConnections).reply(login, "{tag} NO [LIMIT] no\r\n"),
        case("too many sessions at Dovecot", Imaps, Cause::TooManyConnections).reply(
            login,
            "{tag} NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)\r\n",
        ),
        case("the password service is down", Smtps, Cause::AuthTemporarilyUnavailable)
            .reply(auth, "454 4.7.0 Temporary authentication failure\r\n"),
        case("the user name lacks its domain", Imaps, Cause::UsernameForm)
            .with(|subject, _| subject.server.auth = Auth::Password { username: "ada".into(), has_password: true })
            .works(|_| json!({"receive": {"auth": {"username": USER}}})),
        case("no password is stored", Smtps, Cause::PasswordMissing)
            .with(|subject, _| subject.server.auth = Auth::Password { username: USER.into(), has_password: false }),
        Case { password: "wrong", ..case("a wrong password", Imaps, Cause::CredentialsRefused) },
        Case { password: "wrong", ..case("a wrong password for a short name", Smtps, Cause::CredentialsRefused) }
            .with(|subject, _| subject.server.auth = Auth::Password { username: "ada".into(), has_password: true }),
    ]
}

pub(crate) fn mailbox_cases() -> Vec<Case> {
    use Service::{Imaps, Smtps, Submission};
    let (mail, rcpt) = (At::Command("MAIL"), At::Command("RCPT"));
    vec![
        case("nobody signs in", Submission, Cause::AuthRequired).with(|subject, _| subject.server.auth = Auth::None),
        case("Exchange: may not send as", Smtps, Cause::FromNotAllowed)
            .rule(|rule| {
                rule.at(mail)
                    .matching("sales@")
                    .reply("550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n")
            })
            .with(|subject, _| subject.sender = Some("sales@example.test".into()))
            .works(|_| json!({"from": {"address": USER}})),
        case("Postfix: not owned by user", Submission, Cause::FromNotAllowed)
            .rule(|rule| {
                rule.at(rcpt)
                    .matching("sales@")
                    .reply("553 5.7.1 <sales@example.test>: Sender address rejected: not owned by user\r\n")
            })
            .with(|subject, _| subject.sender = Some("sales@example.test".into()))
            .works(|_| json!({"from": {"address": USER}})),
        case("greylisting", Smtps, Cause::Greylisted).reply(rcpt, "451 4.7.1 Try again later\r\n"),
        case("an unknown recipient", Smtps, Cause::RecipientRejected).reply(rcpt, "550 5.1.1 unknown\r\n"),
        case("no relaying", Smtps, Cause::RelayDenied).reply(rcpt, "554 5.7.1 Relay access denied\r\n"),
        case("a full mailbox", Smtps, Cause::MailboxFull).reply(rcpt, "452 4.2.2 full\r\n"),
        case("a folder in other letters", Imaps, Cause::FolderMissing)
            .with(|subject, _| subject.folders = vec!["INBOX".into(), "junk".into()])
            .works(|_| json!({"receive": {"folders": ["INBOX", "Junk"]}})),
        case("a folder that may not be read", Imaps, Cause::FolderNotAllowed)
            .reply(At::Command("STATUS"), "{tag} NO [NOPERM] no\r\n"),
    ]
}
