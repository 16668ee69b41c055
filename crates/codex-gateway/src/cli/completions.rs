//! `codex-gateway completions` and `man`: what shells complete, and manual pages. Both come from the
//! definition of the command line itself.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::output::print_error;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codex-gateway completions bash > ~/.local/share/bash-completion/completions/codex-gateway
  codex-gateway completions zsh > ~/.zfunc/_codex-gateway
  codex-gateway completions fish > ~/.config/fish/completions/codex-gateway.fish
  codex-gateway completions powershell >> $PROFILE")]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Where to write the pages; a page for the program and one for each command.
    directory: PathBuf,
}

/// Prints the script for a shell.
pub(super) fn completions(mut command: Command, args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "codex-gateway", &mut script);
    match std::io::stdout().lock().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("error: cannot write the output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes the manual pages.
pub(super) fn man(command: Command, args: &ManArgs) -> ExitCode {
    let directory: &Path = &args.directory;
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!(
                "error: cannot write to {}: {error}",
                directory.display()
            ));
            ExitCode::FAILURE
        }
    }
}
