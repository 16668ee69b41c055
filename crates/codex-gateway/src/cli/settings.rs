//! Loads the configuration for commands that do not serve. Warnings are left to `check`.

use std::process::ExitCode;

use gateway_policy::problem::Severity;

use crate::cli::output::{EXIT_CONFIG, is_error_coloured, print_error};
use crate::config::{self, Overrides, SecretsRead, Settings, SourceMap};

/// The configuration, for a command that may run where the server's secrets are not; of them, only
/// `secrets` are read. Prints its errors.
///
/// # Errors
/// The exit code, when the configuration has errors.
pub(super) fn load(
    overrides: &Overrides,
    secrets: SecretsRead,
) -> Result<(Settings, SourceMap), ExitCode> {
    let overrides = Overrides {
        secrets,
        ..overrides.clone()
    };
    let mut loaded = config::load(&overrides).map_err(|error| {
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
    print_error(&loaded.report(is_error_coloured()));
    print_error(&format!(
        "{}: {} error(s)",
        places.path(),
        loaded.problems.len()
    ));
    Err(ExitCode::from(EXIT_CONFIG))
}

/// The same without any secret and without the places in the file, for a command that only uses the
/// store.
///
/// # Errors
/// The exit code, when the configuration has errors.
pub(super) fn load_for_store(overrides: &Overrides) -> Result<Settings, ExitCode> {
    load(overrides, SecretsRead::None).map(|(settings, _)| settings)
}
