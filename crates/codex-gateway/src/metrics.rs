//! What Prometheus sees. Names and labels are public; label values come from the configuration, the
//! catalogue and the prices only.

mod declaration;
mod observation;
#[cfg(test)]
mod tests;

use gateway_ledger::BudgetStatus;
use gateway_policy::limit::Refusal;
use prometheus::proto::MetricFamily;
use prometheus::{
    Error, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};
#[cfg(target_os = "linux")]
use prometheus::{core::Collector as _, process_collector::ProcessCollector};

use crate::telemetry;
pub use declaration::{DecimalCounterVec, Declaration};
use declaration::{Kind, metrics, row};

/// Every name begins with this and an underscore.
const PREFIX: &str = "codex_gateway";

/// Seconds, from 5 ms to half an hour: a Codex turn runs for minutes.
const DURATION_BUCKETS: &[f64] = &[
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0, 480.0,
    900.0, 1200.0, 1800.0,
];
/// Seconds.
const COMMIT_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
];

metrics! {
    /// Exchanges by how they ended
    requests: IntCounterVec = "requests_total"
        ["route", "endpoint", "upstream", "model", "outcome"];
    /// From accepting a request to its end
    request_duration: HistogramVec = "request_duration_seconds"
        ["route", "endpoint", "upstream", "model"], buckets DURATION_BUCKETS;
    /// From accepting a request to the first generated event
    time_to_first_token: HistogramVec = "time_to_first_token_seconds"
        ["route", "endpoint", "upstream", "model"], buckets DURATION_BUCKETS;
    /// Tokens; cached_input and cache_write are parts of input, reasoning of output
    tokens: IntCounterVec = "tokens_total" ["route", "upstream", "model", "kind"];
    /// Cost in US dollars by price table; metered and plan money are never to be added
    cost_usd: DecimalCounterVec = "cost_usd_total" ["route", "upstream", "model", "billing"];
    /// Exchanges with usage but without a price
    unpriced_requests: IntCounterVec = "unpriced_requests_total" ["model"];
    /// Exchanges of which neither usage nor cost is known
    unknown_requests: IntCounterVec = "unknown_requests_total" ["model"];
    /// Decisions about the requested model
    model_decisions: IntCounterVec = "model_decisions_total" ["decision", "rule"];
    /// Attempts moved to another model
    fallbacks: IntCounterVec = "fallbacks_total" ["from", "to", "reason"];
    /// Failed upstream calls by class
    upstream_failures: IntCounterVec = "upstream_failures_total" ["upstream", "class"];
    /// Upstream calls
    upstream_attempts: IntCounterVec = "upstream_attempts_total" ["upstream"];
    /// Exchanges that have not ended yet
    in_flight: IntGaugeVec = "in_flight_requests" ["endpoint"];
    /// Requests refused by a limit of this gateway
    limit_rejections: IntCounterVec = "limit_rejections_total" ["kind"],
        at_zero Refusal::KINDS.into_iter().chain(["max_concurrent", "unpriced"]);
    /// What a budget allows in a window
    budget_usd: GaugeVec = "budget_usd" ["budget"];
    /// What is left of a budget in its running window
    budget_remaining_usd: GaugeVec = "budget_remaining_usd" ["budget"];
    /// Budgets that reached their soft threshold, once a window
    soft_budgets_reached: IntCounterVec = "soft_budgets_reached_total" ["scope"],
        at_zero ["key", "team", "gateway"];
    /// Highest use of a ChatGPT plan window among the accounts seen
    plan_used_percent: GaugeVec = "chatgpt_plan_used_percent" ["window"];
    /// Time until an entry is as durable as configured
    ledger_commit: Histogram = "ledger_commit_seconds" [], buckets COMMIT_BUCKETS;
    /// Entries waiting to become durable, the spool included
    ledger_queue_depth: IntGauge = "ledger_queue_depth" [];
    /// Things that translation could not carry
    translation_losses: IntCounterVec = "translation_losses_total" ["kind"];
    /// Streams that had to be repaired on the way, by defect
    mended_streams: IntCounterVec = "mended_streams_total" ["kind"];
    /// When the certificate in use expires, in Unix seconds; absent without TLS
    certificate_expiry: IntGaugeVec = "certificate_expiry_timestamp_seconds" [];
    /// Log lines that could not be written
    log_lines_dropped: IntCounter = "log_lines_dropped_total" [];
    /// Always 1; the label says which version runs
    build_info: GaugeVec = "build_info" ["version"];
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Only when two metrics share a name, which a test would show.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new_custom(Some(PREFIX.to_owned()), None)?;
        let metrics = Self::register(registry)?;
        let version = env!("CARGO_PKG_VERSION");
        metrics.build_info.with_label_values(&[version]).set(1.0);
        Ok(metrics)
    }

    /// Takes over where the budgets of teams and of the gateway stand; those that are gone are shown
    /// no longer.
    pub fn observe_budgets(&self, standings: &[BudgetStatus]) {
        self.budget_remaining_usd.reset();
        self.budget_usd.reset();
        for standing in standings {
            let BudgetStatus {
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
            self.budget_usd
                .with_label_values(&[label.as_str()])
                .set(nano_dollars(budget.nanos));
        }
    }

    /// Takes over when the certificate in use expires, in Unix seconds; `None` if it does not say.
    pub fn observe_certificate(&self, expires_at: Option<i64>) {
        match expires_at {
            Some(at) => self
                .certificate_expiry
                .with_label_values::<&str>(&[])
                .set(at),
            None => self.certificate_expiry.reset(),
        }
    }

    /// The exposition text.
    pub fn render(&self) -> String {
        self.log_lines_dropped
            .inc_by(telemetry::take_dropped_lines());
        let mut families = self.registry.gather();
        families.extend(process());
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_default()
    }
}

/// Memory, processor time, open files and start of the process, under the names that Prometheus
/// gives them everywhere; hence without the prefix.
#[cfg(target_os = "linux")]
fn process() -> Vec<MetricFamily> {
    ProcessCollector::for_self().collect()
}

/// The system does not tell.
#[cfg(not(target_os = "linux"))]
fn process() -> Vec<MetricFamily> {
    Vec::new()
}

/// US dollars for a gauge on a screen; the ledger stays in integers.
#[expect(
    clippy::cast_precision_loss,
    reason = "a metric is a float; the ledger holds the exact figure"
)]
fn nano_dollars(nanos: i64) -> f64 {
    nanos.max(0) as f64 / 1e9
}
