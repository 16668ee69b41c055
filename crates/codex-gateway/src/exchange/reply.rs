//! What an upstream answered, ready for the client.

use std::time::Duration;

use bytes::Bytes;
use gateway_wire::WireApi;
use gateway_wire::stream::{ReplySummary, Step};
use gateway_wire::translate::{Loss, ReasoningBlob};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::exchange::pump::{PumpTimes, StreamEnd};
use crate::exchange::stream_processor::StreamProcessor;
use crate::upstream::client::ReplyBody;

/// An answer of an upstream.
pub struct UpstreamReply {
    pub status: StatusCode,
    /// As the upstream sent them.
    pub headers: HeaderMap,
    /// The etag of the model catalogue that this caller would get.
    pub models_etag: Option<HeaderValue>,
    pub content: ReplyContent,
}

/// The body of an answer.
pub enum ReplyContent {
    Stream(Box<OpenStream>),
    Whole(Box<BufferedReply>),
}

/// A stream that has begun.
pub struct OpenStream {
    pub processor: StreamProcessor,
    pub wire: WireApi,
    pub body: ReplyBody,
    /// What was read while a fallback was possible.
    pub held: Vec<Step>,
    pub times: PumpTimes,
    /// The upstream has already ended, cleanly or not.
    pub ended: Option<StreamEnd>,
}

/// A plain answer, or an error of the upstream that passes byte for byte.
pub struct BufferedReply {
    pub pieces: Vec<Bytes>,
    /// More is coming.
    pub rest: Option<ReplyBody>,
    /// A coding that could not be undone.
    pub unknown_coding: Option<HeaderValue>,
    /// Longest silence while the rest arrives.
    pub idle: Duration,
    /// Set where the pieces were made here, from an answer in another protocol.
    pub translation: Option<Box<WholeTranslation>>,
}

/// What a translation said about an answer that was made here.
pub struct WholeTranslation {
    pub summary: ReplySummary,
    pub losses: Vec<Loss>,
    pub reasoning: Vec<(String, ReasoningBlob)>,
}

impl UpstreamReply {
    /// The pieces of a whole answer.
    pub fn whole(&self) -> Option<&[Bytes]> {
        match &self.content {
            ReplyContent::Whole(reply) => Some(&reply.pieces),
            ReplyContent::Stream(_) => None,
        }
    }
}
