//! What one settled exchange adds to the metrics.

use gateway_policy::AuthRoute;
use gateway_wire::Usage;
use gateway_wire::stream::Repairs;

use crate::metrics::{Metrics, nano_dollars};
use crate::model_labels::ModelLabels;
use crate::record::{ExchangeRecord, count_losses};

impl Metrics {
    /// Counts a settled exchange. `is_unknown`: an upstream did, or may have done, work of which
    /// neither tokens nor cost are known.
    pub fn observe(&self, labels: &ModelLabels, record: &ExchangeRecord<'_>, is_unknown: bool) {
        let ExchangeRecord {
            exchange, result, ..
        } = record;
        let route = exchange.route().map_or("none", AuthRoute::as_str);
        let upstream = exchange.upstream().unwrap_or("none");
        let endpoint = exchange.arrival.endpoint.as_str();
        let model = exchange
            .model_served()
            .or(exchange.request.model.as_ref())
            .map_or("none", |model| labels.label(model));
        self.requests
            .with_label_values(&[route, endpoint, upstream, model, result.outcome.as_str()])
            .inc();
        self.request_duration
            .with_label_values(&[route, endpoint, upstream, model])
            .observe(record.duration.as_secs_f64());
        if let Some(first) = record.answer.first_token {
            self.time_to_first_token
                .with_label_values(&[route, endpoint, upstream, model])
                .observe(first.as_secs_f64());
        }
        if let Some(decision) = exchange.decision() {
            let rule = exchange.rule().unwrap_or("");
            self.model_decisions
                .with_label_values(&[decision.as_str(), rule])
                .inc();
        }
        if let Some(usage) = result.usage {
            self.observe_tokens([route, upstream, model], &usage);
        }
        if is_unknown {
            self.unknown_requests.with_label_values(&[model]).inc();
        }
        // An upstream can say what it costs and not what was used.
        if let Some(nanos) = result.cost.nanos {
            self.cost_usd
                .with_label_values(&[route, upstream, model, exchange.billing().as_str()])
                .inc_by(nano_dollars(nanos));
        }
        for (kind, count) in count_losses(record.losses()) {
            self.translation_losses
                .with_label_values(&[kind.as_str()])
                .inc_by(count);
        }
        self.observe_repairs(record.answer.summary.repairs);
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
