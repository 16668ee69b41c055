//! The catalogue with its prices, a form that asks what would happen, and what upstreams refused.

use std::sync::Arc;

use axum::extract::State;
use gateway_ledger::{Ledger, ModelRefusal};
use gateway_policy::{Access, AuthRoute};
use maud::{Markup, html};

use crate::config::active::ActiveConfig;
use crate::error::GatewayError;
use crate::http::admin::policy::believed;
use crate::http::admin::query::{Optional, Query};
use crate::http::pages::format::{grouped, moment};
use crate::http::pages::layout::{badge, empty, table};
use crate::http::pages::page::{Failed, Page, Sources};
use crate::reports::explain::{ExplainQuery, Explained, explain, explain_with_key};
use crate::reports::models::{ModelLine, models};

pub(super) async fn page(
    State(sources): State<Sources>,
    asked: Result<Optional<Query<ExplainQuery>>, GatewayError>,
) -> Result<Page, Failed> {
    let config = sources.config.load_full();
    let (asked, problem) = match asked {
        Ok(Optional(asked)) => (asked.map(|Query(query)| query), None),
        Err(error) => (None, Some(error.message)),
    };
    let answer = match &asked {
        Some(query) => Some(explained(&sources, &config, query).await?),
        None => None,
    };
    let day = sources.clock.date();
    let report = models(&config.settings, None, day);
    let lines: Vec<Vec<Markup>> = report.models.iter().map(line).collect();
    let content = html! {
        h2 { "What would happen?" }
        (form(asked.as_ref()))
        @if let Some(problem) = problem { p.warn { (problem) } }
        @if let Some(answer) = answer { (explanation(&answer)) }
        (refusals(&believed(&sources.learned)))
        @if lines.is_empty() {
            (empty("No auth route has an upstream.", &html! { "Add one to " code { "[routes]" } "." }))
        } @else {
            (table(
                "Models, and USD per million tokens",
                &["Model", "Standing", "#Context", "#Input", "#Cached", "#Output", "Routes", "Price's source"],
                &lines,
            ))
        }
        p.muted { "Price table " (report.price_version) }
    };
    Ok(Page {
        title: "Models".to_owned(),
        place: "/dashboard/models",
        content,
    })
}

/// The same call as `/api/explain`.
async fn explained(
    sources: &Sources,
    config: &Arc<ActiveConfig>,
    query: &ExplainQuery,
) -> Result<Explained, Failed> {
    let (settings, places) = (&config.settings, &config.places);
    let day = sources.clock.date();
    let ledger: &Ledger = &sources.ledger;
    let answer = if query.needs_store() {
        explain_with_key(ledger, settings, places, query, (day, sources.clock.now())).await?
    } else {
        explain(settings, places, query, day)
    };
    Ok(answer.with_learned(believed(&sources.learned), query.plan.as_deref()))
}

fn form(asked: Option<&ExplainQuery>) -> Markup {
    let text = |read: fn(&ExplainQuery) -> Option<&str>| asked.and_then(read).unwrap_or_default();
    let model = asked.map(|it| it.model.to_string()).unwrap_or_default();
    html! {
        form.row action="/dashboard/models" method="get" {
            label { "Sign-in"
                select name="route" {
                    @for route in AuthRoute::ALL {
                        option value=(route.as_str())
                            selected[asked.is_some_and(|it| it.route == route)] { (route.as_str()) }
                    }
                }
            }
            label { "Model" input name="model" required value=(model) placeholder="gpt-5.5"; }
            label { "Effort" input name="effort" value=(text(|it| it.effort.as_deref())); }
            label { "Team" input name="team" value=(text(|it| it.team.as_deref())); }
            label { "Gateway key" input name="key" value=(text(|it| it.key.as_deref())); }
            label { "Repository" input name="repo" value=(text(|it| it.repo.as_deref())); }
            button.main { "Explain" }
        }
    }
}

