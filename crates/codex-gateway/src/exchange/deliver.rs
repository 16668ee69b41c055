//! Steps 7 to 9 as the client sees them: the head once, the bytes as they come, the terminal event
//! after the ledger has the entry.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use gateway_ledger::Outcome;
use gateway_policy::UpstreamName;
use gateway_wire::codex::PlanLimits;
use gateway_wire::stream::{Step, Terminal};
use gateway_wire::translate::ReasoningBlob;
use gateway_wire::{WireApi, reply, synthesize};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use crate::app::App;
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::answer::{Answer, Outlet};
use crate::exchange::attempt::{Reached, WholeReply, WholeTranslation};
use crate::exchange::machine::{self, Machine};
use crate::exchange::pump::{self, Pump, PumpTimes, StreamEnd};
use crate::exchange::{head, settle};
use crate::record::Exchange;
use crate::upstream::client::ReplyBody;

/// A stream that has begun.
pub struct OpenStream {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub machine: Machine,
    pub wire: WireApi,
    pub body: ReplyBody,
    /// What was read while a fallback was possible.
    pub held: Vec<Step>,
    pub times: PumpTimes,
    /// The upstream has already ended, cleanly or not.
    pub ended: Option<StreamEnd>,
}

/// Answers with an error of our own. In a shape that costs a Codex user six tries and not thirty
/// where waiting may help.
pub async fn refuse(
    app: &Arc<App>,
    live: &ActiveConfig,
    mut exchange: Exchange,
    parts: &Parts,
    error: GatewayError,
    answer: Answer,
) {
    exchange.error = Some(error.code.as_str().to_owned());
    // An intent may be written, but nobody was asked for anything.
    if exchange.attempts.is_empty() {
        exchange.outcome = Outcome::Rejected;
    }
    let in_stream = head::is_codex(&parts.headers)
        && head::wants_stream(&exchange, &parts.headers)
        && matches!(
            error.code,
            ErrorCode::UpstreamUnreachable
                | ErrorCode::UpstreamTimeout
                | ErrorCode::UpstreamTruncated
                | ErrorCode::UpstreamUnreadable
        );
    let mut response = if in_stream {
        let event = synthesize::response_failed(None, error.code.as_str(), &error.message);
        let mut response = (StatusCode::OK, event).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        response
    } else {
        error.into_response()
    };
    exchange.status = Some(response.status().as_u16());
    head::describe(&mut response, &exchange);
    settle::settle(app, live, exchange).await;
    answer.send(response);
}

/// Passes on what the upstream answered.
pub async fn deliver(
    app: &Arc<App>,
    live: &ActiveConfig,
    exchange: Exchange,
    parts: &Parts,
    reached: Reached,
    answer: Answer,
) {
    match reached {
        Reached::Stream(stream) => {
            deliver_stream(app, live, exchange, parts, *stream, answer).await;
        }
        Reached::Whole(reply) => {
            deliver_whole(app, live, exchange, *reply, answer).await;
        }
    }
}

async fn deliver_stream(
    app: &Arc<App>,
    live: &ActiveConfig,
    mut exchange: Exchange,
    parts: &Parts,
    mut stream: OpenStream,
    answer: Answer,
) {
    exchange.status = Some(stream.status.as_u16());
    let mut response = Response::new(());
    *response.status_mut() = stream.status;
    exchange.plan_head = PlanLimits::from_headers(&stream.headers).map(Box::new);
    *response.headers_mut() = head::toward_client(app, live, &exchange, &stream.headers);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    head::describe(&mut response, &exchange);
    let (response, ()) = response.into_parts();
    let mut builder = Response::builder().status(response.status);
    if let Some(headers) = builder.headers_mut() {
        *headers = response.headers;
    }
    let outlet = answer.open(builder);

    let started = exchange.started;
    let clock = app.clock.clone();
    let mut first_token = exchange.first_token;
    let end = {
        let mut pump = Pump {
            machine: &mut stream.machine,
            body: &mut stream.body,
            outlet: &outlet,
            wire: stream.wire,
            times: stream.times,
            on_disconnect: live.settings.server.on_disconnect,
            deadline: &app.deadline,
            keepalive_first: !parts.headers.contains_key("x-stainless-lang"),
        };
        let ended = stream.ended.take();
        let held = std::mem::take(&mut stream.held);
        pump.run(held, ended, |_| {
            first_token.get_or_insert_with(|| clock.instant().saturating_duration_since(started));
        })
        .await
    };
    exchange.first_token = first_token;
    settle::read_summary(&mut exchange, stream.machine.summary());
    finish_stream(app, live, exchange, parts, stream, end, outlet).await;
}

