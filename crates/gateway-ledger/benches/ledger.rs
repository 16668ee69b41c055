//! Measures what the ledger adds to a request, and how fast it sums up.
//!
//! `cargo bench -p gateway-ledger` measures SQLite in a temporary directory; arguments after `--`:
//! a storage URL, and the number of entries for the sums (default 1 000 000; 0 leaves them out).
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people at a terminal"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_ledger::{
    Attribution, Clock, Cost, CostSource, DispatchRecord, Durability, EntryId, EntryResult,
    ExchangeQuery, Filters, GroupBy, InstanceId, Intent, Ledger, LedgerEntry, OpenOptions, Opened,
    Outcome, TurnRecord, UsageQuery, UsageSource,
};
use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::Usage;
use jiff::Timestamp;
use sqlx::Connection as _;
use tokio::time::Instant;

/// 2026-11-20 12:00:00 UTC.
const NOON: i64 = 1_795_176_000_000_000;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let dir = tempfile::tempdir().unwrap();
    let url = arguments
        .next()
        .unwrap_or_else(|| format!("sqlite://{}", dir.path().join("ledger.db").display()));
    let rows = arguments
        .next()
        .map_or(1_000_000, |rows| rows.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock: Clock = Arc::new(|| Timestamp::from_microsecond(NOON).unwrap());
        let options = OpenOptions {
            url: url.clone(),
            data_dir: dir.path().to_owned(),
            instance: InstanceId::new("bench"),
            durability: Durability::Committed,
            retention: None,
            lease: Duration::from_secs(600),
            time_zone: jiff::tz::TimeZone::UTC,
            clock,
        };
        let Opened { ledger, driver, .. } = Ledger::open(options).await.unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the bench is the caller that runs the driver"
        )]
        let task = tokio::spawn(driver.run());
        record(&ledger).await;
        if rows > 0 {
            fill(&url, rows).await;
            sum(&ledger, rows).await;
        }
        ledger.close().await;
        task.await.unwrap();
    });
}

async fn record(ledger: &Ledger) {
    let begin = async || ledger.begin(&intent()).await.unwrap();
    let settle = async || drop(ledger.settle(entry()).await);
    measure("intent, 1 at a time", 1, 2_000, begin).await;
    measure("intent, 32 at a time", 32, 20_000, begin).await;
    measure("committed entry, 1 at a time", 1, 400, settle).await;
    measure("committed entry, 32 at a time", 32, 8_000, settle).await;
    measure("committed entry, 256 at a time", 256, 20_000, settle).await;
    // What a request's first byte waits for while 31 others are being settled.
    let mut intents = Vec::new();
    let busy = async {
        loop {
            join_all((0..31).map(|_| settle())).await;
        }
    };
    let begun = async {
        for _ in 0..1_000 {
            let start = Instant::now();
            begin().await;
            intents.push(start.elapsed());
        }
    };
    tokio::select! { () = begun => {}, () = busy => {} }
    report("intent beside 31 commits", intents, None);
}

async fn sum(ledger: &Ledger, rows: u64) {
    println!("--- sums over {rows} entries of 365 days");
    let session = Filters {
        session: Some("session-77".to_owned()),
        ..Filters::default()
    };
    let all = Filters::default;
    usage(ledger, "total, everything", &[], None, all()).await;
    usage(
        ledger,
        "by model, everything",
        &[GroupBy::Model],
        None,
        all(),
    )
    .await;
    usage(
        ledger,
        "by day, model and key, everything",
        &[GroupBy::Day, GroupBy::Model, GroupBy::Key],
        None,
        all(),
    )
    .await;
    usage(
        ledger,
        "by model, 7 days, odd edge",
        &[GroupBy::Model],
        Some(7),
        all(),
    )
    .await;
    usage(
        ledger,
        "by session, 7 days",
        &[GroupBy::Session],
        Some(7),
        all(),
    )
    .await;
    usage(
        ledger,
        "one session's turns, everything",
        &[GroupBy::Turn],
        None,
        session.clone(),
    )
    .await;
    usage(
        ledger,
        "by session, everything",
        &[GroupBy::Session],
        None,
        all(),
    )
    .await;
    list(ledger, "newest 100 exchanges", all()).await;
    list(ledger, "newest 100 of one session", session).await;
    list(
        ledger,
        "newest 100 failed",
        Filters {
            outcome: Some("failed".to_owned()),
            ..all()
        },
    )
    .await;
    list(
        ledger,
        "newest 100 of one key",
        Filters {
            key: Some("k3".to_owned()),
            ..all()
        },
    )
    .await;
}

