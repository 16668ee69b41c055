//! Steps 7 to 9 as the client sees them: the head once, the bytes as they come, the terminal event
//! after the ledger has the entry.

mod large;
mod late;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use gateway_policy::UpstreamName;
use gateway_wire::codex::PlanLimits;
use gateway_wire::reply::read_reply;
use gateway_wire::stream::ReplySummary;
use gateway_wire::translate::ReasoningBlob;
use gateway_wire::{WireApi, synthesize};
use http::request::Parts;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;

use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::client_response::{BodySender, ResponseSender};
use crate::exchange::early_head::{ClientSide, set_event_stream};
use crate::exchange::head;
use crate::exchange::pump::{Pump, StreamEnd, drain_after_terminal};
use crate::exchange::reply::{BufferedReply, OpenStream, ReplyContent, UpstreamReply};
use crate::exchange::settle::settle;
use crate::identity::client;
use crate::reasoning::ReasoningMemory;
use crate::record::{AnswerFacts, End, Ending, Exchange};
use crate::recorder::Recorder;
use large::{LargeBody, LargeEnd};

/// Delivers the answer of one exchange.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub recorder: &'a Recorder,
    pub reasoning: &'a ReasoningMemory,
    pub config: &'a ActiveConfig,
    /// Cancelled when running streams may not go on.
    pub shutdown: &'a CancellationToken,
    /// The client's request.
    pub parts: &'a Parts,
}

/// A response whose head is made and has not been sent.
struct Head {
    response: Response,
    sender: ResponseSender,
    facts: AnswerFacts,
}

/// A response whose head has been sent.
struct Begun {
    status: StatusCode,
    body: BodySender,
    facts: AnswerFacts,
}

impl Head {
    fn send(self) -> Begun {
        Begun {
            status: self.response.status(),
            body: self.sender.open(self.response),
            facts: self.facts,
        }
    }
}

