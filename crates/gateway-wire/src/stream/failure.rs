//! An upstream's error as a stream or an answer tells it.

use bytes::Bytes;

use crate::error_envelope::{ErrorEnvelope, error_in};

/// An error told inside a stream (or inside a 200).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamFailure {
    /// `error.code`, numbers as text.
    pub code: Option<String>,
    /// `error.type`.
    pub kind: Option<String>,
    /// `error.message`.
    pub message: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
    /// An HTTP status named in the event.
    pub status: Option<u16>,
    /// The event's JSON data.
    pub raw: Bytes,
}

impl StreamFailure {
    /// Reads the error of an event or a body, in whatever envelope it comes.
    pub fn read(data: &[u8]) -> Self {
        Self::new(ErrorEnvelope::read(data), data)
    }

    /// The error that an event is or holds, by its data and its `event:` field.
    pub(crate) fn in_event(data: &[u8], event_name: Option<&str>) -> Option<Self> {
        match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(data) {
            Ok(object) => Some(Self::new(error_in(&object, event_name)?, data)),
            // Words, or something that is not read here.
            Err(_) => (event_name == Some("error")).then(|| Self::read(data)),
        }
    }

    fn new(envelope: ErrorEnvelope, data: &[u8]) -> Self {
        Self {
            code: envelope.code,
            kind: envelope.kind,
            message: envelope.message,
            param: envelope.param,
            status: envelope.status,
            raw: Bytes::copy_from_slice(data),
        }
    }
}
