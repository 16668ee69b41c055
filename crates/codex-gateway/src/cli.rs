//! The command table; one file per command.

mod address;
mod admin;
mod audit;
mod banner;
mod budgets;
mod check;
mod completions;
mod dashboard;
mod demo;
mod doctor;
mod explain;
mod facts;
mod health;
mod keys;
mod models;
mod os_user;
mod output;
mod probe;
mod rate_limits;
mod reprice;
mod run;
pub(crate) mod serve;
mod settings;
mod setup;
mod stop_signal;
mod store;
mod table;
mod teams;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{Overrides, SecretsRead};

/// The gateway for OpenAI Codex traffic: rules by auth route, exact token counts, truthful
/// fallback.
#[derive(Debug, Parser)]
#[command(
    name = "codex-gateway",
    version,
    long_version = env!("CODEX_GATEWAY_VERSION"),
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Global {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the ledger, the admin token and the instance's id are kept.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default).
    Serve(serve::ServeArgs),
    /// Point Codex at the gateway, or take that back; print what other clients need.
    Setup(setup::SetupArgs),
    /// Find out what does not work between Codex, the gateway and the upstreams, and how to mend it.
    Doctor(doctor::DoctorArgs),
    /// Serve days of made-up traffic from a scripted upstream, to look at; nothing leaves this machine.
    Demo(demo::DemoArgs),
    /// Run a client through a gateway that ends with it; nothing is written in the client's files.
    Run(run::RunArgs),
    /// Check the configuration: exit 0, or 64 with every error.
    Check(check::CheckArgs),
    /// Say what would happen to a request and which rule decides; sends nothing.
    Explain(explain::ExplainArgs),
    /// Show the model catalogue: standing, surfaces, routes, prices, fallback.
    Models(models::ModelsArgs),
    /// Create, list, rotate and revoke gateway keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Create, list and delete teams.
    #[command(subcommand)]
    Teams(teams::TeamsCommand),
    /// Set, list and delete budgets.
    #[command(subcommand)]
    Budgets(budgets::BudgetsCommand),
    /// Ask the running gateway whether it is ready: exit 0, or 1 with the reason.
    Health(health::HealthArgs),
    /// Print a one-time link that signs a browser in to the dashboard.
    Dashboard(dashboard::DashboardArgs),
    /// Manage the admin token.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// List the newest administrative changes: who changed what, and when.
    Audit(audit::AuditArgs),
    /// Sum the ledger.
    Usage(usage::UsageArgs),
    /// Compare recorded costs with the present price table; `--apply` adds correcting entries.
    Reprice(reprice::RepriceArgs),
    /// List or clear learned unsupported models.
    Facts(facts::FactsArgs),
    /// Print what a shell needs to complete commands and flags.
    Completions(completions::CompletionsArgs),
    /// Write manual pages into a directory.
    #[command(hide = true)]
    Man(completions::ManArgs),
}

/// Runs the command line; the value is the process's exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let overrides = Overrides {
        config: cli.global.config,
        data_dir: cli.global.data_dir,
        listen: None,
        secrets: SecretsRead::All,
    };
    match cli
        .command
        .unwrap_or(Command::Serve(serve::ServeArgs::default()))
    {
        Command::Serve(args) => serve::run(overrides, args),
        Command::Setup(args) => setup::run(&overrides, &args),
        Command::Doctor(args) => doctor::run(&overrides, &args),
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&overrides, &args),
        Command::Check(args) => check::run(&overrides, &args),
        Command::Explain(args) => explain::run(&overrides, args),
        Command::Models(args) => models::run(&overrides, &args),
        Command::Keys(command) => keys::run(&overrides, command),
        Command::Teams(command) => teams::run(&overrides, command),
        Command::Budgets(command) => budgets::run(&overrides, command),
        Command::Health(args) => health::run(&overrides, &args),
        Command::Dashboard(args) => dashboard::run(&overrides, &args),
        Command::Admin(command) => admin::run(&overrides, &command),
        Command::Audit(args) => audit::run(&overrides, &args),
        Command::Usage(args) => usage::run(&overrides, &args),
        Command::Reprice(args) => reprice::run(&overrides, &args),
        Command::Facts(args) => facts::run(&overrides, args),
        Command::Completions(args) => completions::completions(Cli::command(), &args),
        Command::Man(args) => completions::man(Cli::command(), &args),
    }
}
