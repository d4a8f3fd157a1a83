//! EventBridge through its SDK.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::{Running, config};
use crate::aws::{SECRET_KEY, access_key};

fn entry(bus: &str, detail: &str) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder()
        .event_bus_name(bus)
        .source("halfpenny")
        .detail_type("message.received")
        .detail(detail)
        .build()
}

#[tokio::test]
async fn what_is_put_is_kept_and_what_is_malformed_is_refused_by_itself() {
    let running = Running::start().await;
    let client = Client::new(&running.services(SECRET_KEY).await);
    let entries = vec![entry("bus", r#"{"id":"1"}"#), entry("bus", "no json"), entry("other", "{}")];
    let answer = client.put_events().set_entries(Some(entries)).send().await.expect("answered");
    assert_eq!(answer.failed_entry_count(), 2);
    let codes: Vec<_> = answer.entries().iter().map(|entry| entry.error_code()).collect();
    assert_eq!(codes, [None, Some("MalformedDetail"), Some("ResourceNotFoundException")]);
    assert!(answer.entries()[0].event_id().is_some());

    let running = running.restart().await;
    let kept = running.get("/_events").await;
    let kept = kept.as_array().expect("a list");
    assert_eq!(kept.len(), 1);
    assert_eq!((&kept[0]["detail-type"], &kept[0]["detail"]["id"]), (&"message.received".into(), &"1".into()));

    let client = Client::new(&running.services(SECRET_KEY).await);
    let many = (0..11).map(|_| entry("bus", "{}")).collect();
    let refused = client.put_events().set_entries(Some(many)).send().await.expect_err("eleven");
    assert_eq!(refused.code(), Some("ValidationException"));
}

#[tokio::test]
async fn a_function_puts_to_the_buses_that_it_may() {
    let running = Running::start().await;
    let reader = config(&running.aws.endpoints().services, &access_key("reader"), SECRET_KEY).await;
    let refused = Client::new(&reader).put_events().entries(entry("bus", "{}")).send().await.expect_err("not allowed");
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    assert!(refused.message().is_some_and(|words| words.contains("event-bus/bus")), "{refused:?}");
}
