//! `codex-gateway keys`, `teams`, `budgets`: team administration against the store, beside servers
//! that may be running and notice the change by themselves. Checks nothing itself: `administration.rs`
//! does.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_ledger::{KeyRecord, Ledger};
use gateway_policy::limit::Limits;

use crate::administration::{self, AdminError, BudgetLine, BudgetSpec, KeySpec, ShownKey};
use crate::cli::output::{print_error, print_json, print_out};
use crate::cli::table::{Side, Table};
use crate::cli::{settings, store};
use crate::clock::Clock;
use crate::config::{Overrides, Settings};
use crate::data_dir;

/// Who did it, in the audit log.
const ACTOR: &str = "cli";

/// Subcommands of `keys`.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key; it is shown this one time.
    Create(Box<CreateArgs>),
    /// List all keys, the revoked ones too.
    List(JsonArgs),
    /// Stop a key for good.
    Revoke(OneKey),
    /// Give a key another secret; the old one stops working.
    Rotate(OneKey),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What to call it.
    #[arg(long)]
    name: String,
    /// Its team; made if there is none of that name.
    #[arg(long)]
    team: Option<String>,
    /// Whose it is.
    #[arg(long)]
    owner: Option<String>,
    /// When it stops working by itself: 90d, or 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Globs over the models it may use; without, all.
    #[arg(long, value_name = "GLOB,…", value_delimiter = ',')]
    models: Vec<String>,
    /// The auth routes it may use; without, all.
    #[arg(long, value_name = "ROUTE,…", value_delimiter = ',')]
    routes: Vec<String>,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    speed: SpeedArgs,
    /// Answer {"id","key"}.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct BudgetArgs {
    /// An amount of USD and a window (day, week, month, total), such as 5.00/day. May be given
    /// several times.
    #[arg(long = "budget", value_name = "USD/WINDOW")]
    budgets: Vec<String>,
    /// From what share on the log and the metrics warn, such as 80%.
    #[arg(long, value_name = "PERCENT")]
    soft: Option<String>,
    /// Which money the budget counts: metered or plan.
    #[arg(long, value_name = "KIND")]
    billing: Option<String>,
}

impl BudgetArgs {
    fn specs(&self) -> Vec<BudgetSpec> {
        self.budgets
            .iter()
            .map(|amount| BudgetSpec {
                amount: amount.clone(),
                soft: self.soft.clone(),
                billing: self.billing.clone(),
            })
            .collect()
    }
}

