//! Recording, crashing, reading back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_ledger::{
    AccountLimits, AttemptRecord, CostSource, Durability, EntryId, ExchangeQuery, Filters, GroupBy,
    Intent, LedgerEntry, LedgerErrorKind, ModelRefusal, OpenOptions, Outcome, Settled, UsageQuery,
    UsageReport, UsageSource, UsageSums,
};
use gateway_policy::{AuthRoute, Billing};
use gateway_wire::SendState;
use jiff::Timestamp;

use crate::stores::{Store, claim, entry, intent};

crate::on_every_store! {
    an_entry_reads_back_as_it_was_written,
    recording_an_id_twice_is_one_row,
    a_crash_leaves_interrupted_entries_and_loses_nothing,
    after_a_crash_the_entry_names_what_was_asked_last,
    an_intent_that_is_over_does_not_come_back_by_a_late_update,
    a_clean_shutdown_leaves_nothing_open,
    pages_show_every_entry_once,
    usage_is_exact_on_every_edge,
    text_with_a_nul_does_not_stop_the_ledger,
    model_refusals_are_shared_until_they_expire,
    only_newer_account_limits_replace,
}

async fn an_entry_reads_back_as_it_was_written(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let intent = intent(store.now());
    gateway.ledger.begin(&intent).await.unwrap();
    let mut entry = entry(intent, "a");
    entry.intent.dispatch.attempts = vec![AttemptRecord {
        model: "gpt-5.5".to_owned(),
        upstream: "openai".to_owned(),
        status: Some(400),
        failure: Some("unsupported_model".to_owned()),
        sent: SendState::Sent,
    }];
    assert!(matches!(
        gateway.ledger.settle(entry.clone()).await,
        Settled::Committed
    ));
    assert_eq!(
        gateway.ledger.exchange(entry.id()).await.unwrap(),
        Some(entry.clone())
    );
    let page = gateway
        .ledger
        .exchanges(&ExchangeQuery::default())
        .await
        .unwrap();
    assert_eq!(page.items, std::slice::from_ref(&entry));
    assert_eq!(page.next, None);

    let json = serde_json::to_value(&entry).unwrap();
    let names: Vec<&String> = json.as_object().unwrap().keys().collect();
    let contract = "attempts billing cache_write_tokens cached_input_tokens caller commit cost_nanos cost_source decision duration_ms \
         endpoint finished_at id input_tokens instance key model_requested model_served outcome output_tokens parent \
         price_version reasoning_tokens repo request_kind root_turn route rule service_tier service_tier_requested session_id started_at status team \
         thread_id tool_calls ttft_ms turn_id upstream upstream_response_id usage_source";
    let mut names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, contract.split_whitespace().collect::<Vec<_>>());
    assert_eq!(json["started_at"], "2026-11-20T12:00:00Z");
    assert_eq!(json["decision"], "fell-back");
    assert_eq!(
        serde_json::from_value::<gateway_ledger::LedgerEntry>(json).unwrap(),
        entry
    );
    gateway.close().await;
}

