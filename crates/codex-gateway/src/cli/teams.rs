//! `codex-gateway teams`: works on the store, beside servers that may be running and notice the
//! change by themselves. Checks nothing itself: `administration.rs` does.

use std::process::ExitCode;

use clap::Subcommand;
use gateway_ledger::TeamRecord;

use crate::administration;
use crate::cli::output::{JsonArgs, print_answer};
use crate::cli::rate_limits::{RateLimitArgs, rate_limits};
use crate::cli::settings;
use crate::cli::store::{actor, with_existing_ledger, with_ledger};
use crate::cli::table::Table;
use crate::config::Overrides;

/// Subcommands of `teams`.
#[derive(Debug, Subcommand)]
pub(super) enum TeamsCommand {
    /// Create a team, or replace its rate limits.
    #[command(alias = "set")]
    Create {
        name: String,
        #[command(flatten)]
        limits: RateLimitArgs,
    },
    /// List all teams.
    List(JsonArgs),
    /// Delete a team and its budgets; refused while it has live keys.
    Delete { name: String },
}

/// Runs `teams`.
pub(super) fn run(overrides: &Overrides, command: TeamsCommand) -> ExitCode {
    let settings = match settings::load_for_store(overrides) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match command {
        TeamsCommand::Create { name, limits } => {
            let put = with_ledger(&settings, async |ledger| {
                administration::put_team(ledger, &name, &limits.into(), actor()).await
            });
            print_answer(put, false, |()| format!("team {name} is set"))
        }
        TeamsCommand::List(args) => {
            let teams = with_existing_ledger(&settings, async |ledger| ledger.teams().await);
            print_answer(teams, args.json, |teams| table(teams))
        }
        TeamsCommand::Delete { name } => {
            let deleted = with_existing_ledger(&settings, async |ledger| {
                administration::delete_team(ledger, &name, actor()).await
            });
            print_answer(deleted, false, |()| format!("team {name} is deleted"))
        }
    }
}

fn table(teams: &[TeamRecord]) -> String {
    let mut table = Table::left(&["team", "limits"]);
    for team in teams {
        table.row(vec![team.name.clone(), rate_limits(team.limits)]);
    }
    table.render()
}
