//! Pricing recorded usage again.

use std::sync::Arc;
use std::time::Duration;

use gateway_ledger::{
    AttemptRecord, Cost, CostSource, EntryId, EntryResult, ExchangeQuery, GroupBy, LedgerEntry,
    Outcome, RepriceQuery, UsageQuery, UsageSource, UsageSums,
};
use gateway_policy::{Billing, PriceTable};
use gateway_wire::SendState;

use crate::stores::{Gateway, Store, entry, intent};

crate::on_every_store! {
    corrections_make_sums_right_and_edit_nothing,
    two_repricings_at_once_correct_once,
    what_has_no_price_and_what_is_unknown_are_counted_apart,
    older_stores_learn_to_tell_them_apart,
    a_store_of_version_0_1_0_opens_and_knows_which_requests_were_free,
}

/// A table in which `gpt-5.4` costs this much per million tokens, of whatever kind.
fn table(usd: &str) -> PriceTable {
    let text = format!(
        "[[price]]\nmodel = \"gpt-5.4\"\nsource = \"test\"\nstandard = {{ input = \"{usd}\", output = \"{usd}\" }}\n\
         priority = {{ input = \"100\", output = \"100\" }}\n"
    );
    PriceTable::parse(&text).0.unwrap()
}

/// 1050 tokens each: one recorded at 1.5 millidollars, one unpriced, one of a plan, one of an
/// unknown model, one whose cost the provider reported.
fn entries(store: &Store) -> [LedgerEntry; 5] {
    let new = || entry(intent(store.now()), "a");
    let (mut priced, mut unpriced, mut plan, mut unknown, mut reported) =
        (new(), new(), new(), new(), new());
    // The client asked for priority and got standard: standard is what the API bills.
    priced.intent.service_tier_requested = Some("priority".to_owned());
    unpriced.result.cost = Cost::UNPRICED;
    (
        plan.intent.dispatch.billing,
        plan.intent.service_tier_requested,
    ) = (Billing::Plan, Some("priority".to_owned()));
    unknown.intent.dispatch.model_served = Some("mystery".to_owned());
    reported.result.cost.source = CostSource::ProviderReported;
    [priced, unpriced, plan, unknown, reported]
}

async fn corrections_make_sums_right_and_edit_nothing(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let ledger = &gateway.ledger;
    let entries = entries(&store);
    for entry in &entries {
        ledger.settle(entry.clone()).await;
    }
    store.advance(Duration::from_secs(3 * 3600));
    let total = async || ledger.usage(&UsageQuery::default()).await.unwrap().total;
    let reprice = async |usd, apply| {
        ledger
            .reprice(&RepriceQuery::default(), &table(usd), apply)
            .await
            .unwrap()
    };
    let before = total().await;
    let seen = reprice("2", false).await;
    assert_eq!(total().await, before);

    let tool = gateway_ledger::Ledger::attach(store.options("tool"))
        .await
        .unwrap();
    let applied = tool
        .reprice(&RepriceQuery::default(), &table("2"), true)
        .await
        .unwrap();
    assert_eq!((applied.applied, &applied.rows), (3, &seen.rows));
    let row = applied
        .rows
        .iter()
        .find(|row| row.model == "gpt-5.4" && row.billing == "metered")
        .unwrap();
    assert_eq!((row.requests, row.changed, row.newly_priced), (2, 2, 1));
    assert_eq!(
        (row.before_nanos, row.after_nanos),
        (1_500_000, 2 * 2_100_000)
    );
    let row = applied
        .rows
        .iter()
        .find(|row| row.model == "mystery")
        .unwrap();
    assert_eq!((row.unpriced, row.after_nanos), (1, 1_500_000));

    let expected = UsageSums {
        cost_nanos_metered: 2 * 2_100_000 + 2 * 1_500_000,
        cost_nanos_plan: 105_000_000,
        unpriced_requests: 0,
        ..before
    };
    assert_eq!(total().await, expected);
    // The same again changes nothing; another table, and back, does.
    assert_eq!(reprice("2", true).await.applied, 0);
    assert_eq!(reprice("3", true).await.applied, 2);
    assert_eq!(reprice("2", true).await.applied, 2);
    assert_eq!(total().await, expected);
    check_entries(&gateway, &entries, expected).await;
    tool.close().await;
    gateway.close().await;
}

