//! Answers in the upstream's protocol as whole answers in the client's: JSON for JSON, a collected
//! stream for a client that wants none, a stream made of JSON for a client that wants one, and
//! errors in the envelope that every client reads.

use bytes::Bytes;
use gateway_wire::reply::read_reply;
use gateway_wire::stream::{ReplySummary, StreamFailure, Terminal};
use gateway_wire::translate::{
    ReplyError, ReplySettings, StreamCollector, error_body, json_as_stream, reply_json,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::error::ErrorCode;
use crate::exchange::attempt::outcome::{ReplyContext, ReplyOutcome, UnusableReply};
use crate::exchange::reply::{BufferedReply, ReplyContent, UpstreamReply, WholeTranslation};
use crate::record::is_cut_short;
use crate::upstream::client::{ReplyBody, Unread, read_patiently};

/// Largest answer that is translated as a whole.
const MAX_WHOLE: usize = 64 << 20;

/// An upstream's refusal, its status kept.
pub(super) fn error(
    context: ReplyContext<'_>,
    status: StatusCode,
    headers: HeaderMap,
    body: &[u8],
) -> UpstreamReply {
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
    whole_reply(
        context,
        status,
        headers,
        "application/json",
        body,
        translation,
    )
}

/// A plain JSON answer.
pub(super) async fn whole(
    context: ReplyContext<'_>,
    settings: &ReplySettings,
    headers: HeaderMap,
    mut body: ReplyBody,
) -> Result<ReplyOutcome, UnusableReply> {
    let body = read_whole(context, &mut body).await?;
    answer(context, settings, headers, &body)
}

/// A plain answer in the client's protocol where the client asked for a stream: the events that it would have been.
pub(super) async fn expanded(
    context: ReplyContext<'_>,
    status: StatusCode,
    headers: HeaderMap,
    mut body: ReplyBody,
) -> Result<ReplyOutcome, UnusableReply> {
    let wire = context.exchange.arrival.endpoint.wire();
    let body = read_whole(context, &mut body).await?;
    let summary = read_reply(wire, &body);
    let steps = match json_as_stream(wire, &body, context.wants_usage) {
        Ok(steps) => steps,
        Err(ReplyError::Failed(failure)) => {
            return Ok(refused(context, headers, &failure, summary));
        }
        Err(error @ ReplyError::Unreadable(_)) => return Err(unreadable(&error)),
    };
    let bytes: Vec<u8> = steps
        .iter()
        .flat_map(|step| step.bytes().iter().copied())
        .collect();
    let translation = WholeTranslation {
        summary,
        losses: Vec::new(),
        reasoning: Vec::new(),
    };
    let kind = "text/event-stream";
    let reply = whole_reply(
        context,
        status,
        headers,
        kind,
        Bytes::from(bytes),
        translation,
    );
    Ok(ReplyOutcome::Served(reply))
}

async fn read_whole(
    context: ReplyContext<'_>,
    body: &mut ReplyBody,
) -> Result<Vec<u8>, UnusableReply> {
    let idle = context.upstream.stream_idle_timeout;
    match read_patiently(body, MAX_WHOLE, idle).await {
        Ok((pieces, false)) => Ok(pieces.concat()),
        Ok((_, true)) => Err(UnusableReply::truncated("it is too large")),
        Err(Unread::Broken(detail)) => Err(UnusableReply::truncated(&detail)),
        Err(Unread::Silent) => Err(UnusableReply::silent()),
    }
}

/// A stream that is put together for a client that asked for none.
pub(super) async fn collected(
    context: ReplyContext<'_>,
    settings: &ReplySettings,
    headers: HeaderMap,
    mut body: ReplyBody,
) -> Result<ReplyOutcome, UnusableReply> {
    let max_event = context.max_event;
    let mut collector = StreamCollector::new(settings.upstream_wire(), max_event, MAX_WHOLE);
    let idle = context.upstream.stream_idle_timeout;
    while collector.summary().terminal.is_none() {
        match tokio::time::timeout(idle, body.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(piece))) => collector.push(piece).map_err(|_| UnusableReply {
                code: ErrorCode::EventTooLarge,
                detail: "sent a response that is too large for this gateway to buffer".to_owned(),
            })?,
            Ok(Some(Err(detail))) => return Err(UnusableReply::truncated(&detail)),
            Err(_) => return Err(UnusableReply::silent()),
        }
    }
    let (gathered, summary) = collector.finish();
    match gathered {
        Ok(json) => answer(context, settings, headers, &json),
        Err(failure) if is_cut_short(&failure) => {
            Err(UnusableReply::truncated("its stream is not terminated"))
        }
        Err(failure) => Ok(refused(context, headers, &failure, summary)),
    }
}

