//! `codex-gateway admin`: the administrator's own secret. Never prints it.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::cli::output::{print_error, print_out};
use crate::cli::settings;
use crate::cli::store::{ACTOR, with_ledger};
use crate::config::Overrides;
use crate::data_dir;

/// Subcommands of `admin`.
#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Replace the admin token in its file, and end every dashboard session.
    RotateToken,
}

/// Runs `admin`.
pub(super) fn run(overrides: &Overrides, command: &AdminCommand) -> ExitCode {
    match command {
        AdminCommand::RotateToken => rotate(overrides).unwrap_or_else(|code| code),
    }
}

fn rotate(overrides: &Overrides) -> Result<ExitCode, ExitCode> {
    let (settings, _) = settings::load(overrides)?;
    let path = match &settings.admin.token {
        None => settings.data_dir.join(data_dir::ADMIN_TOKEN),
        Some(token) => token.file.clone().ok_or_else(|| {
            print_error(
                "error: the admin token comes from the environment; change the variable and restart, \
                 or name a file in `[admin] token`",
            );
            ExitCode::FAILURE
        })?,
    };
    // First the old token stops opening sessions, then those that it opened end.
    data_dir::ensure(&settings.data_dir)
        .and_then(|()| data_dir::random_token())
        .and_then(|token| data_dir::replace(&path, &token))
        .map_err(|error| {
            print_error(&format!("error: cannot write {}: {error}", path.display()));
            ExitCode::FAILURE
        })?;
    with_ledger(&settings, async |ledger| {
        let detail = json!({});
        ledger
            .note(ACTOR, "admin_token.rotate", "admin", &detail)
            .await?;
        ledger.end_sessions(None, ACTOR).await
    })?;
    print_out(&format!(
        "wrote a new admin token to {}; running servers use it within two seconds, and every \
         dashboard session has ended",
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}
