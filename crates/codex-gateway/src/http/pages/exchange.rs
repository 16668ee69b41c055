//! One exchange: its attempts, its timing, what it used, how its cost comes about, and why it went
//! where it went.

use axum::extract::{Path, State};
use gateway_ledger::{EntryId, LedgerEntry};
use gateway_policy::{ModelId, PriceTable};
use gateway_wire::codex::RequestKind;
use gateway_wire::{Usage, WireApi};
use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::http::pages::exchanges::{cost, encoded, model, outcome};
use crate::http::pages::format::{duration, grouped, moment, money};
use crate::http::pages::layout::{badge, table, tile, tiles};
use crate::http::pages::models;
use crate::http::pages::page::{Failed, Page, Sources, not_found};
use crate::reports::explain::{ExplainQuery, explain};

pub(super) async fn page(
    State(sources): State<Sources>,
    Path(id): Path<String>,
) -> Result<Page, Failed> {
    let found = match EntryId::parse(&id) {
        Ok(id) => sources.ledger.exchange(&id).await?,
        Err(_) => None,
    };
    let entry = found.ok_or_else(|| {
        not_found("the ledger has no exchange with this id; it may be older than `retention`")
    })?;
    let config = sources.config.load_full();
    let settings = &config.settings;
    let (intent, result) = (&entry.intent, &entry.result);
    let (class, word) = outcome(&entry);
    let status = result
        .status
        .map_or_else(|| "–".to_owned(), |status| status.to_string());
    let content = html! {
        (tiles(&[
            tile("Ended", &badge(class, word), &html! { "HTTP status " (status) }),
            tile("Model", &model(&entry), &html! {
                (intent.dispatch.decision.as_str())
                @if let Some(rule) = &intent.dispatch.rule { " by rule “" (rule) "”" }
            }),
            tile("Cost", &cost(&entry), &html! { (result.cost.source.as_str().replace('_', " ")) }),
            tile("Took", &html! { (duration(result.duration_ms)) }, &html! {
                @if let Some(ttft) = result.ttft_ms { "first token after " (duration(ttft)) }
            }),
        ]))
        (waterfall(&entry))
        div.two {
            section { (arithmetic(&entry, &settings.prices.table)) }
            section { (attempts(&entry)) }
        }
        (facts(&entry))
        h2 { "Why" }
        p.lead {
            "What the present configuration decides about such a request; it may have changed since."
        }
        @match explained(&entry) {
            Some(query) => (models::explanation(&explain(
                settings, &config.places, &query, sources.clock.date(),
            ))),
            None => p { "The request named no model, so no rule was asked." },
        }
    };
    Ok(Page {
        title: format!("Exchange {id}"),
        place: "/dashboard/exchanges",
        content,
    })
}

/// The question that `explain` would be asked about this exchange.
fn explained(entry: &LedgerEntry) -> Option<ExplainQuery> {
    let intent = &entry.intent;
    let model = ModelId::new(intent.model_requested.as_deref()?).ok()?;
    let endpoint = match intent.endpoint.as_str() {
        "chat" => WireApi::Chat,
        _ => WireApi::Responses,
    };
    Some(ExplainQuery {
        endpoint,
        team: intent.attribution.team.clone(),
        kind: intent
            .turn
            .request_kind
            .as_deref()
            .and_then(RequestKind::parse)
            .unwrap_or_default(),
        repo: intent.turn.repo.clone(),
        ..ExplainQuery::new(intent.attribution.route, model)
    })
}

/// Waiting for the first token, then the rest.
fn waterfall(entry: &LedgerEntry) -> Markup {
    let total = entry.result.duration_ms.max(1);
    let Some(first) = entry.result.ttft_ms.map(|first| first.min(total)) else {
        return html! {};
    };
    let percent = |millis: u64| {
        format!(
            "{}.{:02}",
            millis * 100 / total,
            millis * 10_000 / total % 100
        )
    };
    let rest = total - first;
    html! {
        div.card {
            strong { "Timing" }
            svg.waterfall viewBox="0 0 100 10" preserveAspectRatio="none" role="img"
                aria-label={ "waited " (duration(first)) ", then answered for " (duration(rest)) } {
                rect.fill0 width=(percent(first)) height="10" {}
                rect.fill2 x=(percent(first)) width=(percent(rest)) height="10" {}
            }
            ul.legend {
                li { span.swatch.s0 {} "until the first token " (duration(first)) }
                li { span.swatch.s2 {} "the answer " (duration(rest)) }
            }
        }
    }
}

