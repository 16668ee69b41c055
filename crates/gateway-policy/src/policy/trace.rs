//! What a decision looked at on its way, for `explain`. Decides nothing.

use crate::attempt::Attempt;
use crate::auth_route::AuthRoute;
use crate::decision::Decision;
use crate::model_id::ModelId;
use crate::rule::{Rule, RuleRef};
use crate::upstream::UpstreamName;

/// Why a model of a chain is skipped.
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
    /// Enough models are tried before it.
    TooManyHops,
    /// The request continues a kept response.
    PreviousResponse,
    /// The session has moved on to a model behind it.
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
            Self::Learned => f.write_str("it refused recently"),
            Self::TooManyHops => f.write_str("three models were tried before it"),
            Self::PreviousResponse => {
                f.write_str("the request continues a response that its upstream stores")
            }
            Self::SessionMovedOn => f.write_str("the session already uses it, or a later one"),
        }
    }
}

/// One model of a chain, and its attempt or the reason why it is skipped.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) model: ModelId,
    pub(crate) fate: Result<Attempt, SkipReason>,
}

/// What a decision looked at.
pub(crate) struct DecisionTrace<'p> {
    pub(crate) first_rule: Option<&'p Rule>,
    pub(crate) second_rule: Option<&'p Rule>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) decision: Decision,
}

impl<'p> DecisionTrace<'p> {
    /// The trace of a request that no upstream serves, until more is known.
    pub(crate) fn new(first_rule: Option<&'p Rule>, route: AuthRoute) -> Self {
        Self {
            first_rule,
            second_rule: None,
            candidates: Vec::new(),
            decision: Decision::Unrouted(route),
        }
    }
}
