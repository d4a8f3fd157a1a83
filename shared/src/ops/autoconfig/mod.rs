//! Which settings does an address need? Asked in this order: our own table of providers, the domain's SRV records, the
//! document that it publishes, and the table again by whoever takes its mail.
//!
//! Nothing is tried here and no password is involved. What a domain says about itself is taken only over DNS and
//! https: on http anybody on the way could name his own server.

mod document;

use std::time::Duration;

use futures_util::future::join_all;
use url::Url;

use crate::mail::Deadline;
use crate::mail::providers::{self, Provider, Username};
use crate::model::autoconfig::{Autoconfig, KnownProvider, Source, SuggestedAuth, SuggestedServer};
use crate::model::{Address, Protocol, Security};
use crate::net::Network;
use crate::net::http::Request;

/// How long any one source may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest document that is read; real ones have 2 to 10 KB.
const DOCUMENT_BYTES: usize = 64 << 10;

/// The services of mail programs (RFC 6186 §3, RFC 8314 §5.1), best first: with TLS from the first byte, then with
/// STARTTLS; IMAP before POP3.
const SERVICES: [(&str, Protocol, Security); 6] = [
    ("_submissions._tcp", Protocol::Smtp, Security::Tls),
    ("_submission._tcp", Protocol::Smtp, Security::Starttls),
    ("_imaps._tcp", Protocol::Imap, Security::Tls),
    ("_imap._tcp", Protocol::Imap, Security::Starttls),
    ("_pop3s._tcp", Protocol::Pop3, Security::Tls),
    ("_pop3._tcp", Protocol::Pop3, Security::Starttls),
];

/// A server that a source names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    protocol: Protocol,
    host: String,
    port: u16,
    security: Security,
    username: String,
}

/// Finds the settings of an address. Sources that fail are passed over.
pub async fn find(network: &Network, email: &Address, deadline: Deadline) -> Autoconfig {
    let address = email.address.as_str();
    // RFC 5891: records stand under the ASCII form.
    let domain = url::Host::parse(email.domain()).map_or_else(|_| String::new(), |host| host.to_string());
    if let Some(provider) = providers::of_domain(&domain) {
        return answer(address, Some(Source::Provider), Some(provider), of_provider(provider, email));
    }
    let until = deadline.or_after(PATIENCE);
    let (services, document, exchangers) = tokio::join!(
        services(network, &domain, address, until),
        published(network, &domain, address, until),
        network.mail_exchangers(&domain, until.instant()),
    );
    let exchangers = exchangers.unwrap_or_default();
    let by_mx = exchangers.iter().find_map(|host| providers::of_server(host));
    let named = [(Source::Srv, services), (Source::Autoconfig, document)];
    match (named.into_iter().find(|(_, servers)| !servers.is_empty()), by_mx) {
        (Some((source, servers)), _) => {
            let known = servers.iter().find_map(|server| providers::of_server(&server.host));
            answer(address, Some(source), known.or(by_mx), servers)
        }
        (None, Some(provider)) => answer(address, Some(Source::Mx), by_mx, of_provider(provider, email)),
        (None, None) => answer(address, None, None, Vec::new()),
    }
}

fn of_provider(provider: &Provider, email: &Address) -> Vec<Server> {
    let address = email.address.as_str();
    let username = match provider.username {
        Username::Address => address,
        Username::LocalPart => address.rsplit_once('@').map_or(address, |(local, _)| local),
    };
    let places = provider.smtp.iter().map(|place| (Protocol::Smtp, *place)).chain(provider.receive.iter().copied());
    let server = |(protocol, place): (Protocol, providers::Place)| Server {
        protocol,
        host: place.host.to_owned(),
        port: place.port,
        security: place.security,
        username: username.to_owned(),
    };
    places.map(server).collect()
}

/// RFC 6186 §4: the user name is the address, unless the server says otherwise.
async fn services(network: &Network, domain: &str, email: &str, until: Deadline) -> Vec<Server> {
    let ask = |(name, protocol, security): (&str, Protocol, Security)| {
        let name = format!("{name}.{domain}");
        async move {
            let found = network.services(&name, until.instant()).await.unwrap_or_default();
            let usable = found.into_iter().filter(|service| is_host(&service.host));
            usable.map(|service| (protocol, security, service)).collect::<Vec<_>>()
        }
    };
    let found = join_all(SERVICES.map(ask)).await.into_iter().flatten();
    let server = |(protocol, security, service): (_, _, crate::net::Service)| Server {
        protocol,
        host: service.host,
        port: service.port,
        security,
        username: email.to_owned(),
    };
    found.map(server).collect()
}

