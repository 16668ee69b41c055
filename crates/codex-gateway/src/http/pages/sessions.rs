//! What each session cost, the dearest first.

use axum::extract::State;
use gateway_ledger::{GroupBy, UsageQuery, UsageRow};
use jiff::SignedDuration;
use maud::{Markup, html};

use crate::error::GatewayError;
use crate::http::admin::filters::{FilteredQuery, Narrowed, NoOthers};
use crate::http::pages::exchanges::encoded;
use crate::http::pages::format::{grouped, hit_share, money, short_id, tokens};
use crate::http::pages::layout::{empty, table};
use crate::http::pages::page::{Failed, Page, Sources};

/// Most sessions on the page.
const MOST: usize = 200;
const DEFAULT_RANGE: &str = "24h";
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(24);
const RANGES: [&str; 3] = ["24h", "3d", "7d"];

pub(super) async fn page(
    State(sources): State<Sources>,
    query: Result<FilteredQuery<NoOthers>, GatewayError>,
) -> Result<Page, Failed> {
    let FilteredQuery {
        narrowed, given, ..
    } = query?;
    let Narrowed {
        since,
        until,
        filters,
    } = narrowed;
    let since = since.or_else(|| sources.clock.now().checked_sub(DEFAULT_SPAN).ok());
    let query = UsageQuery {
        by: vec![GroupBy::Session, GroupBy::Repo],
        since,
        until,
        filters,
    };
    let mut rows = sources.ledger.usage(&query).await?.rows;
    rows.retain(|row| key(row, GroupBy::Session).is_some());
    rows.sort_by_key(|row| {
        let sums = &row.sums;
        let cost = sums.cost_nanos_metered.max(sums.cost_nanos_plan);
        std::cmp::Reverse((cost, sums.input_tokens))
    });
    let more = rows.len().saturating_sub(MOST);
    let chosen = given.iter().find(|(name, _)| name == "since");
    let chosen = chosen.map_or(DEFAULT_RANGE, |(_, value)| value);
    let lines: Vec<Vec<Markup>> = rows.iter().take(MOST).map(line).collect();
    let content = html! {
        ul.pills {
            li.name { "Last" }
            @for range in RANGES {
                li {
                    a href={ "?since=" (range) } aria-current=[(range == chosen).then_some("true")] {
                        (range)
                    }
                }
            }
        }
        @if lines.is_empty() {
            (empty("No session in this time.", &html! {
                "Codex names its session with every request; other clients need not."
            }))
        } @else {
            (table("Sessions, the dearest first", &HEADS, &lines))
        }
        @if more > 0 { p.muted { "and " (more) " cheaper ones" } }
    };
    Ok(Page {
        title: "Sessions".to_owned(),
        place: "/dashboard/sessions",
        content,
    })
}

const HEADS: [&str; 8] = [
    "Session",
    "Repository",
    "#Requests",
    "#Input",
    "#Cached",
    "#Output",
    "#API bill",
    "#Plan at API prices",
];

fn key(row: &UsageRow, by: GroupBy) -> Option<&str> {
    let found = row.keys.iter().find(|(of, _)| *of == by);
    found.and_then(|(_, value)| value.as_deref())
}

fn line(row: &UsageRow) -> Vec<Markup> {
    let sums = &row.sums;
    let id = key(row, GroupBy::Session).unwrap_or_default();
    vec![
        html! { a.mono href={ "/dashboard/sessions/" (encoded(id)) } title=(id) { (short_id(id)) } },
        html! { (key(row, GroupBy::Repo).unwrap_or("–")) },
        html! { (grouped(sums.requests)) },
        tokens(sums.input_tokens),
        html! { (hit_share(sums)) },
        tokens(sums.output_tokens),
        money(sums.cost_nanos_metered),
        money(sums.cost_nanos_plan),
    ]
}
