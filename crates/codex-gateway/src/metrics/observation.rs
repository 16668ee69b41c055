//! What one settled exchange adds to the metrics.

use std::time::Duration;

use gateway_wire::Usage;
use gateway_wire::stream::Repairs;

use crate::exchange::settle::Money;
use crate::metrics::{Metrics, nano_dollars};
use crate::model_labels::ModelLabels;
use crate::record::Exchange;

impl Metrics {
    /// Counts a settled exchange that took `duration`.
    pub fn observe(
        &self,
        labels: &ModelLabels,
        exchange: &Exchange,
        money: &Money,
        duration: Duration,
    ) {
        let caller = exchange.caller.as_ref();
        let route = caller.map_or("none", |caller| caller.route.as_str());
        let upstream = exchange.upstream.as_deref().unwrap_or("none");
        let endpoint = exchange.endpoint.as_str();
        let served = exchange.model_served.as_ref();
        let model = served
            .or(exchange.model_requested.as_ref())
            .map_or("none", |model| labels.label(model));
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
            self.observe_tokens([route, upstream, model], &usage);
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
        self.observe_repairs(exchange.mended);
    }

    fn observe_tokens(&self, [route, upstream, model]: [&str; 3], usage: &Usage) {
        for (kind, count) in [
            ("input", usage.input()),
            ("cached_input", usage.cached_input()),
            ("cache_write", usage.cache_write()),
            ("output", usage.output()),
            ("reasoning", usage.reasoning()),
        ] {
            self.tokens
                .with_label_values(&[route, upstream, model, kind])
                .inc_by(count);
        }
    }

    fn observe_repairs(&self, repaired: Repairs) {
        let kinds = [
            ("bom", repaired.bom),
            ("lone_cr", repaired.lone_cr),
            ("bad_utf8", repaired.bad_utf8),
            ("usage", repaired.usage),
            ("response_id", repaired.response_id),
            ("ending", repaired.ending),
        ];
        for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
            self.mended_streams
                .with_label_values(&[kind])
                .inc_by(u64::from(count));
        }
    }
}
