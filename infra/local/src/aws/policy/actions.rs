//! Which actions a request needs, and on which resources ("Actions, resources, and condition keys for AWS services",
//! the Service Authorization Reference). An operation that is not named here needs the action of its own name.

use serde_json::Value;

use super::Need;
use crate::aws::{ACCOUNT, REGION};

fn need(action: String, resource: impl Into<String>) -> Need {
    Need { action, resource: resource.into() }
}

/// The ARN of what a member of the request names, by ARN or by name; `*` when it names nothing.
fn named(member: Option<&str>, arn: impl FnOnce(&str) -> String) -> String {
    match member {
        None => "*".to_owned(),
        Some(given) if given.starts_with("arn:") => given.to_owned(),
        Some(name) => arn(name),
    }
}

fn table(name: Option<&str>) -> String {
    named(name, |name| format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"))
}

/// An event needs its action on its bus.
pub(in crate::aws) fn events(operation: &str, body: &Value) -> Vec<Need> {
    let bus = |entry: &Value| {
        let name = entry["EventBusName"].as_str().unwrap_or("default");
        need(
            format!("events:{operation}"),
            named(Some(name), |name| format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}")),
        )
    };
    body["Entries"].as_array().into_iter().flatten().map(bus).collect()
}

/// A batch needs its action on each of its tables, a transaction the action of each of its items.
pub(in crate::aws) fn dynamodb(operation: &str, body: &Value) -> Vec<Need> {
    let own = |resource| need(format!("dynamodb:{operation}"), resource);
    if let Some(tables) = body["RequestItems"].as_object() {
        return tables.keys().map(|name| own(table(Some(name)))).collect();
    }
    if let Some(items) = body["TransactItems"].as_array() {
        // `Put` is `dynamodb:PutItem`, and so on.
        let items = items.iter().filter_map(Value::as_object).flatten();
        return items
            .map(|(kind, item)| need(format!("dynamodb:{kind}Item"), table(item["TableName"].as_str())))
            .collect();
    }
    // Of streams only the first request names one: behind it, the iterator that it gave does.
    if ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"].contains(&operation) {
        return vec![own(body["StreamArn"].as_str().unwrap_or("*").to_owned())];
    }
    let table = table(body["TableName"].as_str());
    match body["IndexName"].as_str() {
        Some(index) => vec![own(format!("{table}/index/{index}"))],
        None => vec![own(table)],
    }
}

