//! What is happening: exchanges in flight, the last minutes, what is wrong. The fragment that
//! changes comes again every second.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use gateway_ledger::{ExchangeQuery, GroupBy, LedgerEntry, UsageQuery};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::http::pages::exchanges::{HEADS as EXCHANGE_HEADS, outcome, rows as exchange_rows};
use crate::http::pages::format::{duration, hit_share, money, tokens};
use crate::http::pages::health;
use crate::http::pages::layout::{badge, empty, table, tile, tiles};
use crate::http::pages::page::{Asked, Failed, Page, Sources};

/// How often the fragment is made anew.
const INTERVAL: Duration = Duration::from_secs(1);
/// Exchanges that have ended, on the page.
const LATEST: u32 = 12;

pub(super) async fn page(State(sources): State<Sources>) -> Result<Page, Failed> {
    let fragment = fragment(&sources).await?;
    Ok(Page {
        title: "Now".to_owned(),
        place: "/dashboard",
        content: html! { div #live { (fragment) } },
    })
}

/// The fragment, whenever it has changed. Ends with the gateway.
pub(super) async fn live(State(sources): State<Sources>) -> Response {
    let draining = sources.tasks.draining().clone();
    let events = stream::unfold((sources, String::new()), async |(sources, last)| {
        loop {
            tokio::time::sleep(INTERVAL).await;
            // A store that does not answer now may answer in a second.
            let Ok(fragment) = fragment(&sources).await else {
                continue;
            };
            let fragment = fragment.into_string();
            if fragment != last {
                let event = Event::default().data(fragment.replace(['\r', '\n'], " "));
                return Some((Ok::<_, Infallible>(event), (sources, fragment)));
            }
        }
    });
    let until = futures_util::StreamExt::take_until(events, draining.cancelled_owned());
    let mut response = Sse::new(until)
        .keep_alive(KeepAlive::default())
        .into_response();
    let nothing_kept = http::HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(http::header::CACHE_CONTROL, nothing_kept);
    response
}

async fn fragment(sources: &Sources) -> Asked<Markup> {
    let now = sources.clock.now();
    let hour = UsageQuery {
        by: vec![GroupBy::Upstream],
        since: now.checked_sub(SignedDuration::from_hours(1)).ok(),
        ..UsageQuery::default()
    };
    let last_hour = sources.ledger.usage(&hour).await?;
    let latest = ExchangeQuery {
        limit: LATEST,
        ..ExchangeQuery::default()
    };
    let latest = sources.ledger.exchanges(&latest).await?.items;
    let total = &last_hour.total;
    let running = running(sources, now);
    let wrong = health::wrong(sources).await?;
    Ok(html! {
        (tiles(&[
            tile("In flight", &html! { span.pulse {} (sources.running.list().len()) },
                &html! { "in this process" }),
            tile("Requests", &tokens(total.requests), &html! { "in the last hour" }),
            tile("On an API bill", &money(total.cost_nanos_metered), &html! { "in the last hour" }),
            tile("Plan at API prices", &money(total.cost_nanos_plan), &html! { "in the last hour" }),
            tile("From the cache", &html! { (hit_share(total)) }, &html! { "of the input" }),
        ]))
        (wrong)
        (running)
        (ended(&latest, now))
    })
}

fn running(sources: &Sources, now: Timestamp) -> Markup {
    let list = sources.running.list();
    let rows: Vec<Vec<Markup>> = list
        .iter()
        .map(|it| {
            let intent = &it.intent;
            let waited = now.as_millisecond() - intent.started_at.as_millisecond();
            let who = &intent.attribution;
            vec![
                html! { (who.key.as_deref().or(who.caller.as_deref()).unwrap_or("–")) },
                html! { (intent.model_requested.as_deref().unwrap_or("–")) },
                html! { (intent.dispatch.model_served.as_deref().unwrap_or("–")) },
                html! { (intent.dispatch.upstream.as_deref().unwrap_or("–")) },
                html! { (intent.turn.request_kind.as_deref().unwrap_or("–")) },
                html! { (intent.turn.repo.as_deref().unwrap_or("–")) },
                badge("", it.phase.as_str()),
                html! { (duration(u64::try_from(waited / 1000 * 1000).unwrap_or(0))) },
            ]
        })
        .collect();
    if rows.is_empty() {
        return empty(
            "Nothing is in flight.",
            &html! { "Requests appear here while they run." },
        );
    }
    let heads = [
        "Who",
        "Asked",
        "Served",
        "Upstream",
        "Kind",
        "Repository",
        "Phase",
        "#For",
    ];
    table("In flight", &heads, &rows)
}

fn ended(latest: &[LedgerEntry], now: Timestamp) -> Markup {
    if latest.is_empty() {
        return empty(
            "No exchange has been recorded yet.",
            &html! {
                "Point Codex at this gateway: " code { "codex-gateway setup codex" }
                ", then ask it something."
            },
        );
    }
    // The same check as everywhere: whether the last ones went well.
    let failed = latest
        .iter()
        .filter(|entry| outcome(entry).0 == "bad")
        .count();
    let newest = latest.first().map_or(now, |entry| entry.intent.started_at);
    let ago = now.as_millisecond() - newest.as_millisecond();
    html! {
        (table("Ended last", &EXCHANGE_HEADS, &exchange_rows(latest)))
        @if failed > latest.len() / 2 && ago < 3_600_000 {
            p.warn { (failed) " of the last " (latest.len()) " exchanges failed." }
        }
    }
}