/// What `explain` answers.
pub(super) fn explanation(answer: &Explained) -> Markup {
    let it = &answer.explanation;
    let decision = it
        .decision
        .map_or("no upstream", |decision| decision.as_str());
    html! {
        div.card {
            dl.facts {
                dt { "Request" } dd { (it.model_requested) " by " (it.route.as_str()) ", " (it.kind.as_str()) }
                dt { "Decision" } dd { (badge(if it.rejection.is_some() { "bad" } else { "good" }, decision)) }
                @for rule in &it.rules {
                    dt { "Rule" }
                    dd { "“" (rule.rule.name) "” " (rule.did)
                        @if let Some(place) = &rule.place { ", " code { (place) } } }
                }
                @if it.rules.is_empty() { dt { "Rule" } dd { "none matches" } }
                @if let (Some(model), Some(upstream)) = (&it.model_served, &it.upstream) {
                    dt { "Served by" } dd { (model) " at " (upstream) }
                }
                @if let Some(message) = &it.message { dt { "Message" } dd { (message) } }
                @for next in &it.fallbacks {
                    dt { "If refused" }
                    dd { (next.model)
                        @if let Some(why) = &next.skipped { span.muted { ", skipped: " (why) } } }
                }
                @if let Some(context) = &answer.key_context {
                    @if let Some(refused) = &context.refused { dt { "Refused" } dd { (refused.message) } }
                }
                @if let Some(price) = &answer.price { dt { "Price" } dd { "$ " (price.short()) " per million tokens (input / cached / output)" } }
                @for said in &it.statements {
                    dt { "Source" } dd { (said.text) span.muted { " · " (said.title) ", " (said.date) } }
                }
                @for note in &it.notes { dt { "Note" } dd { (note) } }
                dt { "Configuration" } dd { code { (answer.config) } }
            }
        }
    }
}

fn refusals(facts: &[ModelRefusal]) -> Markup {
    if facts.is_empty() {
        return html! { p.muted { "No upstream is known to refuse a model at present." } };
    }
    let rows: Vec<Vec<Markup>> = facts
        .iter()
        .map(|fact| {
            vec![
                html! { (fact.model) },
                html! { (fact.upstream) },
                html! { (fact.evidence) },
                moment(fact.learned_at),
                moment(fact.expires_at),
                html! {
                    button type="button" data-sure="Forget it?"
                        data-api={ "DELETE facts?model=" (crate::http::pages::exchanges::encoded(&fact.model)) } {
                        "Clear"
                    }
                },
            ]
        })
        .collect();
    table(
        "Models that upstreams refused",
        &[
            "Model",
            "Upstream",
            "What it said",
            "Learned",
            "Until",
            "Change",
        ],
        &rows,
    )
}

fn line(line: &ModelLine<'_>) -> Vec<Markup> {
    let rates = line.price.usd_per_million_tokens;
    let context = line
        .context
        .map(|tokens| grouped(i64::try_from(tokens).unwrap_or(i64::MAX)));
    let routes = line.routes.iter().map(|(route, it)| {
        let (class, word) = match &it.access {
            Access::Served { .. } => ("good", route.to_string()),
            Access::Rewritten { to, .. } => ("near", format!("{route} → {to}")),
            Access::Rejected { .. } => ("bad", format!("{route}: rejected")),
            Access::Refused { .. } => ("near", format!("{route}: refused")),
            Access::Unrouted => ("", format!("{route}: no upstream")),
        };
        badge(class, &word)
    });
    vec![
        html! { strong { (line.model) } },
        html! { @if let Some(standing) = line.standing { (format!("{standing:?}").to_lowercase()) } @else { "–" } },
        html! { (context.as_deref().unwrap_or("–")) },
        html! { @if let Some(rates) = rates { (rates.input) } @else { "–" } },
        html! { @if let Some(rates) = rates { (rates.cached_input()) } @else { "–" } },
        html! { @if let Some(rates) = rates { (rates.output) } @else { "–" } },
        html! { @for route in routes { (route) " " } },
        html! {
            @match &line.price.row {
                Some(row) => span.muted { (row.source) @if !row.verified { " (not verified)" } },
                None => span.muted { (line.price.unpriced.as_deref().unwrap_or_default()) },
            }
        },
    ]
}
