//! The answer of policy: what to try, in which order, and what to do when an attempt fails. Sends
//! nothing, waits for nothing.

use std::sync::Arc;

use gateway_wire::{Failure, WireApi};
use serde::{Deserialize, Serialize};

use crate::ask::RequestNeeds;
use crate::catalog::{Catalog, ModelCard};
use crate::rule::RuleRef;
use crate::upstream::{Upstream, UpstreamName};
use crate::{AuthRoute, ModelId};

/// Most models that are tried after the first.
pub const MAX_HOPS: usize = 3;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It is sent.
    Forward(Plan),
    /// A rule refuses it.
    Reject(Rejection),
    /// No upstream is configured for its route, and no rule sends it elsewhere.
    Unrouted(AuthRoute),
}

/// A rule's refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The rule that refuses.
    pub rule: RuleRef,
    /// Its reason.
    pub reason: String,
    /// The refused model: the requested one, or what a rewrite made of it.
    pub model: ModelId,
    /// The route of the request.
    pub route: AuthRoute,
    /// Models that work on this route, the likeliest replacement first.
    pub allowed: Vec<ModelId>,
}

impl Rejection {
    /// The text for the user: which rule, why, and what works instead.
    pub fn message(&self) -> String {
        let reason = self.reason.trim().trim_end_matches('.');
        let mut text = format!(
            "Rule \"{}\" rejects {} on the {} route: {reason}.",
            self.rule.name, self.model, self.route
        );
        if self.allowed.is_empty() {
            text.push_str(" Ask the operator of this gateway which models work here.");
        } else {
            let names: Vec<&str> = self.allowed.iter().map(ModelId::as_str).collect();
            text.push_str(" Models that work: ");
            text.push_str(&names.join(", "));
        }
        text
    }
}

/// Why an attempt asks this model at this upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Because {
    /// The client asked for it.
    Asked,
    /// A rule chose it.
    Rule,
    /// The one before refused.
    Fallback,
    /// This session went there before.
    Sticky,
    /// The one before is known to refuse.
    Learned,
}

impl Because {
    /// The word used in the ledger and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Rule => "rule",
            Self::Fallback => "fallback",
            Self::Sticky => "sticky",
            Self::Learned => "learned",
        }
    }
}

/// One call to an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Where.
    pub upstream: Arc<Upstream>,
    /// Which model, as it is to be written into the request.
    pub model: ModelId,
    /// Why.
    pub because: Because,
    /// The protocol to speak.
    pub wire: WireApi,
    /// Whether this attempt finds out if an expired refusal still holds; its outcome settles that
    /// fact.
    pub is_probe: bool,
}

/// What becomes of encrypted reasoning that the next upstream cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncryptedReasoning {
    /// Taken out, and the answer says so.
    #[default]
    Strip,
    /// Left in; the upstream's refusal goes to the client.
    Refuse,
}

/// A change of the request beside its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjustment {
    /// The reasoning effort becomes this one.
    Effort(String),
    /// The text verbosity becomes this one.
    Verbosity(String),
    /// A Responses-Lite request becomes an ordinary one: header off, tools lifted out of
    /// `additional_tools`.
    LiftLiteTools,
    /// Encrypted reasoning is taken out: the upstream that minted it is another.
    StripReasoning,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Another attempt, with these changes.
    Try {
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

/// The word for what happened to a request (contract: `x-gateway-decision`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionKind {
    /// The requested model at the route's upstream.
    Passed,
    /// The requested model at another upstream.
    Sent,
    /// Another model by a rule.
    Rewritten,
    /// Another model because of a refusal, now or earlier.
    FellBack,
    /// Refused by a rule.
    Rejected,
}

impl DecisionKind {
    /// The word used in headers, labels and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Sent => "sent",
            Self::Rewritten => "rewritten",
            Self::FellBack => "fell-back",
            Self::Rejected => "rejected",
        }
    }
}

impl std::fmt::Display for DecisionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a candidate is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// The input is longer than this many tokens.
    Window(u64),
    /// It takes no images.
    Images,
    /// The history is encrypted for another upstream.
    ForeignHistory,
}

/// What to try, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The first attempt; [`Plan::begin`] says whether it can take the request.
    pub first: Attempt,
    /// At most [`MAX_HOPS`] more, each model once.
    pub rest: Vec<Attempt>,
    /// The rule that decided, if one did.
    pub rule: Option<RuleRef>,
    /// The requested model.
    pub asked: ModelId,
    /// What the rules made of it, before any memory: the key under which a session's stickiness is
    /// kept.
    pub head: Attempt,
    /// Whether a rule chose the upstream.
    pub(crate) is_sent: bool,
    pub(crate) encrypted: EncryptedReasoning,
    pub(crate) catalog: Arc<Catalog>,
}

impl Plan {
    /// The first attempt that can take the request. An attempt that only memory proposes gives way
    /// when it cannot; the model that the rules chose never does, since its upstream knows best.
    pub fn begin(&self, needs: &RequestNeeds<'_>) -> (Attempt, Vec<Adjustment>) {
        let remembered = matches!(self.first.because, Because::Sticky | Because::Learned);
        let chosen = if remembered {
            std::iter::once(&self.first)
                .chain(&self.rest)
                .find(|attempt| self.unfit(attempt, needs).is_none())
                .unwrap_or(&self.head)
        } else {
            &self.first
        };
        (chosen.clone(), self.adjustments(chosen, needs))
    }

