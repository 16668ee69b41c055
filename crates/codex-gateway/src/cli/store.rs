//! Opens the ledger for one command, beside a server that may be running. Records no exchange and
//! takes no lock.

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gateway_ledger::{InstanceId, Ledger, LedgerError, OpenOptions};

use crate::cli::output::print_error;
use crate::clock;
use crate::config::Settings;
use crate::data_dir;

/// Runs a command on the ledger; what goes wrong is said here.
pub(super) fn with_ledger<T, F>(
    settings: &Settings,
    command: impl FnOnce(Ledger) -> F,
) -> Result<T, ExitCode>
where
    F: Future<Output = Result<T, LedgerError>>,
{
    let failed = |error: anyhow::Error| {
        print_error(&format!("error: {error:#}"));
        ExitCode::FAILURE
    };
    data_dir::ensure(&settings.data_dir).map_err(|error| {
        let dir = settings.data_dir.display().to_string();
        failed(anyhow::Error::new(error).context(format!("cannot use the data directory {dir}")))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.into()))?;
    runtime
        .block_on(async {
            let ledger = Ledger::attach(options(settings)).await?;
            let answer = command(ledger.clone()).await;
            ledger.close().await;
            answer
        })
        .map_err(|error: LedgerError| {
            failed(anyhow::Error::new(error).context("cannot ask the ledger"))
        })
}

/// How a command opens the ledger.
pub(super) fn options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        url: settings.storage.url.clone(),
        data_dir: settings.data_dir.clone(),
        // Entries that a command writes, such as corrections, are told apart from those of servers.
        instance: InstanceId::new("command-line"),
        durability: settings.storage.durability,
        retention: None,
        lease: Duration::from_secs(30),
        time_zone: settings.storage.time_zone.clone(),
        clock: Arc::new(clock::now),
    }
}