async fn usage(ledger: &Ledger, name: &str, by: &[GroupBy], days: Option<i64>, filters: Filters) {
    let at =
        |days: i64| Timestamp::from_microsecond(NOON - days * 86_400_000_000 + 7_000_000).unwrap();
    let query = UsageQuery {
        by: by.to_vec(),
        since: days.map(at),
        until: None,
        filters,
    };
    let start = Instant::now();
    let report = ledger.usage(&query).await.unwrap();
    let (took, groups, requests) = (start.elapsed(), report.rows.len(), report.total.requests);
    println!("{name:44} {took:>9.1?}  ({groups} rows of {requests} requests)");
}

async fn list(ledger: &Ledger, name: &str, filters: Filters) {
    let start = Instant::now();
    let query = ExchangeQuery {
        limit: 100,
        filters,
        ..ExchangeQuery::default()
    };
    let page = ledger.exchanges(&query).await.unwrap();
    println!(
        "{name:44} {:>9.1?}  ({} entries)",
        start.elapsed(),
        page.items.len()
    );
}

async fn measure<F: Future<Output = ()>>(
    name: &str,
    concurrency: usize,
    count: usize,
    mut work: impl FnMut() -> F + Copy,
) {
    let workers = (0..concurrency).map(|_| async move {
        let mut took = Vec::new();
        for _ in 0..count / concurrency {
            let start = Instant::now();
            work().await;
            took.push(start.elapsed());
        }
        took
    });
    let start = Instant::now();
    let took: Vec<Duration> = join_all(workers).await.into_iter().flatten().collect();
    report(name, took, Some(start.elapsed()));
}

