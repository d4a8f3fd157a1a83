//! Names to addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;
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
        let resolver = self.resolver().await.map_err(|error| Error::Unresolved(error.into()))?;
        // The final dot keeps the search list of resolv.conf out: on a cloud's network it would turn
        // `mail.foo` into a name of its internal zone.
        let found = resolver.lookup_ip(format!("{name}.")).await.map_err(|error| Error::Unresolved(error.into()))?;
        Ok(in_turn(found.iter()))
    }

    /// The records of a name: SRV, or MX. None where there are none, or the name servers do not say.
    pub(super) async fn records(&self, name: &str, services: bool) -> Vec<RData> {
        let found = async {
            let (resolver, name) = (self.resolver().await?, format!("{}.", name.trim_end_matches('.')));
            if services { resolver.srv_lookup(name).await } else { resolver.mx_lookup(name).await }
        };
        match found.await {
            Ok(found) => found.answers().iter().map(|record| record.data.clone()).collect(),
            Err(error) => {
                tracing::debug!(%error, "no such records");
                Vec::new()
            }
        }
    }

    /// With these name servers instead of the system's.
    #[cfg(test)]
    pub(super) fn built(resolver: TokioResolver) -> Self {
        Self(OnceCell::new_with(Some(resolver)))
    }

    async fn resolver(&self) -> Result<&TokioResolver, NetError> {
        self.0.get_or_try_init(|| async { system() }).await
    }
}

fn system() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    set_options(builder.options_mut());
    builder.build()
}

/// Both families, because every address is checked; and the hosts file counts.
pub(super) fn set_options(options: &mut ResolverOpts) {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::time::Duration;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
    use tokio::net::{TcpListener, UdpSocket};
    use tokio::time::Instant;

    use super::super::{Network, SetupError};
    use super::*;
    use crate::mail::Timeouts;

    /// What is answered about each name, the next answer last, and how many questions it has answered.
    type Zone = HashMap<String, (Vec<Vec<IpAddr>>, usize)>;

    /// A name server: the two questions of a lookup (A and AAAA, in any order) get one answer, the next two the next
    /// one, and the last is for good. TTL 0.
    async fn name_server(zone: &[(&str, &[&[&str]])]) -> SocketAddr {
        let mut zone: Zone = zone
            .iter()
            .map(|(name, answers)| {
                let parsed = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
                (format!("{name}."), (answers.iter().rev().map(parsed).collect(), 0))
            })
            .collect();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let answer = answer(&buffer[..length], &mut zone);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        address
    }

    fn answer(question: &[u8], zone: &mut Zone) -> Vec<u8> {
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        match zone.get_mut(&query.name().to_lowercase().to_string()) {
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some((answers, questions)) => {
                let of_type = |address: &&IpAddr| (query.query_type() == RecordType::AAAA) == address.is_ipv6();
                for address in answers[answers.len() - 1].iter().filter(of_type) {
                    answer.add_answer(Record::from_rdata(query.name().clone(), 0, RData::from(*address)));
                }
                *questions += 1;
                if answers.len() > 1 && questions.is_multiple_of(2) {
                    answers.pop();
                }
            }
        }
        answer.add_query(query);
        answer.to_vec().unwrap()
    }

    async fn network(allow: &str, name_server: SocketAddr) -> Network {
        let mut connection = ConnectionConfig::udp();
        connection.port = name_server.port();
        let server = NameServerConfig::new(name_server.ip(), true, vec![connection]);
        let search = vec![Name::from_ascii("corp.test.").unwrap()];
        let config = ResolverConfig::from_parts(None, search, vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        set_options(builder.options_mut());
        let mut network = Network::new(allow, &[], None, Timeouts::default()).unwrap();
        network.resolver = Resolver::built(builder.build().unwrap());
        network
    }

    async fn connect(network: &Network, host: &str, port: u16) -> Result<SocketAddr, Error> {
        network.connect(host, port, Instant::now() + Duration::from_secs(2)).await.map(|(_, address)| address)
    }

    #[tokio::test]
    async fn one_private_address_among_public_ones_refuses_the_name() {
        let server = name_server(&[
            ("mixed.example.com", &[&["1.1.1.1", "10.0.0.1"]]),
            ("six.example.com", &[&["1.1.1.1", "fd00::1"]]),
            ("mapped.example.com", &[&["::ffff:127.0.0.1"]]),
            ("loop.example.com", &[&["127.0.0.1"]]),
        ])
        .await;
        let network = network("", server).await;
        for host in
            ["mixed.example.com", "six.example.com", "mapped.example.com", "loop.example.com", "LOOP.example.com."]
        {
            let error = connect(&network, host, 25).await.unwrap_err();
            assert!(matches!(error, Error::NotAllowed), "{host}: {error}");
        }
    }

    /// DNS rebinding: what was checked is what is connected to, because the name is asked for once.
    #[tokio::test]
    async fn an_answer_that_changes_is_checked_each_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = name_server(&[("rebind.example.com", &[&["127.0.0.1"], &["10.0.0.1"]])]).await;
        let network = network("127.0.0.0/8", server).await;
        assert_eq!(connect(&network, "rebind.example.com", port).await.unwrap().ip(), Ipv4Addr::LOCALHOST);
        assert!(matches!(connect(&network, "rebind.example.com", port).await.unwrap_err(), Error::NotAllowed));
    }

    #[tokio::test]
    async fn the_search_list_is_not_used_and_an_unknown_name_is_unresolved() {
        let server = name_server(&[("mail.foo.corp.test", &[&["127.0.0.1"]]), ("nas", &[&["127.0.0.1"]])]).await;
        let network = network("127.0.0.0/8", server).await;
        assert!(matches!(connect(&network, "mail.foo", 9).await.unwrap_err(), Error::Unresolved(_)));
        // A name without a dot is asked for as it is, once the allow list might let it pass.
        assert!(matches!(connect(&network, "nas", 9).await.unwrap_err(), Error::Unreachable(_)));
    }

    #[tokio::test]
    async fn a_silent_name_server_is_a_time_out_of_its_own() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let network = network("", silent.local_addr().unwrap()).await;
        let error =
            network.connect("mail.example.com", 25, Instant::now() + Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, Error::ResolveTimeout));
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = name_server(&[("two.example.com", &[&["::1", "127.0.0.3", "127.0.0.1"]])]).await;
        let network = network("127.0.0.0/8,::1", server).await;
        assert_eq!(connect(&network, "two.example.com", port).await.unwrap().ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn families_take_turns() {
        let addresses = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "2606::1"].map(|text| text.parse().unwrap());
        let sorted: Vec<String> = in_turn(addresses.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["2606::1", "1.1.1.1", "1.1.1.2", "1.1.1.3"]);
        assert!(in_turn(std::iter::empty()).is_empty());
    }

    #[test]
    fn wrong_settings_are_named() {
        let file = std::path::Path::new("/nonexistent/roots.pem");
        assert!(matches!(Network::new("", &[], Some(file), Timeouts::default()), Err(SetupError::Roots { .. })));
        assert!(matches!(Network::new("10.0.0.0/99", &[], None, Timeouts::default()), Err(SetupError::Allow(_))));
        assert!(Network::new("", &[], Some(std::path::Path::new("")), Timeouts::default()).is_ok());
    }
}
