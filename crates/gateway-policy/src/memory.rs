//! What a process has learned about sessions and refused models, as a decision asks for it. The
//! process implements [`Memory`] over its live state; nothing is stored here.

use crate::attempt::AttemptReason;
use crate::model_id::ModelId;
use crate::upstream::UpstreamName;

/// Which model serves a live session, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The model that serves the session.
    pub model: ModelId,
    /// The upstream that serves it.
    pub upstream: UpstreamName,
    /// Why it serves the session.
    pub reason: AttemptReason,
}

/// What is known about a model at an upstream for this caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalState {
    /// Nothing: ask the upstream.
    Unknown,
    /// It refused recently: do not ask.
    Refused,
    /// It refused some time ago: one request may find out.
    Probe,
}

/// What this process learned, for one caller and one session. The process implements it over its
/// live state.
pub trait Memory {
    /// Where this session went when it last asked for `head`, the model that the rules chose.
    ///
    /// Also answers when the session is served by `head` itself: then a refusal that another caller
    /// met does not move it.
    fn sticky(&self, head: &ModelId) -> Option<Sticky>;

    /// What is known of this pair. Reads only: `Policy::explain` asks too.
    fn refused(&self, upstream: &UpstreamName, model: &ModelId) -> RefusalState;

    /// Takes the single probe of an expired refusal; `false` when another request has it. Asked
    /// only for the model that this request is about to try first, and never by
    /// `Policy::explain`.
    fn claim_probe(&self, upstream: &UpstreamName, model: &ModelId) -> bool;
}

/// A memory that knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn sticky(&self, _head: &ModelId) -> Option<Sticky> {
        None
    }

    fn refused(&self, _upstream: &UpstreamName, _model: &ModelId) -> RefusalState {
        RefusalState::Unknown
    }

    fn claim_probe(&self, _upstream: &UpstreamName, _model: &ModelId) -> bool {
        true
    }
}
