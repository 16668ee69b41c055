//! `codex-gateway budgets`: works on the store, beside servers that may be running and notice the
//! change by themselves. Checks nothing itself: `administration.rs` does.

use std::process::ExitCode;

use clap::Subcommand;
use gateway_policy::money::Usd;

use crate::administration;
use crate::administration::budget_lines::{self, BudgetLine};
use crate::administration::spec::{self, BudgetSpec};
use crate::cli::output::{JsonArgs, print_answer};
use crate::cli::settings;
use crate::cli::store::{actor, with_existing_ledger, with_ledger};
use crate::cli::table::Table;
use crate::config::Overrides;

/// Subcommands of `budgets`.
#[derive(Debug, Subcommand)]
pub(super) enum BudgetsCommand {
    /// Set the budget of a scope for a window and a kind of cost.
    #[command(allow_missing_positional = true)]
    Set {
        /// gateway, team:NAME, repo:HOST/PATH or key:ID.
        #[arg(required_unless_present = "repo")]
        scope: Option<String>,
        /// A repository, such as github.com/acme/shop, instead of a scope. What clients say decides
        /// which requests it counts.
        #[arg(long, value_name = "REPO", conflicts_with = "scope")]
        repo: Option<String>,
        /// An amount of USD and a window, such as 5.00/day.
        amount: String,
        /// Share of the budget from which the log and the metrics warn, such as 80%.
        #[arg(long, value_name = "PERCENT")]
        soft: Option<String>,
        /// Which costs the budget counts: metered or plan.
        #[arg(long, value_name = "KIND")]
        billing: Option<String>,
    },
    /// List all budgets with what is spent of them.
    List(JsonArgs),
    /// Delete a budget.
    #[command(allow_missing_positional = true)]
    Delete {
        /// gateway, team:NAME, repo:HOST/PATH or key:ID.
        #[arg(required_unless_present = "repo")]
        scope: Option<String>,
        /// A repository, instead of a scope.
        #[arg(long, value_name = "REPO", conflicts_with = "scope")]
        repo: Option<String>,
        /// day, week, month or total.
        window: String,
        /// metered or plan.
        #[arg(long, value_name = "KIND")]
        billing: Option<String>,
    },
}

/// Runs `budgets`.
pub(super) fn run(overrides: &Overrides, command: BudgetsCommand) -> ExitCode {
    let settings = match settings::load_for_store(overrides) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match command {
        BudgetsCommand::Set {
            scope,
            repo,
            amount,
            soft,
            billing,
        } => {
            let scope = of(scope, repo);
            let spec = BudgetSpec {
                amount,
                soft,
                billing,
            };
            let set = with_ledger(&settings, async |ledger| {
                administration::put_budget(ledger, &scope, &spec, actor()).await
            });
            let amount = &spec.amount;
            print_answer(set, false, |()| format!("{scope} may spend {amount}"))
        }
        BudgetsCommand::List(args) => {
            let budgets = with_existing_ledger(&settings, budget_lines::budgets);
            print_answer(budgets, args.json, |budgets| table(budgets))
        }
        BudgetsCommand::Delete {
            scope,
            repo,
            window,
            billing,
        } => {
            let scope = of(scope, repo);
            let deleted = with_existing_ledger(&settings, async |ledger| {
                let window = spec::window(&window)?;
                let billing = spec::billing(billing.as_deref())?;
                administration::delete_budget(ledger, &scope, window, billing, actor()).await
            });
            print_answer(deleted, false, |()| {
                format!("the {window} budget of {scope} is deleted")
            })
        }
    }
}

/// The scope that was named, in either way.
fn of(scope: Option<String>, repo: Option<String>) -> String {
    let repo = repo.map(|repo| format!("repo:{repo}"));
    scope.or(repo).unwrap_or_default()
}

fn table(budgets: &[BudgetLine]) -> String {
    let mut table = Table::left(&[
        "scope",
        "name",
        "owner",
        "window",
        "billing",
        "USD",
        "spent",
        "reserved",
        "soft",
        "resets at",
    ]);
    for line in budgets {
        let soft = line.soft_percent.map(|percent| format!("{percent}%"));
        let resets_at = line.resets_at.map(|at| at.to_string());
        table.row(vec![
            line.scope.clone(),
            line.name.clone().unwrap_or_default(),
            line.owner.clone().unwrap_or_default(),
            line.window.as_str().to_owned(),
            line.billing.as_str().to_owned(),
            Usd::from_nanos(line.nanos).to_string(),
            Usd::from_nanos(line.spent_nanos).to_string(),
            Usd::from_nanos(line.reserved_nanos).to_string(),
            soft.unwrap_or_default(),
            resets_at.unwrap_or_default(),
        ]);
    }
    table.render()
}
