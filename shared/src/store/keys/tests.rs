use super::*;

fn all(tenant: &Tenant) -> Vec<Key> {
    let box_ = AccountId::new("box").unwrap();
    let id = MessageId::derived(&["x"]);
    let source = SourceId("s".into());
    vec![
        account(tenant, &box_),
        status(tenant, &box_),
        token(tenant, "hash"),
        template(tenant, &TemplateId::new("P").unwrap()),
        preferences(tenant),
        suppression(tenant, "a@example.com"),
        suppresses(tenant),
        link(tenant, "name"),
        pii_token(tenant, "NS-EU-A-1"),
        pii_resolver(tenant),
        webhook(tenant, "wh_1"),
        delivery(tenant, "wh_1", "1-evt_1"),
        ledger(tenant, &box_, &source),
        lease(tenant, &box_),
        guesses(tenant, "mail.example.com", "ada"),
        history(tenant, &box_, Timestamp(0), "v"),
        draft(tenant, &box_),
        counter(tenant, "calls", Timestamp(0)),
        grant(&GrantKey { tenant: tenant.clone(), account: box_.clone(), id: GrantId("g".into()) }),
        message(tenant, &id),
        body(tenant, &id, &"ab".repeat(32)),
        recipients(tenant, &id, "attempt"),
        file_place(tenant, &"ab".repeat(32)),
    ]
}

#[test]
fn every_key_but_shards_begins_with_its_tenant() {
    let tenant = Tenant::new("one").unwrap();
    let keys = all(&tenant);
    assert!(keys.iter().all(|key| key.pk().starts_with("T#one#")), "{keys:?}");
    let id = MessageId::derived(&["x"]);
    let account = AccountId::new("box").unwrap();
    assert_eq!(by_time(&tenant, &account, Timestamp(0), &id, Direction::Incoming)[0].1, text("T#one#A#box"));
    for object in [raw_object(&tenant, &id), file_object(&tenant, "hash"), body_object(&tenant, &id, "fp")] {
        assert!(object.starts_with("t/one/"), "{object}");
    }
    assert_eq!(secret(&tenant, 0), "halfpenny/one/0");
    assert!(poll(&tenant, &account).pk().starts_with("POLL#") && poll(&tenant, &account).sk() == "one#box");
    assert_eq!(outbox(&tenant), "T#one#O");
    assert!(due(&id, Lane::System).starts_with("DUE#"));
    let bulk: u8 = due(&id, Lane::Bulk).strip_prefix("DUE#").unwrap().parse().unwrap();
    assert!((DUE_SHARDS..DUE_SHARDS + BULK_SHARDS).contains(&bulk), "no shard of another lane");
}

#[test]
fn statuses_and_ledgers_are_recognised_by_their_keys_and_nothing_else_is() {
    let (tenant, box_) = (Tenant::new("one").unwrap(), AccountId::new("S").unwrap());
    let found = Some((tenant.clone(), box_.clone()));
    let (status, ledger) = (status(&tenant, &box_), ledger(&tenant, &box_, &SourceId("s".into())));
    assert_eq!((status_of(status.pk(), status.sk()), ledger_of(ledger.pk(), ledger.sk())), (found.clone(), found));
    for other in all(&tenant).iter().filter(|key| !key.pk().ends_with("#S")) {
        assert_eq!(status_of(other.pk(), other.sk()), None, "{other}");
    }
    assert_eq!(status_of(ledger.pk(), ledger.sk()), None, "a mailbox of this name");
    for other in all(&tenant).iter().filter(|key| !key.sk().starts_with("L#")) {
        assert_eq!(ledger_of(other.pk(), other.sk()), None, "{other}");
    }
}

#[test]
fn no_two_things_and_no_two_tenants_share_a_key() {
    // Names that would collide if a part could run into the next one.
    let tenants = ["a", "a-a", "aa"].map(|name| Tenant::new(name).unwrap());
    let keys: Vec<Key> = tenants.iter().flat_map(all).collect();
    let distinct: std::collections::HashSet<&Key> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    // No partition of one kind is that of another: a list of accounts is not a mailbox named "".
    let box_ = AccountId::new("S").unwrap();
    assert_ne!(mailbox(&tenants[0], &box_), statuses(&tenants[0]));
}

#[test]
fn what_leads_to_a_tenant_is_read_back_or_refused() {
    let (tenant, id) = (Tenant::new("one").unwrap(), MessageId::derived(&["x"]));
    assert_eq!(message_of(message(&tenant, &id).pk()), Some((tenant.clone(), id)));
    let account = AccountId::new("a@b.c").unwrap();
    assert_eq!(polled(poll(&tenant, &account).sk()), Some((tenant, account)));
    for wrong in ["", "T#one#M#", "T#One#M#00", "T#one#A#x", "M#00"] {
        assert_eq!(message_of(wrong), None, "{wrong}");
    }
    assert_eq!(polled("one"), None);
}

#[test]
fn the_key_of_an_imap_message_is_read_back() {
    let key = MessageKey::Imap { uidvalidity: 7, uid: u32::MAX };
    assert_eq!(MessageKey::imap(&key.to_string()), Some(key));
    let uidl = MessageKey::Pop3 { uidl: "1#2".into(), octets: 3 }.to_string();
    for other in [uidl.as_str(), "", "I#", "I#1", "I#1#x", "I#1#4294967296"] {
        assert_eq!(MessageKey::imap(other), None, "{other}");
    }
}

#[test]
fn shards_are_used_evenly_enough() {
    let mut counts = [0; DUE_SHARDS as usize];
    for number in 0..800 {
        counts[usize::from(shard(&number.to_string(), DUE_SHARDS))] += 1;
    }
    assert!(counts.iter().all(|&count| count > 50), "{counts:?}");
}
