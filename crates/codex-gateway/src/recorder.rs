//! Where exchanges are recorded: an intent before a request leaves, and at its end the ledger entry,
//! the metrics, a span and one log line. Computes nothing.

mod log_line;

use std::sync::Arc;

use gateway_ledger::{
    Attribution, DispatchRecord, InstanceId, Intent, Ledger, LedgerEntry, Settled, TurnRecord,
};
use gateway_policy::DecisionKind;
use http::HeaderMap;
use opentelemetry::trace::SpanContext;

use crate::clock::Clock;
use crate::error::GatewayError;
use crate::metrics::Metrics;
use crate::model_labels::{ModelLabels, UnpricedLabels};
use crate::plan_limits::PlanWatch;
use crate::record::{Exchange, ExchangeRecord};
use crate::running::Running;
use crate::traces::Traces;

/// Records the exchanges of this process.
pub struct Recorder {
    pub ledger: Ledger,
    pub instance: InstanceId,
    pub metrics: Arc<Metrics>,
    pub traces: Arc<Traces>,
    pub plan_limits: Arc<PlanWatch>,
    pub running: Arc<Running>,
    pub clock: Clock,
    /// The models without a price that the metric names.
    pub unpriced_labels: UnpricedLabels,
}

impl Recorder {
    /// The client's span of which a request is a part.
    pub fn trace_parent(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.traces.parent(headers)
    }

    /// Writes what is about to be sent, so that a crash leaves a trace of it.
    ///
    /// # Errors
    /// When the store does not take it; nothing was sent.
    pub async fn begin(&self, exchange: &Exchange) -> Result<(), GatewayError> {
        match intent(exchange) {
            Some(intent) => {
                self.ledger.begin(&intent).await?;
                self.running.sent(intent);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Writes that another model or upstream is about to be asked.
    ///
    /// # Errors
    /// When the store does not take it; nothing more was sent.
    pub async fn update(&self, exchange: &Exchange) -> Result<(), GatewayError> {
        match intent(exchange) {
            Some(intent) => {
                self.ledger.update_intent(&intent).await?;
                self.running.sent(intent);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Records an exchange that has ended. Returns when the ledger has its entry as durably as
    /// configured. Cannot fail the exchange.
    pub async fn record(&self, record: &ExchangeRecord<'_>, labels: &ModelLabels) {
        let mut is_unknown = false;
        // Without a caller, an entry could not be attributed.
        if let Some(intent) = intent(record.exchange) {
            let result = record.result.clone();
            let entry = LedgerEntry { intent, result };
            is_unknown = entry.is_unknown();
            let id = entry.id().clone();
            self.settle(entry).await;
            self.running.ended(&id);
        }
        self.metrics.observe(labels, record, is_unknown);
        self.count_unpriced(record, labels);
        if let Some(caller) = &record.exchange.caller {
            let at = record.result.finished_at;
            self.plan_limits.note(caller, &record.answer, at);
        }
        self.traces.record(record);
        log_line::write(record);
    }

    /// Counts an exchange with usage that has no price, by a label that names the model.
    fn count_unpriced(&self, record: &ExchangeRecord<'_>, labels: &ModelLabels) {
        let result = &record.result;
        if result.usage.is_none() || result.cost.nanos.is_some() {
            return;
        }
        let model = record.exchange.model_served();
        let label = model.map_or("none", |model| self.unpriced_labels.label(labels, model));
        self.metrics
            .unpriced_requests
            .with_label_values(&[label])
            .inc();
    }

    async fn settle(&self, entry: LedgerEntry) {
        let id = entry.id().clone();
        let began = self.clock.instant();
        let settled = self.ledger.settle(entry).await;
        let took = self.clock.instant().saturating_duration_since(began);
        self.metrics.ledger_commit.observe(took.as_secs_f64());
        match settled {
            Settled::Committed | Settled::Queued => {}
            Settled::Spooled => {
                tracing::warn!(request.id = %id, "the store does not respond; the entry is safe \
                                                  in the spool");
            }
            Settled::Unrecorded(error) => {
                tracing::error!(request.id = %id, error = &error as &dyn std::error::Error, "an entry could not be stored anywhere");
            }
        }
    }
}

/// What the ledger knows of an exchange before it ends; `None` without a caller.
fn intent(exchange: &Exchange) -> Option<Intent> {
    let caller = exchange.caller.as_ref()?;
    let arrival = &exchange.arrival;
    let request = &exchange.request;
    let key = caller.key.as_ref();
    Some(Intent {
        id: arrival.id.entry().clone(),
        started_at: arrival.at,
        attribution: Attribution {
            route: caller.route,
            caller: Some(caller.label.clone()),
            key: key.map(|key| key.id.clone()),
            team: key.and_then(|key| key.team.clone()),
        },
        turn: TurnRecord {
            session_id: request.turn.session_id.clone(),
            thread_id: request.turn.thread_id.clone(),
            turn_id: request.turn.turn_id.clone(),
            request_kind: Some(request.kind().as_str().to_owned()),
            repo: request.repo.clone(),
            commit: request.turn.commit.clone(),
            root_turn: request.turn.root_turn_id.clone(),
            parent: request.turn.parent_thread_id.clone(),
        },
        endpoint: arrival.endpoint.as_str().to_owned(),
        is_free: arrival.endpoint.is_free(),
        model_requested: request.model.as_ref().map(ToString::to_string),
        service_tier_requested: request.service_tier.clone(),
        dispatch: dispatch(exchange),
    })
}

/// Where it goes, and why.
fn dispatch(exchange: &Exchange) -> DispatchRecord {
    DispatchRecord {
        upstream: exchange.upstream().map(str::to_owned),
        model_served: exchange.model_served().map(ToString::to_string),
        decision: exchange.decision().unwrap_or(DecisionKind::Passed),
        rule: exchange.rule().map(str::to_owned),
        attempts: exchange.calls.clone(),
        billing: exchange.billing(),
    }
}
