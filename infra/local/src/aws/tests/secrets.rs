use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

use super::Running;

const TOKEN: &str = "00000000-0000-4000-8000-000000000001";
const NAME: &str = "halfpenny/acme/0";

async fn create(client: &Client, value: &str) -> String {
    let created = client.create_secret().name(NAME).secret_string(value).send().await.expect("created");
    created.version_id.expect("version")
}

async fn put_aside(client: &Client, value: &str, label: &str) -> String {
    let put = client.put_secret_value().secret_id(NAME).secret_string(value).version_stages(label);
    put.send().await.expect("put").version_id.expect("version")
}

async fn value(client: &Client, stage: &str) -> Result<String, GetSecretValueError> {
    let got = client.get_secret_value().secret_id(NAME).version_stage(stage).send().await;
    got.map(|got| got.secret_string.expect("a string")).map_err(|error| error.into_service_error())
}

#[tokio::test]
async fn a_new_value_is_current_and_the_old_one_previous() {
    let running = Running::start().await;
    let client = running.secrets().await;
    let first = create(&client, "one").await;
    let put = client.put_secret_value().secret_id(NAME).secret_string("two").send().await.expect("put");
    assert_eq!(put.version_stages(), ["AWSCURRENT"]);
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), "two");
    assert_eq!(value(&client, "AWSPREVIOUS").await.expect("value"), "one");
    let by_id = client.get_secret_value().secret_id(put.arn().expect("arn")).version_id(&first).send().await;
    let by_id = by_id.expect("value");
    assert_eq!(by_id.secret_string(), Some("one"));
    assert_eq!(by_id.version_stages(), ["AWSPREVIOUS"]);

    client.put_secret_value().secret_id(NAME).secret_string("three").send().await.expect("put");
    let described = client.describe_secret().secret_id(NAME).send().await.expect("described");
    assert_eq!(described.version_ids_to_stages().expect("stages").len(), 2, "the first has no label any more");
    let all = client.list_secret_version_ids().secret_id(NAME).include_deprecated(true).send().await.expect("listed");
    assert_eq!(all.versions().len(), 3);
    let labelled = client.list_secret_version_ids().secret_id(NAME).send().await.expect("listed");
    assert_eq!(labelled.versions().len(), 2);
}

#[tokio::test]
async fn a_token_is_good_for_one_value() {
    let running = Running::start().await;
    let client = running.secrets().await;
    create(&client, "one").await;
    let put = |text: &str| {
        client.put_secret_value().secret_id(NAME).client_request_token(TOKEN).secret_string(text.to_owned()).send()
    };
    assert_eq!(put("two").await.expect("put").version_id(), Some(TOKEN));
    client.put_secret_value().secret_id(NAME).secret_string("three").send().await.expect("put");
    assert_eq!(put("two").await.expect("repeated").version_id(), Some(TOKEN));
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), "three", "a repeat moves nothing");
    assert!(put("other").await.expect_err("taken").into_service_error().is_resource_exists_exception());
}

#[tokio::test]
async fn of_two_writers_the_second_is_refused() {
    let running = Running::start().await;
    let client = running.secrets().await;
    let read = create(&client, "{}").await;
    let ours = put_aside(&client, "ours", "w1").await;
    let theirs = put_aside(&client, "theirs", "w2").await;
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), "{}", "a label of its own moves no other");
    let promote = |to: &str| {
        let request = client.update_secret_version_stage().secret_id(NAME).version_stage("AWSCURRENT");
        request.move_to_version_id(to).remove_from_version_id(&read).send()
    };
    promote(&ours).await.expect("first");
    let refused = promote(&theirs).await.expect_err("second").into_service_error();
    assert!(refused.is_invalid_parameter_exception(), "{refused:?}");
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), "ours");
    assert_eq!(value(&client, "AWSPREVIOUS").await.expect("value"), "{}");

    let unnamed = client.update_secret_version_stage().secret_id(NAME).version_stage("AWSCURRENT");
    let unnamed = unnamed.move_to_version_id(&theirs).send().await.expect_err("unnamed").into_service_error();
    assert!(unnamed.is_invalid_parameter_exception());
    let removed = client.update_secret_version_stage().secret_id(NAME).version_stage("w2");
    removed.remove_from_version_id(&theirs).send().await.expect("a loser's label can be removed");
    assert!(value(&client, "w2").await.expect_err("gone").is_resource_not_found_exception());
}

