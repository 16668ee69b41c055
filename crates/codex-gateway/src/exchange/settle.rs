//! Step 9: an exchange becomes exactly four things: a ledger entry, metrics, one span, one log
//! line. Nothing here can fail the exchange.

use std::time::Duration;

use gateway_ledger::{
    AttemptRecord, Cost, CostSource, EntryResult, LedgerEntry, Outcome, UsageSource,
};
use gateway_policy::Billing;
use gateway_policy::price::{Pricing, billed_tier};
use gateway_wire::stream::{ReplySummary, Terminal};
use gateway_wire::translate::LossKind;
use gateway_wire::usage::UsageReading;
use gateway_wire::{SendState, Usage};

use crate::app::App;
use crate::config::active::ActiveConfig;
use crate::record::{Counted, Exchange};

/// Bytes of JSON or characters of text per token, for estimates.
const PER_TOKEN: u64 = 4;

/// Takes over what an answer said about itself.
pub fn read_summary(exchange: &mut Exchange, summary: &ReplySummary) {
    exchange.output_chars = summary.output_chars;
    read_usage(exchange, summary.usage, summary.provider_cost_nanos);
    exchange
        .upstream_response_id
        .clone_from(&summary.response_id);
    exchange.service_tier.clone_from(&summary.service_tier);
    exchange.plan_limits.clone_from(&summary.plan_limits);
    exchange.mended = summary.repairs;
    read_terminal(exchange, summary.terminal.as_ref());
}

fn read_usage(exchange: &mut Exchange, reading: UsageReading, provider_cost: Option<i64>) {
    if exchange.endpoint.is_free() {
        return;
    }
    exchange.provider_cost_nanos = provider_cost;
    match reading {
        UsageReading::Reported(usage) => exchange.counted = Counted::Reported(usage),
        UsageReading::Missing => {}
        UsageReading::Refused(error) => {
            tracing::warn!(request.id = %exchange.id, %error, "the upstream's token counts cannot be true and were not booked");
            exchange.is_usage_refused = true;
        }
    }
}

fn read_terminal(exchange: &mut Exchange, terminal: Option<&Terminal>) {
    if let Some(Terminal::Failed(failure)) = terminal {
        exchange.error = failure
            .code
            .clone()
            .or_else(|| failure.kind.clone())
            .or_else(|| Some("failed".to_owned()));
    }
}

/// An exchange that was cut off before an upstream answered.
pub async fn cut_off(app: &App, live: &ActiveConfig, mut exchange: Exchange) {
    note_open_call(&mut exchange);
    settle(app, live, exchange).await;
}

/// A call is put down when its answer begins. One that was cut off before that may have reached the
/// upstream all the same.
pub fn note_open_call(exchange: &mut Exchange) {
    let is_answered = exchange
        .attempts
        .last()
        .is_some_and(|last| last.status.is_some_and(|status| status < 400));
    if let (true, false, Some(upstream)) = (exchange.is_dispatched, is_answered, &exchange.upstream)
    {
        exchange.attempts.push(AttemptRecord {
            model: exchange
                .model_served
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            upstream: upstream.clone(),
            status: None,
            failure: None,
            sent: SendState::Ambiguous,
        });
    }
}

/// An exchange that panicked: what was known when it was sent is all there is.
pub async fn panicked(app: &App, mut exchange: Exchange) {
    exchange.outcome = Outcome::Failed;
    exchange.error = Some("panic".to_owned());
    exchange.status = Some(500);
    note_open_call(&mut exchange);
    let live = app.live.load_full();
    settle(app, &live, exchange).await;
}

/// Books the exchange. Returns when the ledger has the entry as durably as configured.
pub async fn settle(app: &App, live: &ActiveConfig, mut exchange: Exchange) {
    if let Some(tail) = &exchange.tail {
        exchange.request_bytes = exchange.request_bytes.max(tail.bytes());
    }
    estimate(&mut exchange);
    note_untold_tier(&mut exchange);
    if exchange.outcome == Outcome::Completed {
        // What an attempt before the last one said is in its record.
        exchange.error = None;
    }
    let duration = app
        .clock
        .instant()
        .saturating_duration_since(exchange.started);
    let mut money = price(live, &exchange);
    if let Some(entry) = entry(app, &exchange, &money, duration) {
        money.is_unknown = entry.is_unknown();
        let began = app.clock.instant();
        app.books.settle(entry).await;
        app.metrics.ledger_commit.observe(
            app.clock
                .instant()
                .saturating_duration_since(began)
                .as_secs_f64(),
        );
    }
    app.metrics
        .observe(&live.labels, &exchange, &money, duration);
    app.plan_limits.note(&exchange, app.clock.now());
    app.traces.record(live, &exchange, app.clock.now());
    log(&exchange, &money, duration);
}

/// A tier that translation left out was never asked for at the upstream: what it served is its
/// default, and is priced so.
fn note_untold_tier(exchange: &mut Exchange) {
    let is_left_out = exchange
        .losses
        .iter()
        .any(|loss| loss.kind == LossKind::ServiceTier);
    if is_left_out && !exchange.attempts.is_empty() {
        exchange
            .service_tier
            .get_or_insert_with(|| "default".to_owned());
    }
}

