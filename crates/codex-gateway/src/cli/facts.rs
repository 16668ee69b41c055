//! `codex-gateway facts`: models that upstreams were seen to refuse. Running servers notice a
//! `clear` within two seconds.

use std::process::ExitCode;

use gateway_policy::ModelId;

use crate::cli::output::{print_json, print_out};
use crate::cli::settings;
use crate::cli::store::{actor, with_existing_ledger};
use crate::cli::table::{Side, Table};
use crate::config::Overrides;
use crate::reports::facts::{Cleared, FactsReport};

/// Arguments of `facts`.
#[derive(Debug, clap::Args)]
pub(super) struct FactsArgs {
    #[command(subcommand)]
    command: FactsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum FactsCommand {
    /// The refusals that are believed at present.
    List {
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Forget them; the upstreams are asked again.
    Clear {
        /// Only those about this model.
        #[arg(long)]
        model: Option<ModelId>,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Lists or clears.
pub(super) fn run(overrides: &Overrides, args: FactsArgs) -> ExitCode {
    answer(overrides, args.command).unwrap_or_else(|code| code)
}

fn answer(overrides: &Overrides, command: FactsCommand) -> Result<ExitCode, ExitCode> {
    let settings = settings::load_for_store(overrides)?;
    match command {
        FactsCommand::List { json } => {
            let facts =
                with_existing_ledger(&settings, async |ledger| ledger.model_refusals().await)?;
            let report = FactsReport { facts };
            if json {
                return Ok(print_json(&report));
            }
            print_out(&text(&report));
        }
        FactsCommand::Clear { model, json } => {
            let cleared = with_existing_ledger(&settings, async |ledger| {
                let model = model.as_ref().map(ModelId::as_str);
                ledger.clear_model_refusals(model, actor()).await
            })?;
            if json {
                return Ok(print_json(&Cleared { cleared }));
            }
            print_out(&format!("{cleared} forgotten"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &FactsReport) -> String {
    if report.facts.is_empty() {
        return "no model refusals are known".to_owned();
    }
    let head = [
        "model", "upstream", "route", "plan", "caller", "until", "evidence",
    ];
    let mut table = Table::new(head.map(|title| (title.to_owned(), Side::Left)).to_vec());
    for fact in &report.facts {
        table.row(vec![
            fact.model.clone(),
            fact.upstream.clone(),
            fact.route.to_string(),
            fact.plan.clone().unwrap_or_default(),
            fact.credential.clone().unwrap_or_default(),
            fact.expires_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            fact.evidence.clone(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use gateway_ledger::ModelRefusal;
    use gateway_policy::AuthRoute;

    use super::*;

    #[test]
    fn refusals_are_a_table() {
        let report = FactsReport {
            facts: vec![ModelRefusal {
                upstream: "chatgpt".to_owned(),
                route: AuthRoute::Chatgpt,
                plan: Some("plus".to_owned()),
                credential: Some("0011223344556677".to_owned()),
                model: "gpt-5.5".to_owned(),
                evidence: "model_not_found: no such model".to_owned(),
                learned_at: "2026-11-20T12:00:00Z".parse().unwrap(),
                expires_at: "2026-11-20T12:10:00Z".parse().unwrap(),
            }],
        };
        insta::assert_snapshot!(text(&report));
        assert_eq!(
            text(&FactsReport { facts: Vec::new() }),
            "no model refusals are known"
        );
    }
}
