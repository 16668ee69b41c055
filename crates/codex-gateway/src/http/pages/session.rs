//! One session: what each thread and turn cost, as a tree, and where its cache broke.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use gateway_ledger::{ExchangeQuery, Filters, LedgerEntry, MAX_PAGE, UsageQuery};
use gateway_policy::PriceTable;
use maud::{Markup, html};

use crate::http::pages::exchanges::{HEADS, rows};
use crate::http::pages::format::{count, hit_share, moment, money, short_id, tokens};
use crate::http::pages::layout::{badge, table, tile, tiles};
use crate::http::pages::page::{Failed, Page, Sources, not_found};
use crate::http::pages::story::{Broken, broken};

pub(super) async fn page(
    State(sources): State<Sources>,
    Path(id): Path<String>,
) -> Result<Page, Failed> {
    let filters = Filters {
        session: Some(id.clone()),
        ..Filters::default()
    };
    let query = UsageQuery {
        filters: filters.clone(),
        ..UsageQuery::default()
    };
    let total = sources.ledger.usage(&query).await?.total;
    let query = ExchangeQuery {
        limit: MAX_PAGE,
        filters,
        ..ExchangeQuery::default()
    };
    let mut entries = sources.ledger.exchanges(&query).await?.items;
    let Some(newest) = entries.first() else {
        return Err(not_found("the ledger has no session with this id"));
    };
    let last = newest.result.finished_at;
    let repo = newest.intent.turn.repo.clone();
    let shown = entries.iter().take(100).cloned().collect::<Vec<_>>();
    entries.reverse();
    let first = entries
        .first()
        .map_or(last, |entry| entry.intent.started_at);
    let config = sources.config.load_full();
    let threads = Threads::of(&entries, &config.settings.prices.table);
    let content = html! {
        @if let Some(repo) = repo { p.lead { (repo) } }
        (tiles(&[
            tile("On an API bill", &money(total.cost_nanos_metered), &html! {}),
            tile("Plan use at API prices", &money(total.cost_nanos_plan), &html! {}),
            tile("Requests", &tokens(total.requests), &html! { (threads.0.len()) " threads" }),
            tile("From the cache", &html! { (hit_share(&total)) }, &html! {
                "of " (count(total.input_tokens)) " input tokens"
            }),
        ]))
        p { "From " (moment(first)) " to " (moment(last)) }
        (threads.tree())
        (threads.breaks())
        (table("Its latest exchanges", &HEADS, &rows(&shown)))
        @if entries.len() == MAX_PAGE as usize {
            p.muted { "The tree shows the latest " (MAX_PAGE) " exchanges; the figures above are of all." }
        }
    };
    Ok(Page {
        title: format!("Session {}", short_id(&id)),
        place: "/dashboard/sessions",
        content,
    })
}

/// What one thread used.
#[derive(Default)]
struct Thread {
    parent: Option<String>,
    kinds: BTreeMap<String, usize>,
    requests: i64,
    input: i64,
    cached: i64,
    output: i64,
    nanos: i64,
    breaks: Vec<(LedgerEntry, Broken)>,
}

/// The threads of a session, in the order in which they began.
struct Threads(Vec<(String, Thread)>);

impl Threads {
    fn of(entries: &[LedgerEntry], prices: &PriceTable) -> Self {
        let mut threads: Vec<(String, Thread)> = Vec::new();
        let mut last: BTreeMap<String, &LedgerEntry> = BTreeMap::new();
        for entry in entries {
            let turn = &entry.intent.turn;
            let id = turn
                .thread_id
                .clone()
                .unwrap_or_else(|| "(none)".to_owned());
            let at = threads.iter().position(|(known, _)| *known == id);
            let at = at.unwrap_or_else(|| {
                threads.push((id.clone(), Thread::default()));
                threads.len() - 1
            });
            let Some((_, thread)) = threads.get_mut(at) else {
                continue;
            };
            thread.add(entry);
            if let Some(found) = last.get(&id).and_then(|last| broken(last, entry, prices)) {
                thread.breaks.push((entry.clone(), found));
            }
            if entry.result.usage.is_some() {
                last.insert(id, entry);
            }
        }
        Self(threads)
    }

