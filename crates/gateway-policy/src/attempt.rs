//! One call to an upstream and why it is made.

use std::sync::Arc;

use gateway_wire::WireApi;
use serde::{Deserialize, Serialize};

use crate::model_id::ModelId;
use crate::upstream::{Upstream, UpstreamName};

/// Why an attempt asks this model at this upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptReason {
    /// The client asked for it.
    #[serde(rename = "asked")]
    Requested,
    /// A rule chose it.
    Rule,
    /// The one before refused.
    Fallback,
    /// This session went there before.
    Sticky,
    /// The one before is known to refuse.
    Learned,
}

impl AttemptReason {
    /// The word used in the ledger and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "asked",
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
    pub reason: AttemptReason,
    /// The protocol to speak.
    pub wire: WireApi,
    /// Whether this attempt finds out if an expired refusal still holds; its outcome settles that
    /// fact.
    pub is_probe: bool,
}

impl Attempt {
    /// Whether both request the same model at the same upstream.
    pub fn is_same_target(&self, other: &Self) -> bool {
        self.model == other.model && self.upstream.name == other.upstream.name
    }

    /// The upstream's name.
    pub fn upstream_name(&self) -> &UpstreamName {
        &self.upstream.name
    }
}