async fn check_entries(gateway: &Gateway, entries: &[LedgerEntry], expected: UsageSums) {
    let ledger = &gateway.ledger;
    // By session, so from the entries themselves, the sums are the same.
    let by_session = UsageQuery {
        by: vec![GroupBy::Session],
        ..UsageQuery::default()
    };
    assert_eq!(ledger.usage(&by_session).await.unwrap().total, expected);
    for entry in entries {
        assert_eq!(
            ledger.exchange(entry.id()).await.unwrap().as_ref(),
            Some(entry)
        );
    }
    let page = ledger
        .exchanges(&ExchangeQuery {
            limit: 100,
            ..ExchangeQuery::default()
        })
        .await
        .unwrap();
    let corrections: Vec<_> = page
        .items
        .iter()
        .filter(|entry| entry.result.corrects.is_some())
        .collect();
    assert_eq!(corrections.len(), 7);
    assert!(corrections.iter().all(|entry| entry.result.usage.is_none()
        && entry.result.cost.price_version.as_deref() != Some("v1")));
}

async fn two_repricings_at_once_correct_once(store: Arc<Store>) {
    let gateway = store.open("a").await;
    for _ in 0..30 {
        gateway.ledger.settle(entry(intent(store.now()), "a")).await;
    }
    let (prices, query) = (table("7"), RepriceQuery::default());
    let (one, two) = tokio::join!(
        gateway.ledger.reprice(&query, &prices, true),
        gateway.ledger.reprice(&query, &prices, true)
    );
    assert_eq!(one.unwrap().applied + two.unwrap().applied, 30);
    let usage = gateway.ledger.usage(&UsageQuery::default()).await.unwrap();
    assert_eq!(usage.total.cost_nanos_metered, 30 * 7_350_000);
    gateway.close().await;
}

/// An exchange of which no usage is known.
fn blank(store: &Store, outcome: Outcome, status: Option<u16>, sent: SendState) -> LedgerEntry {
    let attempt = AttemptRecord {
        model: "gpt-5.4".to_owned(),
        upstream: "openai".to_owned(),
        status,
        failure: None,
        sent,
    };
    let mut entry = entry(intent(store.now()), "a");
    entry.intent.dispatch.attempts = vec![attempt];
    entry.result = EntryResult {
        usage: None,
        usage_source: UsageSource::Unknown,
        cost: Cost::UNPRICED,
        status,
        outcome,
        ..entry.result
    };
    entry
}

/// Two without a price, four unknown, and six of neither kind.
fn mixed(store: &Store) -> Vec<LedgerEntry> {
    let blank = |outcome, status, sent| blank(store, outcome, status, sent);
    let [priced, unpriced, _, mut mystery, reported] = entries(store);
    mystery.result.cost = Cost::UNPRICED;
    let interrupted = LedgerEntry::interrupted(
        intent(store.now()),
        store.now(),
        gateway_ledger::InstanceId::new("a"),
    );
    let mut free = blank(Outcome::Completed, Some(200), SendState::Sent);
    free.intent.endpoint = "input_tokens".to_owned();
    free.intent.is_free = true;
    let mut told_cost = blank(Outcome::Completed, Some(200), SendState::Sent);
    (told_cost.result.cost.nanos, told_cost.result.cost.source) =
        (Some(7), CostSource::ProviderReported);
    vec![
        unpriced,
        mystery,
        blank(Outcome::Completed, Some(200), SendState::Sent),
        blank(Outcome::Failed, Some(200), SendState::Sent),
        blank(Outcome::ClientGone, None, SendState::Ambiguous),
        interrupted,
        priced,
        reported,
        told_cost,
        free,
        blank(Outcome::Failed, Some(429), SendState::Sent),
        blank(Outcome::Rejected, Some(400), SendState::NotSent),
    ]
}

async fn counted_apart(gateway: &Gateway) -> [(i64, i64); 2] {
    let mut seen = Vec::new();
    for by in [vec![], vec![GroupBy::Session]] {
        let query = UsageQuery {
            by,
            ..UsageQuery::default()
        };
        let total = gateway.ledger.usage(&query).await.unwrap().total;
        seen.push((total.unpriced_requests, total.unknown_requests));
    }
    [seen[0], seen[1]]
}

async fn what_has_no_price_and_what_is_unknown_are_counted_apart(store: Arc<Store>) {
    let gateway = store.open("a").await;
    for entry in mixed(&store) {
        gateway.ledger.settle(entry).await;
    }
    store.advance(Duration::from_secs(3 * 3600));
    assert_eq!(counted_apart(&gateway).await, [(2, 4); 2]);
    // A price takes one of the two back; no price makes known what is unknown.
    let query = RepriceQuery::default();
    for usd in ["2", "3"] {
        let report = gateway
            .ledger
            .reprice(&query, &table(usd), true)
            .await
            .unwrap();
        assert_eq!(report.rows.iter().map(|row| row.unpriced).sum::<i64>(), 1);
        assert_eq!(counted_apart(&gateway).await, [(1, 4); 2]);
    }
    gateway.close().await;
}

