//! What one attempt sends: the URL, the headers with the right credential, the body with as few
//! bytes changed as possible.

use bytes::Bytes;
use gateway_policy::{Adjustment, Attempt, AuthRoute, Upstream};
use gateway_wire::adjust::{self, Adjustments};
use gateway_wire::request::RequestHead;
use gateway_wire::splice::{Edit, splice_all};
use gateway_wire::{WireApi, stream_usage};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::app::App;
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::attempt::Reached;
use crate::exchange::attempt::look::Look;
use crate::identity::caller::{Caller, foreign_credentials};
use crate::record::Exchange;
use crate::request_body::{RequestBody, Tail, TailWatch};
use crate::upstream::client::{Pieces, UploadBody};
use crate::upstream::headers::{
    AttemptCredential, LITE_HEADER, apply_credential, remove_clients_own, toward_upstream,
};

/// The body of an attempt, and how to learn what a streamed one turned out to be.
pub struct OutgoingBody {
    pub body: UploadBody,
    pub watch: Option<TailWatch>,
    /// Whether it asks for token counts that the client did not ask for.
    pub asks_usage: bool,
}

/// Whether an attempt has to ask for the token counts of a stream, without which nobody knows what
/// it costs: where the gateway pays for it, or a limit counts it. Who pays with a credential of its
/// own gets its bytes through as they are. A body that still arrives may yet say that it streams,
/// or that it asks itself.
fn may_ask_usage(exchange: &Exchange, attempt: &Attempt, head: &RequestHead) -> bool {
    (exchange.is_limited || !attempt.upstream.credential.is_callers())
        && exchange.endpoint.wire() == WireApi::Chat
        && attempt.wire == WireApi::Chat
        && attempt.upstream.dialect.stream_usage
        && head.stream_options_include_usage != Some(true)
        && head.stream != Some(false)
}

/// Whether the body may have to be changed elsewhere than at its model, for which all of it has to
/// be here.
pub fn is_edited(
    exchange: &Exchange,
    attempt: &Attempt,
    head: &RequestHead,
    parts: &Parts,
) -> bool {
    let is_translated = attempt.wire != exchange.endpoint.wire();
    // Lite requests too: a model can refuse the header, and is then asked again without it.
    let is_lite = parts.headers.contains_key(LITE_HEADER);
    is_translated || is_lite || may_ask_usage(exchange, attempt, head)
}

/// Whether an upstream refuses a stream for no other reason than that it was asked for its token
/// counts.
pub fn is_question_refused(
    exchange: &Exchange,
    attempt: &Attempt,
    head: &RequestHead,
    reached: &Reached,
) -> bool {
    const NAME: &[u8] = b"stream_options";
    let Reached::Whole(reply) = reached else {
        return false;
    };
    head.stream == Some(true)
        && may_ask_usage(exchange, attempt, head)
        && matches!(reply.status.as_u16(), 400 | 422)
        && reply
            .pieces
            .concat()
            .windows(NAME.len())
            .any(|text| text == NAME)
}

/// Makes the body of one attempt. A streamed tail is used up; a replayable one stays.
pub(super) fn body(
    request: &mut RequestBody,
    exchange: &Exchange,
    attempt: &Attempt,
    changes: &[Adjustment],
    look: &Look,
    headers: &mut HeaderMap,
) -> Result<OutgoingBody, GatewayError> {
    let is_changed = exchange
        .model_requested
        .as_ref()
        .is_none_or(|asked| asked.as_str() != attempt.model.as_str());
    let span = is_changed
        .then(|| request.head.model.as_ref().map(|model| model.span.clone()))
        .flatten();
    let asks_usage = request.head.stream == Some(true)
        && !look.is_usage_unasked
        && may_ask_usage(exchange, attempt, &request.head);
    let whole = |pieces: Vec<Bytes>, asks_usage| OutgoingBody {
        body: UploadBody::Pieces(Pieces::from(pieces)),
        watch: None,
        asks_usage,
    };
    let tail = match &request.tail {
        Tail::Replayable { plain, .. } if !changes.is_empty() || span.is_some() || asks_usage => {
            let (plain, span) = if changes.is_empty() {
                (plain.clone(), span)
            } else {
                let adjusted = adjusted(plain, changes)?;
                // The span belongs to the body as it was; after a change it is looked up again.
                let head = gateway_wire::request::scan(&adjusted)
                    .map_err(|error| crate::request_body::invalid(&error))?;
                let span = span.and(head.model.map(|model| model.span));
                (adjusted, span)
            };
            let usage = asks_usage.then(|| stream_usage::ask(&plain)).flatten();
            let asks_usage = usage.is_some();
            let model = span.map(|span| Edit::string(span, attempt.model.as_str()));
            let edits = model.into_iter().chain(usage).collect();
            let pieces = splice_all(&plain, edits).map_err(|_| internal())?;
            return Ok(whole(pieces, asks_usage));
        }
        Tail::Replayable { raw, plain } => {
            let accepted = &attempt.upstream.request_encodings;
            let can_pass = request.codings.iter().all(|coding| {
                accepted
                    .iter()
                    .any(|known| known.as_str() == coding.as_str())
            });
            if request.codings.is_empty() || !can_pass {
                return Ok(whole(vec![plain.clone()], false));
            }
            let words: Vec<&str> = request
                .codings
                .iter()
                .map(|coding| coding.as_str())
                .collect();
            if let Ok(value) = HeaderValue::from_str(&words.join(", ")) {
                headers.insert(header::CONTENT_ENCODING, value);
            }
            return Ok(whole(vec![raw.clone()], false));
        }
        Tail::Streamed(_) => std::mem::replace(&mut request.tail, Tail::Sent),
        Tail::Sent => return Err(internal()),
    };
    let Tail::Streamed(streamed) = tail else {
        return Err(internal());
    };
    let (upload, watch) = streamed.into_upload(span.map(|span| (span, attempt.model.as_str())))?;
    Ok(OutgoingBody {
        body: UploadBody::Streamed(upload),
        watch: Some(watch),
        asks_usage: false,
    })
}

