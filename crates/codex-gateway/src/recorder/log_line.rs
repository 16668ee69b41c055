//! The line that an exchange leaves in the log.

use gateway_policy::{AuthRoute, DecisionKind, ModelId};
use gateway_wire::Usage;

use crate::record::{ExchangeRecord, describe_losses};

/// The one line of an exchange.
pub(super) fn write(record: &ExchangeRecord<'_>) {
    let ExchangeRecord {
        exchange, result, ..
    } = record;
    let usage = result.usage;
    let adjusted = exchange.attempt.as_ref().map(|it| it.adjusted.as_deref());
    tracing::info!(
        request.id = %exchange.arrival.id,
        endpoint = exchange.arrival.endpoint.as_str(),
        route = exchange.route().map(AuthRoute::as_str),
        caller = exchange.caller.as_ref().map(|caller| caller.label.as_str()),
        upstream = exchange.upstream(),
        model.requested = exchange.request.model.as_ref().map(ModelId::as_str),
        model.served = exchange.model_served().map(ModelId::as_str),
        decision = exchange.decision().map(DecisionKind::as_str),
        rule = exchange.rule(),
        attempts = exchange.calls.len(),
        status = result.status,
        outcome = result.outcome.as_str(),
        error = record.error.as_deref(),
        usage.input_tokens = usage.map(Usage::input),
        usage.cached_input_tokens = usage.map(Usage::cached_input),
        usage.output_tokens = usage.map(Usage::output),
        cost_nanos = result.cost.nanos,
        billing = exchange.billing().as_str(),
        translation.losses = describe_losses(record.losses()),
        adjusted = adjusted.flatten(),
        ttft_ms = result.ttft_ms,
        duration_ms = result.duration_ms,
        "exchange {}", result.outcome.as_str()
    );
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::field::Field;
    use tracing::{Event, Subscriber};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt as _};

    use super::*;
    use crate::clock::Clock;
    use crate::record::AnswerFacts;
    use crate::testing::{entry, exchange};

    /// Notes the names of the fields that are logged.
    struct FieldNames(Arc<Mutex<Vec<&'static str>>>);

    impl<S: Subscriber> Layer<S> for FieldNames {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let fields = event.metadata().fields();
            self.0
                .lock()
                .unwrap()
                .extend(fields.iter().map(|field: Field| field.name()));
        }
    }

    #[test]
    fn every_field_of_the_line_is_on_the_page_about_operations() {
        let clock = Clock::manual("2026-11-20T12:00:00Z");
        let (exchange, at) = (exchange(&clock), clock.now());
        let record = ExchangeRecord {
            exchange: &exchange,
            answer: AnswerFacts::default(),
            error: None,
            result: entry(at, AuthRoute::ApiKey, "gpt-5.5").result,
            duration: Duration::ZERO,
        };
        let names = Arc::default();
        let subscriber = tracing_subscriber::registry().with(FieldNames(Arc::clone(&names)));
        tracing::subscriber::with_default(subscriber, || write(&record));
        let names = names.lock().unwrap();
        assert!(names.len() >= 15, "{names:?}");
        let page = include_str!("../../../../docs/operations.md");
        let missing: Vec<_> = names
            .iter()
            .filter(|name| **name != "message" && !page.contains(&format!("`{name}`")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
