//! Names to addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;
use tokio::sync::OnceCell;

use super::Error;

/// The system's name servers and hosts file, read when the first name is asked for: a cold start that talks to an
/// address, or to nobody, does not pay for it.
#[derive(Default)]
pub(super) struct Resolver(OnceCell<TokioResolver>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("built", &self.0.initialized()).finish()
    }
}

impl Resolver {
    /// All addresses of a name, IPv6 and IPv4 in turn (RFC 8305 §4).
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let name = name.trim_end_matches('.');
        // RFC 6761 §6.3: these are answered here and never asked for.
        if name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost")) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let resolver =
            self.0.get_or_try_init(|| async { system() }).await.map_err(|error| Error::Unresolved(error.into()))?;
        // The final dot keeps the search list of resolv.conf out: on a cloud's network it would turn
        // `mail.foo` into a name of its internal zone.
        let found = resolver.lookup_ip(format!("{name}.")).await.map_err(|error| Error::Unresolved(error.into()))?;
        Ok(in_turn(found.iter()))
    }
}

fn system() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    builder.build()
}

/// IPv6 first, then one of each family in turn, so that a broken family costs one delay and not one per address.
fn in_turn(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut sorted = Vec::new();
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return sorted;
        }
        sorted.extend(pair.into_iter().flatten());
    }
}