pub(super) fn internal() -> GatewayError {
    GatewayError::new(
        ErrorCode::InternalError,
        "internal error: the request body was not where it was expected",
    )
}

/// What is changed in a request beside its model, as a header and a log field say it; `None` when
/// nothing is.
pub(super) fn told(changes: &[Adjustment], is_lite_dropped: bool) -> Option<String> {
    let mut words: Vec<String> = changes
        .iter()
        .map(|change| match change {
            Adjustment::Effort(effort) => format!("effort={effort}"),
            Adjustment::Verbosity(verbosity) => format!("verbosity={verbosity}"),
            Adjustment::LiftLiteTools => "lite-tools-lifted".to_owned(),
            Adjustment::StripReasoning => "encrypted-reasoning-stripped".to_owned(),
        })
        .collect();
    if is_lite_dropped && !changes.contains(&Adjustment::LiftLiteTools) {
        words.push("lite-header-dropped".to_owned());
    }
    (!words.is_empty()).then(|| words.join(","))
}

pub(super) fn adjusted(plain: &Bytes, changes: &[Adjustment]) -> Result<Bytes, GatewayError> {
    let mut wanted = Adjustments::default();
    for change in changes {
        match change {
            Adjustment::Effort(effort) => wanted.effort = Some(effort.clone()),
            Adjustment::Verbosity(verbosity) => wanted.verbosity = Some(verbosity.clone()),
            Adjustment::LiftLiteTools => wanted.lift_lite_tools = true,
            Adjustment::StripReasoning => wanted.strip_encrypted_reasoning = true,
        }
    }
    adjust::adjust(plain, &wanted)
        .map(Bytes::from)
        .map_err(|error| {
            GatewayError::new(
                ErrorCode::InvalidRequest,
                format!("the request body cannot be adapted to another model: {error}"),
            )
        })
}

/// Whether a body is in the client's protocol or was translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyWire {
    Clients,
    Other,
}

/// The client's headers, with the credential of this upstream. What Codex says about itself goes
/// only where the caller's own credential goes, unless the operator wrote `forward_client_headers`.
pub fn headers(
    app: &App,
    live: &ActiveConfig,
    parts: &Parts,
    caller: &Caller,
    upstream: &Upstream,
    body: BodyWire,
) -> HeaderMap {
    let mut headers = toward_upstream(&parts.headers, &app.instance);
    for name in foreign_credentials(caller.route) {
        headers.remove(*name);
    }
    let own = live.settings.credentials.get(upstream.name.as_str());
    let is_of_route = live
        .settings
        .policy
        .route_upstream(caller.route)
        .is_some_and(|route| route.name == upstream.name);
    let credential = match own {
        Some(own) => AttemptCredential::Own {
            header: &own.header,
            value: &own.value,
        },
        // A caller's credential is for the upstream of the caller's route and for no other.
        None if upstream.credential.is_callers()
            && is_of_route
            && caller.route != AuthRoute::GatewayKey =>
        {
            AttemptCredential::Caller
        }
        None => AttemptCredential::None,
    };
    apply_credential(&mut headers, &credential);
    let is_first_party = matches!(credential, AttemptCredential::Caller);
    if !upstream.forward_client_headers.unwrap_or(is_first_party) {
        remove_clients_own(&mut headers);
    }
    if body == BodyWire::Other {
        headers.remove(LITE_HEADER);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    for (name, value) in &upstream.http_headers {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::try_from(name.as_str()),
            HeaderValue::from_str(value),
        ) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The upstream's base, the client's path below `/v1`, the client's query, the upstream's query.
pub fn url(upstream: &Upstream, parts: &Parts) -> String {
    let path = parts.uri.path();
    let path = path
        .strip_prefix("/v1")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    url_of(upstream, path, parts)
}

/// The same with another path: that of the upstream's own protocol.
pub fn url_of(upstream: &Upstream, path: &str, parts: &Parts) -> String {
    let mut url = format!("{}{path}", upstream.base_url);
    let mut separator = if upstream.base_url.contains('?') {
        '&'
    } else {
        '?'
    };
    if let Some(query) = parts.uri.query().filter(|query| !query.is_empty()) {
        url.push(separator);
        url.push_str(query);
        separator = '&';
    }
    for (name, value) in &upstream.query_params {
        url.push(separator);
        url.push_str(&encoded(name));
        url.push('=');
        url.push_str(&encoded(value));
        separator = '&';
    }
    url
}

/// Percent-encodes what may not stand in a query.
fn encoded(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b':')
        .remove(b'/')
        .remove(b'@');
    utf8_percent_encode(text, RESERVED).to_string()
}
