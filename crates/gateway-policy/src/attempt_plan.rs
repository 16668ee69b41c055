//! What to try for one request, in which order, and what to do when an attempt fails. Sends nothing
//! and waits for nothing.

use std::sync::Arc;

use gateway_wire::{Failure, WireApi};
use serde::Serialize;

use crate::attempt::{Attempt, AttemptReason};
use crate::catalog::{Catalog, ModelEntry};
use crate::degrees::{EFFORTS, VERBOSITIES, nearest};
use crate::model_id::ModelId;
use crate::request::RequestNeeds;
use crate::rule::RuleRef;

/// The most models that are tried after the first.
pub const MAX_HOPS: usize = 3;

gateway_wire::words! {
    /// What happens to encrypted reasoning that the next upstream cannot read.
    #[derive(Default)]
    pub enum EncryptedReasoning {
        /// It is removed, and the answer says so.
        #[default]
        Strip = "strip",
        /// It stays; the upstream's refusal goes to the client.
        Refuse = "refuse",
    }
}

/// A change of the request beside its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjustment {
    /// The reasoning effort becomes this one.
    Effort(String),
    /// The text verbosity becomes this one.
    Verbosity(String),
    /// A Responses-Lite request becomes an ordinary one: the header is removed, tools move out of
    /// `additional_tools`.
    LiftLiteTools,
    /// Encrypted reasoning is removed: another upstream produced it.
    StripReasoning,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum NextStep {
    /// Another attempt, with these changes.
    Attempt {
        /// What to try.
        attempt: Attempt,
        /// What to change in the request first.
        adjust: Vec<Adjustment>,
    },
    /// The same once more, without the header that marks a Responses-Lite request.
    SameModelWithoutLiteHeader,
    /// The same once more, without encrypted reasoning.
    StripForeignReasoning,
    /// The client gets the first answer.
    Stop,
}

gateway_wire::words! {
    /// The word for what happened to a request (contract: `x-gateway-decision`).
    pub enum DecisionKind {
        /// The requested model at the route's upstream.
        Passed = "passed",
        /// The requested model at another upstream.
        Sent = "sent",
        /// Another model, by a rule.
        Rewritten = "rewritten",
        /// Another model because of a refusal, now or earlier.
        FellBack = "fell-back",
        /// Refused by a rule.
        Rejected = "rejected",
    }
}

/// Why a model or its upstream cannot take a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Incompatibility {
    /// The input is longer than this many tokens.
    Window(u64),
    /// It takes no images.
    Images,
    /// The history is encrypted for another upstream.
    ForeignHistory,
}

/// What to try, in order.
#[derive(Debug, Clone)]
pub struct AttemptPlan {
    /// The first attempt; [`AttemptPlan::begin`] says whether it can take the request.
    pub first: Attempt,
    /// At most [`MAX_HOPS`] more, each model once.
    pub rest: Vec<Attempt>,
    /// The rule that decided, if one did.
    pub rule: Option<RuleRef>,
    /// The requested model.
    pub requested: ModelId,
    /// What the rules made of it, before any memory: the key under which a session's stickiness is
    /// kept.
    pub head: Attempt,
    /// Whether a rule chose the upstream.
    pub(crate) is_sent: bool,
    pub(crate) encrypted: EncryptedReasoning,
    pub(crate) catalog: Arc<Catalog>,
}

impl AttemptPlan {
    /// The first attempt that can take the request, with the changes it needs. An attempt that only
    /// memory proposes is skipped when it cannot; the model that the rules chose never is, since
    /// its upstream knows best.
    pub fn begin(&self, needs: &RequestNeeds<'_>) -> (Attempt, Vec<Adjustment>) {
        let remembered = matches!(
            self.first.reason,
            AttemptReason::Sticky | AttemptReason::Learned
        );
        let chosen = if remembered {
            std::iter::once(&self.first)
                .chain(&self.rest)
                .find(|attempt| self.incompatibility(attempt, needs).is_none())
                .unwrap_or(&self.head)
        } else {
            &self.first
        };
        (chosen.clone(), self.adjustments(chosen, needs))
    }