/// Settles, then lets the last event go.
async fn finish_stream(
    app: &Arc<App>,
    live: &ActiveConfig,
    mut exchange: Exchange,
    parts: &Parts,
    mut stream: OpenStream,
    end: StreamEnd,
    outlet: Outlet,
) {
    let mut last = Vec::new();
    let is_whole = matches!(end, StreamEnd::Terminal(_));
    let error = end.error();
    match end {
        StreamEnd::Terminal(pieces) => {
            exchange.outcome = match &stream.machine.summary().terminal {
                Some(Terminal::Failed(failure)) if machine::is_cut_short(failure) => {
                    Outcome::UpstreamTruncated
                }
                Some(Terminal::Failed(_)) => Outcome::Failed,
                Some(Terminal::Completed | Terminal::Incomplete { .. }) | None => {
                    Outcome::Completed
                }
            };
            last = pieces;
        }
        StreamEnd::ClientGone => exchange.outcome = Outcome::ClientGone,
        StreamEnd::Interrupted => exchange.outcome = Outcome::Interrupted,
        StreamEnd::Truncated(_) | StreamEnd::Silent | StreamEnd::EventTooLarge => {
            exchange.outcome = Outcome::UpstreamTruncated;
        }
    }
    if let Some((code, message)) = error {
        exchange.error = Some(code.as_str().to_owned());
        last = vec![stream.machine.fail(stream.wire, code.as_str(), &message)];
    }
    keep_reasoning(app, &exchange, stream.machine.take_reasoning());
    exchange.losses.extend_from_slice(stream.machine.losses());
    // Codex of old overlooks an error among chunks and takes a proper end for success.
    let is_overlooked = stream.wire == WireApi::Chat
        && exchange.outcome != Outcome::Completed
        && head::is_codex(&parts.headers);
    settle::settle(app, live, exchange).await;
    for piece in last {
        // A client that left now had everything before; the entry is settled either way.
        drop(outlet.send(piece).await);
    }
    if is_overlooked {
        outlet.break_off().await;
    } else if is_whole {
        pump::see_out(&mut stream.machine, &mut stream.body, outlet, &app.deadline).await;
    }
}

/// Keeps what this caller has to give back to this upstream with its next request.
fn keep_reasoning(app: &App, exchange: &Exchange, reasoning: Vec<(String, ReasoningBlob)>) {
    if let (Some(caller), Some(upstream)) = (&exchange.caller, exchange.upstream.as_deref()) {
        app.reasoning
            .keep(&caller.label, &UpstreamName::new(upstream), reasoning);
    }
}

/// Bytes of a plain answer that are kept for reading its usage.
const KEPT_FOR_USAGE: usize = 32 << 20;

/// Takes over what the translation of a whole answer found in it.
fn take_over(app: &App, exchange: &mut Exchange, translation: WholeTranslation) {
    settle::read_summary(exchange, &translation.summary);
    exchange.outcome = match &translation.summary.terminal {
        Some(Terminal::Failed(_)) => Outcome::Failed,
        Some(Terminal::Completed | Terminal::Incomplete { .. }) | None => Outcome::Completed,
    };
    exchange.losses.extend(translation.losses);
    keep_reasoning(app, exchange, translation.reasoning);
}

