//! The exchanges that were recorded, newest first, page by page.

use axum::extract::State;
use gateway_ledger::{ExchangeQuery, LedgerEntry, Outcome};
use maud::{Markup, html};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::admin::filters::{FilteredQuery, Narrowed};
use crate::http::pages::format::{duration, moment, money, share, tokens};
use crate::http::pages::layout::{badge, empty, table};
use crate::http::pages::page::{Failed, Page, Sources};

/// Exchanges on a page.
const ON_A_PAGE: u32 = 100;

/// The columns of a table of exchanges.
pub(super) const HEADS: [&str; 9] = [
    "When",
    "Model",
    "Kind",
    "Repository",
    "Ended",
    "#Input",
    "#Cached",
    "#Output",
    "#Cost",
];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    cursor: Option<String>,
}

pub(super) async fn page(
    State(sources): State<Sources>,
    query: Result<FilteredQuery<PageQuery>, crate::error::GatewayError>,
) -> Result<Page, Failed> {
    let FilteredQuery {
        params,
        narrowed,
        given,
    } = query?;
    let Narrowed {
        since,
        until,
        filters,
    } = narrowed;
    let query = ExchangeQuery {
        limit: ON_A_PAGE,
        cursor: params.cursor,
        since,
        until,
        filters,
    };
    let found = sources.ledger.exchanges(&query).await?;
    let content = html! {
        @if !given.is_empty() {
            p { "Only: " @for (name, value) in &given { code { (name) "=" (value) } " " }
                a href="/dashboard/exchanges" { "all" } }
        }
        @if found.items.is_empty() {
            (empty("No exchange matches.", &html! {
                a href="/dashboard/exchanges" { "Show all" } ", or send a request through the gateway."
            }))
        } @else {
            (table("Exchanges, newest first", &HEADS, &rows(&found.items)))
        }
        @if let Some(next) = found.next {
            @let rest = given.iter().map(|(name, value)| format!("&{name}={}", encoded(value)));
            p { a.button href={ "?cursor=" (next) (rest.collect::<String>()) } { "Older" } }
        }
    };
    Ok(Page {
        title: "Exchanges".to_owned(),
        place: "/dashboard/exchanges",
        content,
    })
}

/// A value of a query, percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// How well it ended, as a class of the style sheet, and the word for it.
pub(super) fn outcome(entry: &LedgerEntry) -> (&'static str, &'static str) {
    let outcome = entry.result.outcome;
    let class = match outcome {
        Outcome::Completed => "good",
        Outcome::Failed | Outcome::UpstreamTruncated | Outcome::Interrupted => "bad",
        Outcome::Rejected | Outcome::ClientGone => "near",
    };
    let word = match outcome {
        Outcome::ClientGone => "client gone",
        Outcome::UpstreamTruncated => "truncated",
        Outcome::Completed | Outcome::Failed | Outcome::Rejected | Outcome::Interrupted => {
            outcome.as_str()
        }
    };
    (class, word)
}

/// The rows of a table of exchanges.
pub(super) fn rows(entries: &[LedgerEntry]) -> Vec<Vec<Markup>> {
    entries.iter().map(row).collect()
}

fn row(entry: &LedgerEntry) -> Vec<Markup> {
    let (intent, result) = (&entry.intent, &entry.result);
    let usage = result.usage;
    let figure = |read: fn(gateway_wire::Usage) -> u64| {
        html! {
            @match usage {
                Some(usage) => (tokens(i64::try_from(read(usage)).unwrap_or(i64::MAX))),
                None => "–",
            }
        }
    };
    let cached = usage.map(|usage| {
        let part = i64::try_from(usage.cached_input()).unwrap_or(i64::MAX);
        share(part, i64::try_from(usage.input()).unwrap_or(i64::MAX))
    });
    let (class, word) = outcome(entry);
    vec![
        html! {
            a href={ "/dashboard/exchanges/" (entry.id()) } { (moment(intent.started_at)) }
        },
        model(entry),
        html! { (intent.turn.request_kind.as_deref().unwrap_or("–")) },
        html! { (intent.turn.repo.as_deref().unwrap_or("–")) },
        html! { (badge(class, word)) " " span.muted.nowrap { (duration(result.duration_ms)) } },
        figure(gateway_wire::Usage::input),
        html! { (cached.as_deref().unwrap_or("–")) },
        figure(gateway_wire::Usage::output),
        cost(entry),
    ]
}

/// The served model, and the requested one where it is another.
pub(super) fn model(entry: &LedgerEntry) -> Markup {
    let requested = entry.intent.model_requested.as_deref();
    let served = entry.intent.dispatch.model_served.as_deref();
    html! {
        (served.or(requested).unwrap_or("–"))
        @if let (Some(requested), Some(served)) = (requested, served) {
            @if !requested.eq_ignore_ascii_case(served) {
                br; span.muted { "for " (requested) }
            }
        }
    }
}

/// What it cost, or that it is not known; plan usage says so.
pub(super) fn cost(entry: &LedgerEntry) -> Markup {
    let plan = entry.intent.dispatch.billing == gateway_policy::Billing::Plan;
    html! {
        @match entry.result.cost.nanos {
            Some(nanos) => (money(nanos)),
            None => "–",
        }
        @if plan { " " (badge("", "plan")) }
    }
}