#[tokio::test]
async fn sixteen_writers_at_once_have_one_winner() {
    let running = Running::start().await;
    let client = running.secrets().await;
    let read = create(&client, "{}").await;
    let writers = (0..16).map(|n| {
        let (client, read) = (client.clone(), read.clone());
        tokio::spawn(async move {
            let own = put_aside(&client, &n.to_string(), &format!("w{n}")).await;
            let request = client.update_secret_version_stage().secret_id(NAME).version_stage("AWSCURRENT");
            request.move_to_version_id(own).remove_from_version_id(read).send().await.is_ok().then_some(n)
        })
    });
    let won = futures_util::future::join_all(writers).await;
    let won: Vec<u32> = won.into_iter().filter_map(|writer| writer.expect("joined")).collect();
    let [winner] = won[..] else { panic!("one winner: {won:?}") };
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), winner.to_string());
}

#[tokio::test]
async fn a_deleted_secret_waits_or_is_gone() {
    let running = Running::start().await;
    let client = running.secrets().await;
    create(&client, "one").await;
    let again = client.create_secret().name(NAME).secret_string("two").send().await.expect_err("exists");
    assert!(again.into_service_error().is_resource_exists_exception());

    client.delete_secret().secret_id(NAME).recovery_window_in_days(7).send().await.expect("deleted");
    assert!(value(&client, "AWSCURRENT").await.expect_err("deleted").is_invalid_request_exception());
    let reused = client.create_secret().name(NAME).secret_string("two").send().await.expect_err("reserved");
    assert!(reused.into_service_error().is_invalid_request_exception());
    let listed = client.list_secrets().send().await.expect("listed");
    assert!(listed.secret_list().is_empty());
    client.restore_secret().secret_id(NAME).send().await.expect("restored");
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), "one");

    let force = || client.delete_secret().secret_id(NAME).force_delete_without_recovery(true).send();
    force().await.expect("deleted for good");
    force().await.expect("once more");
    assert!(value(&client, "AWSCURRENT").await.expect_err("gone").is_resource_not_found_exception());
    create(&client, "new").await;
    let short = client.delete_secret().secret_id(NAME).recovery_window_in_days(1).send().await.expect_err("short");
    assert!(short.into_service_error().is_invalid_parameter_exception());
}

#[tokio::test]
async fn secrets_are_listed_by_page_and_by_name() {
    use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
    let running = Running::start().await;
    let client = running.secrets().await;
    for name in ["halfpenny/a/0", "halfpenny/b/0", "other"] {
        client.create_secret().name(name).secret_string("{}").send().await.expect("created");
    }
    let first = client.list_secrets().max_results(2).send().await.expect("listed");
    let names = |page: &[aws_sdk_secretsmanager::types::SecretListEntry]| {
        page.iter().map(|secret| secret.name().expect("name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(first.secret_list()), ["halfpenny/a/0", "halfpenny/b/0"]);
    let second = client.list_secrets().max_results(2).set_next_token(first.next_token).send().await.expect("listed");
    assert_eq!(names(second.secret_list()), ["other"]);
    assert_eq!(second.next_token(), None);
    let filter = Filter::builder().key(FilterNameStringType::Name).values("halfpenny/b/").build();
    let filtered = client.list_secrets().filters(filter).send().await.expect("listed");
    assert_eq!(names(filtered.secret_list()), ["halfpenny/b/0"]);
}

#[tokio::test]
async fn a_value_has_64_kib_and_a_secret_100_versions() {
    let running = Running::start().await;
    let client = running.secrets().await;
    create(&client, "first").await;
    let put = |text: String| client.put_secret_value().secret_id(NAME).secret_string(text).send();
    let largest = "x".repeat(65_536);
    let larger = put(format!("{largest}x")).await.expect_err("too large").into_service_error();
    assert_eq!(larger.code(), Some("ValidationException"));
    assert!(!larger.message().expect("message").contains("xxx"), "a refusal does not repeat the value");
    put(largest).await.expect("fits");
    for n in 2..100 {
        put(n.to_string()).await.expect("put");
    }
    let full = put("one more".to_owned()).await.expect_err("full").into_service_error();
    assert!(full.is_limit_exceeded_exception(), "{full:?}");
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), "99");
}

#[tokio::test]
async fn secrets_survive_a_restart_with_their_labels() {
    let running = Running::start().await;
    let client = running.secrets().await;
    create(&client, "one").await;
    client.put_secret_value().secret_id(NAME).secret_string("two").send().await.expect("put");
    let pending = put_aside(&client, "three", "AWSPENDING").await;

    let running = running.restart().await;
    let client = running.secrets().await;
    assert_eq!(value(&client, "AWSCURRENT").await.expect("value"), "two");
    assert_eq!(value(&client, "AWSPREVIOUS").await.expect("value"), "one");
    let got = client.get_secret_value().secret_id(NAME).version_id(pending).send().await.expect("value");
    assert_eq!((got.secret_string(), got.version_stages()), (Some("three"), &["AWSPENDING".to_owned()][..]));
    assert_eq!(running.aws.counts().get("secretsmanager.GetSecretValue"), Some(&3));
}
