//! The head of a reply, and as much of its body as is needed to know what it is: a stream, a plain
//! answer, or a refusal.

use std::time::Duration;

use bytes::Bytes;
use gateway_policy::Upstream;
use gateway_wire::failure::{Evidence, Failure, Verdict, classify};
use gateway_wire::relay::{Relay, RelaySettings};
use gateway_wire::stream::{Step, StreamFailure, Terminal};
use gateway_wire::translate::{ReplySettings, StreamTranslator};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::app::App;
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::attempt::translated;
use crate::exchange::attempt::{Reached, WholeReply};
use crate::exchange::deliver::OpenStream;
use crate::exchange::head;
use crate::exchange::machine::Machine;
use crate::exchange::pump::{PumpTimes, StreamEnd};
use crate::model_visibility;
use crate::record::Exchange;
use crate::upstream::client::{PrefixEnd, Reply, ReplyBody, Unread, read_patiently, read_prefix};
use crate::upstream::response_decoding::{Encoding, decoded, gunzipped, looks_like_gzip};

/// Most bytes of an error that are read for classifying it. What is longer passes on unclassified.
const ERROR_PREFIX: usize = 64 * 1024;
/// How long an error's body may take.
const ERROR_TIME: Duration = Duration::from_secs(5);
/// Plain answers up to this size are read whole before the client hears anything, so that a broken
/// one becomes a clear error.
const WHOLE_REPLY: usize = 1 << 20;

/// What an attempt came to.
pub enum Opened {
    /// The upstream serves.
    Served(Reached),
    /// The upstream says no; `reached` is its answer, byte for byte.
    Refused { verdict: Verdict, reached: Reached },
}

/// How much of a stream is held back while a fallback is possible.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    pub time: Duration,
    pub bytes: usize,
}

/// An upstream that began to answer and did not get to anything usable.
pub struct Unusable {
    pub(super) code: ErrorCode,
    pub(super) detail: String,
}

impl Unusable {
    /// The error for the client.
    pub fn into_error(self, upstream: &Upstream) -> GatewayError {
        GatewayError::new(
            self.code,
            format!("upstream `{}` {}", upstream.name, self.detail),
        )
    }
}

/// What an attempt's reply is looked at with.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub app: &'a App,
    pub live: &'a ActiveConfig,
    pub upstream: &'a Upstream,
    /// How the answer is translated; `None` where the upstream speaks the client's protocol.
    pub plan: Option<&'a ReplySettings>,
    /// Whether the gateway asked for token counts that the client did not ask for.
    pub hides_usage: bool,
}

impl View<'_> {
    /// Whether events are to come.
    fn expects_stream(self, exchange: &Exchange) -> bool {
        self.plan
            .map_or(exchange.is_stream, ReplySettings::upstream_streams)
    }
}

/// Looks at a reply.
pub async fn open(
    view: View<'_>,
    exchange: &Exchange,
    reply: Reply,
    hold: Option<Hold>,
) -> Result<Opened, Unusable> {
    let upstream = view.upstream;
    let Reply {
        status,
        headers,
        body,
    } = reply;
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(Unusable {
            code: ErrorCode::UpstreamRedirected,
            detail: format!(
                "answered with a redirect ({}); set its base_url to where it really is",
                status.as_u16()
            ),
        });
    }
    let (body, unknown_coding) = match decoded(&headers, body) {
        Encoding::Plain(body) => (body, None),
        Encoding::Unknown(body) => (body, headers.get(header::CONTENT_ENCODING).cloned()),
    };
    if status.is_client_error() || status.is_server_error() || unknown_coding.is_some() {
        return refused(view, exchange, status, headers, body, unknown_coding).await;
    }
    let says_events = content_type_is_events(&headers);
    if !says_events && !view.expects_stream(exchange) {
        return open_whole(view, exchange, status, headers, body).await;
    }
    // The first piece tells what the bytes are, whatever the header says.
    let (first, body) = first_piece(upstream, body).await?;
    let (first, body) = if looks_like_gzip(&first) {
        first_piece(upstream, gunzipped(chained(first, body))).await?
    } else {
        (first, body)
    };
    if !says_events && !gateway_wire::sse::looks_like_sse(&first) {
        return open_whole(view, exchange, status, headers, chained(first, body)).await;
    }
    if let Some(plan) = view.plan.filter(|plan| !plan.client_streams()) {
        return translated::collected(view, plan, exchange, headers, chained(first, body)).await;
    }
    let mut stream = begin_stream(view, exchange, status, headers, first, body);
    if let Some(hold) = hold {
        hold_back(&mut stream, hold, upstream.stream_idle_timeout).await;
        if let Some(failure) = early_failure(&stream) {
            return Ok(Opened::Refused {
                verdict: in_stream(upstream, exchange, &failure),
                reached: Reached::Stream(Box::new(stream)),
            });
        }
    }
    Ok(Opened::Served(Reached::Stream(Box::new(stream))))
}

