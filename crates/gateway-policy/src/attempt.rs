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
        /// The model before it refused.
        Fallback = "fallback",
        /// It has served the session before.
        Sticky = "sticky",
        /// The model before it is known to refuse.
        Learned = "learned",
    }
}

/// One call to an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The upstream that is called.
    pub upstream: Arc<Upstream>,
    /// The model to write into the request.
    pub model: ModelId,
    /// Why this model at this upstream.
    pub reason: AttemptReason,
    /// The protocol to speak.
    pub wire: WireApi,
    /// Whether this attempt is the probe of an expired refusal; its outcome renews or removes the
    /// refusal.
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
