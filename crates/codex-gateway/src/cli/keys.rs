//! `codex-gateway keys`: works on the store, beside servers that may be running and notice the
//! change by themselves. Checks nothing itself: `administration.rs` does.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_ledger::KeyRecord;
use jiff::Timestamp;
use serde_json::json;

use crate::administration::spec::{BudgetSpec, KeySpec};
use crate::administration::{self, ShownKey};
use crate::cli::output::{JsonArgs, print_answer, print_error};
use crate::cli::rate_limits::{RateLimitArgs, rate_limits};
use crate::cli::settings;
use crate::cli::store::{actor, with_existing_ledger, with_ledger};
use crate::cli::table::Table;
use crate::clock::Clock;
use crate::config::{Overrides, Settings};

/// Subcommands of `keys`.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Create a key; it is shown only once.
    Create(Box<CreateArgs>),
    /// List all keys, including revoked ones.
    List(JsonArgs),
    /// Revoke a key for good.
    Revoke(OneKey),
    /// Replace the secret of a key; the old one stops working.
    Rotate(OneKey),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Name of the key; no other live key may have it.
    #[arg(long)]
    name: String,
    /// Team of the key; created if it does not exist, unless its name looks like that of one that
    /// does.
    #[arg(long)]
    team: Option<String>,
    /// Owner of the key.
    #[arg(long)]
    owner: Option<String>,
    /// When the key expires: 90d, or 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Globs of the models that the key may use; all if not given.
    #[arg(long, value_name = "GLOB,…", value_delimiter = ',')]
    models: Vec<String>,
    /// Auth routes that the key may use; all if not given.
    #[arg(long, value_name = "ROUTE,…", value_delimiter = ',')]
    routes: Vec<String>,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    limits: RateLimitArgs,
    /// Print {"id","key"}.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct BudgetArgs {
    /// An amount of USD and a window (day, week, month, total), such as 5.00/day. May be given
    /// several times.
    #[arg(long = "budget", value_name = "USD/WINDOW")]
    budgets: Vec<String>,
    /// Share of the budget from which the log and the metrics warn, such as 80%.
    #[arg(long, value_name = "PERCENT")]
    soft: Option<String>,
    /// Which costs the budget counts: metered or plan.
    #[arg(long, value_name = "KIND")]
    billing: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct OneKey {
    /// Id of the key, or its name if only one live key has it.
    key: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `keys`.
pub(super) fn run(overrides: &Overrides, command: KeysCommand) -> ExitCode {
    let settings = match settings::load_for_store(overrides) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match command {
        KeysCommand::Create(args) => create(&settings, *args),
        KeysCommand::List(args) => {
            let keys = with_existing_ledger(&settings, async |ledger| ledger.keys().await);
            print_answer(keys, args.json, |keys| table(keys, Clock::system().now()))
        }
        KeysCommand::Revoke(args) => {
            let revoked = with_existing_ledger(&settings, async |ledger| {
                administration::revoke_key(ledger, &args.key, actor()).await
            });
            let revoked = revoked.map(|id| json!({ "id": id, "revoked": true }));
            print_answer(revoked, args.json, |_| {
                let key = args.key;
                format!("revoked {key}; running servers refuse it within two seconds")
            })
        }
        KeysCommand::Rotate(args) => {
            let rotated = with_existing_ledger(&settings, async |ledger| {
                administration::rotate_key(ledger, &args.key, actor()).await
            });
            print_answer(rotated, args.json, secret)
        }
    }
}

fn create(settings: &Settings, args: CreateArgs) -> ExitCode {
    let BudgetArgs {
        budgets,
        soft,
        billing,
    } = args.budget;
    if budgets.is_empty() && (soft.is_some() || billing.is_some()) {
        print_error("error: --soft and --billing need a --budget");
        return ExitCode::FAILURE;
    }
    let budget = |amount| BudgetSpec {
        amount,
        soft: soft.clone(),
        billing: billing.clone(),
    };
    let spec = KeySpec {
        name: args.name,
        team: args.team,
        owner: args.owner,
        expires: args.expires,
        models: args.models,
        routes: args.routes,
        budgets: budgets.into_iter().map(budget).collect(),
        requests_per_minute: args.limits.rpm,
        tokens_per_minute: args.limits.tpm,
        concurrency: args.limits.concurrency,
    };
    let created = with_ledger(settings, async |ledger| {
        administration::create_key(ledger, &spec, Clock::system().now(), actor()).await
    });
    print_answer(created, args.json, secret)
}

fn secret(shown: &ShownKey) -> String {
    let ShownKey { id, key } = shown;
    format!("{key}\n\nid {id}; the key is shown only this once and stored only as a hash")
}

fn table(keys: &[KeyRecord], now: Timestamp) -> String {
    let mut table = Table::left(&[
        "id", "name", "team", "owner", "ends in", "state", "models", "routes", "limits",
    ]);
    for key in keys {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(at)) if at <= now => "expired".to_owned(),
            (None, Some(at)) => format!("until {}", at.strftime("%Y-%m-%d")),
            (None, None) => "live".to_owned(),
        };
        let routes: Vec<&str> = key.routes.iter().map(|route| route.as_str()).collect();
        table.row(vec![
            key.id.clone(),
            key.name.clone(),
            key.team.clone().unwrap_or_default(),
            key.owner.clone().unwrap_or_default(),
            key.ending.clone(),
            state,
            key.models.join(","),
            routes.join(","),
            rate_limits(key.limits),
        ]);
    }
    table.render()
}