/// What a failure told in a good answer means.
pub(super) fn in_stream(
    upstream: &Upstream,
    exchange: &Exchange,
    failure: &StreamFailure,
) -> Verdict {
    classify(&Evidence {
        status: failure.status,
        body: &failure.raw,
        truncated: false,
        in_stream: true,
        sent_model: exchange
            .model_served
            .as_ref()
            .map_or("", |model| model.as_str()),
        patterns: &upstream.patterns,
    })
}

async fn first_piece(
    upstream: &Upstream,
    mut body: ReplyBody,
) -> Result<(Bytes, ReplyBody), Unusable> {
    match tokio::time::timeout(upstream.stream_idle_timeout, body.next()).await {
        Ok(Some(Ok(piece))) => Ok((piece, body)),
        Ok(Some(Err(detail))) => Err(truncated(&detail)),
        Ok(None) => Err(truncated("the answer is empty")),
        Err(_) => Err(Unusable {
            code: ErrorCode::UpstreamTimeout,
            detail: "began to answer and then fell silent".to_owned(),
        }),
    }
}

async fn refused(
    view: View<'_>,
    exchange: &Exchange,
    status: StatusCode,
    headers: HeaderMap,
    mut body: ReplyBody,
    unknown_coding: Option<HeaderValue>,
) -> Result<Opened, Unusable> {
    let upstream = view.upstream;
    let (pieces, end) = read_prefix(&mut body, ERROR_PREFIX, ERROR_TIME).await;
    let rest = match end {
        PrefixEnd::More => Some(body),
        PrefixEnd::Broken(detail) if pieces.is_empty() => return Err(truncated(&detail)),
        PrefixEnd::Whole | PrefixEnd::Broken(_) => None,
    };
    let text = pieces.concat();
    let verdict = classify(&Evidence {
        status: Some(status.as_u16()),
        body: &text,
        truncated: rest.is_some() || unknown_coding.is_some(),
        in_stream: false,
        sent_model: exchange
            .model_served
            .as_ref()
            .map_or("", |model| model.as_str()),
        patterns: &upstream.patterns,
    });
    let reply = if view.plan.is_some() {
        // What was read of a longer one says enough; a coding nobody knows says nothing.
        let readable = unknown_coding.is_none().then_some(&*text);
        translated::error(view, status, headers, readable.unwrap_or_default())
    } else {
        WholeReply {
            status,
            headers,
            pieces,
            rest,
            unknown_coding,
            idle: upstream.stream_idle_timeout,
            translation: None,
        }
    };
    let reached = Reached::Whole(Box::new(reply));
    Ok(Opened::Refused { verdict, reached })
}

