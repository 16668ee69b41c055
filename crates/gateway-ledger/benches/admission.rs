//! Measures what admission costs a request: from asking to being let in, on SQLite, and on
//! PostgreSQL where `CODEX_GATEWAY_TEST_POSTGRES` names a server (`scripts/with-postgres.sh cargo
//! bench -p gateway-ledger --bench admission`).
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people at a terminal"
)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_ledger::{
    Admission, Claim, Durability, EntryId, InstanceId, Ledger, OpenOptions, Opened,
};
use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Limits, Scope, ScopeLimits, Window};
use jiff::Timestamp;
use sqlx::Connection as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let file = format!("sqlite://{}", dir.path().join("ledger.db").display());
        println!("--- SQLite");
        one_replica(&file).await;
        let Some(server) = postgres() else {
            return println!("--- PostgreSQL: CODEX_GATEWAY_TEST_POSTGRES names no server");
        };
        println!("--- PostgreSQL");
        let name = format!("cgw_bench_{}", std::process::id());
        administer(&server, &format!("CREATE DATABASE {name}")).await;
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        one_replica(&url).await;
        two_replicas(&url).await;
        administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench is told by its environment where the server is"
)]
fn postgres() -> Option<String> {
    std::env::var("CODEX_GATEWAY_TEST_POSTGRES").ok()
}

async fn administer(server: &str, sql: &str) {
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

struct Replica {
    ledger: Ledger,
    task: JoinHandle<()>,
    /// Its spool lies there.
    _dir: tempfile::TempDir,
}

async fn replica(url: &str, instance: &str) -> Replica {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, driver, .. } = Ledger::open(OpenOptions {
        url: url.to_owned(),
        data_dir: dir.path().to_owned(),
        instance: InstanceId::new(instance),
        durability: Durability::Committed,
        retention: None,
        lease: Duration::from_secs(600),
        time_zone: jiff::tz::TimeZone::UTC,
        clock: Arc::new(now),
    })
    .await
    .unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the bench is the caller that runs the driver"
    )]
    let task = tokio::spawn(driver.run());
    Replica {
        ledger,
        task,
        _dir: dir,
    }
}

impl Replica {
    async fn close(self) {
        self.ledger.close().await;
        self.task.await.unwrap();
    }
}

async fn one_replica(url: &str) {
    let replica = replica(url, "a").await;
    let all = [&replica.ledger];
    measure("one budget of a key", &all, 1, &one_budget()).await;
    measure("six budgets, rates of three scopes", &all, 1, &everything()).await;
    measure("one budget of a key", &all, 32, &one_budget()).await;
    measure(
        "six budgets, rates of three scopes",
        &all,
        32,
        &everything(),
    )
    .await;
    replica.close().await;
}

/// Both decide over the same scopes, so each waits for the other's lock.
async fn two_replicas(url: &str) {
    let (a, b) = (replica(url, "a").await, replica(url, "b").await);
    let all = [&a.ledger, &b.ledger];
    measure("two replicas, six budgets", &all, 2, &everything()).await;
    measure("two replicas, six budgets", &all, 32, &everything()).await;
    a.close().await;
    b.close().await;
}

fn one_budget() -> Vec<ScopeLimits> {
    vec![scope(
        Scope::Key("k1".to_owned()),
        &[Window::Day],
        Limits::default(),
    )]
}

fn everything() -> Vec<ScopeLimits> {
    let limits = Limits {
        requests_per_minute: Some(1 << 40),
        tokens_per_minute: Some(1 << 40),
        concurrency: Some(1 << 40),
    };
    let windows = [Window::Day, Window::Month];
    [
        Scope::Key("k1".to_owned()),
        Scope::Team("red".to_owned()),
        Scope::Gateway,
    ]
    .map(|of| scope(of, &windows, limits))
    .to_vec()
}

fn scope(scope: Scope, windows: &[Window], limits: Limits) -> ScopeLimits {
    let budgets = windows.iter().map(|window| Budget {
        nanos: i64::MAX,
        window: *window,
        billing: Billing::Metered,
        soft_percent: Some(80),
    });
    ScopeLimits {
        scope,
        budgets: budgets.collect(),
        limits,
    }
}

/// Lets requests in and out again, so many at a time, spread over the replicas.
async fn measure(what: &str, replicas: &[&Ledger], at_a_time: usize, scopes: &[ScopeLimits]) {
    let each = if at_a_time == 1 { 1_000 } else { 150 };
    let workers = replicas
        .iter()
        .cycle()
        .take(at_a_time)
        .map(|ledger| async move {
            let mut took = Vec::with_capacity(each);
            for _ in 0..each {
                let id = EntryId::at(now());
                let claim = Claim {
                    id: id.clone(),
                    at: now(),
                    billing: Billing::Metered,
                    nanos: 1_000,
                    tokens: 1_000,
                    scopes: scopes.to_vec(),
                };
                let began = Instant::now();
                let admission = ledger.reserve(claim).await.unwrap();
                took.push(began.elapsed());
                assert!(matches!(admission, Admission::Granted { .. }));
                ledger.withdraw(&id);
            }
            took
        });
    let began = Instant::now();
    let mut took: Vec<Duration> = join_all(workers).await.into_iter().flatten().collect();
    let rate = took.len() as u128 * 1_000_000 / began.elapsed().as_micros().max(1);
    took.sort_unstable();
    let at = |share: usize| {
        took.get(took.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{what:36} {at_a_time:>3} at a time  p50 {:>9.1?}  p99 {:>9.1?}  {rate:>7}/s",
        at(50),
        at(99)
    );
}

fn now() -> Timestamp {
    Timestamp::now()
}
