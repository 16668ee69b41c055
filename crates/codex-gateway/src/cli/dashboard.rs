//! `codex-gateway dashboard`: prints a one-time sign-in link. Works beside a running server, on the
//! store that it serves from.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::output::{print_error, print_out};
use crate::cli::store::{actor, with_existing_ledger};
use crate::cli::{address, settings};
use crate::config::Overrides;

/// How long a link can be used.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// Arguments of `dashboard`.
#[derive(Debug, clap::Args)]
pub(super) struct DashboardArgs {
    /// How a browser reaches the gateway, when that is not where the configuration listens, such as
    /// <https://gateway.example>.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Runs `dashboard`.
pub(super) fn run(overrides: &Overrides, args: &DashboardArgs) -> ExitCode {
    answer(overrides, args).unwrap_or_else(|code| code)
}

fn answer(overrides: &Overrides, args: &DashboardArgs) -> Result<ExitCode, ExitCode> {
    let settings = settings::load_for_store(overrides)?;
    let base = match &args.url {
        None => address::url(
            &settings,
            settings.admin.listen.unwrap_or(settings.server.listen),
        ),
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            url.trim_end_matches('/').to_owned()
        }
        Some(url) => {
            print_error(&format!(
                "error: `{url}` is not a valid URL for a browser; it must start with http:// or \
                 https://"
            ));
            return Err(ExitCode::FAILURE);
        }
    };
    let link = with_existing_ledger(&settings, async |ledger| {
        ledger.create_sign_in(LIFETIME, actor()).await
    })?;
    print_out(&format!("{base}/dashboard#sign-in={}", link.reveal()));
    print_error("the link works once, within ten minutes");
    Ok(ExitCode::SUCCESS)
}
