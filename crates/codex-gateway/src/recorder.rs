//! The ledger as the request path sees it: an intent before, an entry after.

use gateway_ledger::{
    Attribution, DispatchRecord, InstanceId, Intent, Ledger, LedgerEntry, Settled, TurnRecord,
};
use gateway_policy::DecisionKind;

use crate::error::GatewayError;
use crate::ids::RequestId;
use crate::metrics::Metrics;
use crate::record::Exchange;

/// The books of this process.
pub struct Books {
    ledger: Ledger,
    instance: InstanceId,
}

impl Books {
    /// Over an opened ledger.
    pub fn new(ledger: Ledger, instance: InstanceId) -> Self {
        Self { ledger, instance }
    }

    /// The ledger itself, for reports.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whose entries these are.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Writes down what is about to be sent.
    ///
    /// # Errors
    /// As the conversion from `LedgerError` has it; nothing was spent.
    pub async fn begin(&self, intent: &Intent) -> Result<(), GatewayError> {
        Ok(self.ledger.begin(intent).await?)
    }

    /// Books an entry. Returns when it is as durable as configured.
    pub async fn settle(&self, entry: LedgerEntry) {
        let id = entry.id().clone();
        match self.ledger.settle(entry).await {
            Settled::Committed | Settled::Queued => {}
            Settled::Spooled => {
                tracing::warn!(request.id = %id, "the store does not answer; the entry is safe in the spool");
            }
            Settled::Unrecorded(error) => {
                tracing::error!(request.id = %id, error = &error as &dyn std::error::Error, "an entry could be kept nowhere");
            }
        }
    }

    /// Gives back what was set aside for an exchange that ends without an entry.
    pub fn withdraw(&self, id: &RequestId) {
        self.ledger.withdraw(id.entry());
    }

    /// The intent of an exchange; `None` where nobody is known whom it could be booked on.
    pub fn intent(&self, exchange: &Exchange) -> Option<Intent> {
        let caller = exchange.caller.as_ref()?;
        Some(Intent {
            id: exchange.id.entry().clone(),
            started_at: exchange.started_at,
            attribution: Attribution {
                route: caller.route,
                caller: Some(caller.label.clone()),
                key: caller.key.as_ref().map(|key| key.id.clone()),
                team: caller.key.as_ref().and_then(|key| key.team.clone()),
            },
            turn: TurnRecord {
                session_id: exchange.turn.session_id.clone(),
                thread_id: exchange.turn.thread_id.clone(),
                turn_id: exchange.turn.turn_id.clone(),
                request_kind: Some(exchange.kind().as_str().to_owned()),
            },
            endpoint: exchange.endpoint.as_str().to_owned(),
            is_free: exchange.endpoint.is_free(),
            model_requested: exchange.model_requested.as_ref().map(ToString::to_string),
            service_tier_requested: exchange.service_tier_requested.clone(),
            dispatch: DispatchRecord {
                upstream: exchange.upstream.clone(),
                model_served: exchange.model_served.as_ref().map(ToString::to_string),
                decision: exchange.decision.unwrap_or(DecisionKind::Passed),
                rule: exchange.rule.clone(),
                attempts: exchange.attempts.clone(),
                billing: exchange.billing,
            },
        })
    }

    /// Whether the store takes entries.
    pub fn is_healthy(&self) -> bool {
        self.ledger.health().ok
    }

    /// Sets the gauges that are read at each scrape.
    pub fn observe(&self, metrics: &Metrics) {
        let health = self.ledger.health();
        metrics
            .ledger_queue_depth
            .set(i64::try_from(health.queue_depth + health.spool_depth).unwrap_or(i64::MAX));
    }
}
