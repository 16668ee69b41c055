//! What the watch of one wire says about an event.

use bytes::Bytes;

use crate::stream::StepKind;

/// What a watch says about an event.
pub(super) struct Observation {
    pub(super) kind: StepKind,
    /// Bytes to send in its place.
    pub(super) rewritten: Option<Bytes>,
}

impl Observation {
    pub(super) const fn unchanged(kind: StepKind) -> Self {
        Self {
            kind,
            rewritten: None,
        }
    }
}
