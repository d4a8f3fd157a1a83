//! Importing jetQuery's configuration as its documentation shows it (A1.5 to A1.7).

use http::Method;
use serde_json::{Value, json};
use tests::client::{Answer, Client};

use crate::{run, service};

async fn import(client: &Client, text: &str) -> Answer {
    let ask = client.ask(Method::POST, "/v1/accounts/import").body("application/json", text.to_owned());
    ask.send().await
}

/// A1.5/33 to A1.5/46, A1.7/56, A1.7/58: comments, trailing commas, several accounts, `system`.
const FILE: &str = r#"
// app.settings.json
{
    "connection": {"server": "db"}, /* none of ours */
    "system": {
        "mail_from": "noreply@example.com",     //or shared mailbox email
        "mail_username": "account@example.com",
        "mail_smtp_server": "mail.example.com",
        "mail_smtp_port": 465,
        "mail_password": "CANARY-import-system",
        "mail_usessl": true,
        "mail_smtp_valid_cert": false,   //IF invalid cert
    },
    "accounts": [
        {
            "account": "example_account",
            "mail_pop3_server": "pop3.example.com", "mail_pop3_port": 110,
            "mail_smtp_server": "smtp.example.com", "mail_smtp_port": 25,
            "mail_smtp_valid_cert": true, "mail_usessl": false, "mail_starttls": false,
            "mail_username": "example_username", "mail_password": "CANARY-import-team",
            "mail_from": "team@example.com", "mail_from_name": "Example Sender",
        },
        {
            "account": "gmail",
            "mail_pop3_server": "pop.gmail.com", "mail_pop3_port": 995,
            "mail_smtp_server": "smtp.gmail.com", "mail_smtp_port": 587, "mail_starttls": true,
            "mail_username": "recent:ada@example.com", "mail_password": "",
            "mail_from": "ada@example.com", "mail_from_name": "Your company name",
        },
    ],
}
"#;

/// A1.5/31, A1.5/33 to A1.5/46, A1.7/56, A1.7/58.
#[test]
fn a_file_with_comments_becomes_accounts_under_one_version_of_the_secret() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let answer = import(&client, FILE).await;
        let one = |name: &str, incomplete: bool| json!({"account": name, "created": true, "incomplete": incomplete});
        let all = json!({"accounts": [one("system", false), one("example_account", false), one("gmail", true)]});
        assert_eq!(answer.value(200), all);
        let get = async |name: &str| client.get(format!("/v1/accounts/{name}")).await.value(200);
        let system = get("system").await;
        let smtp = json!({"host": "mail.example.com", "port": 465, "security": "tls", "verifyCertificate": false,
                          "auth": {"type": "password", "username": "account@example.com", "hasPassword": true}});
        assert_eq!(
            (&system["smtp"], &system["receive"], &system["from"]["address"]),
            (&smtp, &Value::Null, &json!("noreply@example.com"))
        );
        let team = get("example_account").await;
        assert_eq!(
            (&team["smtp"]["security"], &team["receive"]["security"]),
            (&json!("none"), &json!("none")),
            "decision 21"
        );
        assert_eq!(team["warnings"].as_array().unwrap().len(), 2);
        let gmail = get("gmail").await;
        assert_eq!(
            (&gmail["smtp"]["security"], &gmail["receive"]["security"]),
            (&json!("starttls"), &json!("tls")),
            "A1.6/51"
        );
        assert_eq!(gmail["smtp"]["auth"]["username"], "ada@example.com", "A1.6/53");
        assert_eq!(
            (&gmail["receive"]["auth"]["username"], &gmail["status"]["errorCode"]),
            (&json!("recent:ada@example.com"), &json!("INCOMPLETE_CONFIG"))
        );

        let aws = service.aws().await;
        let rows = aws.items_of(&format!("T#{tenant}#A / ")).await;
        let versions: std::collections::BTreeSet<_> =
            rows.values().filter_map(|row| row.pointer("/secret/version")).map(Value::to_string).collect();
        assert_eq!((rows.len(), versions.len()), (3, 1), "{rows:?}");
        let table = serde_json::to_string(&aws.items().await).unwrap();
        assert!(!table.contains("CANARY-import") && !answer.text().contains("CANARY"));
        assert!(aws.secrets().await.values().any(|secret| secret.contains("CANARY-import-team")));

        // Again: replaced, and what an export without passwords leaves out stays.
        let again = import(&client, &FILE.replace("CANARY-import-team", "")).await.value(200);
        assert_eq!(again["accounts"][1], json!({"account": "example_account", "created": false, "incomplete": false}));
    });
}

/// The documentation shows the key in the middle of its file, and single accounts.
/// A1.7/58.
#[test]
fn a_fragment_and_a_single_account_are_taken() {
    run(async {
        let (_, client) = service().await.tenant();
        let fragment = "\"system\": {\n \"mail_from\": \"a@example.com\", //or shared mailbox email\n \"mail_username\": \"b@example.com\",\n \"mail_smtp_server\": \"outlook.office365.com\",\n \"mail_smtp_port\": 587,\n \"mail_password\": \"\",\n \"mail_usessl\": false,\n}\n";
        assert_eq!(import(&client, fragment).await.value(200)["accounts"][0]["account"], "system");
        let system = client.get("/v1/accounts/system").await.value(200);
        assert_eq!(
            (&system["smtp"]["security"], &system["smtp"]["auth"]["username"]),
            (&json!("starttls"), &json!("b@example.com")),
            "A1.6/48, A1.6/49"
        );
        let one = r#"{"account": "one", "mail_smtp_server": "smtp.example.com", "mail_smtp_port": "465", "mail_username": "u", "mail_password": "p", "mail_from": "a@example.com"}"#;
        assert_eq!(import(&client, one).await.value(200)["accounts"][0]["account"], "one");
        assert_eq!(
            import(&client, &format!("[{}]", one.replace("\"one\"", "\"two\""))).await.value(200)["accounts"][0]["account"],
            "two"
        );
    });
}

#[test]
fn one_wrong_account_and_nothing_is_imported() {
    run(async {
        let service = service().await;
        let (tenant, client) = service.tenant();
        let wrong = FILE
            .replace("\"mail_smtp_port\": 25,", "\"mail_smtp_port\": 0,")
            .replace("\"account\": \"gmail\"", "\"account\": \"a b\"");
        let problem = import(&client, &wrong).await.problem(422, "invalid_request");
        let named: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert!(named.contains(&"/accounts/0/mail_smtp_port") && named.contains(&"/accounts/1/account"), "{problem}");
        for (text, status) in [("{", 400), ("{}", 422), ("[]", 422), ("7", 422), ("{\"other\": {}}", 422)] {
            assert_eq!(import(&client, text).await.status, status, "{text}");
        }
        let twice = format!(
            "[{0}, {0}]",
            r#"{"account": "x", "mail_smtp_server": "h", "mail_smtp_port": 25, "mail_from": "a@example.com"}"#
        );
        import(&client, &twice).await.names(&[("/1/account", "invalid_name")]);
        let many: Vec<Value> = (0..101).map(|number| json!({"account": format!("a{number}")})).collect();
        import(&client, &Value::from(many).to_string()).await.names(&[("", "invalid_value")]);
        assert!(service.aws().await.items_of(&format!("T#{tenant}#")).await.is_empty());
        assert!(!service.aws().await.secrets().await.keys().any(|name| name.contains(&format!("/{tenant}/"))));
    });
}