async fn recording_an_id_twice_is_one_row(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let entry = entry(intent(store.now()), "a");
    let twice = tokio::join!(
        gateway.ledger.settle(entry.clone()),
        gateway.ledger.settle(entry.clone())
    );
    assert!(matches!(twice, (Settled::Committed, Settled::Committed)));
    assert!(matches!(
        gateway.ledger.settle(entry).await,
        Settled::Committed
    ));
    let usage = gateway.ledger.usage(&UsageQuery::default()).await.unwrap();
    assert_eq!(
        (usage.total.requests, usage.total.cost_nanos_metered),
        (1, 1_500_000)
    );
    assert_eq!(
        gateway
            .ledger
            .exchanges(&ExchangeQuery {
                limit: 10,
                ..ExchangeQuery::default()
            })
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    gateway.close().await;
}

async fn a_crash_leaves_interrupted_entries_and_loses_nothing(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let (open, settled) = (intent(store.now()), intent(store.now()));
    gateway.ledger.begin(&open).await.unwrap();
    gateway.ledger.begin(&settled).await.unwrap();
    let settled = entry(settled, "a");
    gateway.ledger.settle(settled.clone()).await;
    gateway.crash().await;

    store.advance(Duration::from_secs(5));
    let gateway = store.open("a").await;
    let ids: Vec<&EntryId> = gateway.interrupted.iter().map(LedgerEntry::id).collect();
    assert_eq!(ids, [&open.id]);
    let interrupted = gateway.ledger.exchange(&open.id).await.unwrap().unwrap();
    assert_eq!(interrupted.result.outcome, Outcome::Interrupted);
    assert_eq!(interrupted.result.usage_source, UsageSource::Unknown);
    assert_eq!(
        (interrupted.result.usage, interrupted.result.cost.nanos),
        (None, None)
    );
    assert_eq!(interrupted.result.cost.source, CostSource::Unpriced);
    assert_eq!(interrupted.result.duration_ms, 5_000);
    assert_eq!(
        gateway.ledger.exchange(settled.id()).await.unwrap(),
        Some(settled)
    );

    // The truth, when it turns up late, takes the place of the guess, and the sums follow.
    let late = entry(open, "a");
    gateway.ledger.settle(late.clone()).await;
    assert_eq!(
        gateway.ledger.exchange(late.id()).await.unwrap(),
        Some(late)
    );
    let usage = gateway.ledger.usage(&UsageQuery::default()).await.unwrap();
    assert_eq!(
        (usage.total.requests, usage.total.unpriced_requests),
        (2, 0)
    );
    assert_eq!(usage.total.cost_nanos_metered, 3_000_000);
    gateway.close().await;
}

/// The intent after its model was refused: another model at another upstream.
fn fallen_back(intent: &Intent) -> Intent {
    let mut changed = intent.clone();
    let dispatch = &mut changed.dispatch;
    dispatch.attempts.push(AttemptRecord {
        model: "gpt-5.5".to_owned(),
        upstream: "openai".to_owned(),
        status: Some(400),
        failure: Some("unsupported_model".to_owned()),
        sent: SendState::Sent,
    });
    dispatch.model_served = Some("gpt-5.4-mini".to_owned());
    dispatch.upstream = Some("azure".to_owned());
    changed
}

async fn after_a_crash_the_entry_names_what_was_asked_last(store: Arc<Store>) {
    for durability in [Durability::Committed, Durability::Queued] {
        let options = OpenOptions {
            durability,
            ..store.options("a")
        };
        let gateway = store.open_with(options).await;
        let (first, other) = (intent(store.now()), intent(store.now()));
        let second = fallen_back(&first);
        let third = fallen_back(&second);
        gateway.ledger.begin(&other).await.unwrap();
        gateway.ledger.begin(&first).await.unwrap();
        // At once, so that one transaction may hold all of them.
        let (_, updated) = tokio::join!(
            gateway.ledger.update_intent(&second),
            gateway.ledger.update_intent(&third),
        );
        updated.unwrap();
        // What is queued is written in its order: when this is answered, the rest is too.
        let flushed = gateway.ledger.reserve(claim(store.now(), 0, &[]));
        flushed.await.unwrap();
        gateway.crash().await;
        let gateway = store.open("a").await;
        let mut left: Vec<_> = gateway
            .interrupted
            .iter()
            .map(|entry| entry.intent.clone())
            .collect();
        left.sort_unstable_by(|one, two| one.id.cmp(&two.id));
        let mut expected = vec![other, third];
        expected.sort_unstable_by(|one, two| one.id.cmp(&two.id));
        assert_eq!(left, expected, "{durability:?}");
        gateway.close().await;
    }
}

async fn an_intent_that_is_over_does_not_come_back_by_a_late_update(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let (settled, withdrawn) = (intent(store.now()), intent(store.now()));
    for intent in [&settled, &withdrawn] {
        gateway.ledger.begin(intent).await.unwrap();
    }
    gateway.ledger.withdraw(&withdrawn.id);
    gateway.ledger.settle(entry(settled.clone(), "a")).await;
    gateway.close().await;
    let gateway = store.open("a").await;
    for intent in [&settled, &withdrawn] {
        let late = fallen_back(intent);
        gateway.ledger.update_intent(&late).await.unwrap();
    }
    gateway.crash().await;
    let gateway = store.open("a").await;
    assert_eq!(gateway.interrupted, []);
    let kept = gateway.ledger.exchange(&settled.id).await.unwrap();
    assert_eq!(kept, Some(entry(settled, "a")));
    let gone = gateway.ledger.exchange(&withdrawn.id).await.unwrap();
    assert_eq!(gone, None);
    gateway.close().await;
}

async fn a_clean_shutdown_leaves_nothing_open(store: Arc<Store>) {
    let gateway = store.open("a").await;
    for _ in 0..20 {
        let intent = intent(store.now());
        gateway.ledger.begin(&intent).await.unwrap();
        gateway.ledger.settle(entry(intent, "a")).await;
    }
    let withdrawn = intent(store.now());
    gateway.ledger.begin(&withdrawn).await.unwrap();
    gateway.ledger.withdraw(&withdrawn.id);
    let ledger = gateway.ledger.clone();
    gateway.close().await;
    assert_eq!(
        ledger.begin(&intent(store.now())).await.unwrap_err().kind(),
        LedgerErrorKind::Unavailable
    );
    let gateway = store.open("a").await;
    assert_eq!(gateway.interrupted, []);
    gateway.close().await;
}

async fn pages_show_every_entry_once(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let mut expected = Vec::new();
    for index in 0..25 {
        // Several in the same microsecond, so that only the id tells them apart.
        if index % 3 == 0 {
            store.advance(Duration::from_micros(1));
        }
        let mut entry = entry(intent(store.now()), "a");
        if index % 5 == 0 {
            entry.result.outcome = Outcome::Failed;
            entry.intent.turn.session_id = Some("s2".to_owned());
        }
        gateway.ledger.settle(entry.clone()).await;
        expected.push(entry);
    }
    expected.sort_by(|a, b| (b.intent.started_at, b.id()).cmp(&(a.intent.started_at, a.id())));
    for limit in [1, 7, 25, 1000] {
        let mut query = ExchangeQuery {
            limit,
            ..ExchangeQuery::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = gateway.ledger.exchanges(&query).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            seen.extend(page.items);
            query.cursor = page.next;
            let Some(cursor) = &query.cursor else { break };
            assert!(
                cursor
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            );
        }
        assert_eq!(seen, expected, "limit {limit}");
    }
    let filters = Filters {
        session: Some("s2".to_owned()),
        outcome: Some("failed".to_owned()),
        ..Filters::default()
    };
    let page = gateway
        .ledger
        .exchanges(&ExchangeQuery {
            limit: 100,
            filters,
            ..ExchangeQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(page.items.len(), 5);
    for cursor in ["", "x", "zz_1", "12_not-an-id", "' OR 1=1"] {
        let query = ExchangeQuery {
            cursor: Some(cursor.to_owned()),
            ..ExchangeQuery::default()
        };
        assert_eq!(
            gateway.ledger.exchanges(&query).await.unwrap_err().kind(),
            LedgerErrorKind::Invalid
        );
    }
    gateway.close().await;
}

async fn usage_is_exact_on_every_edge(store: Arc<Store>) {
    let gateway = store.open("a").await;
    // One entry every 4 minutes for 8 hours: buckets of 15 minutes hold three or four.
    let start = store.now();
    let mut entries = Vec::new();
    for index in 0..120_i64 {
        let mut entry = entry(intent(store.now()), "a");
        entry.intent.dispatch.billing = if index % 3 == 0 {
            Billing::Plan
        } else {
            Billing::Metered
        };
        entry.intent.dispatch.model_served = (index % 4 != 0).then(|| format!("m{}", index % 2));
        entry.intent.turn.repo = (index % 5 != 0).then(|| format!("git.example/r{}", index % 2));
        entry.result.cost.nanos = (index % 7 != 0).then_some(index + 1);
        if index % 10 == 0 {
            entry.result.usage_source = UsageSource::Estimated;
        }
        entries.push(entry);
        store.advance(Duration::from_secs(240));
    }
    for chunk in entries.chunks(40) {
        join_all(
            chunk
                .iter()
                .map(|entry| gateway.ledger.settle(entry.clone())),
        )
        .await;
    }
    let at = |minutes: i64| {
        Timestamp::from_microsecond(start.as_microsecond() + minutes * 60_000_000).unwrap()
    };
    // In minutes after the first entry.
    let ranges = [
        (None, None),
        (Some(0), Some(480)),
        (Some(1), Some(479)),
        (Some(15), Some(30)),
        (Some(16), Some(29)),
        (Some(20), Some(70)),
        (Some(100), None),
        (None, Some(101)),
        (Some(50), Some(50)),
        (Some(60), Some(20)),
    ];
    let groupings = [
        vec![],
        vec![GroupBy::Model],
        vec![GroupBy::Day, GroupBy::Model],
        vec![GroupBy::Session, GroupBy::Model],
    ];
    for (since, until) in ranges {
        for by in groupings.clone() {
            let filters = Filters::default();
            let query = UsageQuery {
                by,
                since: since.map(at),
                until: until.map(at),
                filters,
            };
            let report = gateway.ledger.usage(&query).await.unwrap();
            check_usage(&query, &report, &entries);
        }
    }
    let query = UsageQuery {
        by: vec![GroupBy::Day, GroupBy::Model],
        ..UsageQuery::default()
    };
    let json = serde_json::to_value(gateway.ledger.usage(&query).await.unwrap()).unwrap();
    assert_eq!(json["rows"][0]["day"], "2026-11-20");
    assert_eq!(json["rows"][0]["model"], serde_json::Value::Null);
    assert_eq!(json["rows"][0]["requests"], 30);
    assert!(json["total"]["cost_nanos_plan"].is_i64());
    gateway.close().await;
}

fn check_usage(query: &UsageQuery, report: &UsageReport, entries: &[LedgerEntry]) {
    let inside: Vec<_> = entries
        .iter()
        .filter(|entry| {
            query
                .since
                .is_none_or(|since| entry.intent.started_at >= since)
        })
        .filter(|entry| {
            query
                .until
                .is_none_or(|until| entry.intent.started_at < until)
        })
        .collect();
    let cost = |billing| {
        inside
            .iter()
            .filter(|entry| entry.intent.dispatch.billing == billing)
            .filter_map(|entry| entry.result.cost.nanos)
            .sum::<i64>()
    };
    let count = |test: &dyn Fn(&LedgerEntry) -> bool| {
        i64::try_from(inside.iter().filter(|entry| test(entry)).count()).unwrap()
    };
    let requests = count(&|_| true);
    let expected = UsageSums {
        requests,
        input_tokens: 1_000 * requests,
        cached_input_tokens: 400 * requests,
        cache_write_tokens: 100 * requests,
        output_tokens: 50 * requests,
        reasoning_tokens: 20 * requests,
        cost_nanos_metered: cost(Billing::Metered),
        cost_nanos_plan: cost(Billing::Plan),
        unpriced_requests: count(&|entry| entry.result.cost.nanos.is_none()),
        estimated_requests: count(&|entry| entry.result.usage_source == UsageSource::Estimated),
        unknown_requests: 0,
    };
    assert_eq!(report.total, expected, "{query:?}");
    if query.by.is_empty() {
        return;
    }
    assert_eq!(
        report.rows.iter().map(|row| row.sums.requests).sum::<i64>(),
        requests
    );
    for row in &report.rows {
        let key = |by| {
            row.keys
                .iter()
                .find(|(key, _)| *key == by)
                .and_then(|(_, value)| value.clone())
        };
        let (model, day) = (key(GroupBy::Model), key(GroupBy::Day));
        let expected = count(&|entry| {
            let is_day = day
                .as_ref()
                .is_none_or(|day| entry.intent.started_at.to_string().starts_with(day));
            entry.intent.dispatch.model_served == model && is_day
        });
        assert_eq!(row.sums.requests, expected, "{query:?} {row:?}");
    }
}

async fn text_with_a_nul_does_not_stop_the_ledger(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let mut entry = entry(intent(store.now()), "a");
    entry.intent.dispatch.model_served = Some("a\0b".to_owned());
    entry.intent.endpoint = "\u{10ffff}'; DROP TABLE entries; --".to_owned();
    entry.intent.turn.session_id = Some(String::new());
    assert!(matches!(
        gateway.ledger.settle(entry.clone()).await,
        Settled::Committed
    ));
    let read = gateway.ledger.exchange(entry.id()).await.unwrap().unwrap();
    assert_eq!(
        read.intent.dispatch.model_served.as_deref(),
        Some("a\u{fffd}b")
    );
    assert_eq!(read.intent.endpoint, entry.intent.endpoint);
    let usage = gateway
        .ledger
        .usage(&UsageQuery {
            by: vec![GroupBy::Model],
            ..UsageQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(
        usage.rows[0].keys,
        [(GroupBy::Model, Some("a\u{fffd}b".to_owned()))]
    );
    gateway.close().await;
}

async fn model_refusals_are_shared_until_they_expire(store: Arc<Store>) {
    let (a, b) = (store.open("a").await, store.open("b").await);
    let mut seen = b.ledger.changes();
    let refusal = |model: &str, minutes: u64| ModelRefusal {
        upstream: "chatgpt".to_owned(),
        route: AuthRoute::Chatgpt,
        plan: Some("plus".to_owned()),
        credential: Some("00112233".to_owned()),
        model: model.to_owned(),
        evidence: "model is not supported".to_owned(),
        learned_at: store.now(),
        expires_at: store.now() + Duration::from_secs(60 * minutes),
    };
    let (short, long) = (refusal("gpt-5.2", 10), refusal("gpt-5.3-codex", 60));
    a.ledger.put_model_refusal(&short).await.unwrap();
    a.ledger.put_model_refusal(&long).await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), seen.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        b.ledger.model_refusals().await.unwrap(),
        [short.clone(), long.clone()]
    );
    a.ledger
        .put_model_refusal(&ModelRefusal {
            evidence: "again".to_owned(),
            ..short
        })
        .await
        .unwrap();
    assert_eq!(b.ledger.model_refusals().await.unwrap().len(), 2);
    // Another credential was refused on its own account.
    a.ledger
        .put_model_refusal(&ModelRefusal {
            credential: None,
            ..refusal("gpt-5.2", 10)
        })
        .await
        .unwrap();
    assert_eq!(b.ledger.model_refusals().await.unwrap().len(), 3);
    store.advance(Duration::from_secs(601));
    assert_eq!(b.ledger.model_refusals().await.unwrap(), [long]);
    assert_eq!(
        b.ledger
            .clear_model_refusals(Some("GPT-5.3-Codex"), "cli")
            .await
            .unwrap(),
        1
    );
    assert_eq!(a.ledger.model_refusals().await.unwrap(), []);
    a.close().await;
    b.close().await;
}

async fn only_newer_account_limits_replace(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let limits = |seconds: u64, used: i64| AccountLimits {
        account: "h1".to_owned(),
        observed_at: store.now() + Duration::from_secs(seconds),
        limits: serde_json::json!({ "primary": { "used_percent": used } }),
    };
    for (seconds, used) in [(5, 10), (9, 20), (7, 15)] {
        gateway
            .ledger
            .put_account_limits(&limits(seconds, used))
            .await
            .unwrap();
    }
    assert_eq!(
        gateway.ledger.account_limits().await.unwrap(),
        [limits(9, 20)]
    );
    gateway.close().await;
}
