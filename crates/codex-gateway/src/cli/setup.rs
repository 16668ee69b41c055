//! `codex-gateway setup`: shows what points a client at the gateway, asks, and writes it; or takes
//! it back.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;

use crate::cli::output::{print_error, print_out};
use crate::cli::{address, probe, settings};
use crate::codex_home::{CodexHome, SignIn};
use crate::config::Overrides;
use crate::setup::clients;
use crate::setup::codex::{self, Prepared, Restoration};
use crate::setup::plan::Wish;

/// The client whose configuration this command writes.
const CODEX: &str = "codex";
/// How long the gateway may take to say that it is there.
const PROBE: Duration = Duration::from_secs(2);

/// Arguments of `setup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 0: done, or nothing to do. 1: refused, and nothing was written. 2: the command line is
invalid. 64: the gateway's configuration is invalid.

Examples:
  codex-gateway setup codex                   # show the change, ask, write it
  codex-gateway setup codex --print           # only show it
  codex-gateway setup codex --profile gw      # leave the default alone: `codex -p gw` uses the gateway
  codex-gateway setup codex --restore         # take it back
  codex-gateway setup openai-sdk              # what other clients need")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct SetupArgs {
    /// The client: codex is written, the others are printed.
    #[arg(value_parser = PossibleValuesParser::new(client_names()))]
    client: String,
    /// Write without asking.
    #[arg(long, visible_alias = "write")]
    yes: bool,
    /// Show the change and write nothing.
    #[arg(long, conflicts_with_all = ["yes", "restore"])]
    print: bool,
    /// Take back what this command wrote, and leave all else as it is.
    #[arg(long, conflicts_with_all = ["provider", "key", "catalog", "route", "url"])]
    restore: bool,
    /// Write a provider of this name, or point the existing one at the gateway.
    #[arg(long, value_name = "NAME", value_parser = name)]
    provider: Option<String>,
    /// Write a profile of its own, used by `codex --profile NAME`, and leave the default alone.
    #[arg(long, value_name = "NAME", conflicts_with = "provider", value_parser = name)]
    profile: Option<String>,
    /// Send a gateway key, from the environment variable `CODEX_GATEWAY_KEY`.
    #[arg(long)]
    key: bool,
    /// Let Codex ask the gateway for the list of models.
    #[arg(long)]
    catalog: bool,
    /// Which credential Codex sends, if its sign-in cannot be seen: chatgpt, `api_key`,
    /// `gateway_key`.
    #[arg(long, value_name = "ROUTE", value_parser = ["chatgpt", "api_key", "gateway_key"])]
    route: Option<String>,
    /// The gateway's address, if it is not the configured one, such as <https://gateway.example>.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

fn client_names() -> Vec<&'static str> {
    std::iter::once(CODEX).chain(clients::names()).collect()
}

fn name(text: &str) -> Result<String, String> {
    let is_valid = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if !text.is_empty() && text.chars().all(is_valid) {
        return Ok(text.to_owned());
    }
    Err("use letters, digits, `-` and `_`".to_owned())
}

/// Runs `setup`.
pub(super) fn run(overrides: &Overrides, args: &SetupArgs) -> ExitCode {
    answer(overrides, args).unwrap_or_else(|code| code)
}

