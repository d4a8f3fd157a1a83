//! A name server for tests: it knows what its zone says, and nothing else exists.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record};
use tokio::net::UdpSocket;

use super::Network;
use super::resolve::{Resolver, set_options};
use crate::mail::Timeouts;

/// A network whose names are those of the zone.
pub(crate) async fn network(allow: &str, zone: Vec<(&str, RData)>) -> Network {
    let zone: Vec<(String, RData)> = zone.into_iter().map(|(name, data)| (format!("{name}."), data)).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&answer(&buffer[..length], &zone), from).await.unwrap();
        }
    });
    let mut connection = ConnectionConfig::udp();
    connection.port = address.port();
    let server = NameServerConfig::new(address.ip(), true, vec![connection]);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    set_options(builder.options_mut());
    let mut network = Network::new(allow, &[], None, Timeouts::default()).unwrap();
    network.resolver = Resolver::built(builder.build().unwrap());
    network
}

fn answer(question: &[u8], zone: &[(String, RData)]) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let name = query.name().to_lowercase().to_string();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    if !zone.iter().any(|(known, _)| *known == name) {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    for (_, data) in zone.iter().filter(|(known, data)| *known == name && data.record_type() == query.query_type()) {
        answer.add_answer(Record::from_rdata(query.name().clone(), 0, data.clone()));
    }
    answer.add_query(query);
    answer.to_vec().unwrap()
}
