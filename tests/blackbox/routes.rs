//! What needs no token, and the document of all routes.

use http::Method;
use serde_json::json;

use crate::{run, service};

/// Every route of the service, by hand.
pub(crate) const ROUTES: [(&str, &str); 78] = [
    ("delete", "/v1/accounts/{account}"),
    ("delete", "/v1/accounts/{account}/messages/{id}"),
    ("delete", "/v1/outbox/{id}"),
    ("delete", "/v1/pii-resolver"),
    ("delete", "/v1/pii-tokens/{token}"),
    ("delete", "/v1/suppressions/{address}"),
    ("delete", "/v1/templates/{template}"),
    ("delete", "/v1/tokens/{id}"),
    ("delete", "/v1/webhooks/{webhook}"),
    ("get", "/docs"),
    ("get", "/f/{token}"),
    ("get", "/health"),
    ("get", "/openapi.json"),
    ("get", "/v1/accounts"),
    ("get", "/v1/accounts/{account}"),
    ("get", "/v1/accounts/{account}/folders"),
    ("get", "/v1/accounts/{account}/history"),
    ("get", "/v1/accounts/{account}/messages"),
    ("get", "/v1/accounts/{account}/messages/{id}"),
    ("get", "/v1/accounts/{account}/messages/{id}/attachments/{part}"),
    ("get", "/v1/accounts/{account}/messages/{id}/html"),
    ("get", "/v1/accounts/{account}/messages/{id}/source"),
    ("get", "/v1/accounts/{account}/threads/{thread}"),
    ("get", "/v1/autoconfig"),
    ("get", "/v1/files/{id}"),
    ("get", "/v1/outbox"),
    ("get", "/v1/outbox/{id}"),
    ("get", "/v1/pii-resolver"),
    ("get", "/v1/pii-tokens/{token}"),
    ("get", "/v1/risks"),
    ("get", "/v1/suppressions"),
    ("get", "/v1/suppressions/{address}"),
    ("get", "/v1/templates"),
    ("get", "/v1/templates/{template}"),
    ("get", "/v1/tokens"),
    ("get", "/v1/webhooks"),
    ("get", "/v1/webhooks/mock"),
    ("get", "/v1/webhooks/{webhook}"),
    ("get", "/v1/webhooks/{webhook}/deliveries"),
    ("patch", "/v1/accounts/{account}"),
    ("patch", "/v1/accounts/{account}/messages/{id}"),
    ("patch", "/v1/outbox/{id}"),
    ("patch", "/v1/webhooks/{webhook}"),
    ("post", "/v1/accounts"),
    ("post", "/v1/accounts/import"),
    ("post", "/v1/accounts/{account}/acknowledge"),
    ("post", "/v1/accounts/{account}/await"),
    ("post", "/v1/accounts/{account}/diagnose"),
    ("post", "/v1/accounts/{account}/history/{version}/restore"),
    ("post", "/v1/accounts/{account}/messages"),
    ("post", "/v1/accounts/{account}/pull"),
    ("post", "/v1/accounts/{account}/push"),
    ("post", "/v1/accounts/{account}/reparse"),
    ("post", "/v1/accounts/{account}/rewind"),
    ("post", "/v1/accounts/{account}/sync"),
    ("post", "/v1/accounts/{account}/test-email"),
    ("post", "/v1/accounts/{account}/verify"),
    ("post", "/v1/diagnose"),
    ("post", "/v1/files"),
    ("post", "/v1/messages/batch"),
    ("post", "/v1/outbox/{id}/retry"),
    ("post", "/v1/pii-tokens"),
    ("post", "/v1/pull"),
    ("post", "/v1/push"),
    ("post", "/v1/suppressions"),
    ("post", "/v1/sync"),
    ("post", "/v1/templates/{template}/render"),
    ("post", "/v1/tokens"),
    ("post", "/v1/validate-credentials"),
    ("post", "/v1/webhooks"),
    ("post", "/v1/webhooks/{webhook}/deliveries/{delivery}/replay"),
    ("post", "/v1/webhooks/{webhook}/replay"),
    ("post", "/v1/webhooks/{webhook}/rotate"),
    ("post", "/v1/webhooks/{webhook}/test"),
    ("put", "/v1/accounts/{account}"),
    ("put", "/v1/pii-resolver"),
    ("put", "/v1/templates/{template}"),
    ("put", "/v1/webhooks/{webhook}"),
];

