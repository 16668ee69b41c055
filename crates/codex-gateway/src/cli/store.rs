//! Opens the ledger for one command, beside a server that may be running. Records no exchange and
//! takes no lock.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway_ledger::{Actor, InstanceId, Ledger, OpenOptions};

use crate::administration::error::AdminError;
use crate::cli::os_user;
use crate::cli::output::{EXIT_USAGE, print_error};
use crate::clock;
use crate::config::Settings;
use crate::data_dir;

/// Who makes a change, for the audit log: `cli:` and the name of the operating system's user.
pub(super) fn actor() -> Actor {
    Actor::from(format!("cli:{}", os_user::name()).as_str())
}

/// Runs a command on the ledger. Prints what goes wrong.
///
/// # Errors
/// The exit code, when the ledger cannot be opened or the command fails.
pub(super) fn with_ledger<T, E: Into<AdminError>>(
    settings: &Settings,
    command: impl AsyncFnOnce(&Ledger) -> Result<T, E>,
) -> Result<T, ExitCode> {
    let dir = &settings.data_dir;
    let made = data_dir::ensure(dir)
        .with_context(|| format!("cannot use the data directory {}", dir.display()));
    made.and_then(|()| run(settings, command))
        .map_err(|error| failed(&error))
}

/// The same for a command that is about what was stored before: where nothing is, it says so and
/// creates nothing.
///
/// # Errors
/// The exit code, when there is no ledger, it cannot be opened or the command fails.
pub(super) fn with_existing_ledger<T, E: Into<AdminError>>(
    settings: &Settings,
    command: impl AsyncFnOnce(&Ledger) -> Result<T, E>,
) -> Result<T, ExitCode> {
    let file = options(settings).sqlite_file();
    let missing = file.map(|file| file.filter(|file| !file.exists()));
    match missing.map_err(AdminError::from) {
        Ok(None) => run(settings, command).map_err(|error| failed(&error)),
        Ok(Some(file)) => {
            print_error(&format!(
                "error: there is no ledger {}: nothing has been recorded there; --data-dir or \
                 `[storage] url` names another place",
                file.display()
            ));
            Err(ExitCode::FAILURE)
        }
        Err(error) => Err(failed(&error.into())),
    }
}

/// A value that is not valid is a mistake of the command line, like those that its parser finds.
fn failed(error: &anyhow::Error) -> ExitCode {
    print_error(&format!("error: {error:#}"));
    match error.downcast_ref::<AdminError>() {
        Some(AdminError::Invalid(_)) => ExitCode::from(EXIT_USAGE),
        Some(AdminError::NotFound(_) | AdminError::Conflict(_) | AdminError::Store(_)) | None => {
            ExitCode::FAILURE
        }
    }
}

fn run<T, E: Into<AdminError>>(
    settings: &Settings,
    command: impl AsyncFnOnce(&Ledger) -> Result<T, E>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let ledger = Ledger::attach(options(settings)).await;
        let ledger = ledger.map_err(AdminError::from)?;
        let answer = command(&ledger).await;
        ledger.close().await;
        Ok(answer.map_err(Into::into)?)
    })
}

fn options(settings: &Settings) -> OpenOptions {
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
