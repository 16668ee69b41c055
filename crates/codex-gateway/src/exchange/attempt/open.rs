//! The head of a reply, and as much of its body as is needed to know what it is: a stream, a plain
//! answer, or a refusal.

use std::time::Duration;

use bytes::Bytes;
use gateway_wire::relay::{Relay, RelaySettings};
use gateway_wire::stream::{Step, StreamFailure, Terminal};
use gateway_wire::translate::{ReplySettings, StreamTranslator};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::error::ErrorCode;
use crate::exchange::attempt::outcome::{Hold, ReplyContext, ReplyOutcome, UnusableReply};
use crate::exchange::attempt::translate_reply;
use crate::exchange::pump::{PumpTimes, StreamEnd};
use crate::exchange::reply::{BufferedReply, OpenStream, ReplyContent, UpstreamReply};
use crate::exchange::stream_processor::StreamProcessor;
use crate::upstream::client::{PrefixEnd, Reply, ReplyBody, Unread, read_patiently, read_prefix};
use crate::upstream::headers::content_type_is_events;
use crate::upstream::reflection::{hide_in_body, hide_in_headers};
use crate::upstream::response_decoding::{Encoding, decoded, plain_of_unlabelled};

/// Most bytes of an error that are read for classifying it. What is longer passes on unclassified.
const ERROR_PREFIX: usize = 64 * 1024;
/// How long an error's body may take.
const ERROR_TIME: Duration = Duration::from_secs(5);
/// Plain answers up to this size are read whole before the client hears anything, so that a broken
/// one becomes a clear error.
const WHOLE_REPLY: usize = 1 << 20;

/// Reads a reply as far as is needed to know what it is.
pub(super) async fn open(
    context: ReplyContext<'_>,
    reply: Reply,
    hold: Option<Hold>,
) -> Result<ReplyOutcome, UnusableReply> {
    let upstream = context.upstream;
    let Reply {
        status,
        mut headers,
        body,
    } = reply;
    hide_in_headers(&mut headers, context.secrets);
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(UnusableReply::redirected(status));
    }
    let (body, unknown_coding) = match decoded(&headers, body) {
        Encoding::Plain(body) => (body, None),
        Encoding::Unknown(body) => (body, headers.get(header::CONTENT_ENCODING).cloned()),
    };
    if status.is_client_error() || status.is_server_error() || unknown_coding.is_some() {
        let body = hide_in_body(body, context.secrets);
        return refused(context, status, headers, body, unknown_coding).await;
    }
    let says_events = content_type_is_events(&headers);
    if !says_events && !context.expects_stream() {
        let body = hide_in_body(body, context.secrets);
        return open_whole(context, status, headers, body).await;
    }
    let body = hide_in_body(plain_of_unlabelled(body), context.secrets);
    let streams_on = says_events
        && context
            .translation
            .is_none_or(ReplySettings::client_streams);
    // The first piece tells what the bytes are, whatever the header says. A stream that thinks for
    // long passes on what it has: its head.
    let (first, body) = match first_piece(context, body, streams_on).await? {
        FirstPiece::Here(first, body) => (first, body),
        FirstPiece::Late(body) => (Bytes::new(), body),
    };
    if !says_events && !gateway_wire::sse::looks_like_sse(&first) {
        return open_whole(context, status, headers, chained(first, body)).await;
    }
    if let Some(settings) = context.translation.filter(|it| !it.client_streams()) {
        let body = chained(first, body);
        return translate_reply::collected(context, settings, headers, body).await;
    }
    let hold = hold.filter(|_| !first.is_empty());
    let mut stream = begin_stream(context, first, body);
    let mut failure = None;
    if let Some(hold) = hold {
        hold_back(&mut stream, hold, upstream.stream_idle_timeout).await;
        failure = early_failure(&stream);
    }
    let reply = UpstreamReply {
        status,
        headers,
        models_etag: None,
        content: ReplyContent::Stream(Box::new(stream)),
    };
    Ok(match failure {
        Some(failure) => ReplyOutcome::Refused {
            verdict: context.classify_in_stream(&failure),
            reply,
        },
        None => ReplyOutcome::Served(reply),
    })
}

/// The beginning of a body, or the body of which nothing came in the time that the client waits.
enum FirstPiece {
    Here(Bytes, ReplyBody),
    Late(ReplyBody),
}

async fn first_piece(
    context: ReplyContext<'_>,
    mut body: ReplyBody,
    may_be_late: bool,
) -> Result<FirstPiece, UnusableReply> {
    let idle = context.upstream.stream_idle_timeout;
    let patience = context.patience.filter(|_| may_be_late).unwrap_or(idle);
    match tokio::time::timeout(patience.min(idle), body.next()).await {
        Ok(Some(Ok(piece))) => Ok(FirstPiece::Here(piece, body)),
        Ok(Some(Err(detail))) => Err(UnusableReply::truncated(&detail)),
        Ok(None) => Err(UnusableReply::truncated("the response is empty")),
        Err(_) if patience < idle => Ok(FirstPiece::Late(body)),
        Err(_) => Err(UnusableReply {
            code: ErrorCode::UpstreamTimeout,
            detail: "started its response and then went silent".to_owned(),
        }),
    }
}

