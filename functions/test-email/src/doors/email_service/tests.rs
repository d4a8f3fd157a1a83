use serde_json::{Value, json};
use shared::model::Timestamp;

use super::*;

fn stored() -> Account {
    let input: AccountInput = serde_json::from_value(json!({
        "from": {"name": "Shop", "address": "shop@example.com"},
        "smtp": {"host": "mail.example.com", "port": 2525, "security": "none", "verifyCertificate": false,
                 "auth": {"type": "password", "username": "shop", "password": "stored"}}
    }))
    .unwrap();
    input.check(AccountId::new(DEFAULT).unwrap(), 0, Timestamp(0)).unwrap().0
}

fn plan(mut given: Value, stored: Option<&Account>) -> Result<Plan, Problem> {
    given["email"] = json!("ada@example.com");
    serde_json::from_value::<Given>(given).unwrap().plan(stored)
}

/// A4.3/16: each field by itself.
#[test]
fn each_field_falls_back_by_itself() {
    let account = stored();
    let unchanged = plan(json!({"smtp_host": "", "smtp_port": ""}), Some(&account)).unwrap();
    assert!(unchanged.smtp.is_none(), "the stored side itself");
    assert_eq!(unchanged.from, account.from);

    let named = plan(json!({"from_name": "Test", "from_address": "other@example.com"}), Some(&account)).unwrap();
    assert_eq!(named.from, Address { name: Some("Test".into()), address: "other@example.com".into() });

    for (given, host, port, security, checked, user, has_password) in [
        (json!({"smtp_host": "new.example.com"}), "new.example.com", 2525, Security::Starttls, true, "shop", false),
        (json!({"smtp_port": "465"}), "mail.example.com", 465, Security::Tls, false, "shop", false),
        (json!({"smtp_port": 2525}), "mail.example.com", 2525, Security::None, false, "shop", false),
        (json!({"smtp_user": "else"}), "mail.example.com", 2525, Security::None, false, "else", false),
        (json!({"smtp_pass": "given"}), "mail.example.com", 2525, Security::None, false, "shop", true),
    ] {
        let smtp = plan(given.clone(), Some(&account)).unwrap().smtp.unwrap();
        assert_eq!((smtp.host.as_str(), smtp.port, smtp.security), (host, port, security), "{given}");
        assert_eq!(smtp.verify_certificate, checked, "{given}");
        let Some(AuthInput::Password { username, password }) = smtp.auth else { panic!("{given}") };
        assert_eq!((username.as_str(), password.is_some()), (user, has_password), "{given}");
    }
}

/// A4.1/5.
#[test]
fn what_is_missing_everywhere_is_not_found_and_what_is_wrong_is_a_bad_request() {
    let code = |given, stored: Option<&Account>| plan(given, stored).unwrap_err().code;
    assert_eq!(code(json!({}), None), Code::AccountNotFound);
    assert_eq!(code(json!({"smtp_host": "h", "from_address": "a@example.com"}), None), Code::AccountNotFound);
    assert_eq!(code(json!({"from_address": "nobody"}), Some(&stored())), Code::InvalidRequest);
    for email in [json!(null), json!(""), json!("nobody"), json!("a@example.com\r\nRCPT TO:<b@example.com>")] {
        let given: Given = serde_json::from_value(json!({"email": email})).unwrap();
        assert_eq!(given.plan(Some(&stored())).unwrap_err().code, Code::InvalidRequest, "{email}");
    }
    let whole = json!({"smtp_host": "h", "smtp_port": 587, "smtp_user": "ada@example.com", "smtp_pass": "p"});
    assert_eq!(plan(whole, None).unwrap().from.address, "ada@example.com");
}

/// A4.3/24.
#[test]
fn microsoft_auth_signs_in_by_oauth2() {
    let given = json!({"microsoft_auth": {"clientId": "c", "clientSecret": "s", "providerTenantId": "t",
                                          "emailAddress": "ada@example.com"}});
    for before in [None, Some(&stored())] {
        let smtp = plan(given.clone(), before).unwrap().smtp.unwrap();
        assert_eq!(smtp.host, "smtp.office365.com", "a stored server elsewhere gets no token of Microsoft's");
    }
    let plan = plan(given, None).unwrap();
    let smtp = plan.smtp.unwrap();
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.security), ("smtp.office365.com", 587, Security::Starttls));
    let Some(AuthInput::OAuth2(oauth2)) = smtp.auth else { panic!() };
    assert_eq!((oauth2.client_id.as_str(), oauth2.tenant_id.as_deref()), ("c", Some("t")));
    assert_eq!((oauth2.grant, oauth2.username.as_str()), (Grant::ClientCredentials, "ada@example.com"));
    assert_eq!(plan.from.address, "ada@example.com");
}