/// Where an exchange was cut off, its usage is worked out from what was sent and seen, and marked
/// so.
fn estimate(exchange: &mut Exchange) {
    let is_cut_off = match exchange.outcome {
        Outcome::ClientGone | Outcome::UpstreamTruncated | Outcome::Interrupted => true,
        Outcome::Completed => exchange.is_usage_refused,
        Outcome::Failed | Outcome::Rejected => false,
    };
    let has_begun = exchange
        .attempts
        .iter()
        .any(|attempt| attempt.status.is_some_and(|status| status < 400));
    let is_open = exchange.counted == Counted::Unknown && !exchange.endpoint.is_free();
    if is_open && is_cut_off && has_begun {
        let input = exchange.request_bytes / PER_TOKEN;
        let output = exchange.output_chars.div_ceil(PER_TOKEN);
        if let Ok(usage) = Usage::new(input, 0, 0, output, 0) {
            exchange.counted = Counted::Estimated(usage);
        }
    }
}

/// What an exchange cost.
pub struct Money {
    pub billing: Billing,
    pub source: CostSource,
    pub nanos: Option<i64>,
    pub is_estimated: bool,
    /// Work was or may have been done, and nothing is known of it.
    pub is_unknown: bool,
    pub price_version: Option<String>,
}

fn price(live: &ActiveConfig, exchange: &Exchange) -> Money {
    let unpriced = Money {
        billing: exchange.billing,
        source: CostSource::Unpriced,
        nanos: None,
        is_estimated: false,
        is_unknown: false,
        price_version: None,
    };
    if let Some(nanos) = exchange.provider_cost_nanos {
        return Money {
            source: CostSource::ProviderReported,
            nanos: Some(nanos),
            ..unpriced
        };
    }
    let (Some(usage), Some(model)) = (exchange.counted.usage(), &exchange.model_served) else {
        return unpriced;
    };
    let tier = billed_tier(
        exchange.billing,
        exchange.service_tier_requested.as_deref(),
        exchange.service_tier.as_deref(),
    );
    // Tier and day are chosen as when recorded usage is priced again, so that nothing differs
    // without a new price.
    let zone = live.settings.storage.time_zone.clone();
    let day = exchange.started_at.to_zoned(zone).date();
    let prices = &live.settings.prices.table;
    match prices.cost(model, usage, tier, day) {
        Pricing::Priced {
            nanos, estimated, ..
        } => Money {
            source: CostSource::Calculated,
            nanos: Some(nanos),
            is_estimated: estimated,
            price_version: Some(prices.version().to_owned()),
            ..unpriced
        },
        Pricing::Unpriced { .. } => unpriced,
    }
}

/// The entry; `None` where nobody is known whom it could be booked on.
fn entry(app: &App, exchange: &Exchange, money: &Money, duration: Duration) -> Option<LedgerEntry> {
    let intent = app.books.intent(exchange)?;
    let (usage_source, usage) = match exchange.counted {
        Counted::Reported(usage) => (UsageSource::Reported, Some(usage)),
        Counted::Estimated(usage) => (UsageSource::Estimated, Some(usage)),
        Counted::Unknown => (UsageSource::Unknown, None),
    };
    let result = EntryResult {
        finished_at: app.clock.now(),
        status: exchange.status,
        outcome: exchange.outcome,
        usage_source,
        usage,
        service_tier: exchange.service_tier.clone(),
        cost: Cost {
            price_version: money.price_version.clone(),
            source: money.source,
            nanos: money.nanos,
            is_estimated: money.is_estimated,
        },
        ttft_ms: exchange.first_token.map(millis),
        duration_ms: millis(duration),
        upstream_response_id: exchange.upstream_response_id.clone(),
        instance: app.books.instance().clone(),
        corrects: None,
    };
    Some(LedgerEntry { intent, result })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The one line of an exchange.
fn log(exchange: &Exchange, money: &Money, duration: Duration) {
    let usage = exchange.counted.usage();
    let model = |id: &Option<gateway_policy::ModelId>| id.as_ref().map(ToString::to_string);
    tracing::info!(
        request.id = %exchange.id,
        endpoint = exchange.endpoint.as_str(),
        route = exchange.caller.as_ref().map(|caller| caller.route.as_str()),
        caller = exchange.caller.as_ref().map(|caller| caller.label.as_str()),
        upstream = exchange.upstream.as_deref(),
        model.requested = model(&exchange.model_requested),
        model.served = model(&exchange.model_served),
        decision = exchange.decision.map(gateway_policy::DecisionKind::as_str),
        rule = exchange.rule.as_deref(),
        attempts = exchange.attempts.len(),
        status = exchange.status,
        outcome = exchange.outcome.as_str(),
        error = exchange.error.as_deref(),
        usage.input_tokens = usage.map(Usage::input),
        usage.cached_input_tokens = usage.map(Usage::cached_input),
        usage.output_tokens = usage.map(Usage::output),
        cost_nanos = money.nanos,
        billing = money.billing.as_str(),
        translation.losses = exchange.losses_text(),
        adjusted = exchange.adjusted.as_deref(),
        ttft_ms = exchange.first_token.map(millis),
        duration_ms = millis(duration),
        "exchange {}", exchange.outcome.as_str()
    );
}
