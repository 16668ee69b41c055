//! What Prometheus sees. Names and labels are the contract's; label values come from configuration,
//! catalogue and prices only.

use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
    core::{AtomicF64, GenericCounterVec},
};

use gateway_ledger::Standing;
use gateway_policy::limit::Refusal;

use crate::config::active::ActiveConfig;
use crate::exchange::settle::Money;
use crate::record::Exchange;

/// From 5 ms to half an hour: a Codex turn runs for minutes.
const DURATION_BUCKETS: [f64; 18] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0, 480.0,
    900.0, 1200.0, 1800.0,
];
const COMMIT_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
];

/// What a budget is of, as a label.
const SCOPES: [&str; 3] = ["key", "team", "gateway"];

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    pub requests: IntCounterVec,
    pub request_duration: HistogramVec,
    pub time_to_first_token: HistogramVec,
    pub tokens: IntCounterVec,
    pub cost_usd: GenericCounterVec<AtomicF64>,
    pub unpriced_requests: IntCounterVec,
    pub unknown_requests: IntCounterVec,
    pub model_decisions: IntCounterVec,
    pub fallbacks: IntCounterVec,
    pub upstream_failures: IntCounterVec,
    pub upstream_attempts: IntCounterVec,
    pub in_flight: IntGaugeVec,
    pub limit_rejections: IntCounterVec,
    pub budget_remaining_usd: GaugeVec,
    pub soft_budgets_reached: IntCounterVec,
    pub plan_used_percent: GaugeVec,
    pub ledger_commit: Histogram,
    pub ledger_queue_depth: IntGauge,
    pub translation_losses: IntCounterVec,
    pub mended_streams: IntCounterVec,
}

/// Makes metrics of one registry.
struct Register(Registry);

impl Register {
    fn add<T: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: T,
    ) -> Result<T, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn durations(&self, name: &str, help: &str) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
        self.add(HistogramVec::new(
            options,
            &["route", "endpoint", "upstream", "model"],
        )?)
    }
}

impl Metrics {
    /// Registers everything. Fails only when two metrics share a name, which a test would show.
    #[expect(
        clippy::too_many_lines,
        reason = "one entry a metric, and nothing else"
    )]
    pub fn new() -> Result<Self, prometheus::Error> {
        let to = Register(Registry::new_custom(
            Some("codex_gateway".to_owned()),
            None,
        )?);
        let build = to.gauges(
            "build_info",
            "Always 1; the label says which version runs",
            &["version"],
        )?;
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        let per_request = ["route", "endpoint", "upstream", "model", "outcome"];
        let per_model = ["route", "upstream", "model", "kind"];
        let money = ["route", "upstream", "model", "billing"];
        let cost =
            "Cost in US dollars by price table; metered and plan money are never to be added";
        let commit = HistogramOpts::new(
            "ledger_commit_seconds",
            "Time until an entry is as durable as configured",
        );
        Ok(Self {
            requests: to.counters(
                "requests_total",
                "Exchanges by how they ended",
                &per_request,
            )?,
            request_duration: to.durations(
                "request_duration_seconds",
                "From accepting a request to its end",
            )?,
            time_to_first_token: to.durations(
                "time_to_first_token_seconds",
                "From accepting a request to the first generated event",
            )?,
            tokens: to.counters(
                "tokens_total",
                "Tokens; cached_input and cache_write are parts of input, reasoning of output",
                &per_model,
            )?,
            cost_usd: to.add(GenericCounterVec::<AtomicF64>::new(
                Opts::new("cost_usd_total", cost),
                &money,
            )?)?,
            unpriced_requests: to.counters(
                "unpriced_requests_total",
                "Exchanges with usage but without a price",
                &["model"],
            )?,
            unknown_requests: to.counters(
                "unknown_requests_total",
                "Exchanges of which neither usage nor cost is known",
                &["model"],
            )?,
            model_decisions: to.counters(
                "model_decisions_total",
                "What became of the requested model",
                &["decision", "rule"],
            )?,
            fallbacks: to.counters(
                "fallbacks_total",
                "Attempts moved to another model",
                &["from", "to", "reason"],
            )?,
            upstream_failures: to.counters(
                "upstream_failures_total",
                "Failed upstream calls by class",
                &["upstream", "class"],
            )?,
            upstream_attempts: to.counters(
                "upstream_attempts_total",
                "Upstream calls",
                &["upstream"],
            )?,
            in_flight: to.add(IntGaugeVec::new(
                Opts::new("in_flight_requests", "Exchanges that have not ended yet"),
                &["endpoint"],
            )?)?,
            limit_rejections: to.counters(
                "limit_rejections_total",
                "Requests refused by a limit of this gateway",
                &["kind"],
            )?,
            budget_remaining_usd: to.gauges(
                "budget_remaining_usd",
                "What is left of a budget in its running window",
                &["budget"],
            )?,
            soft_budgets_reached: to.counters(
                "soft_budgets_reached_total",
                "Budgets that reached their soft threshold, once a window",
                &["scope"],
            )?,
            plan_used_percent: to.gauges(
                "chatgpt_plan_used_percent",
                "Highest use of a ChatGPT plan window among the accounts seen",
                &["window"],
            )?,
            ledger_commit: to.add(Histogram::with_opts(
                commit.buckets(COMMIT_BUCKETS.to_vec()),
            )?)?,
            ledger_queue_depth: to.add(IntGauge::new(
                "ledger_queue_depth",
                "Entries waiting to become durable, the spool included",
            )?)?,
            translation_losses: to.counters(
                "translation_losses_total",
                "Things that translation could not carry",
                &["kind"],
            )?,
            mended_streams: to.counters(
                "mended_streams_total",
                "Streams that had to be mended on the way, by defect",
                &["kind"],
            )?,
            registry: to.0,
        }
        .at_zero())
    }

    /// A rate sees the first refusal only when the series was there before it, at zero.
    fn at_zero(self) -> Self {
        for kind in Refusal::KINDS
            .into_iter()
            .chain(["max_concurrent", "unpriced"])
        {
            self.limit_rejections.with_label_values(&[kind]);
        }
        for scope in SCOPES {
            self.soft_budgets_reached.with_label_values(&[scope]);
        }
        self
    }

    /// Where the budgets of teams and of the gateway stand; those that are gone are shown no
    /// longer.
    pub fn observe_budgets(&self, standings: &[Standing]) {
        self.budget_remaining_usd.reset();
        for standing in standings {
            let Standing {
                scope,
                budget,
                position,
                ..
            } = standing;
            let label = format!(
                "{}/{}/{}",
                scope.as_text(),
                budget.window.as_str(),
                budget.billing.as_str()
            );
            let left = budget.nanos.saturating_sub(position.spent);
            self.budget_remaining_usd
                .with_label_values(&[label.as_str()])
                .set(nano_dollars(left.saturating_sub(position.reserved)));
        }
    }

    /// The exposition text.
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

