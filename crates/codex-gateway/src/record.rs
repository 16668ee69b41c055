//! One exchange as plain data, in the order in which it becomes known: the request, the attempt that
//! serves it, and how it ended. Decides nothing.

mod ending;
mod losses;
mod request_facts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_ledger::{AttemptRecord, EntryResult};
use gateway_policy::{
    Attempt, AttemptPlan, AuthRoute, Billing, DecisionKind, ModelId, RuleRef, Upstream,
};
use gateway_wire::translate::Loss;
use gateway_wire::{SendState, Usage};
use jiff::Timestamp;
use opentelemetry::trace::SpanContext;

use crate::endpoint::Endpoint;
use crate::identity::caller::Caller;
use crate::ids::RequestId;
use crate::request_body::TailWatch;
pub use ending::{AnswerFacts, End, Ending, is_cut_short};
pub use losses::{count_losses, describe_losses};
pub use request_facts::RequestFacts;

/// An exchange on its way. Each step of the walk adds what it found out, so that whatever cuts the
/// exchange off finds it here.
#[derive(Debug)]
pub struct Exchange {
    pub arrival: Arrival,
    pub caller: Option<Arc<Caller>>,
    pub request: RequestFacts,
    pub decided: Decided,
    /// The present attempt; `None` before one is decided on. Replaced as a whole by the next one.
    pub attempt: Option<AttemptFacts>,
    /// Every call to an upstream, in order.
    pub calls: Vec<AttemptRecord>,
    /// The tokens that were reserved for it, where a budget counts it: what it is charged if its
    /// upstream does not say what it used.
    pub set_aside: Option<Usage>,
    /// Whether an intent was written, so that the ledger expects an entry.
    pub is_dispatched: bool,
    /// Whether it has ended and is recorded.
    pub is_settled: bool,
}

/// What is known when a request is accepted.
#[derive(Debug)]
pub struct Arrival {
    pub id: RequestId,
    pub endpoint: Endpoint,
    pub at: Timestamp,
    /// The same moment, for measuring durations.
    pub instant: Instant,
    /// The client's own span, where it sent one and spans are made.
    pub trace_parent: Option<SpanContext>,
}

/// What the rules decided.
#[derive(Debug, Default)]
pub struct Decided {
    pub rule: Option<RuleRef>,
    /// Whether they, or the limits of a gateway key, refuse the model.
    pub is_rejected: bool,
}

/// What belongs to one attempt.
#[derive(Debug, Clone)]
pub struct AttemptFacts {
    pub upstream: Arc<Upstream>,
    /// `None` at an endpoint whose requests name none.
    pub model: Option<ModelId>,
    pub decision: Option<DecisionKind>,
    /// Which kind of money it costs.
    pub billing: Billing,
    /// What the translation of the request could not carry.
    pub losses: Vec<Loss>,
    /// What was changed in the request beside its model, in words.
    pub adjusted: Option<String>,
    /// The class of the upstream's refusal.
    pub failure: Option<&'static str>,
    /// Follows a body that is sent on while it arrives.
    pub upload: Option<TailWatch>,
}

/// A settled exchange: what the ledger, the metrics, the traces and the log are made of.
#[derive(Debug)]
pub struct ExchangeRecord<'a> {
    pub exchange: &'a Exchange,
    pub answer: AnswerFacts,
    /// The error code or failure class behind an outcome that is not a success.
    pub error: Option<String>,
    pub result: EntryResult,
    /// From accepting the request to its end.
    pub duration: Duration,
}

impl Exchange {
    /// A request that was just accepted.
    pub fn new(arrival: Arrival) -> Self {
        Self {
            arrival,
            caller: None,
            request: RequestFacts::default(),
            decided: Decided::default(),
            attempt: None,
            calls: Vec::new(),
            set_aside: None,
            is_dispatched: false,
            is_settled: false,
        }
    }

    /// The auth route, once the caller is known.
    pub fn route(&self) -> Option<AuthRoute> {
        self.caller.as_ref().map(|caller| caller.route)
    }

    /// The upstream's name.
    pub fn upstream(&self) -> Option<&str> {
        let attempt = self.attempt.as_ref()?;
        Some(attempt.upstream.name.as_str())
    }

