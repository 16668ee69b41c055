//! `codex-gateway explain`: what would happen to a request and which rule decides. Sends nothing
//! and needs no server.

use std::process::ExitCode;

use gateway_policy::explain::{ExplainedChain, ExplainedRule};
use gateway_policy::money::Usd;
use gateway_policy::{AttemptReason, DecisionKind, Explanation, RuleOrigin};
use gateway_wire::WireApi;

use crate::cli::output::{print_json, print_out};
use crate::cli::rate_limits::rate_limits;
use crate::cli::settings;
use crate::cli::store::with_existing_ledger;
use crate::clock::Clock;
use crate::config::{Overrides, SecretsRead};
use crate::reports::explain::{ExplainQuery, Explained, KeyContext, explain, explain_with_key};
use crate::reports::price_tag;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    query: ExplainQuery,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Answers, also when the answer is a rejection.
pub(super) fn run(overrides: &Overrides, args: ExplainArgs) -> ExitCode {
    let (settings, places) = match settings::load(overrides, SecretsRead::None) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let ExplainArgs { query, json } = args;
    let day = Clock::system().date();
    let answer = if query.needs_store() {
        let when = (day, Clock::system().now());
        let asked = with_existing_ledger(&settings, async |ledger| {
            explain_with_key(ledger, &settings, &places, &query, when).await
        });
        match asked {
            Ok(answer) => answer,
            Err(code) => return code,
        }
    } else {
        explain(&settings, &places, &query, day)
    };
    if json {
        return print_json(&answer);
    }
    print_out(&text(&answer));
    ExitCode::SUCCESS
}

/// For a person.
fn text(answer: &Explained) -> String {
    let it = &answer.explanation;
    let mut lines = Lines::default();
    lines.add(
        "request",
        format!(
            "{} on the {} route ({}, {})",
            it.model_requested,
            it.route,
            it.endpoint.as_str(),
            it.kind
        ),
    );
    lines.add("config", answer.config.clone());
    lines.add("decision", decision(it));
    for rule in &it.rules {
        lines.add("rule", self::rule(rule));
    }
    if it.rules.is_empty() {
        lines.add("rule", "none matches".to_owned());
    }
    if let (Some(model), Some(upstream)) = (&it.model_served, &it.upstream) {
        lines.add("model", model.to_string());
        let wire = it.wire.map_or("", WireApi::as_str);
        let base = it.base_url.as_deref().unwrap_or_default();
        lines.add("upstream", format!("{upstream} ({base}, {wire})"));
    }
    if let Some(message) = &it.message {
        lines.add("message", message.clone());
    }
    if let Some(context) = &answer.key_context {
        key_context(&mut lines, context);
    }
    fallback(&mut lines, it);
    price(&mut lines, answer);
    for said in &it.statements {
        let past = if said.is_superseded {
            " (superseded)"
        } else {
            ""
        };
        lines.add(
            "source",
            format!(
                "{}: {}{past} [{} {}: {}]",
                said.model, said.text, said.source, said.date, said.title
            ),
        );
    }
    for note in &it.notes {
        lines.add("note", note.clone());
    }
    lines.lines.join("\n")
}

/// Labelled lines; a label that repeats is shown once.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    label: &'static str,
}

impl Lines {
    fn add(&mut self, label: &'static str, value: impl std::fmt::Display) {
        let shown = if self.label == label { "" } else { label };
        self.label = label;
        self.lines.push(format!("{shown:<9} {value}"));
    }
}

fn decision(it: &Explanation) -> String {
    let why = match it.reason {
        Some(AttemptReason::Requested) => ": the client requested it",
        Some(AttemptReason::Rule) => ": a rule chose it",
        Some(AttemptReason::Fallback) => ": the previous one refused",
        Some(AttemptReason::Sticky) => ": the session already moved there",
        Some(AttemptReason::Learned) => ": the previous one is known to refuse",
        None => "",
    };
    match it.decision {
        None => "refused: no upstream".to_owned(),
        Some(DecisionKind::Rejected) => "rejected (400 model_not_found)".to_owned(),
        Some(kind) => format!("{kind}{why}"),
    }
}

