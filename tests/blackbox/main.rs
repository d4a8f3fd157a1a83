//! The black box: every topic of the service through its front door, with a look behind it afterwards.
//!
//! Topics share one running service (tenants keep them apart) and one runtime; what is killed is started for itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // Test code.

mod accounts;
mod accounts_patch;
mod again;
mod attachments;
mod auth;
mod awaiting;
mod aws_faults;
mod batch;
mod bounces;
mod canaries;
mod changes;
mod content;
mod contracts;
mod conversations;
mod crash;
mod credentials;
mod deleted;
mod deliveries;
mod delivery;
mod details;
mod diagnose;
mod door_email_service;
mod door_emailengine;
mod door_emailengine_messages;
mod door_jetquery;
mod door_superoffice;
mod events;
mod fanout;
mod faults;
mod hostile;
mod imap;
mod import;
mod in_doubt;
mod isolation;
mod jetquery_storage;
mod large;
mod lockout;
mod maildrop;
mod misbehaving;
mod moves;
mod oauth;
mod outbox;
mod pii;
mod probes;
mod proofs;
mod pull;
mod qlik;
mod reading;
mod real;
mod routes;
mod safe_html;
mod schedule;
mod search;
mod send;
mod send_doors;
mod sent_copy;
mod slow;
mod suppressions;
mod templates;
mod troubles;
mod verdicts;
mod webhooks;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tests::client::Client;
use tests::service::{Options, Service};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// One runtime for all tests: servers that one of them starts must not end with it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

static SERVICE: OnceCell<Service> = OnceCell::const_new();

/// Runs a test.
fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// The shared service.
async fn service() -> &'static Service {
    SERVICE.get_or_init(|| Service::start(Options::default())).await
}

/// What is stored for a tenant, but for the counts of refused sign-ins.
async fn settings_of(tenant: &str) -> BTreeMap<String, Value> {
    let mut items = service().await.aws().await.items_of(&format!("T#{tenant}#")).await;
    items.retain(|key, _| !key.starts_with(&format!("T#{tenant}#G")));
    items
}

/// Creates an account; returns its path.
async fn account(client: &Client, name: &str, settings: &Value) -> String {
    let path = format!("/v1/accounts/{name}");
    let _ = client.put(path.clone(), settings).await.is(201);
    path
}

/// Replaces what differs in every run by `"*"`, after checking that it is there and of its kind.
fn masked(mut value: Value, pointers: &[&str]) -> Value {
    for pointer in pointers {
        let found = value.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
        assert!(found.is_number() || found.as_str().is_some_and(|text| !text.is_empty()), "{pointer}: {found}");
        *found = json!("*");
    }
    value
}
