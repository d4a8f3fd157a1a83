//! The template's policies, as a function meets them through its SDKs.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue::S;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;

use super::{BUCKET, Running, SECRET_KEY, config};
use crate::aws::{Statement, access_key};

/// `reader` may read some of everything, `lister` any object, and be told which there are.
pub(super) fn functions() -> BTreeMap<String, Vec<Statement>> {
    let statement = |actions: &[&str], resources: &[&str]| Statement {
        actions: actions.iter().map(|&text| text.to_owned()).collect(),
        resources: resources.iter().map(|&text| text.to_owned()).collect(),
    };
    let reader = vec![
        statement(&["dynamodb:GetItem", "dynamodb:BatchGetItem"], &["arn:aws:dynamodb:*:*:table/hp-table"]),
        statement(&["s3:GetObject"], &["arn:aws:s3:::hp-files/t/*"]),
        statement(&["secretsmanager:GetSecretValue"], &["arn:aws:secretsmanager:*:*:secret:halfpenny/*"]),
        statement(&["sqs:SendMessage"], &["arn:aws:sqs:*:*:work"]),
    ];
    let lister = vec![statement(&["s3:ListBucket", "s3:GetObject"], &["arn:aws:s3:::hp-files*"])];
    BTreeMap::from([("reader".to_owned(), reader), ("lister".to_owned(), lister)])
}

impl Running {
    pub(super) async fn services_of(&self, function: &str) -> aws_config::SdkConfig {
        config(&self.aws.endpoints().services, &access_key(function), SECRET_KEY).await
    }

    async fn dynamodb_of(&self, function: &str) -> aws_sdk_dynamodb::Client {
        let config = config(&self.aws.endpoints().dynamodb, &access_key(function), SECRET_KEY).await;
        aws_sdk_dynamodb::Client::new(&config)
    }
}

/// What a refusal says in its code and its words.
fn is_denied(error: &impl ProvideErrorMetadata, code: &str, action: &str, resource: &str) {
    assert_eq!(error.code(), Some(code));
    let message = error.message().expect("a message");
    let expected = format!("is not authorized to perform: {action} on resource: {resource} because no identity-based");
    assert!(message.contains(&expected), "{message}");
}

#[tokio::test]
async fn dynamodb_holds_a_function_to_its_actions_on_its_tables() {
    let running = Running::start().await;
    let all = running.dynamodb().await;
    let item = |client: &aws_sdk_dynamodb::Client| {
        client.put_item().table_name("hp-table").item("pk", S("a".into())).item("sk", S("b".into()))
    };
    item(&all).send().await.expect("the administrator may");

    let reader = running.dynamodb_of("reader").await;
    let get = reader.get_item().table_name("hp-table").key("pk", S("a".into())).key("sk", S("b".into()));
    assert!(get.send().await.expect("allowed").item.is_some());

    let refused = item(&reader).send().await.expect_err("no PutItem");
    assert_eq!(refused.raw_response().map(|answer| answer.status().as_u16()), Some(400));
    let table = "arn:aws:dynamodb:us-east-1:000000000000:table/hp-table";
    is_denied(&refused.into_service_error(), "AccessDeniedException", "dynamodb:PutItem", table);

    assert_eq!(running.aws.counts().get("dynamodb.PutItem"), Some(&1), "a refused request reaches no table");
}

#[tokio::test]
async fn secrets_manager_and_sqs_hold_a_function_to_its_policies() {
    let running = Running::start().await;
    let name = "halfpenny/acme/0";
    running.secrets().await.create_secret().name(name).secret_string("x").send().await.expect("created");

    let secrets = aws_sdk_secretsmanager::Client::new(&running.services_of("reader").await);
    secrets.get_secret_value().secret_id(name).send().await.expect("allowed");
    let refused = secrets.create_secret().name("halfpenny/acme/1").secret_string("x").send().await;
    let refused = refused.expect_err("no CreateSecret").into_service_error();
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:halfpenny/acme/1-??????";
    is_denied(&refused, "AccessDeniedException", "secretsmanager:CreateSecret", arn);
    let refused = secrets.get_secret_value().secret_id("other").send().await.expect_err("not there");
    assert_eq!(refused.into_service_error().code(), Some("AccessDeniedException"));

    let sqs = aws_sdk_sqs::Client::new(&running.services_of("reader").await);
    let send = |queue: &str| sqs.send_message().queue_url(running.aws.sqs().url(queue)).message_body("x");
    send("work").send().await.expect("allowed");
    let refused = send("dead").send().await.expect_err("another queue").into_service_error();
    is_denied(&refused, "AccessDenied", "sqs:sendmessage", "arn:aws:sqs:us-east-1:000000000000:dead");
}

#[tokio::test]
async fn s3_holds_a_function_to_its_policies() {
    let running = Running::start().await;
    let all = running.s3().await;
    for key in ["t/1", "u/1"] {
        all.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"x")).send().await.expect("put");
    }
    let reader = aws_sdk_s3::Client::new(&running.services_of("reader").await);
    let get = |key: &str| reader.get_object().bucket(BUCKET).key(key);
    get("t/1").send().await.expect("allowed");

    let refused = get("u/1").send().await.expect_err("another prefix");
    assert_eq!(refused.raw_response().map(|answer| answer.status().as_u16()), Some(403));
    is_denied(&refused.into_service_error(), "AccessDenied", "s3:GetObject", "arn:aws:s3:::hp-files/u/1");
    let upload = reader.create_multipart_upload().bucket(BUCKET).key("t/2").send().await.expect_err("no PutObject");
    is_denied(&upload.into_service_error(), "AccessDenied", "s3:PutObject", "arn:aws:s3:::hp-files/t/2");
}

#[tokio::test]
async fn only_who_may_list_the_bucket_hears_that_an_object_is_missing() {
    let running = Running::start().await;
    for (function, get, head) in [("reader", "AccessDenied", 403), ("lister", "NoSuchKey", 404)] {
        let client = aws_sdk_s3::Client::new(&running.services_of(function).await);
        let missing = client.get_object().bucket(BUCKET).key("t/none").send().await.expect_err("missing");
        assert_eq!(missing.into_service_error().code(), Some(get), "{function}");
        let missing = client.head_object().bucket(BUCKET).key("t/none").send().await.expect_err("missing");
        assert_eq!(missing.raw_response().map(|answer| answer.status().as_u16()), Some(head), "{function}");
    }
}