    /// What to do after `tried` failed. `needs` describes the request as it was last sent.
    ///
    /// Asked only while nothing has reached the client.
    pub fn next(&self, tried: &Attempt, failure: Failure, needs: &RequestNeeds<'_>) -> Next {
        match failure {
            Failure::UnsupportedModel => self.hop(tried, needs),
            Failure::LiteHeaderRefused if needs.lite => Next::SameModelWithoutLiteHeader,
            Failure::WrongEndpoint
                if tried.wire == WireApi::Chat && tried.upstream.speaks(WireApi::Responses) =>
            {
                let attempt = Attempt {
                    wire: WireApi::Responses,
                    ..tried.clone()
                };
                let adjust = self.adjustments(&attempt, needs);
                Next::Try { attempt, adjust }
            }
            Failure::ForeignReasoning
                if self.encrypted == EncryptedReasoning::Strip
                    && needs.encrypted_reasoning
                    && !needs.compaction =>
            {
                Next::StripForeignReasoning
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
            | Failure::Unclassified => Next::Stop,
        }
    }

    fn hop(&self, tried: &Attempt, needs: &RequestNeeds<'_>) -> Next {
        // The upstream keeps the history that such a request continues, for the model that made it.
        if needs.previous_response {
            return Next::Stop;
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
            .find(|attempt| self.unfit(attempt, needs).is_none());
        found.map_or(Next::Stop, |attempt| Next::Try {
            attempt: Attempt {
                because: Because::Fallback,
                ..attempt.clone()
            },
            adjust: self.adjustments(attempt, needs),
        })
    }

    /// Why an attempt cannot take the request; a model nobody describes can take everything.
    pub fn unfit(&self, attempt: &Attempt, needs: &RequestNeeds<'_>) -> Option<Unfit> {
        let card = self.catalog.card(&attempt.model);
        if let Some(window) = card
            .and_then(ModelCard::window)
            .filter(|window| needs.approx_tokens > *window)
        {
            return Some(Unfit::Window(window));
        }
        if needs.images && card.and_then(|card| card.images.current()) == Some(&false) {
            return Some(Unfit::Images);
        }
        let kept = needs.encrypted_reasoning && self.encrypted == EncryptedReasoning::Refuse;
        if self.is_elsewhere(attempt) && (needs.compaction || kept) {
            return Some(Unfit::ForeignHistory);
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
        if attempt.model == self.asked && !is_hop {
            return changes;
        }
        let Some(card) = self.catalog.card(&attempt.model) else {
            return changes;
        };
        if let (Some(wanted), Some(taken)) = (needs.effort, card.efforts.current())
            && let Some(effort) = nearest(wanted, taken, &EFFORTS)
        {
            changes.push(Adjustment::Effort(effort));
        }
        if let (Some(wanted), Some(taken)) = (needs.verbosity, card.verbosities.current())
            && let Some(verbosity) = nearest(wanted, taken, &VERBOSITIES)
        {
            changes.push(Adjustment::Verbosity(verbosity));
        }
        if needs.lite && !card.is_lite() {
            changes.push(Adjustment::LiftLiteTools);
        }
        changes
    }

    /// The word for a request that this attempt served.
    pub fn decision(&self, attempt: &Attempt) -> DecisionKind {
        match attempt.because {
            Because::Fallback | Because::Sticky | Because::Learned => DecisionKind::FellBack,
            Because::Asked | Because::Rule if attempt.model != self.asked => {
                DecisionKind::Rewritten
            }
            Because::Asked | Because::Rule if self.is_sent => DecisionKind::Sent,
            Because::Asked | Because::Rule => DecisionKind::Passed,
        }
    }

    /// Whether an attempt goes to another upstream than the one that the rules chose.
    fn is_elsewhere(&self, attempt: &Attempt) -> bool {
        attempt.upstream.name != self.head.upstream.name
    }
}

impl Attempt {
    /// Whether both ask the same model at the same upstream.
    pub fn is_same_target(&self, other: &Self) -> bool {
        self.model == other.model && self.upstream.name == other.upstream.name
    }

    /// The upstream's name.
    pub fn upstream_name(&self) -> &UpstreamName {
        &self.upstream.name
    }
}

const EFFORTS: [&str; 8] = [
    "none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra",
];
const VERBOSITIES: [&str; 3] = ["low", "medium", "high"];

/// The greatest taken word not above `wanted`, else the least; `None` when `wanted` itself is taken
/// or cannot be ranked. `none` is no lesser degree but the absence of one: only who asks for it
/// gets it.
fn nearest(wanted: &str, taken: &[String], order: &[&str]) -> Option<String> {
    if taken.iter().any(|word| word.eq_ignore_ascii_case(wanted)) {
        return None;
    }
    let rank = |word: &str| {
        order
            .iter()
            .position(|known| known.eq_ignore_ascii_case(word))
    };
    let limit = rank(wanted)?;
    let ranked = || {
        taken
            .iter()
            .filter(|word| !word.eq_ignore_ascii_case("none"))
            .filter_map(|word| rank(word).map(|rank| (rank, word)))
    };
    let below = ranked()
        .filter(|(rank, _)| *rank < limit)
        .max_by_key(|(rank, _)| *rank);
    below
        .or_else(|| ranked().min_by_key(|(rank, _)| *rank))
        .map(|(_, word)| word.clone())
}
