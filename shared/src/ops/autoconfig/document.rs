//! The document that domains publish for mail programs (`config-v1.1.xml`, "Mozilla autoconfig"): only its servers.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Server, is_host};
use crate::model::{Protocol, Security};

/// Servers of one document that are read: real ones name up to six.
const READ_SERVERS: usize = 20;

/// The servers that a document names, in its order. What is not encrypted, or not understood, is left out.
pub(super) fn servers(xml: &str, email: &str) -> Vec<Server> {
    let mut reader = Reader::from_str(xml);
    let mut found = Vec::new();
    let mut current: Option<Draft> = None;
    let mut field = String::new();
    // An error, such as an entity that the document defines itself, ends the reading: what came before counts.
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(start) if is_server(&start) => current = Some(Draft::of(&start)),
            Event::Start(start) => field = String::from_utf8_lossy(start.local_name().as_ref()).into_owned(),
            Event::Text(text) => {
                if let (Some(draft), Ok(text)) = (&mut current, text.decode()) {
                    draft.set(&field, text.trim());
                }
            }
            Event::End(end) if matches!(end.local_name().as_ref(), b"incomingServer" | b"outgoingServer") => {
                found.extend(current.take().and_then(|draft| draft.server(email)));
            }
            Event::End(_) => field.clear(),
            Event::Eof => break,
            _ => {}
        }
        if found.len() >= READ_SERVERS {
            break;
        }
    }
    found
}

fn is_server(start: &BytesStart<'_>) -> bool {
    matches!(start.local_name().as_ref(), b"incomingServer" | b"outgoingServer")
}

#[derive(Default)]
struct Draft {
    kind: String,
    host: String,
    port: String,
    security: String,
    username: String,
}

impl Draft {
    fn of(start: &BytesStart<'_>) -> Self {
        let kind = start.try_get_attribute("type").ok().flatten();
        let kind = kind.map(|kind| String::from_utf8_lossy(&kind.value).to_ascii_lowercase());
        Self { kind: kind.unwrap_or_default(), ..Self::default() }
    }

    fn set(&mut self, field: &str, text: &str) {
        let place = match field {
            "hostname" => &mut self.host,
            "port" => &mut self.port,
            "socketType" => &mut self.security,
            "username" => &mut self.username,
            _ => return,
        };
        // Of several, the first counts.
        if place.is_empty() {
            text.clone_into(place);
        }
    }

    fn server(self, email: &str) -> Option<Server> {
        let protocol = match self.kind.as_str() {
            "smtp" => Protocol::Smtp,
            "imap" => Protocol::Imap,
            "pop3" => Protocol::Pop3,
            _ => return None,
        };
        let security = match self.security.as_str() {
            "SSL" => Security::Tls,
            "STARTTLS" => Security::Starttls,
            _ => return None,
        };
        let (local, domain) = email.rsplit_once('@')?;
        let fill = |text: &str| {
            text.replace("%EMAILADDRESS%", email).replace("%EMAILLOCALPART%", local).replace("%EMAILDOMAIN%", domain)
        };
        let (host, username) = (fill(&self.host).to_ascii_lowercase(), fill(&self.username));
        let usable = is_host(&host) && !username.is_empty() && !username.chars().any(char::is_control);
        let port = self.port.parse().ok().filter(|port| *port != 0)?;
        usable.then_some(Server { protocol, host, port, security, username })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1"><emailProvider id="example.com"><domain>example.com</domain>
<displayName>Example &amp; Co</displayName>
<incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType>
<authentication>password-cleartext</authentication><username>%EMAILADDRESS%</username></incomingServer>
<incomingServer type="pop3"><hostname>pop.example.com</hostname><port>110</port><socketType>plain</socketType>
<username>%EMAILLOCALPART%</username></incomingServer>
<incomingServer type="exchange"><hostname>ews.example.com</hostname><port>443</port><socketType>SSL</socketType>
<username>x</username></incomingServer>
<outgoingServer type="smtp"><hostname>SMTP.example.com</hostname><port>587</port><socketType>STARTTLS</socketType>
<username>%EMAILLOCALPART%</username></outgoingServer></emailProvider></clientConfig>"#;

    fn read(xml: &str) -> Vec<(Protocol, String, u16, Security, String)> {
        let read = servers(xml, "ada@example.com").into_iter();
        read.map(|server| (server.protocol, server.host, server.port, server.security, server.username)).collect()
    }

    #[test]
    fn servers_with_encryption_are_read_and_placeholders_filled() {
        assert_eq!(
            read(DOCUMENT),
            [
                (Protocol::Imap, "imap.example.com".into(), 993, Security::Tls, "ada@example.com".into()),
                (Protocol::Smtp, "smtp.example.com".into(), 587, Security::Starttls, "ada".into()),
            ]
        );
    }

    #[test]
    fn what_is_no_such_document_names_nothing() {
        let one = "<incomingServer type=\"imap\"><hostname>H</hostname><port>P</port><socketType>SSL</socketType><username>u</username></incomingServer>";
        for (host, port) in
            [("a b", "993"), ("http://x", "993"), ("h.example", "0"), ("h.example", "99999"), ("", "993")]
        {
            assert!(read(&one.replace('H', host).replace('P', port)).is_empty(), "{host} {port}");
        }
        for xml in ["", "<html><body>Not found</body></html>", "<incomingServer", "\u{0}", "{}", "<a>&undefined;</a>"] {
            assert!(read(xml).is_empty(), "{xml}");
        }
        let bomb = format!("<!DOCTYPE a [<!ENTITY x \"{}\">]><a>&x;&x;</a>", "y".repeat(1000));
        assert!(read(&bomb).is_empty());
        let many = one.replace('H', "h.example.com").replace('P', "993").repeat(100);
        assert_eq!(read(&many).len(), READ_SERVERS);
    }
}