/// Every route of the front doors, by hand: no document of ours lists them.
pub(crate) const DOORS: [(&str, &str); 74] = [
    ("delete", "/api/core/mail/account/{account}"),
    ("delete", "/api/v1/transports/email-config"),
    ("delete", "/emailengine/v1/account/{account}"),
    ("delete", "/emailengine/v1/account/{account}/message/{id}"),
    ("delete", "/emailengine/v1/outbox/{id}"),
    ("delete", "/v1/account/{account}"),
    ("delete", "/v1/account/{account}/message/{id}"),
    ("get", "/api/core/mail/account/{account}"),
    ("get", "/api/core/mail/files/{uuid}"),
    ("get", "/api/core/mail/mail"),
    ("get", "/api/core/mail/mail/{id}"),
    ("get", "/api/core/mail/mail/{id}/attachments"),
    ("get", "/api/core/mail/pull"),
    ("get", "/api/core/mail/pull/{account}"),
    ("get", "/api/core/mail/push"),
    ("get", "/api/core/mail/push/{account}"),
    ("get", "/api/core/mail/sync"),
    ("get", "/api/core/mail/sync/{account}"),
    ("get", "/api/v1/transports/email-config"),
    ("get", "/emailengine/v1/account/{account}"),
    ("get", "/emailengine/v1/account/{account}/attachment/{attachment}"),
    ("get", "/emailengine/v1/account/{account}/mailboxes"),
    ("get", "/emailengine/v1/account/{account}/message/{id}"),
    ("get", "/emailengine/v1/account/{account}/message/{id}/source"),
    ("get", "/emailengine/v1/account/{account}/messages"),
    ("get", "/emailengine/v1/account/{account}/text/{id}"),
    ("get", "/emailengine/v1/accounts"),
    ("get", "/emailengine/v1/autoconfig"),
    ("get", "/emailengine/v1/outbox"),
    ("get", "/emailengine/v1/outbox/{id}"),
    ("get", "/emailengine/v1/settings"),
    ("get", "/v1/account/{account}"),
    ("get", "/v1/account/{account}/attachment/{attachment}"),
    ("get", "/v1/account/{account}/mailboxes"),
    ("get", "/v1/account/{account}/message/{id}"),
    ("get", "/v1/account/{account}/message/{id}/source"),
    ("get", "/v1/account/{account}/messages"),
    ("get", "/v1/account/{account}/text/{id}"),
    ("get", "/v1/settings"),
    ("patch", "/api/v1/transports/email-config"),
    ("post", "/api/core/mail/mail_set"),
    ("post", "/api/core/mail/pull"),
    ("post", "/api/core/mail/pull/{account}"),
    ("post", "/api/core/mail/push"),
    ("post", "/api/core/mail/push/{account}"),
    ("post", "/api/core/mail/send/{account}"),
    ("post", "/api/core/mail/sync"),
    ("post", "/api/core/mail/sync/{account}"),
    ("post", "/api/v1/Agents/EMail/SendEMails"),
    ("post", "/api/v1/transports/email-config/actions/send-test-email"),
    ("post", "/api/v1/transports/email-config/actions/validate"),
    ("post", "/api/v1/transports/email-config/actions/verify-connection"),
    ("post", "/emailengine/v1/account"),
    ("post", "/emailengine/v1/account/{account}/search"),
    ("post", "/emailengine/v1/account/{account}/submit"),
    ("post", "/emailengine/v1/settings"),
    ("post", "/emailengine/v1/verifyAccount"),
    ("post", "/send-email"),
    ("post", "/send-test-email"),
    ("post", "/v1/account"),
    ("post", "/v1/account/{account}/search"),
    ("post", "/v1/account/{account}/submit"),
    ("post", "/v1/settings"),
    ("post", "/v1/verifyAccount"),
    ("post", "/validate-credentials"),
    ("post", "/{installation}/api/v1/Agents/EMail/SendEMails"),
    ("put", "/api/core/mail/account/{account}"),
    ("put", "/api/v1/transports/email-config"),
    ("put", "/emailengine/v1/account/{account}"),
    ("put", "/emailengine/v1/account/{account}/message/{id}"),
    ("put", "/emailengine/v1/account/{account}/message/{id}/move"),
    ("put", "/v1/account/{account}"),
    ("put", "/v1/account/{account}/message/{id}"),
    ("put", "/v1/account/{account}/message/{id}/move"),
];

