//! Step 3: the content of a request, as far as the rules ask for it.

use axum::body::Body;
use bytes::Bytes;
use gateway_policy::ModelId;
use gateway_wire::request::RequestHead;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::config::active::ActiveConfig;
use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::request_body::{self, ReadLimits, RequestBody, decode};

/// The content of a request.
pub enum Content {
    /// A JSON object with a model.
    Json(Box<RequestBody>),
    /// Passed on without being looked at.
    Opaque(Bytes),
}

/// Reads the body as far as the rules ask for it.
///
/// # Errors
/// When the body is too large, broken, encoded in an unknown way, or not JSON where it must be.
pub async fn read_body(
    config: &ActiveConfig,
    endpoint: Endpoint,
    parts: &Parts,
    body: Body,
) -> Result<Content, GatewayError> {
    let max = config.settings.server.max_request_body;
    if !endpoint.names_a_model() {
        return request_body::read_opaque(body, max)
            .await
            .map(Content::Opaque);
    }
    check_media_type(&parts.headers)?;
    let codings = decode::codings(&parts.headers)?;
    let policy = &config.settings.policy;
    let limits = ReadLimits {
        max,
        is_whole_needed: policy.reads_whole_body() || policy.has_own_compaction(),
    };
    let body = request_body::read(body, codings, limits).await?;
    Ok(Content::Json(Box::new(body)))
}

/// A web page can send a form anywhere; only a program says JSON.
fn check_media_type(headers: &HeaderMap) -> Result<(), GatewayError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = value.to_str().unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if kind == "application/json" || kind.ends_with("+json") {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::UnsupportedMediaType,
        "send the body as `content-type: application/json`",
    ))
}

/// The model that a request names.
///
/// # Errors
/// When it names none, or one that is not usable as an id.
pub fn requested_model(head: &RequestHead) -> Result<ModelId, GatewayError> {
    let Some(model) = &head.model else {
        return Err(GatewayError::new(
            ErrorCode::InvalidRequest,
            "the request body names no `model`; set `model` in Codex's configuration, or in the \
             request",
        )
        .param("model"));
    };
    ModelId::new(&model.id).map_err(|error| {
        GatewayError::new(
            ErrorCode::InvalidRequest,
            format!("`model` is not valid: {error}"),
        )
        .param("model")
    })
}