fn begin_stream(
    view: View<'_>,
    exchange: &Exchange,
    status: StatusCode,
    headers: HeaderMap,
    first: Bytes,
    body: ReplyBody,
) -> OpenStream {
    let View { live, upstream, .. } = view;
    let wire = exchange.endpoint.wire();
    let max_event = live.settings.server.max_event;
    let mut machine = if let Some(plan) = view.plan {
        let translator = StreamTranslator::new(plan.clone(), max_event);
        Machine::Translator(Box::new(translator))
    } else {
        let is_changed = head::is_model_changed(exchange);
        let is_catalogue_passed_on =
            model_visibility::is_passed_on(view.app, live, exchange, &headers);
        Machine::Relay(Box::new(Relay::new(RelaySettings {
            wire,
            max_event,
            model_echo: exchange
                .model_requested
                .as_ref()
                .filter(|_| is_changed)
                .map(ToString::to_string),
            strip_models_etag: !is_catalogue_passed_on,
            hide_usage: view.hides_usage,
            ends_with_connection: !exchange.endpoint.has_terminal_event(),
        })))
    };
    let mut held = Vec::new();
    let ended = machine
        .push(first, &mut held)
        .is_err()
        .then_some(StreamEnd::EventTooLarge);
    let times = PumpTimes {
        idle: upstream.stream_idle_timeout,
        keepalive: upstream.keepalive,
        drain: live.settings.server.drain_timeout,
    };
    OpenStream {
        status,
        headers,
        machine,
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
            || stream.machine.summary().pending_error.is_some();
        if is_decided || stream.ended.is_some() || held >= hold.bytes {
            return;
        }
        match tokio::time::timeout_at(deadline, stream.body.next()).await {
            Err(_) => return,
            Ok(Some(Ok(piece))) => {
                if stream.machine.push(piece, &mut stream.held).is_err() {
                    stream.ended = Some(StreamEnd::EventTooLarge);
                }
            }
            Ok(Some(Err(detail))) => stream.ended = Some(StreamEnd::Truncated(Some(detail))),
            Ok(None) => {
                stream.machine.end(&mut stream.held);
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
    let summary = stream.machine.summary();
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
    view: View<'_>,
    exchange: &Exchange,
    status: StatusCode,
    headers: HeaderMap,
    mut body: ReplyBody,
) -> Result<Opened, Unusable> {
    if let Some(plan) = view.plan {
        return translated::whole(view, plan, exchange, headers, body).await;
    }
    let upstream = view.upstream;
    let idle = upstream.stream_idle_timeout;
    let (pieces, rest) = match read_patiently(&mut body, WHOLE_REPLY, idle).await {
        Ok((pieces, has_more)) => (pieces, has_more.then_some(body)),
        Err(Unread::Broken(detail)) => return Err(truncated(&detail)),
        Err(Unread::Silent) => return Err(silent()),
    };
    if exchange.endpoint.answers_in_json() && status == StatusCode::OK && !begins_an_object(&pieces)
    {
        return Err(Unusable {
            code: ErrorCode::UpstreamUnreadable,
            detail: "answered with something that is no JSON; see whether its base_url is right"
                .to_owned(),
        });
    }
    Ok(Opened::Served(Reached::Whole(Box::new(WholeReply {
        status,
        headers,
        pieces,
        rest,
        unknown_coding: None,
        idle,
        translation: None,
    }))))
}

/// Whether the first byte that is no white space opens an object.
fn begins_an_object(pieces: &[Bytes]) -> bool {
    pieces
        .iter()
        .flat_map(|piece| piece.iter())
        .find(|byte| !byte.is_ascii_whitespace())
        == Some(&b'{')
}

pub(super) fn truncated(detail: &str) -> Unusable {
    Unusable {
        code: ErrorCode::UpstreamTruncated,
        detail: format!("broke off before its answer was complete: {detail}"),
    }
}

pub(super) fn silent() -> Unusable {
    Unusable {
        code: ErrorCode::UpstreamTimeout,
        detail: "fell silent in the middle of its answer (`stream_idle_timeout`)".to_owned(),
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

fn content_type_is_events(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("text/event-stream")
        })
}

/// The word for a refusal that is the gateway's own affair.
pub fn is_refused_credential(failure: Failure, status: Option<u16>) -> bool {
    failure == Failure::Auth && matches!(status, Some(401 | 403))
}