/// The document at its two usual places, the first that names a server.
async fn published(network: &Network, domain: &str, email: &str, until: Deadline) -> Vec<Server> {
    let places = [
        format!("https://autoconfig.{domain}/mail/config-v1.1.xml"),
        format!("https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
    ];
    let fetched = places.map(|place| async move {
        let url = Url::parse_with_params(&place, [("emailaddress", email)]).ok()?;
        let answer = network.fetch(Request::get(url), DOCUMENT_BYTES, until.instant()).await.ok()?;
        let xml = std::str::from_utf8(&answer.body).ok().filter(|_| answer.status == 200)?;
        Some(document::servers(xml, email))
    });
    let found = join_all(fetched).await.into_iter().flatten();
    found.into_iter().find(|servers| !servers.is_empty()).unwrap_or_default()
}

/// The best of each side in front; what would do as well behind.
fn answer(email: &str, source: Option<Source>, provider: Option<&Provider>, servers: Vec<Server>) -> Autoconfig {
    let mut rest: Vec<Server> = servers;
    let mut take = |wanted: fn(Protocol) -> bool| {
        let at = rest.iter().position(|server| wanted(server.protocol))?;
        Some(suggested(rest.remove(at)))
    };
    let smtp = take(|protocol| protocol == Protocol::Smtp);
    let receive = take(|protocol| protocol == Protocol::Imap).or_else(|| take(|protocol| protocol == Protocol::Pop3));
    Autoconfig {
        email: email.to_owned(),
        source,
        provider: provider.map(|provider| KnownProvider {
            id: provider.id,
            name: provider.name,
            app_password_url: provider.app_password(),
            oauth2: provider.oauth2,
            note: provider.note,
        }),
        smtp,
        receive,
        alternatives: rest.into_iter().map(suggested).collect(),
    }
}

fn suggested(server: Server) -> SuggestedServer {
    SuggestedServer {
        protocol: Some(server.protocol).filter(|protocol| *protocol != Protocol::Smtp),
        host: server.host,
        port: server.port,
        security: server.security,
        auth: SuggestedAuth { kind: "password", username: server.username },
    }
}

/// What may stand as host in an account, and looks like a name on the Internet.
fn is_host(host: &str) -> bool {
    host.len() <= 253
        && host.contains('.')
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{MX, SRV};
    use hickory_resolver::proto::rr::{Name, RData};

    use super::*;
    use crate::net::name_server;

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
        RData::SRV(SRV::new(priority, weight, port, Name::from_ascii(target).unwrap()))
    }

    fn mx(preference: u16, exchange: &str) -> RData {
        RData::MX(MX::new(preference, Name::from_ascii(exchange).unwrap()))
    }

    async fn found(email: &str, zone: Vec<(&str, RData)>) -> serde_json::Value {
        let network = name_server::network("", zone).await;
        let found = find(&network, &Address::bare(email), Deadline::after(Duration::from_secs(10))).await;
        serde_json::to_value(found).unwrap()
    }

    #[tokio::test]
    async fn a_known_provider_is_answered_without_asking_anybody() {
        let gmail = found("ada@GMAIL.com", Vec::new()).await;
        assert_eq!(
            gmail["smtp"],
            serde_json::json!({"host": "smtp.gmail.com", "port": 465, "security": "tls",
                "auth": {"type": "password", "username": "ada@GMAIL.com"}})
        );
        assert_eq!((&gmail["source"], &gmail["receive"]["protocol"]), (&"provider".into(), &"imap".into()));
        assert_eq!(gmail["provider"]["oauth2"], "google");
        assert!(gmail["provider"]["appPasswordUrl"].as_str().unwrap().starts_with("https://"));
        assert_eq!(found("ada@naver.com", Vec::new()).await["smtp"]["auth"]["username"], "ada");
    }

    #[tokio::test]
    async fn srv_records_count_by_priority_and_weight_and_a_dot_is_no_service() {
        let zone = vec![
            ("_submissions._tcp.example.com", srv(0, 0, 0, ".")),
            ("_submission._tcp.example.com", srv(20, 0, 587, "second.example.com.")),
            ("_submission._tcp.example.com", srv(10, 1, 587, "light.example.com.")),
            ("_submission._tcp.example.com", srv(10, 9, 2587, "Heavy.example.com.")),
            ("_imaps._tcp.example.com", srv(0, 1, 993, "imap.example.com.")),
            ("_pop3s._tcp.example.com", srv(0, 1, 995, "pop.example.com.")),
            ("example.com", mx(10, "aspmx.l.google.com.")),
        ];
        let found = found("ada@example.com", zone).await;
        assert_eq!((&found["source"], &found["provider"]["id"]), (&"srv".into(), &"google".into()));
        assert_eq!(
            found["smtp"],
            serde_json::json!({"host": "heavy.example.com", "port": 2587, "security": "starttls",
                "auth": {"type": "password", "username": "ada@example.com"}})
        );
        assert_eq!(
            (&found["receive"]["host"], &found["receive"]["security"]),
            (&"imap.example.com".into(), &"tls".into())
        );
        let others: Vec<_> = found["alternatives"].as_array().unwrap().iter().map(|server| &server["host"]).collect();
        assert_eq!(others, ["light.example.com", "second.example.com", "pop.example.com"]);
    }

    #[tokio::test]
    async fn whoever_takes_a_domains_mail_tells_its_provider() {
        let zone = vec![
            ("example.org", mx(20, "backup.example.org.")),
            ("example.org", mx(10, "example-org.mail.protection.outlook.com.")),
        ];
        let found = found("ada@example.org", zone).await;
        assert_eq!((&found["source"], &found["provider"]["id"]), (&"mx".into(), &"microsoft365".into()));
        assert_eq!(found["smtp"]["host"], "smtp.office365.com");
    }

    #[tokio::test]
    async fn an_unknown_domain_is_an_answer_too() {
        let nothing = found("ada@nowhere.example", vec![("nowhere.example", mx(0, "."))]).await;
        assert_eq!(
            nothing,
            serde_json::json!({"email": "ada@nowhere.example", "source": null, "provider": null, "smtp": null,
                "receive": null, "alternatives": []})
        );
    }
}
