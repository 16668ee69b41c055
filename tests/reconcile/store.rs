//! Where the books are kept, and how they are read once the gateway has gone.

use gateway_ledger::{
    Durability, ExchangeQuery, InstanceId, Ledger, LedgerEntry, MAX_PAGE, OpenOptions, Opened,
    UsageQuery, UsageSums,
};
use gateway_tests::postgres::Database;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A ledger's store of its own for one test.
pub(crate) struct Store {
    url: String,
    /// Kept, since it goes with this.
    database: Option<Database>,
}

/// Everything in the ledger.
pub(crate) struct Books {
    pub(crate) entries: Vec<LedgerEntry>,
    /// The sums that reports show.
    pub(crate) total: UsageSums,
    /// Intents that nobody had settled.
    pub(crate) open: Vec<LedgerEntry>,
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        Self {
            url: "sqlite".to_owned(),
            database: None,
        }
    }

    /// A database of its own on the server that CODEX_GATEWAY_TEST_POSTGRES names; `None` without
    /// one.
    pub(crate) fn postgres() -> Option<Self> {
        let database = Database::create("reconcile")?;
        Some(Self {
            url: database.url(),
            database: Some(database),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.database.is_some() {
            "PostgreSQL"
        } else {
            "SQLite"
        }
    }

    /// Reads it all as the next start of the same gateway would find it.
    pub(crate) async fn read(&self, data_dir: &Path) -> Books {
        let instance = std::fs::read_to_string(data_dir.join("instance-id"))
            .expect("the gateway has kept its instance's id");
        let Opened {
            ledger,
            driver: _driver,
            interrupted,
        } = Ledger::open(OpenOptions {
            url: self.url.clone(),
            data_dir: data_dir.to_owned(),
            instance: InstanceId::new(instance.trim()),
            durability: Durability::Committed,
            retention: None,
            lease: Duration::from_secs(30),
            time_zone: TimeZone::UTC,
            clock: Arc::new(Timestamp::now),
        })
        .await
        .expect("the store can be opened");
        let mut entries = Vec::new();
        let mut query = ExchangeQuery {
            limit: MAX_PAGE,
            ..ExchangeQuery::default()
        };
        loop {
            let page = ledger
                .exchanges(&query)
                .await
                .expect("the entries can be read");
            entries.extend(page.items);
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        let report = ledger
            .usage(&UsageQuery::default())
            .await
            .expect("the sums can be read");
        Books {
            entries,
            total: report.total,
            open: interrupted,
        }
    }
}
