//! `codex-gateway keys`: works on the store, beside servers that may be running and notice the
//! change by themselves. Checks nothing itself: `administration/keys.rs` does.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_ledger::{FieldEdit, KeyRecord};
use gateway_policy::money::Usd;
use jiff::Timestamp;
use serde_json::json;

use crate::administration::budget_lines::BudgetLine;
use crate::administration::key_update_spec::KeyUpdateSpec;
use crate::administration::keys::{self, KeyDetail, KeyState, ShownKey};
use crate::administration::spec::{BudgetSpec, KeySpec};
use crate::cli::output::{EXIT_USAGE, JsonArgs, print_answer, print_error};
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
    /// Show one key: what it may do, and what is spent of its budgets.
    Show(OneKey),
    /// Change a key; its secret and its budgets stay, and what is not named stays.
    Update(Box<UpdateArgs>),
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
pub(super) struct UpdateArgs {
    /// Id of the key, or its name if only one live key has it.
    key: String,
    /// New name; no other live key may have it.
    #[arg(long)]
    name: Option<String>,
    /// New team; created if it does not exist, unless its name looks like that of one that does.
    #[arg(long)]
    team: Option<String>,
    /// New owner.
    #[arg(long)]
    owner: Option<String>,
    /// When the key expires, from now on: 90d, or 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Globs of the models that the key may use, instead of the present ones.
    #[arg(long, value_name = "GLOB,…", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Auth routes that the key may use, instead of the present ones.
    #[arg(long, value_name = "ROUTE,…", value_delimiter = ',')]
    routes: Option<Vec<String>>,
    #[command(flatten)]
    limits: RateLimitArgs,
    /// Remove these values: no team, no owner, no expiry, no rate limit, every model or auth route.
    #[arg(long, value_enum, value_name = "FIELD,…", value_delimiter = ',')]
    clear: Vec<ClearedField>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a key may be without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ClearedField {
    Team,
    Owner,
    Expires,
    Models,
    Routes,
    Rpm,
    Tpm,
    Concurrency,
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
        KeysCommand::Show(args) => {
            let shown = with_existing_ledger(&settings, async |ledger| {
                keys::show_key(ledger, &args.key, Clock::system().now()).await
            });
            print_answer(shown, args.json, detail)
        }
        KeysCommand::Update(args) => update(&settings, *args),
        KeysCommand::Revoke(args) => {
            let revoked = with_existing_ledger(&settings, async |ledger| {
                keys::revoke_key(ledger, &args.key, actor()).await
            });
            let revoked = revoked.map(|id| json!({ "id": id, "revoked": true }));
            print_answer(revoked, args.json, |_| {
                let key = args.key;
                format!("revoked {key}; running servers refuse it within two seconds")
            })
        }
        KeysCommand::Rotate(args) => {
            let rotated = with_existing_ledger(&settings, async |ledger| {
                keys::rotate_key(ledger, &args.key, actor()).await
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
        return ExitCode::from(EXIT_USAGE);
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
        keys::create_key(ledger, &spec, Clock::system().now(), actor()).await
    });
    print_answer(created, args.json, secret)
}

fn update(settings: &Settings, args: UpdateArgs) -> ExitCode {
    let clear = args.clear;
    let limits = args.limits;
    // A value and its removal at once: the removal would win without a word.
    let named = [
        (ClearedField::Team, args.team.is_some()),
        (ClearedField::Owner, args.owner.is_some()),
        (ClearedField::Expires, args.expires.is_some()),
        (ClearedField::Models, args.models.is_some()),
        (ClearedField::Routes, args.routes.is_some()),
        (ClearedField::Rpm, limits.rpm.is_some()),
        (ClearedField::Tpm, limits.tpm.is_some()),
        (ClearedField::Concurrency, limits.concurrency.is_some()),
    ];
    if named
        .iter()
        .any(|(field, is_set)| *is_set && clear.contains(field))
    {
        print_error("error: a value is both set and in --clear; use one of the two");
        return ExitCode::from(EXIT_USAGE);
    }
    let all =
        |list: Option<Vec<String>>, field| list.or_else(|| clear.contains(&field).then(Vec::new));
    let spec = KeyUpdateSpec {
        name: args.name,
        team: or_cleared(args.team, clear.contains(&ClearedField::Team)),
        owner: or_cleared(args.owner, clear.contains(&ClearedField::Owner)),
        expires: or_cleared(args.expires, clear.contains(&ClearedField::Expires)),
        models: all(args.models, ClearedField::Models),
        routes: all(args.routes, ClearedField::Routes),
        requests_per_minute: or_cleared(limits.rpm, clear.contains(&ClearedField::Rpm)),
        tokens_per_minute: or_cleared(limits.tpm, clear.contains(&ClearedField::Tpm)),
        concurrency: or_cleared(
            limits.concurrency,
            clear.contains(&ClearedField::Concurrency),
        ),
    };
    let updated = with_existing_ledger(settings, async |ledger| {
        keys::update_key(ledger, &args.key, &spec, Clock::system().now(), actor()).await
    });
    print_answer(updated, args.json, |key| {
        format!(
            "{} is changed; running servers know within two seconds",
            key.name
        )
    })
}

fn or_cleared<T>(value: Option<T>, is_cleared: bool) -> FieldEdit<T> {
    match value {
        Some(value) => FieldEdit::Set(value),
        None if is_cleared => FieldEdit::Remove,
        None => FieldEdit::Keep,
    }
}

/// A key for a person, a line each.
fn detail(detail: &KeyDetail) -> String {
    let KeyDetail {
        key,
        state,
        budgets,
    } = detail;
    let or_all = |list: String| {
        if list.is_empty() {
            "all".to_owned()
        } else {
            list
        }
    };
    let routes: Vec<&str> = key.routes.iter().map(|route| route.as_str()).collect();
    let expires = key.expires_at.map(|at| at.to_string());
    let limits = rate_limits(key.limits);
    let mut lines = vec![
        (
            "key",
            format!("{} ({}, ends in {})", key.name, key.id, key.ending),
        ),
        ("state", state.as_str().to_owned()),
        (
            "team",
            key.team.clone().unwrap_or_else(|| "none".to_owned()),
        ),
        (
            "owner",
            key.owner.clone().unwrap_or_else(|| "none".to_owned()),
        ),
        ("created", key.created_at.to_string()),
        ("expires", expires.unwrap_or_else(|| "never".to_owned())),
        ("models", or_all(key.models.join(", "))),
        ("routes", or_all(routes.join(", "))),
        (
            "limits",
            if limits.is_empty() {
                "none".to_owned()
            } else {
                limits
            },
        ),
    ];
    if let Some(at) = key.revoked_at {
        lines.push(("revoked", at.to_string()));
    }
    lines.extend(budgets.iter().map(|line| ("budget", budget(line))));
    let lines = lines
        .iter()
        .map(|(label, value)| format!("{label:<8} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// `5.00 USD/day metered, 1.20 spent, 0 reserved`
fn budget(line: &BudgetLine) -> String {
    let resets = line.resets_at.map(|at| format!(", resets at {at}"));
    format!(
        "{} USD/{} {}: {} spent, {} reserved{}",
        Usd::from_nanos(line.nanos),
        line.window.as_str(),
        line.billing.as_str(),
        Usd::from_nanos(line.spent_nanos),
        Usd::from_nanos(line.reserved_nanos),
        resets.unwrap_or_default()
    )
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
        let state = match (KeyState::of(key, now), key.expires_at) {
            (KeyState::Live, Some(at)) => format!("until {}", at.strftime("%Y-%m-%d")),
            (state, _) => state.as_str().to_owned(),
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