    /// The model that serves.
    pub fn model_served(&self) -> Option<&ModelId> {
        self.attempt.as_ref()?.model.as_ref()
    }

    /// Whether another model serves than the one that was asked for.
    pub fn is_model_changed(&self) -> bool {
        let served = self.model_served();
        served.is_some() && served != self.request.model.as_ref()
    }

    /// The decision about the requested model.
    pub fn decision(&self) -> Option<DecisionKind> {
        if self.decided.is_rejected {
            return Some(DecisionKind::Rejected);
        }
        self.attempt.as_ref()?.decision
    }

    /// The name of the rule that decided.
    pub fn rule(&self) -> Option<&str> {
        self.decided.rule.as_ref().map(|rule| &*rule.name)
    }

    /// Which kind of money it costs; before an attempt, that of the caller's route.
    pub fn billing(&self) -> Billing {
        match &self.attempt {
            Some(attempt) => attempt.billing,
            None if self.route() == Some(AuthRoute::Chatgpt) => Billing::Plan,
            None => Billing::Metered,
        }
    }

    /// Bytes of the plain request body, as far as they have come.
    pub fn request_bytes(&self) -> u64 {
        let upload = self.attempt.as_ref().and_then(|it| it.upload.as_ref());
        let sent = upload.map_or(0, TailWatch::bytes);
        self.request.bytes.max(sent)
    }

    /// Whether an upstream began to answer with anything but a refusal.
    pub fn was_answered(&self) -> bool {
        self.calls.iter().any(is_answer)
    }

    /// Whether an upstream began to answer, and did not turn out to refuse.
    pub fn has_answer(&self) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| is_answer(call) && call.failure.is_none())
    }

    /// Whether an upstream worked, as far as can be known.
    pub fn may_have_worked(&self) -> bool {
        let mut calls = self.calls.iter();
        let is_open =
            |call: &AttemptRecord| call.status.is_none() && call.sent == SendState::Ambiguous;
        self.has_answer() || calls.any(is_open)
    }

    /// A call is noted when its answer begins. One that was cut off before that may have reached
    /// the upstream all the same.
    pub fn note_open_call(&mut self) {
        if !self.is_dispatched || self.calls.last().is_some_and(is_answer) {
            return;
        }
        let Some(attempt) = &self.attempt else { return };
        self.calls
            .push(attempt.call(None, None, SendState::Ambiguous));
    }
}

fn is_answer(call: &AttemptRecord) -> bool {
    call.status.is_some_and(|status| status < 400)
}

impl AttemptFacts {
    /// An attempt of a plan.
    pub fn of(plan: &AttemptPlan, attempt: &Attempt, caller: &Caller) -> Self {
        Self {
            model: Some(attempt.model.clone()),
            decision: Some(plan.decision(attempt)),
            ..Self::at(&attempt.upstream, caller)
        }
    }

    /// A request that names no model.
    pub fn at(upstream: &Arc<Upstream>, caller: &Caller) -> Self {
        // A plan pays for what its own sign-in is sent to; where a rule sends the request on with
        // another credential, that one's owner gets a bill.
        let is_by_plan = caller.route == AuthRoute::Chatgpt && upstream.credential.is_callers();
        Self {
            upstream: Arc::clone(upstream),
            model: None,
            decision: None,
            billing: if is_by_plan {
                Billing::Plan
            } else {
                Billing::Metered
            },
            losses: Vec::new(),
            adjusted: None,
            failure: None,
            upload: None,
        }
    }

    /// Whether both ask the same model at the same upstream.
    pub fn is_same_target(&self, other: &Self) -> bool {
        self.model == other.model && self.upstream.name == other.upstream.name
    }

    /// The record of a call of this attempt.
    pub fn call(
        &self,
        status: Option<u16>,
        failure: Option<String>,
        sent: SendState,
    ) -> AttemptRecord {
        AttemptRecord {
            model: self
                .model
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            upstream: self.upstream.name.to_string(),
            status,
            failure,
            sent,
        }
    }
}

impl ExchangeRecord<'_> {
    /// Everything that translation could not carry, in both directions.
    pub fn losses(&self) -> impl Iterator<Item = &Loss> + Clone {
        let of_request = self.exchange.attempt.iter().flat_map(|it| &it.losses);
        of_request.chain(&self.answer.losses)
    }
}