#[derive(Debug, Args)]
pub(super) struct SpeedArgs {
    /// Requests per minute.
    #[arg(long, value_name = "N")]
    rpm: Option<u64>,
    /// Input and output tokens per minute.
    #[arg(long, value_name = "N")]
    tpm: Option<u64>,
    /// Exchanges at a time.
    #[arg(long, value_name = "N")]
    concurrency: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct JsonArgs {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct OneKey {
    /// The key's id, or its name where only one live key has it.
    key: String,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Subcommands of `teams`.
#[derive(Debug, Subcommand)]
pub(super) enum TeamsCommand {
    /// Make a team, or replace its limits on speed.
    #[command(alias = "set")]
    Create {
        name: String,
        #[command(flatten)]
        speed: SpeedArgs,
    },
    /// List all teams.
    List(JsonArgs),
    /// Delete a team and its budgets; refused while live keys belong to it.
    Delete { name: String },
}

/// Subcommands of `budgets`.
#[derive(Debug, Subcommand)]
pub(super) enum BudgetsCommand {
    /// Set the budget of a scope for its window and kind of money.
    Set {
        /// gateway, team:NAME or key:ID.
        scope: String,
        /// An amount of USD and a window, such as 5.00/day.
        amount: String,
        /// From what share on the log and the metrics warn, such as 80%.
        #[arg(long, value_name = "PERCENT")]
        soft: Option<String>,
        /// Which money it counts: metered or plan.
        #[arg(long, value_name = "KIND")]
        billing: Option<String>,
    },
    /// List all budgets and where they stand.
    List(JsonArgs),
    /// Take a budget away.
    Delete {
        /// gateway, team:NAME or key:ID.
        scope: String,
        /// day, week, month or total.
        window: String,
        /// metered or plan.
        #[arg(long, value_name = "KIND")]
        billing: Option<String>,
    },
}

/// Runs `keys`.
pub(super) fn keys(overrides: &Overrides, command: KeysCommand) -> ExitCode {
    match command {
        KeysCommand::Create(args) => {
            let spec = KeySpec {
                name: args.name,
                team: args.team,
                owner: args.owner,
                expires: args.expires,
                models: args.models,
                routes: args.routes,
                budgets: args.budget.specs(),
                requests_per_minute: args.speed.rpm,
                tokens_per_minute: args.speed.tpm,
                concurrency: args.speed.concurrency,
            };
            if args.budget.budgets.is_empty()
                && (args.budget.soft.is_some() || args.budget.billing.is_some())
            {
                print_error("error: --soft and --billing belong to a --budget");
                return ExitCode::FAILURE;
            }
            let made = with_ledger(overrides, async |ledger| {
                administration::create_key(ledger, &spec, Clock::system().now(), ACTOR).await
            });
            show_key(made, args.json)
        }
        KeysCommand::List(args) => {
            let listed = with_ledger(overrides, async |ledger| Ok(ledger.keys().await?));
            answer(listed, args.json, |keys| key_table(keys))
        }
        KeysCommand::Revoke(args) => {
            let revoked = with_ledger(overrides, async |ledger| {
                let id = administration::revoke_key(ledger, &args.key, ACTOR).await?;
                Ok(serde_json::json!({ "id": id, "revoked": true }))
            });
            answer(revoked, args.json, |_| {
                format!(
                    "revoked {}; running servers refuse it within two seconds",
                    args.key
                )
            })
        }
        KeysCommand::Rotate(args) => {
            let rotated = with_ledger(overrides, async |ledger| {
                administration::rotate_key(ledger, &args.key, ACTOR).await
            });
            show_key(rotated, args.json)
        }
    }
}

/// Runs `teams`.
pub(super) fn teams(overrides: &Overrides, command: TeamsCommand) -> ExitCode {
    match command {
        TeamsCommand::Create { name, speed } => {
            let put = with_ledger(overrides, async |ledger| {
                let limits = administration::limits(speed.rpm, speed.tpm, speed.concurrency)?;
                administration::put_team(ledger, &name, limits, ACTOR).await
            });
            answer(put, false, |()| format!("team {name} is set"))
        }
        TeamsCommand::List(args) => {
            let listed = with_ledger(overrides, async |ledger| Ok(ledger.teams().await?));
            answer(listed, args.json, |teams| {
                let mut table = table(&["team", "limits"]);
                for team in teams {
                    table.row(vec![team.name.clone(), speed(team.limits)]);
                }
                table.render()
            })
        }
        TeamsCommand::Delete { name } => {
            let deleted = with_ledger(overrides, async |ledger| {
                administration::delete_team(ledger, &name, ACTOR).await
            });
            answer(deleted, false, |()| format!("team {name} is deleted"))
        }
    }
}

/// Runs `budgets`.
pub(super) fn budgets(overrides: &Overrides, command: BudgetsCommand) -> ExitCode {
    match command {
        BudgetsCommand::Set {
            scope,
            amount,
            soft,
            billing,
        } => {
            let spec = BudgetSpec {
                amount,
                soft,
                billing,
            };
            let set = with_ledger(overrides, async |ledger| {
                administration::put_budget(ledger, &scope, &spec, ACTOR).await
            });
            answer(set, false, |()| {
                format!("{scope} may spend {}", spec.amount)
            })
        }
        BudgetsCommand::List(args) => {
            let listed = with_ledger(overrides, async |ledger| {
                administration::budgets(ledger).await
            });
            answer(listed, args.json, |lines| budget_table(lines))
        }
        BudgetsCommand::Delete {
            scope,
            window,
            billing,
        } => {
            let deleted = with_ledger(overrides, async |ledger| {
                let window = administration::window(&window)?;
                let billing = administration::billing(billing.as_deref())?;
                administration::delete_budget(ledger, &scope, window, billing, ACTOR).await
            });
            answer(deleted, false, |()| {
                format!("the {window} budget of {scope} is gone")
            })
        }
    }
}

/// Runs one change on the store that the configuration names.
fn with_ledger<T, F>(overrides: &Overrides, command: F) -> Result<T, ExitCode>
where
    F: AsyncFnOnce(&Ledger) -> Result<T, AdminError>,
{
    let settings = settings::load_for_store(overrides)?;
    on_store(&settings, command)
}

/// The same where the configuration is read already.
pub(super) fn on_store<T, F>(settings: &Settings, command: F) -> Result<T, ExitCode>
where
    F: AsyncFnOnce(&Ledger) -> Result<T, AdminError>,
{
    let failed = |error: anyhow::Error| {
        print_error(&format!("error: {error:#}"));
        ExitCode::FAILURE
    };
    data_dir::ensure(&settings.data_dir).map_err(|error| failed(error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.into()))?;
    runtime
        .block_on(async {
            let ledger = Ledger::attach(store::options(settings)).await?;
            let answer = command(&ledger).await;
            ledger.close().await;
            answer
        })
        .map_err(|error| failed(error.into()))
}

fn answer<T: serde::Serialize>(
    outcome: Result<T, ExitCode>,
    json: bool,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    match outcome {
        Ok(value) if json => print_json(&value),
        Ok(value) => {
            print_out(&text(&value));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn show_key(shown: Result<ShownKey, ExitCode>, json: bool) -> ExitCode {
    answer(shown, json, |shown| {
        format!(
            "{}\n\nid {}; the key is shown this one time and is stored as a hash only",
            shown.key, shown.id
        )
    })
}

fn table(titles: &[&str]) -> Table {
    Table::new(
        titles
            .iter()
            .map(|title| ((*title).to_owned(), Side::Left))
            .collect(),
    )
}

fn key_table(keys: &[KeyRecord]) -> String {
    let mut table = table(&[
        "id", "name", "team", "owner", "ends in", "state", "models", "routes", "limits",
    ]);
    let now = Clock::system().now();
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
            speed(key.limits),
        ]);
    }
    table.render()
}

/// Dollars with four decimals, rounded down in size.
pub(super) fn usd(nanos: i64) -> String {
    let cents = nanos / 100_000;
    format!(
        "{}{}.{:04}",
        if cents < 0 { "-" } else { "" },
        (cents / 10_000).abs(),
        (cents % 10_000).abs()
    )
}

pub(super) fn speed(limits: Limits) -> String {
    [
        (limits.requests_per_minute, "rpm"),
        (limits.tokens_per_minute, "tpm"),
        (limits.concurrency, "at a time"),
    ]
    .into_iter()
    .filter_map(|(limit, unit)| Some(format!("{} {unit}", limit?)))
    .collect::<Vec<_>>()
    .join(", ")
}

fn budget_table(lines: &[BudgetLine]) -> String {
    let mut table = table(&[
        "scope",
        "window",
        "billing",
        "USD",
        "spent",
        "set aside",
        "soft",
        "begins anew",
    ]);
    for line in lines {
        table.row(vec![
            line.scope.clone(),
            line.window.as_str().to_owned(),
            line.billing.as_str().to_owned(),
            usd(line.nanos),
            usd(line.spent_nanos),
            usd(line.reserved_nanos),
            line.soft_percent
                .map(|percent| format!("{percent}%"))
                .unwrap_or_default(),
            line.resets_at.map(|at| at.to_string()).unwrap_or_default(),
        ]);
    }
    table.render()
}