/// Whoever adds a route to a door adds it here, and so to what is searched for secrets.
#[test]
fn the_list_of_the_doors_is_whole() {
    let source = include_str!("../../shared/src/http/doors.rs").split("#[cfg(test)]").next().unwrap();
    assert_eq!(source.matches("    &").count(), DOORS.len());
    let literals = source.split('"').skip(1).step_by(2).filter(|literal| literal.starts_with('/'));
    for path in literals.filter(|path| *path != "/emailengine") {
        assert!(DOORS.iter().any(|(_, known)| *known == path), "{path}");
    }
}

#[test]
fn health_says_ok_without_a_token() {
    run(async {
        let client = service().await.client().with_token(None);
        let answer = client.get("/health").await;
        assert_eq!(answer.value(200), json!({"status": "ok", "version": "0.1.0"}));
        assert_eq!(answer.header("content-type"), "application/json");
    });
}

/// A4.1/2.
#[test]
fn the_document_lists_exactly_the_routes() {
    run(async {
        let client = service().await.client().with_token(None);
        let document = client.get("/openapi.json").await.value(200);
        assert_eq!(document["openapi"], "3.1.0");
        let mut listed = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            listed.extend(methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
        }
        listed.sort();
        let wanted: Vec<_> = ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(listed, wanted);
    });
}

#[test]
fn every_schema_that_the_document_refers_to_is_in_it() {
    run(async {
        let document = service().await.client().get("/openapi.json").await;
        let value = document.value(200);
        let text = document.text();
        let references: Vec<_> = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 50, "{}", references.len());
        for pointer in references {
            assert!(value.pointer(pointer).is_some(), "{pointer}");
        }
    });
}

#[test]
fn every_route_of_the_document_is_served() {
    run(async {
        let client = service().await.client().for_tenant("routes");
        for (method, path) in ROUTES {
            let concrete = path
                .replace("{account}", "nobody")
                .replace("{id}", "0123456789abcdef0123456789abcdef")
                .replace("{address}", "a@example.com")
                .replace("{part}", "1");
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let answer = client.ask(method, concrete).send().await;
            assert!(![405, 500, 502, 503].contains(&answer.status), "{}: {}", answer.asked, answer.text());
            if answer.status == 404 {
                assert!(!answer.text().contains("there is nothing at"), "{}: {}", answer.asked, answer.text());
            }
        }
    });
}

#[test]
fn what_is_no_route_is_a_problem() {
    run(async {
        let client = service().await.client();
        for path in ["/", "/v2", "/v1/acc", "/v1/accounts/x/nothing", "/v1/accounts/x/messages/y/z"] {
            let problem = client.get(path).await.problem(404, "not_found");
            assert_eq!(problem["detail"], format!("there is nothing at {path}"));
        }
        for (method, path) in [
            (Method::POST, "/health"),
            (Method::PUT, "/v1/accounts"),
            (Method::GET, "/v1/accounts/x/pull"),
            (Method::DELETE, "/v1/pull"),
            (Method::PUT, "/v1/accounts/x/messages"),
        ] {
            let _ = client.ask(method, path).send().await.problem(405, "method_not_allowed");
        }
    });
}

#[test]
fn the_callers_request_id_is_kept_if_it_is_harmless() {
    run(async {
        let client = service().await.client();
        let given = client.ask(Method::GET, "/v1/accounts/nobody").header("x-request-id", "my-own-4711").send().await;
        assert_eq!(given.problem(404, "account_not_found")["requestId"], "my-own-4711");
        let long = "x".repeat(200);
        let odd = client.ask(Method::GET, "/v1/accounts/nobody").header("x-request-id", &long).send().await;
        assert_ne!(odd.header("x-request-id"), long);
        let _ = odd.problem(404, "account_not_found");
    });
}

#[test]
fn the_document_can_be_read_by_people() {
    run(async {
        let answer = service().await.client().with_token(None).get("/docs").await;
        assert_eq!(answer.is(200).header("content-type"), "text/html; charset=utf-8");
        assert!(answer.text().contains("/v1/accounts/{account}/messages"));
    });
}
