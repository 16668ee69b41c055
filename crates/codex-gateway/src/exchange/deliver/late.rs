//! Answers whose head has left before them: what the upstream says goes into the stream that was begun.

use bytes::Bytes;
use gateway_wire::stream::{ReplySummary, StreamFailure, Terminal};
use gateway_wire::{WireApi, synthesize};
use http::HeaderMap;

use super::{Begun, Delivery, read};
use crate::exchange::client_response::BodySender;
use crate::exchange::reply::{BufferedReply, ReplyContent};
use crate::exchange::settle::settle;
use crate::identity::client;
use crate::record::{End, Ending, Exchange};
use crate::upstream::headers::content_type_is_events;

impl Delivery<'_> {
    /// Passes an answer on in a stream that has begun.
    pub(super) async fn deliver_late(
        self,
        exchange: &mut Exchange,
        begun: Begun,
        headers: HeaderMap,
        content: ReplyContent,
    ) {
        match content {
            ReplyContent::Stream(stream) => self.pump_stream(exchange, begun, *stream).await,
            ReplyContent::Whole(reply) => {
                self.deliver_whole_late(exchange, begun, &headers, *reply)
                    .await;
            }
        }
    }

    /// A whole answer: events that were made of one, or an error of the upstream, which is told in the only form that
    /// is left.
    async fn deliver_whole_late(
        self,
        exchange: &mut Exchange,
        begun: Begun,
        headers: &HeaderMap,
        reply: BufferedReply,
    ) {
        let Begun {
            status,
            body,
            mut facts,
        } = begun;
        let is_stream = content_type_is_events(headers);
        match reply.translation {
            Some(translation) => {
                facts.summary = translation.summary;
                facts.losses = translation.losses;
                self.keep_reasoning(exchange, translation.reasoning);
            }
            None => facts.summary = read(exchange, status, &reply.pieces),
        }
        let failure = (!is_stream).then(|| told_failure(&mut facts.summary, &reply.pieces));
        let ending = Ending {
            end: End::Answered,
            status: Some(status.as_u16()),
            error: None,
            answer: facts,
        };
        settle(self.recorder, self.config, exchange, ending).await;
        let wire = exchange.arrival.endpoint.wire();
        if let Some((code, message)) = failure {
            return self.fail(wire, &body, &code, &message).await;
        }
        for piece in reply.pieces {
            // A client that left now misses the end of an answer that is settled.
            drop(body.send(piece).await);
        }
    }

    /// Ends a stream that generated nothing with an error.
    pub(super) async fn fail(self, wire: WireApi, body: &BodySender, code: &str, message: &str) {
        let event = match wire {
            WireApi::Responses => synthesize::response_failed(None, code, message),
            WireApi::Chat => synthesize::chat_error(code, message),
        };
        // A client that left now was told all that there was.
        drop(body.send(event).await);
        // Codex of old overlooks an error among chunks and takes a proper end for success.
        if wire == WireApi::Chat && client::names_itself(&self.parts.headers) {
            body.break_off().await;
        }
    }
}

/// Code and message of an upstream's error; the record says that the answer failed.
fn told_failure(summary: &mut ReplySummary, pieces: &[Bytes]) -> (String, String) {
    let read = StreamFailure::read(&pieces.concat());
    let failure = match &summary.terminal {
        Some(Terminal::Failed(failure)) if failure.message.is_some() => failure.clone(),
        _ => read,
    };
    let code = failure.code.as_deref().or(failure.kind.as_deref());
    let told = (
        code.unwrap_or("server_error").to_owned(),
        failure
            .message
            .clone()
            .unwrap_or_else(|| "the upstream refused the request".to_owned()),
    );
    summary.terminal = Some(Terminal::Failed(failure));
    told
}
