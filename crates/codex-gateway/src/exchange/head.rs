//! The head of an answer: what crosses from the upstream, and what the gateway says about itself.

use axum::response::Response;
use gateway_policy::DecisionKind;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::app::App;
use crate::config::active::ActiveConfig;
use crate::endpoint::Endpoint;
use crate::model_visibility;
use crate::record::Exchange;
use crate::upstream::headers;

/// The upstream's headers as the client shall see them.
pub fn toward_client(
    app: &App,
    live: &ActiveConfig,
    exchange: &Exchange,
    upstream: &HeaderMap,
) -> HeaderMap {
    let mut out = headers::toward_client(upstream);
    if is_model_changed(exchange)
        && out.contains_key("openai-model")
        && let Some(requested) = exchange
            .model_requested
            .as_ref()
            .and_then(|id| HeaderValue::from_str(id.as_str()).ok())
    {
        // Codex shows any difference as a warning about high-risk activity, whatever the reason.
        out.insert("openai-model", requested);
    }
    // Codex asks for the catalogue again when this differs from the etag it got, so it is always
    // that of our own answer.
    let told = out.remove(model_visibility::ETAG_HEADER);
    if let Some(tag) = model_visibility::etag_now(app, live, exchange, told.as_ref()) {
        out.insert(model_visibility::ETAG_HEADER, tag);
    }
    out
}

/// Whether another model serves than the one that was asked for.
pub fn is_model_changed(exchange: &Exchange) -> bool {
    exchange.model_served.is_some() && exchange.model_served != exchange.model_requested
}

/// Adds what the contract promises on every proxied answer.
pub fn describe<B>(response: &mut Response<B>, exchange: &Exchange) {
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: Option<&str>| {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-gateway-request-id", Some(exchange.id.as_str()));
    put(
        "x-gateway-route",
        exchange.caller.as_ref().map(|caller| caller.route.as_str()),
    );
    put("x-gateway-upstream", exchange.upstream.as_deref());
    put(
        "x-gateway-model-requested",
        exchange
            .model_requested
            .as_ref()
            .map(gateway_policy::ModelId::as_str),
    );
    put(
        "x-gateway-model-served",
        exchange
            .model_served
            .as_ref()
            .map(gateway_policy::ModelId::as_str),
    );
    put(
        "x-gateway-decision",
        exchange.decision.map(DecisionKind::as_str),
    );
    put(
        "x-gateway-rule",
        exchange.rule.as_deref().map(ascii).as_deref(),
    );
    put(
        "x-gateway-translation-losses",
        exchange.losses_text().as_deref(),
    );
    put("x-gateway-adjusted", exchange.adjusted.as_deref());
    if !headers.contains_key("x-request-id")
        && let Ok(id) = HeaderValue::from_str(exchange.id.as_str())
    {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// A name as a header can carry it: what is not printable ASCII is percent-encoded.
fn ascii(name: &str) -> String {
    const NOT_PRINTABLE: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(name, NOT_PRINTABLE).to_string()
}

/// Codex names itself in `originator` on every request.
pub fn is_codex(headers: &HeaderMap) -> bool {
    headers.contains_key("originator")
}

/// Whether the client asked for events on the Responses wire.
pub fn wants_stream(exchange: &Exchange, headers: &HeaderMap) -> bool {
    // A large body says `stream` behind its input, which nobody may have read yet; the header says
    // it as well.
    let accepts = headers
        .get(header::ACCEPT)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    exchange.endpoint == Endpoint::Responses && (exchange.is_stream || accepts)
}
