//! A fresh store per test, and ledgers on it with a clock that only the test moves.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use gateway_ledger::{
    Attribution, Claim, Clock, Cost, CostSource, DispatchRecord, Durability, EntryId, EntryResult,
    InstanceId, Intent, Ledger, LedgerEntry, OpenOptions, Opened, Outcome, TurnRecord, UsageSource,
};
use gateway_policy::limit::ScopeLimits;
use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::Usage;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// 2026-11-20 12:00:00 UTC.
pub(crate) const NOON: i64 = 1_795_176_000_000_000;

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

pub(crate) struct Store {
    dir: TempDir,
    pub(crate) url: String,
    now: Arc<AtomicI64>,
    database: Option<(String, String)>,
}

/// Runs a test on a store of its own; on PostgreSQL only when a server is named.
pub(crate) fn run<F: Future<Output = ()>>(kind: Kind, test: impl FnOnce(Arc<Store>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Some(store) = Store::new(kind).await else {
            return;
        };
        let store = Arc::new(store);
        test(Arc::clone(&store)).await;
        store.drop_database().await;
    });
}

fn postgres() -> Option<String> {
    let url = std::env::var_os("CODEX_GATEWAY_TEST_POSTGRES")?
        .into_string()
        .unwrap();
    Some(url.trim_end_matches('/').to_owned())
}

