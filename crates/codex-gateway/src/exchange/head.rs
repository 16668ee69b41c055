//! The head of an answer: what crosses from the upstream, and what the gateway says about itself.

use gateway_policy::{AuthRoute, DecisionKind, ModelId};
use gateway_wire::translate::Loss;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::endpoint::Endpoint;
use crate::model_visibility::ETAG_HEADER;
use crate::record::{Exchange, describe_losses};
use crate::upstream::headers;

/// The upstream's headers as the client gets them. `models_etag`: that of the catalogue that
/// this caller would get.
pub fn toward_client(
    exchange: &Exchange,
    upstream: &HeaderMap,
    models_etag: Option<HeaderValue>,
) -> HeaderMap {
    let mut out = headers::toward_client(upstream);
    let requested = exchange.request.model.as_ref();
    if exchange.is_model_changed()
        && out.contains_key("openai-model")
        && let Some(requested) = requested.and_then(|id| HeaderValue::from_str(id.as_str()).ok())
    {
        // Codex shows any difference as a warning about high-risk activity, whatever the reason.
        out.insert("openai-model", requested);
    }
    // Codex asks for the catalogue again when this differs from the etag it got, so it is always
    // that of our own answer.
    out.remove(ETAG_HEADER);
    if let Some(etag) = models_etag {
        out.insert(ETAG_HEADER, etag);
    }
    out
}

/// What every proxied answer says about itself, by header.
pub const DESCRIBED: [&str; 9] = [
    "x-gateway-request-id",
    "x-gateway-route",
    "x-gateway-upstream",
    "x-gateway-model-requested",
    "x-gateway-model-served",
    "x-gateway-decision",
    "x-gateway-rule",
    "x-gateway-translation-losses",
    "x-gateway-adjusted",
];

/// Adds what the contract promises on every proxied answer. `answer_losses`: what the translation of
/// the answer could not carry, as far as it is known.
pub fn describe(headers: &mut HeaderMap, exchange: &Exchange, answer_losses: &[Loss]) {
    let id = exchange.arrival.id.as_str();
    let requested = exchange.request.model.as_ref();
    let attempt = exchange.attempt.as_ref();
    let request_losses = attempt.map_or(&[][..], |it| &it.losses);
    let losses = describe_losses(request_losses.iter().chain(answer_losses));
    let rule = exchange.rule().map(ascii);
    // In the order of `DESCRIBED`.
    let values = [
        Some(id),
        exchange.route().map(AuthRoute::as_str),
        exchange.upstream(),
        requested.map(ModelId::as_str),
        exchange.model_served().map(ModelId::as_str),
        exchange.decision().map(DecisionKind::as_str),
        rule.as_deref(),
        losses.as_deref(),
        attempt.and_then(|it| it.adjusted.as_deref()),
    ];
    for (name, value) in DESCRIBED.into_iter().zip(values) {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if !headers.contains_key("x-request-id")
        && let Ok(id) = HeaderValue::from_str(id)
    {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// A name as a header can carry it: what is not printable ASCII is percent-encoded.
fn ascii(name: &str) -> String {
    const NOT_PRINTABLE: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(name, NOT_PRINTABLE).to_string()
}

/// Whether the client asked for events on the Responses wire.
pub fn wants_stream(exchange: &Exchange, headers: &HeaderMap) -> bool {
    // A large body says `stream` behind its input, which may not have been read yet; the header
    // says it as well.
    let accepts = headers
        .get(header::ACCEPT)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    exchange.arrival.endpoint == Endpoint::Responses && (exchange.request.is_stream || accepts)
}
