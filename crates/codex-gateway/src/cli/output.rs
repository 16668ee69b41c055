//! Prints what commands say, and has the exit codes that they agree on.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use gateway_policy::money::Usd;

use crate::config;

/// Exit code when the configuration is not valid.
pub(super) const EXIT_CONFIG: u8 = 64;

/// Exit code when a flag or its value is not valid: the one that the parser of the command line has.
pub(super) const EXIT_USAGE: u8 = 2;

/// The flag of commands whose answer is text or JSON.
#[derive(Debug, Args)]
pub(super) struct JsonArgs {
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Prints to standard error, for a person. Nothing more can be done where that fails.
pub(super) fn print_error(text: &str) {
    drop(writeln!(std::io::stderr(), "{}", text.trim_end()));
}

/// Whether what goes to standard error may be coloured: on a terminal, unless `NO_COLOR` is set.
pub(super) fn is_error_coloured() -> bool {
    std::io::stderr().is_terminal() && config::environment("NO_COLOR").is_none()
}

/// Prints an answer to standard output. A reader that has seen enough, such as `head`, is not an
/// error.
pub(super) fn print_out(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()));
}

/// Prints an answer as JSON to standard output.
pub(super) fn print_json(answer: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_string_pretty(answer) {
        Ok(text) => {
            print_out(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&format!("error: cannot write the output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints the answer of a command, as JSON or as text. A failure has been printed already.
pub(super) fn print_answer<T: serde::Serialize>(
    answer: Result<T, ExitCode>,
    is_json: bool,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    match answer {
        Ok(answer) if is_json => print_json(&answer),
        Ok(answer) => {
            print_out(&text(&answer));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// An amount in USD × 10⁻⁹, as USD with four decimals; `-` for zero.
pub(super) fn usd_or_dash(nanos: i64) -> String {
    if nanos == 0 {
        return "-".to_owned();
    }
    Usd::from_nanos(nanos).to_string()
}