fn answer(
    context: ReplyContext<'_>,
    settings: &ReplySettings,
    headers: HeaderMap,
    body: &[u8],
) -> Result<ReplyOutcome, UnusableReply> {
    let translated = match reply_json(settings, body) {
        Ok(translated) => translated,
        Err(ReplyError::Failed(failure)) => {
            // What failed in the middle was paid for up to there.
            let said = read_reply(settings.upstream_wire(), body);
            let summary = ReplySummary {
                terminal: Some(Terminal::Failed((*failure).clone())),
                usage: said.usage,
                provider_cost_nanos: said.provider_cost_nanos,
                response_id: said.response_id,
                service_tier: said.service_tier,
                ..ReplySummary::default()
            };
            return Ok(refused(context, headers, &failure, summary));
        }
        Err(error @ ReplyError::Unreadable(_)) => return Err(unreadable(&error)),
    };
    let (kind, bytes) = if settings.client_streams() {
        let steps = json_as_stream(
            settings.client_wire(),
            &translated.body,
            settings.wants_usage(),
        )
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
        context,
        StatusCode::OK,
        headers,
        kind,
        Bytes::from(bytes),
        translation,
    );
    Ok(ReplyOutcome::Served(reply))
}

/// A failure inside a successful answer becomes what it would have been with a status.
fn refused(
    context: ReplyContext<'_>,
    headers: HeaderMap,
    failure: &StreamFailure,
    summary: ReplySummary,
) -> ReplyOutcome {
    let named = failure
        .code
        .as_deref()
        .and_then(|code| code.parse().ok())
        .or(failure.status);
    let status = named
        .filter(|status| (400..600).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::BAD_GATEWAY);
    let mut reply = error(context, status, headers, &failure_body(failure));
    if let ReplyContent::Whole(reply) = &mut reply.content
        && let Some(translation) = &mut reply.translation
    {
        translation.summary = summary;
    }
    ReplyOutcome::Refused {
        verdict: context.classify_in_stream(failure),
        reply,
    }
}

/// The failure as a body: what the upstream sent, or what was found wrong with it.
fn failure_body(failure: &StreamFailure) -> Vec<u8> {
    if !failure.raw.is_empty() {
        return failure.raw.to_vec();
    }
    let error = serde_json::json!({
        "error": {"message": failure.message, "code": failure.code, "type": failure.kind, "param": failure.param}
    });
    error.to_string().into_bytes()
}

fn unreadable(error: &ReplyError) -> UnusableReply {
    UnusableReply {
        code: ErrorCode::UpstreamUnreadable,
        detail: format!(
            "responded with something that is not a model response: {error}; check its base_url \
             and `wire_api`"
        ),
    }
}

fn whole_reply(
    context: ReplyContext<'_>,
    status: StatusCode,
    mut headers: HeaderMap,
    kind: &'static str,
    body: Bytes,
    translation: WholeTranslation,
) -> UpstreamReply {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    UpstreamReply {
        status,
        headers,
        models_etag: None,
        content: ReplyContent::Whole(Box::new(BufferedReply {
            pieces: vec![body],
            rest: None,
            unknown_coding: None,
            idle: context.upstream.stream_idle_timeout,
            translation: Some(Box::new(translation)),
        })),
    }
}