    /// Each thread behind the one that started it.
    fn tree(&self) -> Markup {
        let roots = self.0.iter().filter(|(_, thread)| !self.is_child(thread));
        let mut lines = Vec::new();
        for (id, thread) in roots {
            self.lines(id, thread, 0, &mut lines);
        }
        table(
            "Threads: the session's own, and those that it started",
            &[
                "Thread",
                "Kinds",
                "#Requests",
                "#Input",
                "#Cached",
                "#Output",
                "#Cost",
            ],
            &lines,
        )
    }

    fn is_child(&self, thread: &Thread) -> bool {
        let parent = thread.parent.as_deref();
        parent.is_some_and(|parent| self.0.iter().any(|(id, _)| id == parent))
    }

    fn lines(&self, id: &str, thread: &Thread, depth: usize, lines: &mut Vec<Vec<Markup>>) {
        lines.push(thread.line(id, depth));
        // Threads name their parents themselves: a circle must not become an endless page.
        if depth >= 8 || lines.len() > self.0.len() {
            return;
        }
        let children = self
            .0
            .iter()
            .filter(|(child, of)| of.parent.as_deref() == Some(id) && child != id);
        for (child, thread) in children {
            self.lines(child, thread, depth + 1, lines);
        }
    }

    /// Where the cache broke, and what that cost.
    fn breaks(&self) -> Markup {
        let breaks: Vec<_> = self
            .0
            .iter()
            .flat_map(|(_, thread)| &thread.breaks)
            .collect();
        if breaks.is_empty() {
            return html! {
                div.card {
                    strong { "The cache held." }
                    p.muted { "No exchange had to send again in full what its thread had sent before." }
                }
            };
        }
        let rows: Vec<Vec<Markup>> = breaks
            .iter()
            .map(|(entry, found)| {
                vec![
                    html! {
                        a href={ "/dashboard/exchanges/" (entry.id()) } {
                            (moment(entry.intent.started_at))
                        }
                    },
                    html! { (found.why.words()) },
                    html! { (count(i64::try_from(found.tokens).unwrap_or(i64::MAX))) },
                    html! { @match found.nanos { Some(nanos) => (money(nanos)), None => "–" } },
                ]
            })
            .collect();
        html! {
            (table("Where the cache broke", &["When", "Why, by the counts", "#Sent again", "#Cost more"], &rows))
        }
    }
}

impl Thread {
    fn add(&mut self, entry: &LedgerEntry) {
        let turn = &entry.intent.turn;
        if self.parent.is_none() {
            self.parent.clone_from(&turn.parent);
        }
        let kind = turn
            .request_kind
            .clone()
            .unwrap_or_else(|| "turn".to_owned());
        *self.kinds.entry(kind).or_default() += 1;
        self.requests += 1;
        let figure = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        if let Some(usage) = entry.result.usage {
            self.input = self.input.saturating_add(figure(usage.input()));
            self.cached = self.cached.saturating_add(figure(usage.cached_input()));
            self.output = self.output.saturating_add(figure(usage.output()));
        }
        let nanos = entry.result.cost.nanos.unwrap_or(0);
        self.nanos = self.nanos.saturating_add(nanos);
    }

    fn line(&self, id: &str, depth: usize) -> Vec<Markup> {
        vec![
            html! {
                @for _ in 0..depth { "\u{2003}" }
                @if depth > 0 { "└ " }
                span.mono title=(id) { (short_id(id)) }
            },
            html! {
                @for (kind, count) in &self.kinds { (badge("", &format!("{count} {kind}"))) " " }
            },
            html! { (self.requests) },
            tokens(self.input),
            html! { (crate::http::pages::format::share(self.cached, self.input)) },
            tokens(self.output),
            money(self.nanos),
        ]
    }
}
