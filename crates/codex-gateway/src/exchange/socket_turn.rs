//! What a request that came over a WebSocket carries beside its body: the message as it came, and
//! the conversation that it continues. The body is made whole where the upstream does not know that
//! conversation.

use std::sync::Arc;

use bytes::Bytes;
use gateway_policy::{Attempt, ModelId};
use gateway_wire::relay::{Relay, RelaySettings};
use gateway_wire::socket::{CreateFrame, WARMUP_ID, warmup_events};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use crate::error::{ErrorCode, GatewayError};
use crate::exchange::pump::PumpTimes;
use crate::exchange::reply::{OpenStream, ReplyContent, UpstreamReply};
use crate::exchange::stream_processor::StreamProcessor;
use crate::ids::RequestId;
use crate::request_body::{RequestBody, decode};
use crate::upstream::client::ReplyBody;

/// A `response.create` message on its way.
pub struct SocketTurn {
    frame: CreateFrame,
    previous: Previous,
}

/// What a message continues.
pub enum Previous {
    /// Nothing: it has the whole conversation.
    Nothing,
    /// A response of this socket: its id, and the lists of items up to there.
    Known(String, Vec<Bytes>),
    /// A response of this socket whose conversation is no longer kept.
    Forgotten,
    /// A response that was made elsewhere, which only its upstream can know.
    Elsewhere,
}

impl SocketTurn {
    /// A message, and what it continues.
    pub const fn new(frame: CreateFrame, previous: Previous) -> Self {
        Self { frame, previous }
    }

    /// That of a request, if it came over a socket.
    pub fn of(parts: &Parts) -> Option<&Arc<Self>> {
        parts.extensions.get()
    }

    /// The message.
    pub const fn frame(&self) -> &CreateFrame {
        &self.frame
    }

    /// Whether nothing is to be generated.
    pub const fn is_warmup(&self) -> bool {
        self.frame.is_warmup()
    }

    /// Whether only the upstream of an earlier response can serve it.
    pub const fn is_bound_to_upstream(&self) -> bool {
        matches!(self.previous, Previous::Elsewhere)
    }

    /// Bytes of the conversation that are not in the message.
    pub fn history_bytes(&self) -> u64 {
        match &self.previous {
            Previous::Known(_, lists) => lists.iter().map(|list| list.len() as u64).sum(),
            Previous::Nothing | Previous::Forgotten | Previous::Elsewhere => 0,
        }
    }

    /// Puts the whole conversation into the body, as it would have come over HTTP.
    ///
    /// # Errors
    /// When it is no longer kept, or larger than a request may be.
    pub fn expand(&self, body: &mut RequestBody, max: usize) -> Result<(), GatewayError> {
        let lists = match &self.previous {
            Previous::Nothing | Previous::Elsewhere => return Ok(()),
            Previous::Forgotten => return Err(not_found()),
            Previous::Known(_, lists) => lists,
        };
        let whole = self.frame.expanded_body(lists);
        if whole.len() > max {
            return Err(decode::too_large(max));
        }
        body.replace(whole)
    }
}

/// On this code, Codex sends the whole conversation, once and silently.
pub fn not_found() -> GatewayError {
    GatewayError::new(
        ErrorCode::PreviousResponseNotFound,
        "the conversation of `previous_response_id` is not known here any more; send all of it in \
         `input`",
    )
    .param("previous_response_id")
}

/// The response to a message that generates nothing, where no upstream has to be asked for it: the
/// conversation is kept here until there is something to generate.
pub fn warmup_reply(id: &RequestId, model: Option<&ModelId>, attempt: &Attempt) -> UpstreamReply {
    let wire = gateway_wire::WireApi::Responses;
    let model = model.map_or("", ModelId::as_str);
    let events = warmup_events(&format!("{WARMUP_ID}{id}"), model);
    let max_event = events.len();
    let upstream = &attempt.upstream;
    UpstreamReply {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        models_etag: None,
        content: ReplyContent::Stream(Box::new(OpenStream {
            processor: StreamProcessor::Relay(Box::new(Relay::new(RelaySettings {
                wire,
                max_event,
                model_echo: None,
                strip_models_etag: false,
                hide_usage: false,
                ends_with_connection: false,
            }))),
            wire,
            body: ReplyBody::from_stream(futures_util::stream::iter([Ok(events)])),
            held: Vec::new(),
            times: PumpTimes {
                idle: upstream.stream_idle_timeout,
                keepalive: None,
                drain: upstream.stream_idle_timeout,
            },
            ended: None,
        })),
    }
}
