//! `codex-gateway doctor`: prints what was found, each with what to do.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::output::{EXIT_CONFIG, JsonArgs, print_error, print_json, print_out};
use crate::config::{self, Overrides};
use crate::doctor::{self, Check, CheckResult, CheckScope, Report};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 0: all is well, or only warnings. 1: something does not work. 64: the configuration has
errors.

Nothing is changed, and nothing that costs money is sent: upstreams are asked once without a
credential, and the turn of the installed Codex goes to a scripted upstream on this machine.

Examples:
  codex-gateway doctor
  codex-gateway doctor --offline --no-turn --json")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    json: JsonArgs,
    /// Do not ask the upstreams.
    #[arg(long)]
    offline: bool,
    /// Do not run a turn of the installed Codex.
    #[arg(long)]
    no_turn: bool,
}

/// Examines and says so.
pub(super) fn run(overrides: &Overrides, args: &DoctorArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&format!("error: cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let scope = CheckScope {
        upstreams: !args.offline,
        turn: !args.no_turn,
    };
    let report = runtime.block_on(doctor::examine(overrides, scope));
    if args.json.json {
        let answer = json!({"result": report.result(), "checks": report.checks});
        if print_json(&answer) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
    } else {
        let is_coloured =
            std::io::stdout().is_terminal() && config::environment("NO_COLOR").is_none();
        print_out(&text(&report, is_coloured));
    }
    match report.result() {
        _ if report.is_misconfigured => ExitCode::from(EXIT_CONFIG),
        CheckResult::Failed => ExitCode::FAILURE,
        CheckResult::Skipped | CheckResult::Ok | CheckResult::Warning => ExitCode::SUCCESS,
    }
}

fn text(report: &Report, is_coloured: bool) -> String {
    let width = report
        .checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut lines: Vec<String> = report
        .checks
        .iter()
        .map(|check| line(check, width, is_coloured))
        .collect();
    lines.push(match report.result() {
        CheckResult::Failed => "\nsomething does not work; the fixes stand above".to_owned(),
        CheckResult::Warning => "\nworks; look at the warnings".to_owned(),
        CheckResult::Ok | CheckResult::Skipped => "\nall is well".to_owned(),
    });
    lines.join("\n")
}

fn line(check: &Check, width: usize, is_coloured: bool) -> String {
    let word = check.result.short();
    let colour = match check.result {
        CheckResult::Failed => "31",
        CheckResult::Warning => "33",
        CheckResult::Ok => "32",
        CheckResult::Skipped => "2",
    };
    let shown = if is_coloured {
        format!("\u{1b}[{colour}m{word:<4}\u{1b}[0m")
    } else {
        format!("{word:<4}")
    };
    let message = check.message.replace(char::is_control, " ");
    let fix = check
        .fix
        .as_ref()
        .map(|fix| format!("\n      -> {fix}"))
        .unwrap_or_default();
    format!("{shown}  {:<width$}  {message}{fix}", check.name)
}
