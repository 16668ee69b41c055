//! `codex-gateway check`: every problem of the configuration, with file, line, caret and hint.

use std::process::ExitCode;

use gateway_policy::problem::Severity;

use crate::cli::output::{EXIT_CONFIG, is_error_coloured, print_error, print_out};
use crate::config::{self, Overrides};

/// Arguments of `check`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct CheckArgs {
    /// The file to check; the same as `--config`.
    file: Option<std::path::PathBuf>,
    /// Count warnings as errors.
    #[arg(long)]
    strict: bool,
}

/// Checks and says so.
pub(super) fn run(overrides: &Overrides, args: &CheckArgs) -> ExitCode {
    let mut overrides = overrides.clone();
    if let Some(file) = &args.file {
        overrides.config = Some(file.clone());
    }
    let loaded = match config::load(&overrides) {
        Ok(loaded) => loaded,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let (errors, warnings) = (
        loaded.count(Severity::Error),
        loaded.count(Severity::Warning),
    );
    if errors + warnings > 0 {
        print_error(&loaded.report(is_error_coloured()));
    }
    let path = &loaded.source.path;
    let is_refused = errors > 0 || loaded.settings.is_none() || (args.strict && warnings > 0);
    if is_refused {
        print_error(&format!("{path}: {errors} error(s), {warnings} warning(s)"));
        return ExitCode::from(EXIT_CONFIG);
    }
    print_out(&format!("{path}: ok, {warnings} warning(s)"));
    ExitCode::SUCCESS
}
