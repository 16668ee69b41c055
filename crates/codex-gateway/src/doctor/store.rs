//! The ledger: whether it can be opened, and whether what it holds is priced.

use std::sync::Arc;
use std::time::Duration;

use gateway_ledger::{GroupBy, InstanceId, Ledger, LedgerError, OpenOptions, UsageQuery, UsageRow};

use super::network::chain;
use super::report::{Check, Report};
use crate::clock::Clock;
use crate::config::Settings;

/// Which models are in use: those of this time.
const RECENT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Opens it beside a server that may be running, and reads sums.
pub(super) async fn examine(settings: &Settings, clock: &Clock, report: &mut Report) {
    let reader = clock.clone();
    let options = OpenOptions {
        url: settings.storage.url.clone(),
        data_dir: settings.data_dir.clone(),
        instance: InstanceId::new("doctor"),
        durability: settings.storage.durability,
        retention: None,
        lease: Duration::from_secs(30),
        time_zone: settings.storage.time_zone.clone(),
        clock: Arc::new(move || reader.now()),
    };
    match options.sqlite_file() {
        Ok(Some(file)) if !file.exists() => {
            let message = format!(
                "{} does not exist yet: nothing has been recorded",
                file.display()
            );
            report.add(Check::ok("ledger", message));
            report.add(Check::skipped("prices", "no usage yet"));
            return;
        }
        Ok(_) | Err(_) => {}
    }
    let read = async {
        let ledger = Ledger::attach(options).await?;
        let query = UsageQuery {
            by: vec![GroupBy::Model],
            since: clock.now().checked_sub(RECENT).ok(),
            ..UsageQuery::default()
        };
        let usage = ledger.usage(&query).await;
        ledger.close().await;
        usage.map(|usage| usage.rows)
    };
    let rows: Result<Vec<UsageRow>, LedgerError> = read.await;
    match rows {
        Ok(rows) => {
            let requests: i64 = rows.iter().map(|row| row.sums.requests).sum();
            let message = format!("readable; {requests} exchanges in the last 30 days");
            report.add(Check::ok("ledger", message));
            report.add(prices(&rows));
        }
        Err(error) => {
            report.add(Check::failed(
                "ledger",
                format!("cannot be read: {}", chain(&error)),
                "check `[storage] url`, the rights of the data directory, and that the database runs",
            ));
            report.add(Check::skipped("prices", "the ledger cannot be read"));
        }
    }
}

fn prices(rows: &[UsageRow]) -> Check {
    let unpriced: Vec<String> = rows
        .iter()
        .filter(|row| row.sums.unpriced_requests > 0)
        .map(|row| {
            let models: Vec<&str> = row.keys.iter().filter_map(|key| key.1.as_deref()).collect();
            format!("{} ({})", models.join(" "), row.sums.unpriced_requests)
        })
        .collect();
    if unpriced.is_empty() {
        return Check::ok("prices", "every model in use has a price");
    }
    Check::warning(
        "prices",
        format!(
            "requests without a price in the last 30 days: {}",
            unpriced.join(", ")
        ),
        "add a row to a file of `[prices]`, then `codex-gateway reprice --apply`",
    )
}