fn report(name: &str, mut took: Vec<Duration>, all: Option<Duration>) {
    took.sort_unstable();
    let at = |share: usize| {
        took.get(took.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    let rate = all.map_or(String::new(), |all| {
        let per_second = took.len() as u128 * 1_000_000 / all.as_micros().max(1);
        format!("  {per_second:>7}/s")
    });
    println!("{name:44} p50 {:>9.1?}  p99 {:>9.1?}{rate}", at(50), at(99));
}

/// Entries in bulk, spread evenly over a year, with the roll-up they would have got one by one.
async fn fill(url: &str, rows: u64) {
    let is_sqlite = url.starts_with("sqlite");
    let start = Instant::now();
    let numbers = if is_sqlite {
        format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})"
        )
    } else {
        format!("WITH numbers(n) AS (SELECT generate_series(1, {rows}))")
    };
    let id = if is_sqlite {
        "printf('%08x-0000-7000-8000-%012x', n / 65536, n)"
    } else {
        "(lpad(to_hex(n / 65536), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))"
    };
    let begin = NOON - 365 * 86_400_000_000;
    let step = 365 * 86_400_000_000 / i64::try_from(rows).unwrap();
    let columns = "id, started_at, finished_at, route, caller, key_id, team, session_id, thread_id, turn_id, request_kind, \
         endpoint, upstream, model_requested, model_served, decision, attempts, status, outcome, usage_source, input_tokens, \
         cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, price_version, cost_source, cost_nanos, \
         cost_estimated, billing, ttft_ms, duration_ms, upstream_response_id, instance, n_requests, n_unpriced, n_estimated, n_unknown";
    let entries = format!(
        "INSERT INTO entries ({columns}) {numbers} SELECT {id}, {begin} + n * {step}, {begin} + n * {step} + 9000000, \
         'gateway_key', 'alice', 'k' || (n % 20), 'team' || (n % 4), 'session-' || (n / 50), 'thread-' || (n / 50), \
         'turn-' || (n / 10), 'turn', 'responses', 'openai', 'gpt-5.5', CASE n % 3 WHEN 0 THEN 'gpt-5.5' WHEN 1 THEN 'gpt-5.4' \
         ELSE 'gpt-5.4-mini' END, 'passed', '[{{\"model\":\"gpt-5.5\",\"upstream\":\"openai\",\"status\":200,\"failure\":null,\
         \"sent\":\"sent\"}}]', 200, CASE n % 100 WHEN 0 THEN 'failed' ELSE 'completed' END, 'reported', 9000, 7000, 0, 600, \
         400, '0123456789ab', 'calculated', 31000000, 0, 'metered', 900, 9000, 'resp_0123456789abcdef', 'bulk', 1, 0, 0, 0 \
         FROM numbers"
    );
    let rollup = |level: i64, micros: i64| {
        format!(
            "INSERT INTO rollup SELECT {level}, started_at / {micros}, instance, route, upstream, model_served, key_id, team, \
         request_kind, endpoint, decision, outcome, billing, SUM(n_requests), SUM(input_tokens), SUM(cached_input_tokens), \
         SUM(cache_write_tokens), SUM(output_tokens), SUM(reasoning_tokens), SUM(cost_nanos), SUM(n_unpriced), \
         SUM(n_estimated), SUM(n_unknown) FROM entries WHERE instance = 'bulk' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13"
        )
    };
    let rollups = [rollup(0, 900_000_000), rollup(1, 86_400_000_000)];
    for sql in [entries.as_str(), &rollups[0], &rollups[1], "ANALYZE"] {
        if is_sqlite {
            let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
            sqlx::raw_sql("PRAGMA synchronous = OFF")
                .execute(&mut connection)
                .await
                .unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
                .execute(&mut connection)
                .await
                .unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
    println!("--- filled in {:.1?}", start.elapsed());
}

fn intent() -> Intent {
    let at = Timestamp::from_microsecond(NOON).unwrap();
    let text = |text: &str| Some(text.to_owned());
    Intent {
        id: EntryId::at(at),
        started_at: at,
        attribution: Attribution {
            route: AuthRoute::GatewayKey,
            caller: text("alice"),
            key: text("k1"),
            team: text("red"),
        },
        turn: TurnRecord {
            session_id: text("0199f0c5-7b1c-7000-8000-0123456789ab"),
            thread_id: text("0199f0c5-7b1c-7000-8000-0123456789ab"),
            turn_id: text("0199f0c5-7b1c-7000-8000-0123456789ac"),
            request_kind: text("turn"),
            repo: text("github.com/acme/shop"),
            commit: text("b9602482787b4e76328c47df8fd69e383667ce64"),
            root_turn: text("0199f0c5-7b1c-7000-8000-0123456789ac"),
            parent: None,
        },
        endpoint: "responses".to_owned(),
        is_free: false,
        model_requested: text("gpt-5.5"),
        service_tier_requested: None,
        dispatch: DispatchRecord {
            upstream: text("openai"),
            model_served: text("gpt-5.5"),
            decision: DecisionKind::Passed,
            rule: None,
            attempts: Vec::new(),
            billing: Billing::Metered,
        },
    }
}

fn entry() -> LedgerEntry {
    let intent = intent();
    let result = EntryResult {
        finished_at: intent.started_at,
        status: Some(200),
        outcome: Outcome::Completed,
        usage_source: UsageSource::Reported,
        usage: Usage::new(9_000, 7_000, 0, 600, 400).ok(),
        tool_calls: std::collections::BTreeMap::new(),
        service_tier: None,
        cost: Cost {
            price_version: Some("0123456789ab".to_owned()),
            source: CostSource::Calculated,
            nanos: Some(31_000_000),
            is_estimated: false,
        },
        ttft_ms: Some(900),
        duration_ms: 9_000,
        upstream_response_id: Some("resp_0123456789abcdef".to_owned()),
        instance: InstanceId::new("bench"),
        corrects: None,
    };
    LedgerEntry { intent, result }
}
