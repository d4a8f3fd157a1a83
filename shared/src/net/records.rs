//! Where a domain says that its mail servers are: SRV (RFC 2782) and MX (RFC 5321 §5.1).
//!
//! Only names come of it. Whoever connects to one resolves it through [`Network::connect`], which filters.

use hickory_resolver::proto::rr::RData;
use tokio::time::{Instant, timeout_at};

use super::{Error, Network};

/// Records of one answer that are read: real domains have a handful.
const READ_RECORDS: usize = 20;

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// Lower is better.
    pub priority: u16,
    /// Of equal priority, the heavier is better.
    pub weight: u16,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Network {
    /// The SRV records of a name such as `_imaps._tcp.example.com`, best first; none where there are none. A service
    /// that the domain says it does not have (target `.`, RFC 6186 §3.4) is left out.
    ///
    /// # Errors
    /// [`Error::ResolveTimeout`]. A name without such records, and name servers that fail, are no records.
    pub async fn services(&self, name: &str, until: Instant) -> Result<Vec<Service>, Error> {
        let mut services: Vec<Service> = self
            .records(name, true, until)
            .await?
            .into_iter()
            .filter_map(|record| match record {
                RData::SRV(srv) => Some(Service {
                    priority: srv.priority,
                    weight: srv.weight,
                    host: plain(&srv.target.to_string()),
                    port: srv.port,
                }),
                _ => None,
            })
            .filter(|service| !service.host.is_empty() && service.port != 0)
            .collect();
        services.sort_by_key(|service| (service.priority, std::cmp::Reverse(service.weight)));
        Ok(services)
    }

    /// The hosts that take a domain's mail, best first.
    ///
    /// # Errors
    /// As [`Network::services`].
    pub async fn mail_exchangers(&self, domain: &str, until: Instant) -> Result<Vec<String>, Error> {
        let mut found: Vec<(u16, String)> = self
            .records(domain, false, until)
            .await?
            .into_iter()
            .filter_map(|record| match record {
                RData::MX(mx) => Some((mx.preference, plain(&mx.exchange.to_string()))),
                _ => None,
            })
            // RFC 7505: a null MX takes no mail.
            .filter(|(_, host)| !host.is_empty())
            .collect();
        found.sort();
        Ok(found.into_iter().map(|(_, host)| host).collect())
    }

    async fn records(&self, name: &str, services: bool, until: Instant) -> Result<Vec<RData>, Error> {
        let asking = self.resolver.records(name, services);
        let records = timeout_at(until, asking).await.map_err(|_| Error::ResolveTimeout)?;
        Ok(records.into_iter().take(READ_RECORDS).collect())
    }
}

/// Without the final dot, in lower case.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
