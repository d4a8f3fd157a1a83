//! What lies in the service's AWS, through the real SDKs: tests look at effects, and at their absence.

use std::collections::BTreeMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::config::Credentials;
use base64::Engine;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::client::Client;

/// Clients of one service's embedded AWS.
#[derive(Debug, Clone)]
pub struct Aws {
    dynamodb: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    secrets: aws_sdk_secretsmanager::Client,
    services: String,
    table: String,
    bucket: String,
}

impl Aws {
    /// Reads endpoints and names from the service's `env` file.
    pub async fn new(env: &BTreeMap<String, String>) -> Self {
        let config = |endpoint: &str| {
            let credentials =
                Credentials::new(&env["AWS_ACCESS_KEY_ID"], &env["AWS_SECRET_ACCESS_KEY"], None, None, "tests");
            aws_config::defaults(BehaviorVersion::latest())
                .credentials_provider(credentials)
                .region(Region::new(env["AWS_REGION"].clone()))
                .endpoint_url(&env[endpoint])
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .load()
        };
        let services: SdkConfig = config("AWS_ENDPOINT_URL_S3").await;
        let s3 = aws_sdk_s3::config::Builder::from(&services).force_path_style(true).build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config("AWS_ENDPOINT_URL_DYNAMODB").await),
            s3: aws_sdk_s3::Client::from_conf(s3),
            secrets: aws_sdk_secretsmanager::Client::new(&services),
            services: env["AWS_ENDPOINT_URL_S3"].clone(),
            table: env["HALFPENNY_TABLE"].clone(),
            bucket: env["HALFPENNY_BUCKET"].clone(),
        }
    }

    /// Requests since its start by `service.Operation`, what DynamoDB's cost in half units: `dynamodb.halfReadUnits`,
    /// `dynamodb.halfWriteUnits`; and the bytes that were read of objects: `s3.bytesRead`.
    pub async fn counts(&self) -> BTreeMap<String, u64> {
        let counts = Client::new(&self.services, None).get("/_counts").await.json();
        counts.as_object().unwrap().iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
    }

    /// What was put to the event bus about a tenant, oldest first.
    pub async fn events(&self, tenant: &str) -> Vec<Value> {
        let events = Client::new(&self.services, None).get("/_events").await.json();
        let of_tenant = |event: &&Value| event["detail"]["data"]["tenant"] == tenant;
        events.as_array().unwrap().iter().filter(of_tenant).cloned().collect()
    }

    /// Every item of the table, by key, as JSON.
    pub async fn items(&self) -> BTreeMap<String, Value> {
        self.scan("").await
    }

    /// The items whose partition key begins so.
    async fn scan(&self, prefix: &str) -> BTreeMap<String, Value> {
        let mut items = BTreeMap::new();
        let mut start = None;
        loop {
            let page = self
                .dynamodb
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .filter_expression("begins_with(pk, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
                .set_exclusive_start_key(start)
                .send()
                .await
                .unwrap();
            for item in page.items() {
                let value = map(item);
                let key = format!("{} / {}", value["pk"].as_str().unwrap(), value["sk"].as_str().unwrap());
                items.insert(key, value);
            }
            start = page.last_evaluated_key().cloned();
            if start.is_none() {
                return items;
            }
        }
    }

    /// The items whose key begins so.
    pub async fn items_of(&self, prefix: &str) -> BTreeMap<String, Value> {
        let mut items = self.scan(prefix.split(" / ").next().unwrap_or_default()).await;
        items.retain(|key, _| key.starts_with(prefix));
        items
    }

    /// Writes flat items of texts and numbers.
    pub async fn write(&self, items: &[Value]) {
        use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
        let attribute = |value: &Value| match value {
            Value::String(text) => AttributeValue::S(text.clone()),
            number => AttributeValue::N(number.to_string()),
        };
        for batch in items.chunks(25) {
            let put = |item: &Value| {
                let members = item.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value)));
                let put = PutRequest::builder().set_item(Some(members.collect())).build().unwrap();
                WriteRequest::builder().put_request(put).build()
            };
            let requests: Vec<_> = batch.iter().map(put).collect();
            let written = self.dynamodb.batch_write_item().request_items(&self.table, requests).send().await.unwrap();
            assert!(written.unprocessed_items().is_none_or(|left| left.is_empty()));
        }
    }

    /// Deletes an item by its key as [`Aws::items`] names it.
    pub async fn delete(&self, key: &str) {
        let [pk, sk] = parts(key);
        self.dynamodb.delete_item().table_name(&self.table).key("pk", pk).key("sk", sk).send().await.unwrap();
    }

    /// Sets a text inside a map attribute of an item.
    pub async fn set(&self, key: &str, attribute: &str, member: &str, to: &str) {
        let update = self.update(key, "SET #a.#m = :v", attribute, AttributeValue::S(to.to_owned()));
        update.expression_attribute_names("#m", member).send().await.unwrap();
    }

    /// Adds to a number of an item.
    pub async fn add(&self, key: &str, attribute: &str, number: i64) {
        let number = AttributeValue::N(number.to_string());
        self.update(key, "ADD #a :v", attribute, number).send().await.unwrap();
    }

    /// Sets a text attribute of an item.
    pub async fn set_text(&self, key: &str, attribute: &str, to: &str) {
        self.update(key, "SET #a = :v", attribute, AttributeValue::S(to.to_owned())).send().await.unwrap();
    }

    /// A change of one attribute `#a` of an item by the value `:v`.
    fn update(&self, key: &str, change: &str, attribute: &str, value: AttributeValue) -> UpdateItemFluentBuilder {
        let [pk, sk] = parts(key);
        let update = self.dynamodb.update_item().table_name(&self.table).key("pk", pk).key("sk", sk);
        let update = update.update_expression(change).expression_attribute_names("#a", attribute);
        update.expression_attribute_values(":v", value)
    }

    /// Keys and sizes of every object below a prefix.
    pub async fn objects(&self, prefix: &str) -> BTreeMap<String, i64> {
        let mut objects = BTreeMap::new();
        let mut pages = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                objects.insert(object.key().unwrap().to_owned(), object.size().unwrap());
            }
        }
        objects
    }

    /// An object's bytes; `None` if there is none.
    pub async fn object(&self, key: &str) -> Option<Bytes> {
        let found = self.s3.get_object().bucket(&self.bucket).key(key).send().await;
        match found {
            Ok(object) => Some(object.body.collect().await.unwrap().into_bytes()),
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_no_such_key(), "{key}: {error:?}");
                None
            }
        }
    }

    /// Names and current values of all secrets.
    pub async fn secrets(&self) -> BTreeMap<String, String> {
        let mut secrets = BTreeMap::new();
        for listed in self.secrets.list_secrets().send().await.unwrap().secret_list() {
            let name = listed.name().unwrap();
            let value = self.secrets.get_secret_value().secret_id(name).send().await.unwrap();
            secrets.insert(name.to_owned(), value.secret_string().unwrap().to_owned());
        }
        secrets
    }

    /// Table, objects and secrets at once: what must be equal where nothing may have happened.
    pub async fn everything(&self) -> Value {
        json!({"items": self.items().await, "objects": self.objects("").await, "secrets": self.secrets().await})
    }
}

fn map(item: &std::collections::HashMap<String, AttributeValue>) -> Value {
    let sorted: BTreeMap<_, _> = item.iter().collect();
    Value::Object(sorted.into_iter().map(|(name, attribute)| (name.clone(), value(attribute))).collect::<Map<_, _>>())
}

fn value(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => number.parse().unwrap_or_else(|_| json!(number)),
        AttributeValue::Bool(flag) => json!(flag),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::B(blob) => json!({"base64": base64::engine::general_purpose::STANDARD.encode(blob.as_ref())}),
        AttributeValue::M(members) => map(members),
        AttributeValue::L(list) => list.iter().map(value).collect(),
        other => json!(format!("{other:?}")),
    }
}

/// Partition and sort key of an item, as [`Aws::items`] names it.
fn parts(key: &str) -> [AttributeValue; 2] {
    let (pk, sk) = key.split_once(" / ").unwrap();
    [pk, sk].map(|part| AttributeValue::S(part.to_owned()))
}
