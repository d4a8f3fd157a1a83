use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use serde_json::json;

use super::*;
use crate::aws::tests::{Running, table};

/// Seconds since 1970 in the year 2100: no sweep takes the item.
const LATER: i64 = 4_102_444_800;

async fn put(client: &Client, id: &str, ttl: i64) {
    let request = client.put_item().table_name("hp-table").item("pk", S(id.to_owned())).item("sk", S("x".to_owned()));
    request.item("ttl", N(ttl.to_string())).send().await.expect("put");
}

async fn exists(client: &Client, id: &str) -> bool {
    let request = client.get_item().table_name("hp-table").key("pk", S(id.to_owned())).key("sk", S("x".to_owned()));
    request.send().await.expect("get").item.is_some()
}

#[tokio::test]
async fn items_survive_a_restart_and_expired_ones_are_swept() {
    let running = Running::start().await;
    let now = now_ms() / 1000;
    let client = running.dynamodb().await;
    put(&client, "lasting", now + 3600).await;
    put(&client, "expired", now - 10).await;

    let running = running.restart().await;
    let client = running.dynamodb().await;
    assert!(exists(&client, "lasting").await);
    let swept = async {
        while exists(&client, "expired").await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), swept).await.expect("the sweep at the start removes it");
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_what_they_cost() {
    let running = Running::start().await;
    let client = running.dynamodb().await;
    for n in 0..3 {
        put(&client, &n.to_string(), LATER).await;
    }
    let refused = client.put_item().table_name("hp-table").item("pk", S("0".into())).item("sk", S("x".into()));
    let refused = refused.condition_expression("attribute_not_exists(pk)").send().await.expect_err("exists");
    assert!(refused.into_service_error().is_conditional_check_failed_exception());
    assert!(exists(&client, "0").await);

    let counts = running.aws.counts();
    assert_eq!(counts.get("dynamodb.PutItem"), Some(&4), "{counts:?}");
    assert_eq!(counts.get("dynamodb.GetItem"), Some(&1), "{counts:?}");
    // Four small items outside the index, of which the refused one costs as much; one read that may be stale.
    assert_eq!(counts.get("dynamodb.halfWriteUnits"), Some(&8), "{counts:?}");
    assert_eq!(counts.get("dynamodb.halfReadUnits"), Some(&1), "{counts:?}");
    assert_eq!(counts.len(), 4, "{counts:?}");
}

#[tokio::test]
async fn the_table_has_its_stream_its_index_and_its_time_to_live() {
    let running = Running::start().await;
    let client = running.dynamodb().await;
    let table = client.describe_table().table_name("hp-table").send().await.expect("described").table.expect("table");
    assert_eq!(table.stream_specification.map(|stream| stream.stream_enabled), Some(true));
    assert_eq!(table.global_secondary_indexes.map(|indexes| indexes.len()), Some(1));
    let ttl = client.describe_time_to_live().table_name("hp-table").send().await.expect("described");
    let ttl = ttl.time_to_live_description.expect("time to live");
    assert_eq!(ttl.attribute_name(), Some("ttl"));
}

#[tokio::test]
async fn old_stream_records_are_pruned_while_the_service_runs() {
    let running = Running::start().await;
    let client = running.dynamodb().await;
    put(&client, "one", LATER).await;
    put(&client, "two", LATER).await;
    let path = running.path("dynamodb.sqlite");
    let now = now_ms() / 1000;

    assert_eq!(prune(&path, now - STREAM_SECONDS).expect("pruned"), 0, "young records stay");
    assert_eq!(prune(&path, now + 60).expect("pruned"), 2);
    put(&client, "three", LATER).await;
    assert_eq!(prune(&path, now + 60).expect("pruned"), 1);
    assert!(exists(&client, "one").await, "items are no stream records");
}

#[tokio::test]
async fn no_write_reads_all_stream_records() {
    let running = Running::start().await;
    let connection = Connection::open(running.path("dynamodb.sqlite")).expect("open");
    let plan = |asked: &str| {
        let explained = format!("EXPLAIN QUERY PLAN SELECT {asked}");
        connection.query_row(&explained, [], |row| row.get::<_, String>("detail")).expect("planned")
    };
    let number = "CAST(sequence_number AS INTEGER)";
    // As dynoxide asks before it writes a record, and when it is asked for records.
    let highest = plan(&format!("COALESCE(MAX({number}), 0) + 1 FROM _stream_records WHERE table_name = 't'"));
    assert!(highest.contains("INDEX records_of_table"), "{highest}");
    let behind = plan(&format!(
        "new_image FROM _stream_records WHERE table_name = 't' AND shard_id = 's' AND {number} > 7 ORDER BY {number} LIMIT 9"
    ));
    assert!(behind.contains("INDEX records_of_shard"), "{behind}");
}

#[tokio::test]
async fn a_table_that_dynamodb_refuses_is_named() {
    let db = Database::memory().expect("memory");
    let error = create_table(&db, &json!({ "TableName": "broken", "KeySchema": [] })).expect_err("no key");
    assert!(matches!(&error, AwsError::Table { table, .. } if table == "broken"), "{error}");
    create_table(&db, &table()).expect("created");
    create_table(&db, &table()).expect("there already");
}
