//! Responses over WebSocket: what the frames of both sides say, and how they become a request body
//! and an event stream. Opens no socket and keeps no history.

mod client;
mod server;

pub use client::{ClientFrame, CreateFrame, FrameError, upstream_frame};
pub use server::{
    ErrorParts, EventKind, ServerFrame, WARMUP_ID, as_event, as_text, error_frame, metadata_event,
    read_event, warmup_events, whole_reply,
};

#[cfg(test)]
mod tests;