fn answer(overrides: &Overrides, args: &SetupArgs) -> Result<ExitCode, ExitCode> {
    if args.restore {
        return CodexHome::find()
            .and_then(|home| restore(&home, args))
            .map_err(refused);
    }
    let base_url = match &args.url {
        Some(url) => base_of(url).map_err(refused)?,
        None => address::base_url(&settings::load_for_store(overrides)?),
    };
    if args.client == CODEX {
        return CodexHome::find()
            .and_then(|home| set_up(&home, args, base_url))
            .map_err(refused);
    }
    for client in clients::all() {
        if client.name == args.client {
            print_out(&format!(
                "{}\n\n{}",
                client.about,
                client.text(&base_url).trim()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is the end of the message"
)]
fn refused(why: String) -> ExitCode {
    print_error(&format!("error: {why}"));
    ExitCode::FAILURE
}

fn base_of(url: &str) -> Result<String, String> {
    let trimmed = url.trim_end_matches('/');
    let has_scheme = trimmed.starts_with("http://") || trimmed.starts_with("https://");
    if !has_scheme || http::Uri::try_from(trimmed).is_err() {
        return Err(format!(
            "`{url}` is not a valid address of a gateway; it must start with http:// or https://"
        ));
    }
    if trimmed.ends_with("/backend-api/codex") {
        return Err(format!(
            "with `{url}`, Codex would ask another service where to send its requests; use an \
             address that ends in /v1"
        ));
    }
    Ok(if trimmed.ends_with("/v1") {
        trimmed.to_owned()
    } else {
        format!("{trimmed}/v1")
    })
}

fn set_up(home: &CodexHome, args: &SetupArgs, base_url: String) -> Result<ExitCode, String> {
    let sign_in = match args.route.as_deref() {
        Some("chatgpt") => SignIn::ChatGpt,
        Some(_) => SignIn::NotFound,
        None => home.sign_in(),
    };
    let wish = Wish {
        base_url,
        sign_in,
        provider: args.provider.clone(),
        key: args.key || args.route.as_deref() == Some("gateway_key"),
        catalog: args.catalog,
    };
    let prepared = codex::prepare(home, args.profile.as_deref(), &wish)?;
    let shown = prepared.path().display();
    if prepared.is_done() {
        print_out(&format!(
            "{shown} points at the gateway already; nothing to change"
        ));
        print_error(&reachable(&wish.base_url));
        return Ok(ExitCode::SUCCESS);
    }
    print_out(&format!(
        "Codex: {}\n\n{shown}\n{}\n{}",
        home.sign_in().describe(),
        prepared.diff(),
        lines(&prepared.notes)
    ));
    if args.print {
        return Ok(ExitCode::SUCCESS);
    }
    if !agreed(args.yes)? {
        return Err("nothing was written".to_owned());
    }
    let backup = prepared.write(home)?;
    print_out(&written(&prepared, backup.as_deref(), args));
    print_error(&reachable(&wish.base_url));
    Ok(ExitCode::SUCCESS)
}

fn written(prepared: &Prepared, backup: Option<&str>, args: &SetupArgs) -> String {
    let copy = backup.map(|name| format!(" (the file before: {name} beside it)"));
    let start = match &args.profile {
        Some(profile) => format!("codex --profile {profile}"),
        None => CODEX.to_owned(),
    };
    format!(
        "wrote {}{}\nnext: {start}\nundo: codex-gateway setup codex --restore",
        prepared.path().display(),
        copy.unwrap_or_default()
    )
}

fn reachable(base_url: &str) -> String {
    let root = base_url.trim_end_matches("/v1");
    match probe::get(&format!("{root}/healthz"), PROBE) {
        Ok(_) => format!("the gateway answers at {root}"),
        Err(_) => {
            format!("nothing answers at {root} yet; start the gateway with `codex-gateway serve`")
        }
    }
}

fn restore(home: &CodexHome, args: &SetupArgs) -> Result<ExitCode, String> {
    let found = codex::prepare_restore(home, args.profile.as_deref())?;
    if found.is_empty() {
        print_out(&format!(
            "`setup codex` has written nothing in {}; nothing to take back",
            home.dir().display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    for restoration in &found {
        print_out(&described(restoration));
    }
    if !agreed(args.yes || !std::io::stdin().is_terminal())? {
        return Err("nothing was changed".to_owned());
    }
    for restoration in &found {
        restoration.write(home)?;
        print_out(&format!("restored {}", restoration.path().display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn described(restoration: &Restoration) -> String {
    let how = if restoration.is_exact {
        "becomes what it was before, byte for byte"
    } else {
        "was changed since; only the lines of `setup codex` go"
    };
    format!(
        "{} {how}\n{}\n{}\n{}",
        restoration.path().display(),
        restoration.diff(),
        lines(&restoration.done),
        lines(
            &restoration
                .left
                .iter()
                .map(|what| format!("stays: {what}"))
                .collect::<Vec<_>>()
        )
    )
}

fn lines(notes: &[String]) -> String {
    let lines: Vec<String> = notes.iter().map(|note| format!("- {note}")).collect();
    lines.join("\n")
}

/// Asks on a terminal.
fn agreed(is_given: bool) -> Result<bool, String> {
    if is_given {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err("this is not a terminal, so nothing was written; add --yes".to_owned());
    }
    let mut out = std::io::stdout().lock();
    drop(write!(out, "Write this? [Y/n] ").and_then(|()| out.flush()));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| format!("cannot read the answer: {error}"))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes") && answer.ends_with('\n'))
}