/// What the store looked like before the two were counted apart.
const OLDER: [&str; 5] = [
    "UPDATE entries SET n_unpriced = 1 WHERE corrects IS NULL AND cost_nanos IS NULL AND outcome \
     <> 'rejected'",
    "UPDATE rollup SET unpriced = requests + 3 WHERE outcome <> 'rejected'",
    "ALTER TABLE entries DROP COLUMN n_unknown",
    "ALTER TABLE rollup DROP COLUMN unknown",
    "DELETE FROM _sqlx_migrations WHERE description = 'unknown_usage'",
];

async fn older_stores_learn_to_tell_them_apart(store: Arc<Store>) {
    let gateway = store.open("a").await;
    for entry in mixed(&store) {
        gateway.ledger.settle(entry).await;
    }
    let prices = table("2");
    store.advance(Duration::from_secs(3 * 3600));
    gateway
        .ledger
        .reprice(&RepriceQuery::default(), &prices, true)
        .await
        .unwrap();
    let before = gateway.ledger.usage(&UsageQuery::default()).await.unwrap();
    gateway.close().await;
    for sql in OLDER {
        store.execute(sql).await;
    }
    let gateway = store.open("a").await;
    assert_eq!(counted_apart(&gateway).await, [(1, 4); 2]);
    let after = gateway.ledger.usage(&UsageQuery::default()).await.unwrap();
    assert_eq!(after, before);
    gateway.close().await;
}

/// The tables as version 0.1.0 left them.
const VERSION_0_1_0: [&str; 2] = [
    "ALTER TABLE entries DROP COLUMN is_free",
    "DELETE FROM _sqlx_migrations WHERE description = 'free_entries'",
];

/// An intent as version 0.1.0 wrote it.
fn old_intent(id: &EntryId, endpoint: &str) -> String {
    let body = format!(
        "{{\"id\":\"{id}\",\"started_at\":\"2026-11-20T12:00:00Z\",\"route\":\"api_key\",\
         \"caller\":\"alice\",\"key\":null,\"team\":null,\"session_id\":null,\"thread_id\":null,\
         \"turn_id\":null,\"request_kind\":\"turn\",\"endpoint\":\"{endpoint}\",\
         \"upstream\":\"openai\",\"model_requested\":\"gpt-5.5\",\"model_served\":\"gpt-5.4\",\
         \"decision\":\"rewritten\",\"rule\":\"\\\"endpoint\\\":\\\"input_tokens\\\"\",\
         \"attempts\":[{{\"model\":\"gpt-5.4\",\"upstream\":\"openai\",\"status\":null,\
         \"failure\":null,\"sent\":\"ambiguous\"}}],\"service_tier_requested\":null,\
         \"billing\":\"metered\"}}"
    );
    format!(
        "INSERT INTO intents (id, instance, started_at, body) VALUES ('{id}', 'a', {}, '{body}')",
        crate::stores::NOON
    )
}

async fn a_store_of_version_0_1_0_opens_and_knows_which_requests_were_free(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let entries = mixed(&store);
    for entry in &entries {
        gateway.ledger.settle(entry.clone()).await;
    }
    gateway.close().await;
    for sql in VERSION_0_1_0 {
        store.execute(sql).await;
    }
    store
        .execute_live("DELETE FROM _sqlx_migrations WHERE description = 'free_intents'")
        .await;
    let ids = ["responses", "input_tokens", "stored_response"].map(|endpoint| {
        let id = EntryId::at(store.now());
        (old_intent(&id, endpoint), id)
    });
    for (sql, _) in &ids {
        store.execute_live(sql).await;
    }

    let gateway = store.open("a").await;
    for entry in entries {
        let read = gateway.ledger.exchange(entry.id()).await.unwrap();
        assert_eq!(read, Some(entry));
    }
    let mut interrupted: Vec<_> = gateway
        .interrupted
        .iter()
        .map(|entry| (entry.id(), entry.intent.is_free, entry.is_unknown()))
        .collect();
    interrupted.sort_unstable();
    let [(_, responses), (_, input_tokens), (_, stored)] = &ids;
    let mut expected = vec![
        (responses, false, true),
        (input_tokens, true, false),
        (stored, true, false),
    ];
    expected.sort_unstable();
    assert_eq!(interrupted, expected);
    assert_eq!(counted_apart(&gateway).await, [(2, 5); 2]);
    gateway.close().await;
}
