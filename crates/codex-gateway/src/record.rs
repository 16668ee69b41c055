//! One client request and everything that happened to it: plain data, gathered along the walk.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_ledger::{AttemptRecord, Outcome};
use gateway_policy::{Attempt, AttemptPlan, AuthRoute, Billing, DecisionKind, ModelId, Upstream};
use gateway_wire::Usage;
use gateway_wire::codex::{PlanLimits, RequestKind, TurnMetadata};
use gateway_wire::stream::Repairs;
use gateway_wire::translate::{Loss, LossKind};
use jiff::Timestamp;
use opentelemetry::trace::SpanContext;

use crate::endpoint::Endpoint;
use crate::identity::caller::Caller;
use crate::ids::RequestId;
use crate::request_body::TailWatch;

/// Where the token counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The upstream said so.
    Reported(Usage),
    /// Worked out from what was sent and seen, because the exchange was cut off.
    Estimated(Usage),
    /// Nobody knows. Never zero.
    Unknown,
}

impl Counted {
    /// The counts, however they were found.
    pub const fn usage(self) -> Option<Usage> {
        match self {
            Self::Reported(usage) | Self::Estimated(usage) => Some(usage),
            Self::Unknown => None,
        }
    }
}

/// The exchange.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what was found out along the walk, each by itself; no states of one machine"
)]
#[derive(Debug, Clone)]
pub struct Exchange {
    pub id: RequestId,
    pub endpoint: Endpoint,
    pub started_at: Timestamp,
    pub started: Instant,
    pub caller: Option<Caller>,
    /// What the client calls itself.
    pub client: Option<String>,
    pub turn: TurnMetadata,
    /// The client's own span, where it sent one and spans are made.
    pub trace_parent: Option<SpanContext>,
    pub model_requested: Option<ModelId>,
    pub model_served: Option<ModelId>,
    pub upstream: Option<String>,
    /// Which kind of money it costs.
    pub billing: Billing,
    /// Whether a budget or a limit counts what it uses.
    pub is_limited: bool,
    pub decision: Option<DecisionKind>,
    pub rule: Option<String>,
    /// The request's own bound on its output.
    pub max_output_tokens: Option<u64>,
    pub attempts: Vec<AttemptRecord>,
    /// Status that the client got.
    pub status: Option<u16>,
    pub outcome: Outcome,
    /// The failure class or error code behind an outcome that is no success.
    pub error: Option<String>,
    pub counted: Counted,
    pub provider_cost_nanos: Option<i64>,
    pub service_tier_requested: Option<String>,
    pub service_tier: Option<String>,
    pub upstream_response_id: Option<String>,
    /// From accepting the request to the first generated event.
    pub first_token: Option<Duration>,
    /// Bytes of the plain request body, for estimates.
    pub request_bytes: u64,
    /// Tells how many they really are, where the body was sent on while it came.
    pub tail: Option<TailWatch>,
    /// Characters of generated text that were seen, for estimates.
    pub output_chars: u64,
    /// Whether an intent was written, so that the ledger expects an entry.
    pub is_dispatched: bool,
    /// Whether the client asked for a stream.
    pub is_stream: bool,
    /// Whether the upstream's token counts could not be true.
    pub is_usage_refused: bool,
    /// What had to be mended on the way.
    pub mended: Repairs,
    /// Plan limits that the answer's head told.
    pub plan_head: Option<Box<PlanLimits>>,
    /// Plan-limit events that passed.
    pub plan_limits: Vec<Bytes>,
    /// What translation could not carry, of the request that was answered and of its answer.
    pub losses: Vec<Loss>,
    /// What was changed in the request beside its model, in words; `None` when nothing was.
    pub adjusted: Option<String>,
}

impl Exchange {
    /// A request that was just accepted.
    pub fn new(id: RequestId, endpoint: Endpoint, started_at: Timestamp, started: Instant) -> Self {
        Self {
            id,
            endpoint,
            started_at,
            started,
            caller: None,
            client: None,
            turn: TurnMetadata::default(),
            trace_parent: None,
            model_requested: None,
            model_served: None,
            upstream: None,
            billing: Billing::Metered,
            is_limited: false,
            decision: None,
            rule: None,
            max_output_tokens: None,
            attempts: Vec::new(),
            status: None,
            outcome: Outcome::Failed,
            error: None,
            counted: Counted::Unknown,
            provider_cost_nanos: None,
            service_tier_requested: None,
            service_tier: None,
            upstream_response_id: None,
            first_token: None,
            request_bytes: 0,
            tail: None,
            output_chars: 0,
            is_dispatched: false,
            is_stream: false,
            is_usage_refused: false,
            mended: Repairs::default(),
            plan_head: None,
            plan_limits: Vec::new(),
            losses: Vec::new(),
            adjusted: None,
        }
    }

    /// Takes over who asks.
    pub fn ask_by(&mut self, caller: Caller) {
        self.billing = match caller.route {
            AuthRoute::Chatgpt => Billing::Plan,
            AuthRoute::ApiKey | AuthRoute::GatewayKey | AuthRoute::Anonymous => Billing::Metered,
        };
        self.caller = Some(caller);
    }

    /// Takes over where it goes. A plan pays for what its own sign-in is sent to; where a rule
    /// sends the request on with another credential, that one's owner gets a bill.
    pub fn send_to(&mut self, upstream: &Upstream) {
        self.upstream = Some(upstream.name.to_string());
        let is_signed_in = self
            .caller
            .as_ref()
            .is_some_and(|caller| caller.route == AuthRoute::Chatgpt);
        self.billing = if is_signed_in && upstream.credential.is_callers() {
            Billing::Plan
        } else {
            Billing::Metered
        };
    }

    /// Takes over who serves.
    pub fn serve_by(&mut self, plan: &AttemptPlan, attempt: &Attempt) {
        self.model_served = Some(attempt.model.clone());
        self.send_to(&attempt.upstream);
        self.decision = Some(plan.decision(attempt));
    }

    /// How often each kind of loss happened, in the order of the documentation.
    pub fn loss_counts(&self) -> impl Iterator<Item = (LossKind, u64)> {
        LossKind::ALL.iter().filter_map(|kind| {
            let count = self.losses.iter().filter(|loss| loss.kind == *kind).count();
            (count > 0).then_some((*kind, count as u64))
        })
    }

    /// The losses as a header and a log field say them: `kind=count,…`; `None` when there are none.
    pub fn losses_text(&self) -> Option<String> {
        let words: Vec<String> = self
            .loss_counts()
            .map(|(kind, count)| format!("{}={count}", kind.as_str()))
            .collect();
        (!words.is_empty()).then(|| words.join(","))
    }

    /// What the request is for, in the words of policy.
    pub fn kind(&self) -> RequestKind {
        self.turn.request_kind.unwrap_or_default()
    }
}
