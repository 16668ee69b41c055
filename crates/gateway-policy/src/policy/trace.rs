//! What a decision looked at on its way. `explain` and the lints read it; it decides nothing.

use crate::attempt::Attempt;
use crate::auth_route::AuthRoute;
use crate::decision::Decision;
use crate::model_id::ModelId;
use crate::rule::{Rule, RuleRef};
use crate::upstream::UpstreamName;

/// Whether a decision may claim the single probe of an expired refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeMode {
    /// It may: the request is about to be sent.
    Claim,
    /// It must not: nothing is sent.
    Observe,
}

/// Why a model of a chain is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// A rule rejects it.
    Rejected(RuleRef),
    /// No upstream serves the route.
    Unrouted,
    /// It would carry the caller's credential to another party.
    ForeignCredential(UpstreamName),
    /// It is known to refuse.
    Learned,
    /// There were hops enough.
    TooManyHops,
    /// The request continues a kept response.
    PreviousResponse,
    /// The session went past it before.
    SessionMovedOn,
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rejected(rule) => write!(f, "rule `{}` rejects it", rule.name),
            Self::Unrouted => f.write_str("no upstream is configured for this route"),
            Self::ForeignCredential(upstream) => {
                write!(
                    f,
                    "upstream `{upstream}` would receive a credential that is not meant for it"
                )
            }
            Self::Learned => f.write_str("it refused lately"),
            Self::TooManyHops => f.write_str("three models before it are enough"),
            Self::PreviousResponse => {
                f.write_str("the request continues a response that its upstream keeps")
            }
            Self::SessionMovedOn => f.write_str("the session is already there or further on"),
        }
    }
}

/// One model of a chain and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) model: ModelId,
    pub(crate) fate: Result<Attempt, SkipReason>,
}

/// What the walk saw.
pub(crate) struct DecisionTrace<'p> {
    pub(crate) first_rule: Option<&'p Rule>,
    pub(crate) second_rule: Option<&'p Rule>,
    pub(crate) is_sent: bool,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) decision: Decision,
}

impl<'p> DecisionTrace<'p> {
    pub(crate) fn new(first_rule: Option<&'p Rule>) -> Self {
        Self {
            first_rule,
            second_rule: None,
            is_sent: false,
            candidates: Vec::new(),
            decision: Decision::Unrouted(AuthRoute::Anonymous),
        }
    }
}
