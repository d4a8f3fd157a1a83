//! Grants: who may renew one, and whose tokens stay.

use secrecy::ExposeSecret;

use super::*;
use crate::{
    model::account::{Grant as Kind, OAuth2, Provider, SideSecrets},
    store::{Access, Grant, GrantId, GrantKey, Grants, Secrets, StoreError},
};

fn grants(bench: &Bench, tenant: &Tenant) -> Grants {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url("http://127.0.0.1:9")
        .build();
    // The key is in memory: nothing listens on this port.
    let secrets = Secrets::new(aws_sdk_secretsmanager::Client::from_conf(config), 300);
    secrets.remember_data_key(tenant, [7; 32]);
    Grants::new(bench.table.clone(), secrets)
}

fn key(tenant: &Tenant, account: &AccountId) -> GrantKey {
    let oauth2 = OAuth2 {
        username: "ada".into(),
        provider: Provider::Google,
        client_id: "app".into(),
        has_client_secret: true,
        client_secret_expires_at: None,
        tenant_id: None,
        has_refresh_token: true,
        scope: None,
        token_url: None,
        grant: Kind::RefreshToken,
    };
    let given = SideSecrets { refresh_token: Some("given".into()), ..SideSecrets::default() };
    GrantKey { tenant: tenant.clone(), account: account.clone(), id: GrantId::of(&oauth2, &given) }
}

fn brought(mut grant: Grant, refresh_token: &str) -> Grant {
    grant.tokens.refresh_token = Some(refresh_token.into());
    let access = Access::Token { token: "CANARY-access".into(), renew_at: at(10), expires_at: at(20) };
    grant.tokens.access.insert("mail".into(), access);
    grant
}

fn refresh_token(grant: &Grant) -> Option<&str> {
    grant.tokens.refresh_token.as_ref().map(ExposeSecret::expose_secret)
}

#[tokio::test]
async fn one_at_a_time_renews_and_what_it_brought_is_read_back_and_nowhere_plain() {
    let bench = Bench::start().await;
    let tenant = tenant("one");
    let (grants, key) = (grants(&bench, &tenant), key(&tenant, &account("box")));
    let grant = grants.load(&key, at(0)).await.unwrap();
    bench.lose_next_answer();
    let claim = grants.claim(&key, 0, at(0), 60).await.unwrap().unwrap();
    assert!(bench.lost(), "a lost answer is no refusal");
    assert!(grants.claim(&key, 0, at(59), 60).await.unwrap().is_none(), "somebody has it");
    assert_eq!(grants.load(&key, at(1)).await.unwrap().claimed_until, Some(at(60)));

    let mut next = brought(grant, "CANARY-second");
    bench.lose_next_answer();
    grants.save(&key, &claim, &mut next, at(1)).await.unwrap();
    assert!(bench.lost() && next.version == 1);
    let read = grants.load(&key, at(1)).await.unwrap();
    assert_eq!((refresh_token(&read), read.version, read.claimed_until), (Some("CANARY-second"), 1, None));
    assert!(matches!(&read.tokens.access["mail"], Access::Token { expires_at, .. } if *expires_at == at(20)));
    assert!(!format!("{read:?}").contains("CANARY"));
    let stored = bench.client.scan().table_name("halfpenny").send().await.unwrap();
    assert!(!format!("{:?}", stored.items()).contains("CANARY"));

    assert!(grants.claim(&key, 0, at(2), 60).await.unwrap().is_none(), "it was written since version 0 was read");
    assert!(grants.claim(&key, 1, at(2), 60).await.unwrap().is_some());
}

#[tokio::test]
async fn a_newer_refresh_token_is_never_overwritten_by_an_older_one() {
    let bench = Bench::start().await;
    let tenant = tenant("one");
    let (grants, key) = (grants(&bench, &tenant), key(&tenant, &account("box")));
    let slow = grants.claim(&key, 0, at(0), 60).await.unwrap().unwrap();
    let quick = grants.claim(&key, 0, at(60), 60).await.unwrap().unwrap();
    grants.save(&key, &quick, &mut brought(Grant::default(), "newer"), at(61)).await.unwrap();
    let late = grants.save(&key, &slow, &mut brought(Grant::default(), "older"), at(62)).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    grants.rest(&key, &slow, at(100), "trouble").await.unwrap();
    let read = grants.load(&key, at(62)).await.unwrap();
    assert_eq!((refresh_token(&read), read.claimed_until, read.trouble.clone()), (Some("newer"), None, None));
}

#[tokio::test]
async fn trouble_keeps_all_from_trying_until_it_is_over() {
    let bench = Bench::start().await;
    let tenant = tenant("one");
    let (grants, key) = (grants(&bench, &tenant), key(&tenant, &account("box")));
    let claim = grants.claim(&key, 0, at(0), 60).await.unwrap().unwrap();
    grants.rest(&key, &claim, at(10), "status 500").await.unwrap();
    let read = grants.load(&key, at(1)).await.unwrap();
    assert_eq!((read.trouble.as_deref(), read.claimed_until), (Some("status 500"), Some(at(10))));
    assert!(grants.claim(&key, 0, at(9), 60).await.unwrap().is_none());
    assert!(grants.claim(&key, 0, at(10), 60).await.unwrap().is_some());
    assert_eq!(grants.load(&key, at(11)).await.unwrap().trouble, None);
}

#[tokio::test]
async fn what_was_tried_before_it_was_stored_counts_and_what_is_moved_cannot_be_read() {
    let bench = Bench::start().await;
    let tenant = tenant("one");
    let (grants, key, tried) =
        (grants(&bench, &tenant), key(&tenant, &account("box")), key(&tenant, &AccountId::nobody()));
    let claim = grants.claim(&tried, 0, at(0), 60).await.unwrap().unwrap();
    grants.save(&tried, &claim, &mut brought(Grant::default(), "second"), at(1)).await.unwrap();
    let read = grants.load(&key, at(2)).await.unwrap();
    assert_eq!((refresh_token(&read), read.version), (Some("second"), 0));

    let mut item = bench.table.get(&keys::grant(&tried)).await.unwrap().unwrap();
    let place = keys::grant(&key);
    item.insert("pk".into(), crate::store::table::text(place.pk()));
    bench.table.put(item, None, Vec::new()).await.unwrap();
    let moved = grants.load(&key, at(2)).await;
    assert!(matches!(moved, Err(StoreError::Corrupt { .. })), "{moved:?}");
}