/// A batch needs the action of its entries. SQS itself writes actions in lower case.
pub(in crate::aws) fn sqs(operation: &str, body: &Value) -> Vec<Need> {
    let action = operation.trim_end_matches("Batch").to_ascii_lowercase();
    let queue = body["QueueUrl"].as_str().or(body["QueueName"].as_str()).and_then(|url| url.rsplit('/').next());
    // Those who move messages name queues by ARN.
    let arn = body["SourceArn"].as_str().map_or("*".to_owned(), str::to_owned);
    let resource = queue.map_or(arn, |name| format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"));
    vec![need(format!("sqs:{action}"), resource)]
}

/// A secret given by name has an ARN that ends with six characters of chance: question marks stand for them.
pub(in crate::aws) fn secrets(operation: &str, body: &Value) -> Vec<Need> {
    let secret = body["SecretId"].as_str().or(body["Name"].as_str());
    let resource = named(secret, |name| format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-??????"));
    let mut needs = vec![need(format!("secretsmanager:{operation}"), resource.clone())];
    if operation == "CreateSecret" && body["Tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
        needs.push(need("secretsmanager:TagResource".to_owned(), resource));
    }
    needs
}

/// S3 knows fewer actions than operations.
pub(in crate::aws) fn s3(operation: &str, bucket: Option<&str>, key: Option<&str>) -> Need {
    let action = match operation {
        "HeadObject" => "GetObject",
        "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => "PutObject",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "ListBucket",
        "DeleteObjects" => "DeleteObject",
        other => other,
    };
    let resource = match (bucket, key) {
        (Some(bucket), Some(key)) => format!("arn:aws:s3:::{bucket}/{key}"),
        // The keys are in the body, which is not read yet: only who may delete every object may do it so.
        (Some(bucket), None) if action == "DeleteObject" => format!("arn:aws:s3:::{bucket}/*"),
        (Some(bucket), None) => format!("arn:aws:s3:::{bucket}"),
        (None, _) => "*".to_owned(),
    };
    need(format!("s3:{action}"), resource)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(needs: Vec<Need>) -> Vec<String> {
        needs.into_iter().map(|need| format!("{} {}", need.action, need.resource)).collect()
    }

    #[test]
    fn dynamodb_asks_for_tables_and_indexes() {
        const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table";
        for (operation, body, expected) in [
            ("GetItem", json!({"TableName": "t"}), vec![format!("dynamodb:GetItem {TABLE}/t")]),
            ("GetItem", json!({"TableName": format!("{TABLE}/t")}), vec![format!("dynamodb:GetItem {TABLE}/t")]),
            (
                "Query",
                json!({"TableName": "t", "IndexName": "by-due"}),
                vec![format!("dynamodb:Query {TABLE}/t/index/by-due")],
            ),
            (
                "BatchGetItem",
                json!({"RequestItems": {"a": {}, "b": {}}}),
                vec![format!("dynamodb:BatchGetItem {TABLE}/a"), format!("dynamodb:BatchGetItem {TABLE}/b")],
            ),
            (
                "TransactWriteItems",
                json!({"TransactItems": [{"Put": {"TableName": "a"}}, {"ConditionCheck": {"TableName": "b"}}]}),
                vec![format!("dynamodb:PutItem {TABLE}/a"), format!("dynamodb:ConditionCheckItem {TABLE}/b")],
            ),
            ("ListTables", json!({}), vec!["dynamodb:ListTables *".to_owned()]),
            (
                "GetShardIterator",
                json!({"StreamArn": format!("{TABLE}/t/stream/local")}),
                vec![format!("dynamodb:GetShardIterator {TABLE}/t/stream/local")],
            ),
            ("GetRecords", json!({"ShardIterator": "x"}), vec!["dynamodb:GetRecords *".to_owned()]),
        ] {
            assert_eq!(texts(dynamodb(operation, &body)), expected);
        }
    }

    #[test]
    fn sqs_asks_for_queues() {
        let url = json!({"QueueUrl": "http://127.0.0.1:9002/000000000000/work"});
        let arn = "arn:aws:sqs:us-east-1:000000000000:work";
        assert_eq!(texts(sqs("SendMessageBatch", &url)), [format!("sqs:sendmessage {arn}")]);
        assert_eq!(texts(sqs("GetQueueUrl", &json!({"QueueName": "work"}))), [format!("sqs:getqueueurl {arn}")]);
        let moved = json!({"SourceArn": "arn:aws:sqs:us-east-1:000000000000:dead"});
        assert_eq!(
            texts(sqs("StartMessageMoveTask", &moved)),
            ["sqs:startmessagemovetask arn:aws:sqs:us-east-1:000000000000:dead"]
        );
        assert_eq!(texts(sqs("ListQueues", &json!({}))), ["sqs:listqueues *"]);
    }

    #[test]
    fn eventbridge_asks_for_the_bus_of_each_entry() {
        let arn = "arn:aws:events:us-east-1:000000000000:event-bus";
        let entries = json!({"Entries": [{"EventBusName": "mail"}, {"EventBusName": format!("{arn}/x")}, {}]});
        let expected = ["mail", "x", "default"].map(|name| format!("events:PutEvents {arn}/{name}"));
        assert_eq!(texts(events("PutEvents", &entries)), expected);
    }

    #[test]
    fn secrets_manager_asks_for_secrets() {
        let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:halfpenny/a/0";
        let by_name = json!({"SecretId": "halfpenny/a/0"});
        assert_eq!(texts(secrets("GetSecretValue", &by_name)), [format!("secretsmanager:GetSecretValue {arn}-??????")]);
        let by_arn = json!({"SecretId": format!("{arn}-abcdef")});
        assert_eq!(texts(secrets("PutSecretValue", &by_arn)), [format!("secretsmanager:PutSecretValue {arn}-abcdef")]);
        let tagged = json!({"Name": "halfpenny/a/0", "Tags": [{"Key": "a", "Value": "b"}]});
        assert_eq!(
            texts(secrets("CreateSecret", &tagged)),
            [format!("secretsmanager:CreateSecret {arn}-??????"), format!("secretsmanager:TagResource {arn}-??????")]
        );
        assert_eq!(texts(secrets("ListSecrets", &json!({}))), ["secretsmanager:ListSecrets *"]);
    }

    #[test]
    fn s3_asks_for_objects_or_for_the_bucket() {
        for (operation, key, expected) in [
            ("HeadObject", Some("t/a"), "s3:GetObject arn:aws:s3:::b/t/a"),
            ("UploadPart", Some("t/a"), "s3:PutObject arn:aws:s3:::b/t/a"),
            ("AbortMultipartUpload", Some("t/a"), "s3:AbortMultipartUpload arn:aws:s3:::b/t/a"),
            ("HeadBucket", None, "s3:ListBucket arn:aws:s3:::b"),
            ("DeleteObjects", None, "s3:DeleteObject arn:aws:s3:::b/*"),
        ] {
            assert_eq!(texts(vec![s3(operation, Some("b"), key)]), [expected]);
        }
    }
}
