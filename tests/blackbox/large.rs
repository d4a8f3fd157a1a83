//! Messages that are larger than the memory of the function that pulls them.

use serde_json::{Value, json};
use tests::client::Client;
use tests::corpus;
use tests::peer::{Peer, Receive, Way};
use tests::random::Random;
use tests::service::{Options, Service};
use tests::{sha256, within};

use crate::{account, run};

/// Largest memory that any process of these functions ever had, in MB.
fn peak(service: &Service) -> u64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() / 1024
    };
    let pids = ["pull", "pull-worker"].into_iter().flat_map(|name| service.pids(Some(name)));
    pids.map(of).max().expect("the functions run")
}

async fn stored(client: &Client, path: &str, count: usize) -> Vec<Value> {
    let _ = client.post_empty(format!("{path}/pull")).await;
    within(std::time::Duration::from_secs(300), "everything is stored", async || {
        let items = client.get(format!("{path}/messages")).await.value(200)["items"].clone();
        items.as_array().filter(|items| items.len() == count).cloned()
    })
    .await
}

/// Fault 19, P9: 150 MB in 128 MB, two of 64 MB in a row, and what is behind them comes too.
#[test]
fn a_message_larger_than_the_memory_is_stored_with_its_attachment() {
    run(async {
        let mut service = Service::start(Options::default()).await;
        for (receive, sizes) in [(Receive::Pop3, &[113_000_000][..]), (Receive::Imap, &[47_000_000, 47_000_001][..])] {
            let (tenant, client) = service.tenant();
            let peer = Peer::start().await;
            let mut files = Vec::new();
            for (number, size) in sizes.iter().enumerate() {
                let file = Random::new(number as u64 + 1).bytes(*size);
                let message = corpus::with_attachment(number, "large.bin", &file);
                assert!(message.len() > 64_000_000 && message.len() <= 157_286_400);
                files.push((sha256(&message), message.len(), sha256(&file), file.len()));
                peer.sandbox.deliver(&peer.user, message).unwrap();
            }
            peer.sandbox.deliver(&peer.user, corpus::plain(9)).unwrap();
            let mut settings = peer.account(receive, Way::Tls);
            settings["receive"]["maxMessageBytes"] = json!(157_286_400);
            let path = account(&client, "mail", &settings).await;
            let started = std::time::Instant::now();
            let items = stored(&client, &path, sizes.len() + 1).await;
            println!("{receive:?}: peak {} MB, {:?}", peak(&service), started.elapsed());
            for (source, size, file, file_size) in files {
                let item = items.iter().find(|item| item["sha256"] == source.as_str());
                let item = item.unwrap_or_else(|| panic!("{receive:?}: {items:?}"));
                assert_eq!((&item["size"], &item["state"]), (&json!(size), &json!("received")));
                let listed = &item["attachments"][0];
                assert_eq!((&listed["fileId"], &listed["size"]), (&json!(file), &json!(file_size)));
            }
            assert!(peak(&service) < 128, "{} MB", peak(&service));
            let objects = service.aws().await.objects(&format!("t/{tenant}/")).await;
            assert_eq!(objects.len(), 2 * sizes.len() + 1, "sources, and the files");
        }
        service.stop().await;
    });
}