/// The cost line by line, from the price table in force.
fn arithmetic(entry: &LedgerEntry, prices: &PriceTable) -> Markup {
    let result = &entry.result;
    let model = entry
        .intent
        .dispatch
        .model_served
        .as_deref()
        .and_then(|id| ModelId::new(id).ok());
    let (Some(usage), Some(model)) = (result.usage, model) else {
        return no_arithmetic(&html! { "Its tokens are not known, so neither is its cost." });
    };
    let day = entry.intent.started_at.to_zoned(TimeZone::UTC).date();
    let applied = prices.lookup(&model, day, result.service_tier.as_deref(), usage.input());
    let Ok(applied) = applied else {
        return no_arithmetic(&html! {
            "The price table has no price for " (model) ": see "
            a href="/dashboard/models" { "Models" } "."
        });
    };
    let rates = applied.rates;
    let (new, cached, written) = (
        usage.uncached_input(),
        usage.cached_input(),
        usage.cache_write(),
    );
    let alone = |input, cached, written, output| Usage::new(input, cached, written, output, 0).ok();
    let lines = [
        ("Input, not cached", new, rates.input, alone(new, 0, 0, 0)),
        (
            "Input from the cache",
            cached,
            rates.cached_input(),
            alone(cached, cached, 0, 0),
        ),
        (
            "Written to the cache",
            written,
            rates.cache_write(),
            alone(written, 0, written, 0),
        ),
        (
            "Output",
            usage.output(),
            rates.output,
            alone(0, 0, 0, usage.output()),
        ),
    ];
    let mut rows: Vec<Vec<Markup>> = lines
        .iter()
        .filter(|(_, tokens, ..)| *tokens > 0)
        .map(|(name, tokens, rate, alone)| {
            let nanos = alone.and_then(|usage| rates.charge(usage));
            vec![
                html! { (name) },
                html! { (grouped(i64::try_from(*tokens).unwrap_or(i64::MAX))) },
                html! { "$" (rate) },
                html! { @if let Some(nanos) = nanos { (money(nanos)) } },
            ]
        })
        .collect();
    let sum = rates.charge(usage);
    rows.push(vec![
        html! { strong { "Sum" } },
        html! {},
        html! {},
        html! { @if let Some(sum) = sum { strong { (money(sum)) } } },
    ]);
    html! {
        (table("How the cost comes about", &["Tokens", "#Count", "#USD per million", "#Cost"], &rows))
        @if result.cost.nanos.is_some() && result.cost.nanos != sum {
            p.muted {
                "Recorded: " (cost(entry)) " by price table "
                (result.cost.price_version.as_deref().unwrap_or("–"))
                "; the lines above are the table in force, " (prices.version()) "."
            }
        }
        @if applied.long_context { p.muted { "Long-context rates apply to the whole request." } }
    }
}

fn no_arithmetic(why: &Markup) -> Markup {
    html! { div.card { strong { "Cost" } p { (why) } } }
}

fn attempts(entry: &LedgerEntry) -> Markup {
    let rows: Vec<Vec<Markup>> = entry
        .intent
        .dispatch
        .attempts
        .iter()
        .map(|attempt| {
            let status = attempt
                .status
                .map_or_else(|| "–".to_owned(), |it| it.to_string());
            vec![
                html! { (attempt.model) },
                html! { (attempt.upstream) },
                html! { (status) },
                html! { (attempt.failure.as_deref().unwrap_or("–")) },
            ]
        })
        .collect();
    if rows.is_empty() {
        return html! { div.card { strong { "Calls" } p { "No upstream was called." } } };
    }
    table(
        "Calls to upstreams, in order",
        &["Model", "Upstream", "#Status", "Failure"],
        &rows,
    )
}

fn facts(entry: &LedgerEntry) -> Markup {
    let (intent, result) = (&entry.intent, &entry.result);
    let (who, turn) = (&intent.attribution, &intent.turn);
    let text = |text: &Option<String>| text.clone().map(|text| html! { (text) });
    let session = turn.session_id.as_deref().map(|id| {
        html! { a href={ "/dashboard/sessions/" (encoded(id)) } { (id) } }
    });
    let root = turn.root_turn.as_deref().map(|id| {
        html! { a href={ "/dashboard/exchanges?root_turn=" (encoded(id)) } { (id) } }
    });
    let facts = [
        ("Arrived", Some(moment(intent.started_at))),
        ("Auth route", Some(html! { (who.route.as_str()) })),
        ("Caller", text(&who.caller)),
        ("Gateway key", text(&who.key)),
        ("Team", text(&who.team)),
        ("Repository", text(&turn.repo)),
        ("Commit", text(&turn.commit)),
        ("Session", session),
        ("Turn", text(&turn.turn_id)),
        ("Tree of turn", root),
        ("Started by thread", text(&turn.parent)),
        ("Endpoint", Some(html! { (intent.endpoint) })),
        ("Usage", Some(html! { (result.usage_source.as_str()) })),
        ("Service tier", text(&result.service_tier)),
        ("Price table", text(&result.cost.price_version)),
        ("Upstream's response", text(&result.upstream_response_id)),
        ("Instance", Some(html! { (result.instance.as_str()) })),
    ];
    html! {
        div.card {
            dl.facts {
                @for (name, value) in facts {
                    @if let Some(value) = value { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}