    /// What to do after `tried` failed. `needs` describes the request as it was last sent.
    ///
    /// Must only be called while nothing has reached the client.
    pub fn next(&self, tried: &Attempt, failure: Failure, needs: &RequestNeeds<'_>) -> NextStep {
        match failure {
            Failure::UnsupportedModel => self.hop(tried, needs),
            Failure::LiteHeaderRefused if needs.lite => NextStep::SameModelWithoutLiteHeader,
            Failure::WrongEndpoint
                if tried.wire == WireApi::Chat && tried.upstream.speaks(WireApi::Responses) =>
            {
                let attempt = Attempt {
                    wire: WireApi::Responses,
                    ..tried.clone()
                };
                let adjust = self.adjustments(&attempt, needs);
                NextStep::Attempt { attempt, adjust }
            }
            Failure::ForeignReasoning
                if self.encrypted == EncryptedReasoning::Strip
                    && needs.encrypted_reasoning
                    && !needs.compaction =>
            {
                NextStep::StripForeignReasoning
            }
            Failure::LiteHeaderRefused
            | Failure::WrongEndpoint
            | Failure::ForeignReasoning
            | Failure::ClientTooOld
            | Failure::Capacity
            | Failure::Overloaded
            | Failure::Auth
            | Failure::UsageLimit
            | Failure::RateLimited
            | Failure::ContextLength
            | Failure::PolicyRefusal
            | Failure::BadRequest
            | Failure::OurMistake
            | Failure::ServerError
            | Failure::Transport(_)
            | Failure::Unclassified => NextStep::Stop,
        }
    }

    fn hop(&self, tried: &Attempt, needs: &RequestNeeds<'_>) -> NextStep {
        // The upstream keeps the history that such a request continues, for the model that made it.
        if needs.previous_response {
            return NextStep::Stop;
        }
        let at = self
            .rest
            .iter()
            .position(|attempt| attempt.is_same_target(tried));
        let behind = at.map_or(0, |at| at + 1);
        let found = self
            .rest
            .iter()
            .skip(behind)
            .find(|attempt| self.incompatibility(attempt, needs).is_none());
        found.map_or(NextStep::Stop, |attempt| NextStep::Attempt {
            attempt: Attempt {
                reason: AttemptReason::Fallback,
                ..attempt.clone()
            },
            adjust: self.adjustments(attempt, needs),
        })
    }

    /// Why an attempt cannot take the request. A model without a catalogue entry is assumed to take
    /// everything.
    pub fn incompatibility(
        &self,
        attempt: &Attempt,
        needs: &RequestNeeds<'_>,
    ) -> Option<Incompatibility> {
        let entry = self.catalog.entry(&attempt.model);
        if let Some(window) = entry
            .and_then(ModelEntry::window)
            .filter(|window| needs.approx_tokens > *window)
        {
            return Some(Incompatibility::Window(window));
        }
        if needs.images && entry.and_then(|entry| entry.images.current()) == Some(&false) {
            return Some(Incompatibility::Images);
        }
        let kept = needs.encrypted_reasoning && self.encrypted == EncryptedReasoning::Refuse;
        if self.is_elsewhere(attempt) && (needs.compaction || kept) {
            return Some(Incompatibility::ForeignHistory);
        }
        None
    }

    /// What to change in the request, beside the model, for this attempt; nothing while the
    /// requested model is asked.
    pub fn adjustments(&self, attempt: &Attempt, needs: &RequestNeeds<'_>) -> Vec<Adjustment> {
        let mut changes = Vec::new();
        let is_hop = self.is_elsewhere(attempt);
        if is_hop && needs.encrypted_reasoning {
            changes.push(Adjustment::StripReasoning);
        }
        if attempt.model == self.requested && !is_hop {
            return changes;
        }
        let Some(entry) = self.catalog.entry(&attempt.model) else {
            return changes;
        };
        if let (Some(wanted), Some(taken)) = (needs.effort, entry.efforts.current())
            && let Some(effort) = nearest(wanted, taken, &EFFORTS)
        {
            changes.push(Adjustment::Effort(effort));
        }
        if let (Some(wanted), Some(taken)) = (needs.verbosity, entry.verbosities.current())
            && let Some(verbosity) = nearest(wanted, taken, &VERBOSITIES)
        {
            changes.push(Adjustment::Verbosity(verbosity));
        }
        if needs.lite && !entry.is_lite() {
            changes.push(Adjustment::LiftLiteTools);
        }
        changes
    }

    /// The word for a request that this attempt served.
    pub fn decision(&self, attempt: &Attempt) -> DecisionKind {
        match attempt.reason {
            AttemptReason::Fallback | AttemptReason::Sticky | AttemptReason::Learned => {
                DecisionKind::FellBack
            }
            AttemptReason::Requested | AttemptReason::Rule if attempt.model != self.requested => {
                DecisionKind::Rewritten
            }
            AttemptReason::Requested | AttemptReason::Rule if self.is_sent => DecisionKind::Sent,
            AttemptReason::Requested | AttemptReason::Rule => DecisionKind::Passed,
        }
    }

    /// Whether an attempt goes to another upstream than the one that the rules chose.
    fn is_elsewhere(&self, attempt: &Attempt) -> bool {
        attempt.upstream.name != self.head.upstream.name
    }
}