async fn refused(
    context: ReplyContext<'_>,
    status: StatusCode,
    headers: HeaderMap,
    mut body: ReplyBody,
    unknown_coding: Option<HeaderValue>,
) -> Result<ReplyOutcome, UnusableReply> {
    let upstream = context.upstream;
    let (pieces, end) = read_prefix(&mut body, ERROR_PREFIX, ERROR_TIME).await;
    let rest = match end {
        PrefixEnd::More => Some(body),
        PrefixEnd::Broken(detail) if pieces.is_empty() => {
            return Err(UnusableReply::truncated(&detail));
        }
        PrefixEnd::Whole | PrefixEnd::Broken(_) => None,
    };
    let text = pieces.concat();
    let is_cut = rest.is_some() || unknown_coding.is_some();
    let verdict = context.classify(status.as_u16(), &text, is_cut);
    let reply = if context.translation.is_some() {
        // What was read of a longer one says enough; an unknown coding says nothing.
        let readable = unknown_coding.is_none().then_some(&*text);
        translate_reply::error(context, status, headers, readable.unwrap_or_default())
    } else {
        let reply = BufferedReply {
            pieces,
            rest,
            unknown_coding,
            idle: upstream.stream_idle_timeout,
            translation: None,
        };
        whole(status, headers, reply)
    };
    Ok(ReplyOutcome::Refused { verdict, reply })
}

fn begin_stream(context: ReplyContext<'_>, first: Bytes, body: ReplyBody) -> OpenStream {
    let ReplyContext {
        exchange, upstream, ..
    } = context;
    let endpoint = exchange.arrival.endpoint;
    let wire = endpoint.wire();
    let max_event = context.max_event;
    let mut processor = if let Some(settings) = context.translation {
        let translator = StreamTranslator::new(settings.clone(), max_event);
        StreamProcessor::Translator(Box::new(translator))
    } else {
        let requested = exchange.request.model.as_ref();
        StreamProcessor::Relay(Box::new(Relay::new(RelaySettings {
            wire,
            max_event,
            model_echo: requested
                .filter(|_| exchange.is_model_changed())
                .map(ToString::to_string),
            strip_models_etag: !context.passes_catalog,
            hide_usage: context.hides_usage,
            ends_with_connection: !endpoint.has_terminal_event(),
        })))
    };
    let mut held = Vec::new();
    let ended = processor
        .push(first, &mut held)
        .is_err()
        .then_some(StreamEnd::EventTooLarge);
    let times = PumpTimes {
        idle: upstream.stream_idle_timeout,
        keepalive: upstream.keepalive,
        drain: context.drain,
    };
    OpenStream {
        processor,
        wire,
        body,
        held,
        times,
        ended,
    }
}

/// Reads on until something was generated, the stream ended, or enough was held.
async fn hold_back(stream: &mut OpenStream, hold: Hold, idle: Duration) {
    let deadline = tokio::time::Instant::now() + hold.time.min(idle);
    loop {
        let held: usize = stream.held.iter().map(|step| step.bytes().len()).sum();
        let is_decided = stream
            .held
            .iter()
            .any(|step| !matches!(step, Step::Preamble(_)))
            || stream.processor.summary().pending_error.is_some();
        if is_decided || stream.ended.is_some() || held >= hold.bytes {
            return;
        }
        match tokio::time::timeout_at(deadline, stream.body.next()).await {
            Err(_) => return,
            Ok(Some(Ok(piece))) => {
                if stream.processor.push(piece, &mut stream.held).is_err() {
                    stream.ended = Some(StreamEnd::EventTooLarge);
                }
            }
            Ok(Some(Err(detail))) => stream.ended = Some(StreamEnd::Truncated(Some(detail))),
            Ok(None) => {
                stream.processor.end(&mut stream.held);
                let is_terminal = stream
                    .held
                    .iter()
                    .any(|step| matches!(step, Step::Terminal(_)));
                if !is_terminal {
                    stream.ended = Some(StreamEnd::Truncated(None));
                }
                return;
            }
        }
    }
}

/// The failure of a stream that generated nothing.
fn early_failure(stream: &OpenStream) -> Option<StreamFailure> {
    let summary = stream.processor.summary();
    if summary.has_output {
        return None;
    }
    match &summary.terminal {
        Some(Terminal::Failed(failure)) => Some(failure.clone()),
        Some(Terminal::Completed | Terminal::Incomplete { .. }) => None,
        None => summary.pending_error.clone(),
    }
}

async fn open_whole(
    context: ReplyContext<'_>,
    status: StatusCode,
    headers: HeaderMap,
    mut body: ReplyBody,
) -> Result<ReplyOutcome, UnusableReply> {
    if let Some(settings) = context.translation {
        return translate_reply::whole(context, settings, headers, body).await;
    }
    let is_answer = context.exchange.arrival.endpoint.answers_in_json();
    if is_answer && context.expects_stream() {
        return translate_reply::expanded(context, status, headers, body).await;
    }
    let idle = context.upstream.stream_idle_timeout;
    let (pieces, rest) = match read_patiently(&mut body, WHOLE_REPLY, idle).await {
        Ok((pieces, has_more)) => (pieces, has_more.then_some(body)),
        Err(Unread::Broken(detail)) => return Err(UnusableReply::truncated(&detail)),
        Err(Unread::Silent) => return Err(UnusableReply::silent()),
    };
    let reply = BufferedReply {
        pieces,
        rest,
        unknown_coding: None,
        idle,
        translation: None,
    };
    Ok(ReplyOutcome::Served(whole(status, headers, reply)))
}

fn whole(status: StatusCode, headers: HeaderMap, reply: BufferedReply) -> UpstreamReply {
    UpstreamReply {
        status,
        headers,
        models_etag: None,
        content: ReplyContent::Whole(Box::new(reply)),
    }
}

fn chained(first: Bytes, rest: ReplyBody) -> ReplyBody {
    use futures_util::stream;
    ReplyBody::from_stream(stream::unfold(
        (Some(first), rest),
        |(first, mut rest)| async move {
            match first {
                Some(piece) => Some((Ok(piece), (None, rest))),
                None => rest.next().await.map(|piece| (piece, (None, rest))),
            }
        },
    ))
}