impl Store {
    async fn new(kind: Kind) -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(NOON));
        match kind {
            Kind::Sqlite => Some(Self {
                dir,
                url: "sqlite".to_owned(),
                now,
                database: None,
            }),
            Kind::Postgres => {
                let server = postgres()?;
                let name = format!(
                    "cgw_test_{}_{}",
                    std::process::id(),
                    NUMBER.fetch_add(1, Ordering::Relaxed)
                );
                admin(&server, &format!("CREATE DATABASE {name}")).await;
                let base = server
                    .rsplit_once('/')
                    .filter(|(base, _)| base.contains('@'))
                    .map_or(server.as_str(), |(base, _)| base);
                Some(Self {
                    dir,
                    url: format!("{base}/{name}"),
                    now,
                    database: Some((server, name)),
                })
            }
        }
    }

    async fn drop_database(&self) {
        if let Some((server, name)) = &self.database {
            admin(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }

    /// Changes the store behind the gateway's back.
    pub(crate) async fn execute(&self, sql: &str) {
        self.execute_in("ledger.db", sql).await;
    }

    /// The same for what lives only as long as an exchange.
    pub(crate) async fn execute_live(&self, sql: &str) {
        self.execute_in("ledger-live.db", sql).await;
    }

    /// On PostgreSQL both are in one database.
    async fn execute_in(&self, file: &str, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if let Some(database) = self.database_file() {
            let url = format!("sqlite://{}", database.with_file_name(file).display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Arc::new(move || Timestamp::from_microsecond(now.load(Ordering::SeqCst)).unwrap())
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock())()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.now
            .fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.database.is_none()
    }

    pub(crate) fn options(&self, instance: &str) -> OpenOptions {
        // Instances share the store, and each has a data directory of its own.
        let url = if self.is_sqlite() {
            format!("sqlite://{}", self.dir.path().join("ledger.db").display())
        } else {
            self.url.clone()
        };
        OpenOptions {
            url,
            data_dir: self.data_dir(instance),
            instance: InstanceId::new(instance),
            durability: Durability::Committed,
            retention: None,
            lease: Duration::from_secs(60),
            time_zone: TimeZone::UTC,
            clock: self.clock(),
        }
    }

    pub(crate) fn data_dir(&self, instance: &str) -> PathBuf {
        self.dir.path().join(instance)
    }

    pub(crate) async fn open(&self, instance: &str) -> Gateway {
        self.open_with(self.options(instance)).await
    }

    pub(crate) async fn open_with(&self, options: OpenOptions) -> Gateway {
        Gateway::start(options).await
    }

    /// The database file, where the store is one.
    pub(crate) fn database_file(&self) -> Option<PathBuf> {
        self.is_sqlite().then(|| self.dir.path().join("ledger.db"))
    }
}

/// Options for a process that is not this one; the caller fills in where and when.
pub(crate) fn options_for_child() -> OpenOptions {
    OpenOptions {
        url: String::new(),
        data_dir: PathBuf::new(),
        instance: InstanceId::new("a"),
        durability: Durability::Committed,
        retention: None,
        lease: Duration::from_secs(60),
        time_zone: TimeZone::UTC,
        clock: Arc::new(|| Timestamp::UNIX_EPOCH),
    }
}

async fn admin(server: &str, sql: &str) {
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// A running ledger.
pub(crate) struct Gateway {
    pub(crate) ledger: Ledger,
    task: JoinHandle<()>,
    pub(crate) interrupted: Vec<LedgerEntry>,
}

impl Gateway {
    pub(crate) async fn start(options: OpenOptions) -> Self {
        let Opened {
            ledger,
            driver,
            interrupted,
        } = Ledger::open(options).await.unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the test is the caller that runs the driver"
        )]
        let task = tokio::spawn(driver.run());
        Self {
            ledger,
            task,
            interrupted,
        }
    }

    /// Stops as a clean shutdown does.
    pub(crate) async fn close(self) {
        self.ledger.close().await;
        self.task.await.unwrap();
    }

    /// Stops as a crash does: nothing more is written.
    pub(crate) async fn crash(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

pub(crate) fn intent(at: Timestamp) -> Intent {
    let text = |text: &str| Some(text.to_owned());
    Intent {
        id: EntryId::at(at),
        started_at: at,
        attribution: Attribution {
            route: AuthRoute::ApiKey,
            caller: text("alice"),
            key: text("k1"),
            team: text("red"),
        },
        turn: TurnRecord {
            session_id: text("s1"),
            thread_id: text("th1"),
            turn_id: text("t1"),
            request_kind: text("turn"),
            repo: text("git.example/acme/shop"),
            commit: text("0123456789abcdef"),
            root_turn: text("r1"),
            parent: text("th0"),
        },
        endpoint: "responses".to_owned(),
        is_free: false,
        model_requested: text("gpt-5.5"),
        service_tier_requested: text("auto"),
        dispatch: DispatchRecord {
            upstream: text("openai"),
            model_served: text("gpt-5.4"),
            decision: DecisionKind::FellBack,
            rule: None,
            attempts: Vec::new(),
            billing: Billing::Metered,
        },
    }
}

/// A completed entry: 1000 input tokens of which 400 cached and 100 written, 50 output of which 20
/// reasoning, 1.5 millidollars.
pub(crate) fn entry(intent: Intent, instance: &str) -> LedgerEntry {
    let result = EntryResult {
        finished_at: intent.started_at,
        status: Some(200),
        outcome: Outcome::Completed,
        usage_source: UsageSource::Reported,
        usage: Some(Usage::new(1_000, 400, 100, 50, 20).unwrap()),
        tool_calls: std::collections::BTreeMap::from([("web_search".to_owned(), 4)]),
        service_tier: Some("default".to_owned()),
        cost: Cost {
            price_version: Some("v1".to_owned()),
            source: CostSource::Calculated,
            nanos: Some(1_500_000),
            is_estimated: false,
        },
        ttft_ms: Some(12),
        duration_ms: 345,
        upstream_response_id: Some("resp_1".to_owned()),
        instance: InstanceId::new(instance),
        corrects: None,
    };
    LedgerEntry { intent, result }
}

/// A claim of a new exchange on these limits: 100 tokens.
pub(crate) fn claim(at: Timestamp, nanos: i64, scopes: &[ScopeLimits]) -> Claim {
    Claim {
        id: EntryId::at(at),
        at,
        billing: Billing::Metered,
        nanos,
        tokens: 100,
        scopes: scopes.to_vec(),
    }
}