async fn deliver_whole(
    app: &Arc<App>,
    live: &ActiveConfig,
    mut exchange: Exchange,
    reply: WholeReply,
    answer: Answer,
) {
    exchange.status = Some(reply.status.as_u16());
    let is_translated = reply.translation.is_some();
    if let Some(translation) = reply.translation {
        take_over(app, &mut exchange, *translation);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reply.status;
    exchange.plan_head = PlanLimits::from_headers(&reply.headers).map(Box::new);
    *response.headers_mut() = head::toward_client(app, live, &exchange, &reply.headers);
    if let Some(coding) = reply.unknown_coding {
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, coding);
    }
    head::describe(&mut response, &exchange);
    let Some(rest) = reply.rest else {
        if !is_translated {
            read_whole(&mut exchange, reply.status, &reply.pieces);
        }
        settle::settle(app, live, exchange).await;
        let total: usize = reply.pieces.iter().map(Bytes::len).sum();
        let mut joined = bytes::BytesMut::with_capacity(total);
        reply
            .pieces
            .iter()
            .for_each(|piece| joined.extend_from_slice(piece));
        *response.body_mut() = Body::from(joined.freeze());
        return answer.send(response);
    };
    let large = Large {
        pieces: reply.pieces,
        rest,
        idle: reply.idle,
        status: reply.status,
    };
    deliver_large(app, live, exchange, response, large, answer).await;
}

/// A plain answer of which only the beginning is here.
struct Large {
    pieces: Vec<Bytes>,
    rest: ReplyBody,
    idle: Duration,
    status: StatusCode,
}

/// Passes a large answer on as it comes, one piece behind, so that the last one leaves after the
/// ledger has the entry.
async fn deliver_large(
    app: &Arc<App>,
    live: &ActiveConfig,
    mut exchange: Exchange,
    response: Response<Body>,
    large: Large,
    answer: Answer,
) {
    let (head, _) = response.into_parts();
    let mut builder = Response::builder().status(head.status);
    if let Some(headers) = builder.headers_mut() {
        *headers = head.headers;
    }
    let outlet = answer.open(builder);
    let mut kept = large.pieces.clone();
    let mut kept_bytes: usize = kept.iter().map(Bytes::len).sum();
    let mut waiting = large.pieces;
    let mut rest = large.rest;
    let end = loop {
        for piece in waiting.drain(..waiting.len().saturating_sub(1)) {
            if outlet.send(piece).await.is_err() {
                exchange.outcome = Outcome::ClientGone;
                return settle::settle(app, live, exchange).await;
            }
        }
        let next = tokio::select! {
            next = tokio::time::timeout(large.idle, rest.next()) => next,
            () = outlet.client_gone() => {
                exchange.outcome = Outcome::ClientGone;
                return settle::settle(app, live, exchange).await;
            }
            () = app.deadline.cancelled() => {
                exchange.outcome = Outcome::Interrupted;
                settle::settle(app, live, exchange).await;
                return outlet.break_off().await;
            }
        };
        match next {
            Ok(Some(Ok(piece))) => {
                kept_bytes += piece.len();
                if kept_bytes <= KEPT_FOR_USAGE {
                    kept.push(piece.clone());
                }
                waiting.push(piece);
            }
            Ok(Some(Err(_))) | Err(_) => break Err(()),
            Ok(None) => break Ok(()),
        }
    };
    if end.is_ok() && kept_bytes <= KEPT_FOR_USAGE {
        read_whole(&mut exchange, large.status, &kept);
    } else if end.is_ok() {
        // Too large to be read for its usage, which is not to say that it went wrong.
        exchange.outcome = if large.status.is_success() {
            Outcome::Completed
        } else {
            Outcome::Failed
        };
    } else {
        exchange.outcome = Outcome::UpstreamTruncated;
        exchange.error = Some(ErrorCode::UpstreamTruncated.as_str().to_owned());
    }
    settle::settle(app, live, exchange).await;
    for piece in waiting {
        // A client that left now misses the end of an answer that is settled.
        drop(outlet.send(piece).await);
    }
    if end.is_err() {
        outlet.break_off().await;
    }
}

fn read_whole(exchange: &mut Exchange, status: StatusCode, pieces: &[Bytes]) {
    if !status.is_success() {
        exchange.outcome = Outcome::Failed;
        return;
    }
    let summary = match pieces {
        [one] => reply::read_reply(exchange.endpoint.wire(), one),
        many => {
            let joined: Vec<u8> = many
                .iter()
                .flat_map(|piece| piece.iter().copied())
                .collect();
            reply::read_reply(exchange.endpoint.wire(), &joined)
        }
    };
    exchange.outcome = match &summary.terminal {
        Some(Terminal::Failed(_)) => Outcome::Failed,
        Some(Terminal::Completed | Terminal::Incomplete { .. }) | None => Outcome::Completed,
    };
    settle::read_summary(exchange, &summary);
}