impl Metrics {
    /// One settled exchange.
    pub fn observe(
        &self,
        live: &ActiveConfig,
        exchange: &Exchange,
        money: &Money,
        duration: Duration,
    ) {
        let route = exchange
            .caller
            .as_ref()
            .map_or("none", |caller| caller.route.as_str());
        let upstream = exchange.upstream.as_deref().unwrap_or("none");
        let endpoint = exchange.endpoint.as_str();
        let served = exchange
            .model_served
            .as_ref()
            .or(exchange.model_requested.as_ref());
        let model = served.map_or("none", |model| live.model_label(model));
        self.requests
            .with_label_values(&[route, endpoint, upstream, model, exchange.outcome.as_str()])
            .inc();
        self.request_duration
            .with_label_values(&[route, endpoint, upstream, model])
            .observe(duration.as_secs_f64());
        if let Some(first) = exchange.first_token {
            self.time_to_first_token
                .with_label_values(&[route, endpoint, upstream, model])
                .observe(first.as_secs_f64());
        }
        if let Some(decision) = exchange.decision {
            let rule = exchange.rule.as_deref().unwrap_or("");
            self.model_decisions
                .with_label_values(&[decision.as_str(), rule])
                .inc();
        }
        if let Some(usage) = exchange.counted.usage() {
            let kinds = [
                ("input", usage.input()),
                ("cached_input", usage.cached_input()),
                ("cache_write", usage.cache_write()),
                ("output", usage.output()),
                ("reasoning", usage.reasoning()),
            ];
            for (kind, count) in kinds {
                self.tokens
                    .with_label_values(&[route, upstream, model, kind])
                    .inc_by(count);
            }
            if money.nanos.is_none() {
                self.unpriced_requests.with_label_values(&[model]).inc();
            }
        }
        if money.is_unknown {
            self.unknown_requests.with_label_values(&[model]).inc();
        }
        // An upstream can say what it costs and not what was used.
        if let Some(nanos) = money.nanos {
            self.cost_usd
                .with_label_values(&[route, upstream, model, money.billing.as_str()])
                .inc_by(nano_dollars(nanos));
        }
        for (kind, count) in exchange.loss_counts() {
            self.translation_losses
                .with_label_values(&[kind.as_str()])
                .inc_by(count);
        }
        let mended = exchange.mended;
        let defects = [
            ("bom", mended.bom),
            ("lone_cr", mended.lone_cr),
            ("bad_utf8", mended.bad_utf8),
            ("usage", mended.usage),
            ("response_id", mended.response_id),
            ("ending", mended.ending),
        ];
        for (kind, count) in defects.into_iter().filter(|(_, count)| *count > 0) {
            self.mended_streams
                .with_label_values(&[kind])
                .inc_by(u64::from(count));
        }
    }
}

/// For a gauge on a screen; the books stay in integers.
#[expect(
    clippy::cast_precision_loss,
    reason = "a metric is a float; the ledger holds the exact figure"
)]
fn nano_dollars(nanos: i64) -> f64 {
    nanos.max(0) as f64 / 1e9
}
