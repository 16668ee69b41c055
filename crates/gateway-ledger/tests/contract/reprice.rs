//! Pricing recorded usage again.

use std::sync::Arc;
use std::time::Duration;

use gateway_ledger::{
    CostSource, ExchangeQuery, GroupBy, LedgerEntry, RepriceQuery, UsageQuery, UsageSums,
};
use gateway_policy::{Billing, PriceTable};

use crate::stores::{Gateway, Store, entry, intent};

crate::on_every_store! {
    corrections_make_sums_right_and_edit_nothing,
    two_repricings_at_once_correct_once,
}

/// A table in which `gpt-5.4` costs this much per million tokens, of whatever kind.
fn table(usd: &str) -> PriceTable {
    let text = format!(
        "[[price]]\nmodel = \"gpt-5.4\"\nsource = \"test\"\nstandard = {{ input = \"{usd}\", output = \"{usd}\" }}\n\
         priority = {{ input = \"100\", output = \"100\" }}\n"
    );
    PriceTable::parse(&text).0.unwrap()
}

/// 1050 tokens each: one recorded at 1.5 millidollars, one unpriced, one of a plan, one of an unknown model, one whose cost
/// the provider reported.
fn entries(store: &Store) -> [LedgerEntry; 5] {
    let new = || entry(intent(store.now()), "a");
    let (mut priced, mut unpriced, mut plan, mut unknown, mut reported) =
        (new(), new(), new(), new(), new());
    // The client asked for priority and got standard: standard is what the API bills.
    priced.service_tier_requested = Some("priority".to_owned());
    (unpriced.cost_nanos, unpriced.cost_source) = (None, CostSource::Unpriced);
    (plan.billing, plan.service_tier_requested) = (Billing::Plan, Some("priority".to_owned()));
    unknown.model_served = Some("mystery".to_owned());
    reported.cost_source = CostSource::ProviderReported;
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
            ledger.exchange(&entry.id).await.unwrap().as_ref(),
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
        .filter(|entry| entry.corrects.is_some())
        .collect();
    assert_eq!(corrections.len(), 7);
    assert!(
        corrections
            .iter()
            .all(|entry| entry.usage.is_none() && entry.price_version.as_deref() != Some("v1"))
    );
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
