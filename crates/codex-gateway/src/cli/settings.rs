//! Loads the configuration for commands that do not serve. Warnings are left to `check`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use gateway_policy::problem::Severity;

use crate::cli::output::{EXIT_CONFIG, print_error};
use crate::config::{self, Overrides, Settings, SourceMap};

/// The configuration, for a command that only reads it. Prints its errors.
///
/// # Errors
/// The exit code, when the configuration has errors.
pub(super) fn load(overrides: &Overrides) -> Result<(Settings, SourceMap), ExitCode> {
    let mut loaded = config::load(overrides).map_err(|error| {
        print_error(&format!("error: {error}"));
        ExitCode::from(EXIT_CONFIG)
    })?;
    let places = SourceMap::new(&loaded.source);
    if let Some(settings) = loaded.settings.take() {
        return Ok((settings, places));
    }
    loaded
        .problems
        .retain(|problem| problem.severity == Severity::Error);
    print_error(&loaded.report(std::io::stderr().is_terminal()));
    print_error(&format!(
        "{}: {} error(s)",
        places.path(),
        loaded.problems.len()
    ));
    Err(ExitCode::from(EXIT_CONFIG))
}

/// The configuration, for a command that only uses the store and may run where the server's secrets
/// are not. Prints its errors.
///
/// # Errors
/// The exit code, when the configuration has errors.
pub(super) fn load_for_store(overrides: &Overrides) -> Result<Settings, ExitCode> {
    let overrides = Overrides {
        without_secrets: true,
        ..overrides.clone()
    };
    load(&overrides).map(|(settings, _)| settings)
}
