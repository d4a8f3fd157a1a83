//! Suppressed addresses: found where there are any, listed, taken off.

use super::*;
use crate::model::suppression::{Suppression, SuppressionReason};
use crate::store::Suppressions;

fn suppression(address: &str, reason: SuppressionReason) -> Suppression {
    Suppression { address: address.to_owned(), reason, message: None, note: None, created_at: at(0) }
}

#[tokio::test]
async fn those_among_many_are_found_for_their_tenant_alone() {
    let suppressions = Suppressions::new(Bench::start().await.table);
    let (one, two) = (tenant("one"), tenant("two"));
    let asked: Vec<String> = (0..120).map(|number| format!("r{number}@example.com")).collect();
    assert_eq!(suppressions.among(&one, &asked).await.unwrap(), []);
    let bounce = suppression("r7@example.com", SuppressionReason::HardBounce);
    assert!(suppressions.put(&one, &bounce).await.unwrap());
    assert!(suppressions.put(&one, &suppression("r119@example.com", SuppressionReason::Manual)).await.unwrap());
    let complaint = suppression("r7@example.com", SuppressionReason::Complaint);
    assert!(!suppressions.put(&one, &complaint).await.unwrap(), "it says something else now");
    let mut found = suppressions.among(&one, &asked).await.unwrap();
    found.sort_by(|a, b| a.address.cmp(&b.address));
    assert_eq!(found, [suppression("r119@example.com", SuppressionReason::Manual), complaint.clone()]);
    assert_eq!(suppressions.among(&two, &asked).await.unwrap(), []);
    assert_eq!(suppressions.get(&one, "r7@example.com").await.unwrap(), Some(complaint));
    assert_eq!(suppressions.get(&two, "r7@example.com").await.unwrap(), None);
}

#[tokio::test]
async fn the_list_is_paged_in_order_and_what_is_deleted_is_gone() {
    let suppressions = Suppressions::new(Bench::start().await.table);
    let tenant = tenant("one");
    // What a local part may begin with sorts before letters, and is listed all the same.
    let addresses = ["!a@example.com", "\"b c\"@example.com", "a@example.com", "zoe@example.com"];
    for address in addresses.iter().rev() {
        suppressions.put(&tenant, &suppression(address, SuppressionReason::Manual)).await.unwrap();
    }
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let page = suppressions.list(&tenant, 3, cursor.as_deref()).await.unwrap();
        listed.extend(page.items.into_iter().map(|row| row.address));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, addresses);
    assert!(suppressions.delete(&tenant, "a@example.com").await.unwrap());
    assert!(!suppressions.delete(&tenant, "a@example.com").await.unwrap());
    assert_eq!(suppressions.among(&tenant, &["a@example.com".to_owned()]).await.unwrap(), []);
}
