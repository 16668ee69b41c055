//! One call to an upstream and why it is made.

use std::sync::Arc;

use gateway_wire::WireApi;

use crate::model_id::ModelId;
use crate::upstream::{Upstream, UpstreamName};

gateway_wire::words! {
    /// Why an attempt asks this model at this upstream.
    pub enum AttemptReason {
        /// The client asked for it.
        Requested = "asked",
        /// A rule chose it.
        Rule = "rule",
        /// The one before refused.
        Fallback = "fallback",
        /// This session went there before.
        Sticky = "sticky",
        /// The one before is known to refuse.
        Learned = "learned",
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
    /// Whether both ask the same model at the same upstream.
    pub fn is_same_target(&self, other: &Self) -> bool {
        self.model == other.model && self.upstream.name == other.upstream.name
    }

    /// The upstream's name.
    pub fn upstream_name(&self) -> &UpstreamName {
        &self.upstream.name
    }
}
