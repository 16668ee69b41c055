//! `codex-gateway models`: the catalogue as a table, or whole as JSON.

use std::process::ExitCode;

use gateway_policy::{Access, AuthRoute, ModelId};

use crate::cli::output::{print_json, print_out};
use crate::cli::settings;
use crate::cli::table::{Side, Table};
use crate::clock::Clock;
use crate::config::{Overrides, SecretsRead};
use crate::reports::models::{ModelLine, ModelsReport, RouteLine, models};

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
pub(super) struct ModelsArgs {
    /// Only this auth route: chatgpt, api_key, gateway_key or anonymous.
    #[arg(long)]
    route: Option<AuthRoute>,
    /// Everything, in JSON: each statement with its source and date, whole price rows.
    #[arg(long)]
    json: bool,
}

/// Shows the catalogue.
pub(super) fn run(overrides: &Overrides, args: &ModelsArgs) -> ExitCode {
    let (settings, _) = match settings::load(overrides, SecretsRead::None) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let report = models(&settings, args.route, Clock::system().date());
    if args.json {
        return print_json(&report);
    }
    print_out(&text(&report, args.route));
    ExitCode::SUCCESS
}

fn text(report: &ModelsReport<'_>, route: Option<AuthRoute>) -> String {
    let on = route.map_or_else(|| "routes".to_owned(), |route| format!("on {route}"));
    let head = [
        ("model", Side::Left),
        ("standing", Side::Left),
        ("surfaces", Side::Left),
        (on.as_str(), Side::Left),
        ("in / cached / out", Side::Right),
        ("context", Side::Right),
        ("fallback", Side::Left),
        ("sources", Side::Left),
    ];
    let mut table = Table::new(head.map(|(title, side)| (title.to_owned(), side)).to_vec());
    for line in &report.models {
        table.row(vec![
            line.model.to_string(),
            standing(line),
            line.surfaces.join(" "),
            routes(line, route),
            line.price.short(),
            line.context
                .map(|tokens| tokens.to_string())
                .unwrap_or_default(),
            fallback(line),
            line.card
                .map(|card| card.sources().join(" "))
                .unwrap_or_default(),
        ]);
    }
    let sources: Vec<String> = report
        .sources
        .iter()
        .map(|source| format!("{:<3} {:<10}  {}", source.id, source.date, source.title))
        .collect();
    let sources = sources.join("\n");
    format!(
        "{}\nPrices are USD per million tokens, standard tier (price table {}). `--json` has \
         every statement with its source and date.\n\n{sources}\n",
        table.render(),
        report.price_version
    )
}

fn standing(line: &ModelLine<'_>) -> String {
    let standing = line.standing.map_or("", |standing| standing.as_str());
    match line.card.and_then(|card| card.successor.current()) {
        Some(successor) => format!("{standing}, then {successor}"),
        None => standing.to_owned(),
    }
}

fn routes(line: &ModelLine<'_>, route: Option<AuthRoute>) -> String {
    if let Some(found) = route.and_then(|route| line.routes.get(&route)) {
        return access(&found.access);
    }
    let usable = line
        .routes
        .iter()
        .filter(|(_, found)| found.access.is_visible());
    let names: Vec<String> = usable
        .map(|(route, found)| match &found.access {
            Access::Rewritten { to, .. } => format!("{route} (as {to})"),
            Access::Served { .. }
            | Access::Rejected { .. }
            | Access::Refused { .. }
            | Access::Unrouted => route.to_string(),
        })
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(" ")
    }
}

fn access(access: &Access) -> String {
    match access {
        Access::Served { upstream } => format!("served by {upstream}"),
        Access::Rewritten { to, upstream, rule } => {
            format!("{to} at {upstream} (\"{}\")", rule.name)
        }
        Access::Rejected { rule, .. } => format!("rejected (\"{}\")", rule.name),
        Access::Refused { upstream, .. } => format!("refused by {upstream}"),
        Access::Unrouted => "no upstream".to_owned(),
    }
}

/// The longest chain of any route: rules can shorten it for one of them.
fn fallback(line: &ModelLine<'_>) -> String {
    let chains = line
        .routes
        .values()
        .map(|found: &RouteLine| &found.fallback);
    let names: Vec<&str> = chains
        .max_by_key(|chain| chain.len())
        .into_iter()
        .flatten()
        .map(ModelId::as_str)
        .collect();
    names.join(" > ")
}

#[cfg(test)]
mod tests;