fn rule(rule: &ExplainedRule) -> String {
    let place = match (&rule.rule.origin, &rule.place) {
        (RuleOrigin::BuiltIn { source, date }, _) => format!("built in, {source} {date}"),
        (RuleOrigin::Operator { .. }, place) => place.clone().unwrap_or_default(),
    };
    format!("\"{}\" {} ({place})", rule.rule.name, rule.did)
}

fn fallback(lines: &mut Lines, it: &Explanation) {
    let origin = match &it.chain {
        None => return,
        Some(ExplainedChain::Operator { place, .. }) => place.clone().unwrap_or_default(),
        Some(ExplainedChain::BuiltIn { source, date }) => format!("built in, {source} {date}"),
    };
    let head = it.model_served.as_ref().unwrap_or(&it.model_requested);
    if it.fallbacks.is_empty() {
        lines.add("fallback", format!("none: the chain is empty ({origin})"));
    }
    for (position, fallback) in it.fallbacks.iter().enumerate() {
        let origin = if position == 0 {
            format!(" (if {head} is refused; {origin})")
        } else {
            String::new()
        };
        let model = &fallback.model;
        lines.add(
            "fallback",
            match (&fallback.upstream, &fallback.skipped) {
                (_, Some(why)) => format!("{model} skipped: {why}{origin}"),
                (Some(upstream), None) => format!("{model} at {upstream}{origin}"),
                (None, None) => format!("{model}{origin}"),
            },
        );
    }
}

/// What the store says of the key and the team.
fn key_context(lines: &mut Lines, context: &KeyContext) {
    if let Some(key) = &context.key {
        let state = key.state.as_str();
        let team = key.team.as_deref();
        let team = team
            .map(|team| format!(", team {team}"))
            .unwrap_or_default();
        let id = key.id.as_deref();
        let id = id.map(|id| format!(" ({id}{team})")).unwrap_or_default();
        lines.add("key", format!("{}{id}: {state}", key.name));
    }
    if let Some(refused) = &context.refused {
        lines.add("refused", format!("{}: {}", refused.code, refused.message));
    }
    for line in &context.budgets {
        let left = Usd::from_nanos(line.nanos.saturating_sub(line.spent_nanos));
        let reset = line.resets_at;
        let reset = reset
            .map(|at| format!(", resets at {at}"))
            .unwrap_or_default();
        lines.add(
            "budget",
            format!(
                "{}: {left} left of {} USD, {} ({}), {} reserved{reset}",
                line.scope,
                Usd::from_nanos(line.nanos),
                line.window.as_str(),
                line.billing.as_str(),
                Usd::from_nanos(line.reserved_nanos)
            ),
        );
    }
    for line in &context.limits {
        lines.add(
            "limit",
            format!("{}: {}", line.scope, rate_limits(line.limits)),
        );
    }
}

fn price(lines: &mut Lines, answer: &Explained) {
    let Some(tag) = &answer.price else { return };
    if let Some(reason) = &tag.unpriced {
        return lines.add("price", format!("unpriced: {reason}"));
    }
    if let Some(rates) = &tag.usd_per_million_tokens {
        let words = price_tag::words(rates);
        lines.add("price", format!("{words} (USD per million tokens)"));
    }
    if let Some((above, rates)) = tag.long() {
        let words = price_tag::words(&rates);
        lines.add("price", format!("above {above} input tokens: {words}"));
    }
    if let Some(row) = &tag.row {
        let verified = if row.verified {
            "verified"
        } else {
            "not verified"
        };
        lines.add("price", format!("from {} ({verified})", row.source));
    }
}

#[cfg(test)]
mod tests;
