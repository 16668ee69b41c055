//! `codex-gateway admin`: the administrator's own secret. Never prints it.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use crate::cli::output::{print_error, print_out};
use crate::cli::settings;
use crate::cli::store::{actor, with_ledger};
use crate::config::{Overrides, SecretsRead};
use crate::data_dir;

/// How long a running server may take to read the new token: twice as long as it should.
const READ_POLLS: u32 = 40;
const READ_POLL: Duration = Duration::from_millis(100);

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
    let (settings, _) = settings::load(overrides, SecretsRead::AdminToken)?;
    let dir = &settings.data_dir;
    let path = match &settings.admin.token {
        None => dir.join(data_dir::ADMIN_TOKEN),
        Some(token) => token.file.clone().ok_or_else(|| {
            print_error(
                "error: the admin token comes from the environment; change the variable and \
                 restart, or use a file in `[admin] token`",
            );
            ExitCode::FAILURE
        })?,
    };
    // First the old token stops opening sessions, then those that it opened end.
    let taken = replace_token(dir, &path).map_err(|problem| {
        print_error(&format!("error: {problem}"));
        ExitCode::FAILURE
    })?;
    with_ledger(&settings, async |ledger| {
        let detail = json!({});
        ledger
            .note(actor(), "admin_token.rotate", "admin", &detail)
            .await?;
        ledger.end_sessions(None, actor()).await
    })?;
    print_out(&format!(
        "wrote a new admin token to {}; {}, and every dashboard session has ended",
        path.display(),
        match taken {
            Taken::ByServer => "the running server uses it",
            Taken::AtStart =>
                "no server runs on this data directory, so it is used from the next start",
        }
    ));
    Ok(ExitCode::SUCCESS)
}

/// Who uses a new token.
enum Taken {
    ByServer,
    AtStart,
}

/// Writes a new token and waits until the server that runs on the data directory, if one does, has
/// read it; otherwise the old token is put back.
///
/// # Errors
/// What went wrong, for a person.
fn replace_token(dir: &Path, path: &Path) -> Result<Taken, String> {
    let cannot_write = |error: std::io::Error| {
        let hint = if error.kind() == ErrorKind::PermissionDenied {
            "; run this command as the user that the gateway runs as, or as root"
        } else {
            ""
        };
        format!("cannot write {}: {error}{hint}", path.display())
    };
    let is_served = data_dir::is_served(dir).map_err(cannot_write)?;
    let old = std::fs::read_to_string(path).ok();
    data_dir::ensure(dir)
        .and_then(|()| data_dir::random_token())
        .and_then(|token| data_dir::replace(path, &token))
        .map_err(cannot_write)?;
    if !is_served {
        return Ok(Taken::AtStart);
    }
    let written = data_dir::stamp(path).map_err(cannot_write)?;
    let note = dir.join(data_dir::ADMIN_TOKEN_READ);
    for _ in 0..READ_POLLS {
        std::thread::sleep(READ_POLL);
        if std::fs::read_to_string(&note).is_ok_and(|read| read.trim() == written) {
            return Ok(Taken::ByServer);
        }
    }
    if let Some(old) = old {
        data_dir::replace(path, old.trim()).map_err(cannot_write)?;
    }
    Err(format!(
        "the server that runs on {} has not read {}, so the old token was put back: the server may \
         use another configuration, or may not be allowed to read the file",
        dir.display(),
        path.display()
    ))
}
