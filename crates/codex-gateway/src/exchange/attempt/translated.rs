//! Answers in the upstream's protocol as whole answers in the client's: JSON for JSON, a collected
//! stream for a client that wants none, a stream made of JSON for a client that wants one, and
//! errors in the envelope that every client reads.

use bytes::Bytes;
use gateway_wire::reply::read_reply;
use gateway_wire::stream::{ReplySummary, StreamFailure, Terminal};
use gateway_wire::translate::{
    Collector, Loss, ReasoningBlob, ReplyError, ReplySettings, error_body, json_as_stream,
    reply_json,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::error::ErrorCode;
use crate::exchange::attempt::open::{Opened, Unusable, View, in_stream, silent, truncated};
use crate::exchange::attempt::{Reached, WholeReply};
use crate::exchange::machine::is_cut_short;
use crate::record::Exchange;
use crate::upstream::client::{ReplyBody, Unread, read_patiently};

/// Largest answer that is translated as a whole.
const MAX_WHOLE: usize = 64 << 20;

/// What a translation said about an answer that was made here.
pub struct WholeTranslation {
    pub summary: ReplySummary,
    pub losses: Vec<Loss>,
    pub reasoning: Vec<(String, ReasoningBlob)>,
}

/// An upstream's refusal, its status kept.
pub(super) fn error(
    view: View<'_>,
    status: StatusCode,
    headers: HeaderMap,
    body: &[u8],
) -> WholeReply {
    let failure = Terminal::Failed(StreamFailure::default());
    let summary = ReplySummary {
        terminal: Some(failure),
        ..ReplySummary::default()
    };
    let translation = WholeTranslation {
        summary,
        losses: Vec::new(),
        reasoning: Vec::new(),
    };
    let body = Bytes::from(error_body(status.as_u16(), body));
    whole_reply(view, status, headers, "application/json", body, translation)
}

/// A plain JSON answer.
pub(super) async fn whole(
    view: View<'_>,
    plan: &ReplySettings,
    exchange: &Exchange,
    headers: HeaderMap,
    mut body: ReplyBody,
) -> Result<Opened, Unusable> {
    let idle = view.upstream.stream_idle_timeout;
    match read_patiently(&mut body, MAX_WHOLE, idle).await {
        Ok((pieces, false)) => answer(view, plan, exchange, headers, &pieces.concat()),
        Ok((_, true)) => Err(truncated("it is too large")),
        Err(Unread::Broken(detail)) => Err(truncated(&detail)),
        Err(Unread::Silent) => Err(silent()),
    }
}

/// A stream that is put together for a client that asked for none.
pub(super) async fn collected(
    view: View<'_>,
    plan: &ReplySettings,
    exchange: &Exchange,
    headers: HeaderMap,
    mut body: ReplyBody,
) -> Result<Opened, Unusable> {
    let max_event = view.live.settings.server.max_event;
    let mut collector = Collector::new(plan.upstream_wire(), max_event, MAX_WHOLE);
    let idle = view.upstream.stream_idle_timeout;
    while collector.summary().terminal.is_none() {
        match tokio::time::timeout(idle, body.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(piece))) => collector.push(piece).map_err(|_| Unusable {
                code: ErrorCode::EventTooLarge,
                detail: "sent an answer that is larger than this gateway puts together".to_owned(),
            })?,
            Ok(Some(Err(detail))) => return Err(truncated(&detail)),
            Err(_) => return Err(silent()),
        }
    }
    let (gathered, summary) = collector.finish();
    match gathered {
        Ok(json) => answer(view, plan, exchange, headers, &json),
        Err(failure) if is_cut_short(&failure) => Err(truncated("its stream has no end")),
        Err(failure) => Ok(refused(view, exchange, headers, &failure, summary)),
    }
}

fn answer(
    view: View<'_>,
    plan: &ReplySettings,
    exchange: &Exchange,
    headers: HeaderMap,
    body: &[u8],
) -> Result<Opened, Unusable> {
    let translated = match reply_json(plan, body) {
        Ok(translated) => translated,
        Err(ReplyError::Failed(failure)) => {
            // What failed in the middle was paid for up to there.
            let said = read_reply(plan.upstream_wire(), body);
            let summary = ReplySummary {
                terminal: Some(Terminal::Failed((*failure).clone())),
                usage: said.usage,
                provider_cost_nanos: said.provider_cost_nanos,
                response_id: said.response_id,
                service_tier: said.service_tier,
                ..ReplySummary::default()
            };
            return Ok(refused(view, exchange, headers, &failure, summary));
        }
        Err(error @ ReplyError::Unreadable(_)) => return Err(unreadable(&error)),
    };
    let (kind, bytes) = if plan.client_streams() {
        let steps = json_as_stream(plan.client_wire(), &translated.body, plan.wants_usage())
            .map_err(|error| unreadable(&error))?;
        let bytes: Vec<u8> = steps
            .iter()
            .flat_map(|step| step.bytes().iter().copied())
            .collect();
        ("text/event-stream", bytes)
    } else {
        ("application/json", translated.body)
    };
    let translation = WholeTranslation {
        summary: translated.summary,
        losses: translated.losses,
        reasoning: translated.reasoning,
    };
    let reply = whole_reply(
        view,
        StatusCode::OK,
        headers,
        kind,
        Bytes::from(bytes),
        translation,
    );
    Ok(Opened::Served(Reached::Whole(Box::new(reply))))
}

/// A failure told in a good answer becomes what it would have been with a status.
fn refused(
    view: View<'_>,
    exchange: &Exchange,
    headers: HeaderMap,
    failure: &StreamFailure,
    summary: ReplySummary,
) -> Opened {
    let named = failure
        .code
        .as_deref()
        .and_then(|code| code.parse().ok())
        .or(failure.status);
    let status = named
        .filter(|status| (400..600).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::BAD_GATEWAY);
    let mut reply = error(view, status, headers, &told(failure));
    if let Some(translation) = &mut reply.translation {
        translation.summary = summary;
    }
    Opened::Refused {
        verdict: in_stream(view.upstream, exchange, failure),
        reached: Reached::Whole(Box::new(reply)),
    }
}

/// The failure as a body: what the upstream sent, or what was found wrong with it.
fn told(failure: &StreamFailure) -> Vec<u8> {
    if !failure.raw.is_empty() {
        return failure.raw.to_vec();
    }
    let error = serde_json::json!({
        "error": {"message": failure.message, "code": failure.code, "type": failure.kind, "param": failure.param}
    });
    error.to_string().into_bytes()
}

fn unreadable(error: &ReplyError) -> Unusable {
    Unusable {
        code: ErrorCode::UpstreamUnreadable,
        detail: format!(
            "answered with something that is no answer: {error}; check its base_url and `wire_api`"
        ),
    }
}

fn whole_reply(
    view: View<'_>,
    status: StatusCode,
    mut headers: HeaderMap,
    kind: &'static str,
    body: Bytes,
    translation: WholeTranslation,
) -> WholeReply {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    WholeReply {
        status,
        headers,
        pieces: vec![body],
        rest: None,
        unknown_coding: None,
        idle: view.upstream.stream_idle_timeout,
        translation: Some(Box::new(translation)),
    }
}