impl Delivery<'_> {
    /// Answers with an error of our own. In a shape that costs a Codex user six tries and not
    /// thirty where waiting may help.
    pub async fn refuse(
        self,
        exchange: &mut Exchange,
        end: End,
        error: GatewayError,
        client: ClientSide,
    ) {
        let code = error.code;
        let sender = match client {
            ClientSide::Unsent(sender) => sender,
            ClientSide::Begun(body) => {
                let ending = Ending {
                    status: Some(StatusCode::OK.as_u16()),
                    error: Some(code.as_str()),
                    ..Ending::without_answer(end)
                };
                settle(self.recorder, self.config, exchange, ending).await;
                let wire = exchange.arrival.endpoint.wire();
                return self.fail(wire, &body, code.as_str(), &error.message).await;
            }
        };
        let mut response = if self.is_refused_in_stream(exchange, code) {
            let event = synthesize::response_failed(None, code.as_str(), &error.message);
            let mut response = (StatusCode::OK, event).into_response();
            set_event_stream(response.headers_mut());
            response
        } else {
            error.into_response()
        };
        head::describe(response.headers_mut(), exchange, &[]);
        let ending = Ending {
            status: Some(response.status().as_u16()),
            error: Some(code.as_str()),
            ..Ending::without_answer(end)
        };
        settle(self.recorder, self.config, exchange, ending).await;
        sender.send(response);
    }

    /// Whether an error is sent as an event: to a Codex that waits for a stream, about an upstream
    /// that failed.
    fn is_refused_in_stream(self, exchange: &Exchange, code: ErrorCode) -> bool {
        let headers = &self.parts.headers;
        client::names_itself(headers)
            && head::wants_stream(exchange, headers)
            && matches!(
                code,
                ErrorCode::UpstreamUnreachable
                    | ErrorCode::UpstreamTimeout
                    | ErrorCode::UpstreamTruncated
                    | ErrorCode::UpstreamUnreadable
            )
    }

    /// Passes on what the upstream answered.
    pub async fn deliver(self, exchange: &mut Exchange, reply: UpstreamReply, client: ClientSide) {
        self.recorder.running.answers(exchange.arrival.id.entry());
        let UpstreamReply {
            status,
            headers,
            models_etag,
            content,
        } = reply;
        let facts = AnswerFacts {
            plan_limits: PlanLimits::from_headers(&headers).map(Box::new),
            ..AnswerFacts::default()
        };
        let sender = match client {
            ClientSide::Unsent(sender) => sender,
            ClientSide::Begun(body) => {
                let begun = Begun {
                    status: StatusCode::OK,
                    body,
                    facts,
                };
                return self.deliver_late(exchange, begun, headers, content).await;
            }
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = head::toward_client(exchange, &headers, models_etag);
        let head = Head {
            response,
            sender,
            facts,
        };
        match content {
            ReplyContent::Stream(stream) => self.deliver_stream(exchange, head, *stream).await,
            ReplyContent::Whole(reply) => self.deliver_whole(exchange, head, *reply).await,
        }
    }

    async fn deliver_stream(self, exchange: &mut Exchange, mut head: Head, stream: OpenStream) {
        set_event_stream(head.response.headers_mut());
        head::describe(head.response.headers_mut(), exchange, &[]);
        self.pump_stream(exchange, head.send(), stream).await;
    }

    async fn pump_stream(self, exchange: &mut Exchange, mut begun: Begun, mut stream: OpenStream) {
        let (clock, started) = (&self.recorder.clock, exchange.arrival.instant);
        let mut pump = Pump {
            processor: &mut stream.processor,
            upstream: &mut stream.body,
            client: &begun.body,
            wire: stream.wire,
            times: stream.times,
            on_disconnect: self.config.settings.server.on_disconnect,
            shutdown: self.shutdown,
            keepalive_first: client::takes_early_events(&self.parts.headers),
        };
        let (held, ended) = (std::mem::take(&mut stream.held), stream.ended.take());
        let end = pump
            .run(held, ended, || {
                let first = &mut begun.facts.first_token;
                first.get_or_insert_with(|| clock.instant().saturating_duration_since(started));
            })
            .await;
        self.finish_stream(exchange, begun, stream, end).await;
    }

    /// Settles, then lets the last event go.
    async fn finish_stream(
        self,
        exchange: &mut Exchange,
        begun: Begun,
        mut stream: OpenStream,
        end: StreamEnd,
    ) {
        let Begun {
            status,
            body,
            mut facts,
        } = begun;
        facts.summary = stream.processor.summary().clone();
        let error = end.error();
        let (end, mut last) = match end {
            StreamEnd::Terminal(pieces) => (End::Answered, pieces),
            StreamEnd::ClientGone => (End::ClientGone, Vec::new()),
            StreamEnd::Interrupted => (End::Stopped, Vec::new()),
            StreamEnd::Truncated(_) | StreamEnd::Silent | StreamEnd::EventTooLarge => {
                (End::Truncated, Vec::new())
            }
        };
        if let Some((code, message)) = &error {
            last = vec![stream.processor.fail(stream.wire, code.as_str(), message)];
        }
        self.keep_reasoning(exchange, stream.processor.take_reasoning());
        facts.losses = stream.processor.losses().to_vec();
        let ending = Ending {
            end,
            status: Some(status.as_u16()),
            error: error.map(|(code, _)| code.as_str()),
            answer: facts,
        };
        // Codex of old overlooks an error among chunks and takes a proper end for success.
        let is_overlooked = stream.wire == WireApi::Chat
            && !ending.is_success(&exchange.calls)
            && client::names_itself(&self.parts.headers);
        settle(self.recorder, self.config, exchange, ending).await;
        for piece in last {
            // A client that left now had everything before; the entry is settled either way.
            drop(body.send(piece).await);
        }
        if is_overlooked {
            body.break_off().await;
        } else if end == End::Answered {
            let OpenStream {
                processor,
                body: rest,
                ..
            } = &mut stream;
            drain_after_terminal(processor, rest, body, self.shutdown).await;
        }
    }

    /// Keeps what this caller has to give back to this upstream with its next request.
    fn keep_reasoning(self, exchange: &Exchange, reasoning: Vec<(String, ReasoningBlob)>) {
        if let (Some(caller), Some(upstream)) = (&exchange.caller, exchange.upstream()) {
            self.reasoning
                .keep(&caller.label, &UpstreamName::new(upstream), reasoning);
        }
    }

    async fn deliver_whole(self, exchange: &mut Exchange, mut head: Head, reply: BufferedReply) {
        let Head {
            response, facts, ..
        } = &mut head;
        let status = response.status();
        let is_translated = reply.translation.is_some();
        if let Some(translation) = reply.translation {
            facts.summary = translation.summary;
            facts.losses = translation.losses;
            self.keep_reasoning(exchange, translation.reasoning);
        }
        if let Some(coding) = reply.unknown_coding {
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, coding);
        }
        head::describe(response.headers_mut(), exchange, &facts.losses);
        let Some(rest) = reply.rest else {
            if !is_translated {
                facts.summary = read(exchange, status, &reply.pieces);
            }
            let ending = Ending {
                end: End::Answered,
                status: Some(status.as_u16()),
                error: None,
                answer: head.facts,
            };
            settle(self.recorder, self.config, exchange, ending).await;
            *head.response.body_mut() = Body::from(joined(&reply.pieces));
            return head.sender.send(head.response);
        };
        let large = LargeBody {
            pieces: reply.pieces,
            rest,
            idle: reply.idle,
        };
        self.deliver_large(exchange, head.send(), large).await;
    }

    /// Passes a large answer on as it comes, one piece behind, so that the last one leaves after
    /// the ledger has the entry.
    async fn deliver_large(self, exchange: &mut Exchange, begun: Begun, large: LargeBody) {
        let Begun {
            status,
            body,
            mut facts,
        } = begun;
        let (end, last) = large.pass_on(&body, self.shutdown).await;
        let mut error = None;
        let ended = match end {
            LargeEnd::Whole(kept) => {
                // One that is too large to be read for its usage did not go wrong.
                if let Some(kept) = kept {
                    facts.summary = read(exchange, status, &kept);
                }
                End::Answered
            }
            LargeEnd::Truncated => {
                error = Some(ErrorCode::UpstreamTruncated.as_str());
                End::Truncated
            }
            LargeEnd::ClientGone => End::ClientGone,
            LargeEnd::Stopped => End::Stopped,
        };
        let ending = Ending {
            end: ended,
            status: Some(status.as_u16()),
            error,
            answer: facts,
        };
        settle(self.recorder, self.config, exchange, ending).await;
        for piece in last {
            // A client that left now misses the end of an answer that is settled.
            drop(body.send(piece).await);
        }
        if matches!(ended, End::Truncated | End::Stopped) {
            body.break_off().await;
        }
    }
}

/// What a whole answer in the client's protocol says about itself.
fn read(exchange: &Exchange, status: StatusCode, pieces: &[Bytes]) -> ReplySummary {
    if !status.is_success() {
        return ReplySummary::default();
    }
    let endpoint = exchange.arrival.endpoint;
    let body = joined(pieces);
    if !endpoint.answers_in_json() && !body.trim_ascii_start().starts_with(b"{") {
        return ReplySummary::default();
    }
    read_reply(endpoint.wire(), &body)
}

fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [one] => one.clone(),
        many => Bytes::from(many.concat()),
    }
}
