//! Every error the gateway makes: one table, one response shape. Errors of an upstream never pass
//! through here.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// The public error codes (`docs/errors.md` holds the same table; a test compares them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    ModelNotFound,
    InvalidRequest,
    BodyTooLarge,
    Untranslatable,
    PreviousResponseNotFound,
    UpstreamRedirected,
    LoopDetected,
    MissingCredential,
    InvalidGatewayKey,
    AdminRequired,
    HostNotAllowed,
    OriginNotAllowed,
    KeyNotPermitted,
    NotFound,
    Conflict,
    MethodNotAllowed,
    UnsupportedEncoding,
    UnsupportedMediaType,
    HeadersTooLarge,
    UsageLimitReached,
    RateLimitExceeded,
    InternalError,
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnreadable,
    EventTooLarge,
    UpstreamAuth,
    StorageUnavailable,
    ServerIsOverloaded,
    GatewayStopping,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct ErrorRow {
    /// The stable word in `error.code`.
    pub code: &'static str,
    /// HTTP status when the error is the whole answer.
    pub status: u16,
    /// `error.type`.
    pub kind: &'static str,
    /// Seconds in `retry-after`, where waiting helps.
    pub retry_after: Option<u32>,
}

impl ErrorCode {
    /// All codes, in the order of the documentation.
    pub const ALL: [Self; 31] = [
        Self::ModelNotFound,
        Self::InvalidRequest,
        Self::BodyTooLarge,
        Self::Untranslatable,
        Self::PreviousResponseNotFound,
        Self::UpstreamRedirected,
        Self::LoopDetected,
        Self::MissingCredential,
        Self::InvalidGatewayKey,
        Self::AdminRequired,
        Self::HostNotAllowed,
        Self::OriginNotAllowed,
        Self::KeyNotPermitted,
        Self::NotFound,
        Self::Conflict,
        Self::MethodNotAllowed,
        Self::UnsupportedEncoding,
        Self::UnsupportedMediaType,
        Self::HeadersTooLarge,
        Self::UsageLimitReached,
        Self::RateLimitExceeded,
        Self::InternalError,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::UpstreamTruncated,
        Self::UpstreamUnreadable,
        Self::EventTooLarge,
        Self::UpstreamAuth,
        Self::StorageUnavailable,
        Self::ServerIsOverloaded,
        Self::GatewayStopping,
    ];

    /// The row of this code.
    pub const fn row(self) -> ErrorRow {
        const fn row(code: &'static str, status: u16, kind: &'static str) -> ErrorRow {
            ErrorRow {
                code,
                status,
                kind,
                retry_after: None,
            }
        }
        const fn later(
            code: &'static str,
            status: u16,
            kind: &'static str,
            seconds: u32,
        ) -> ErrorRow {
            ErrorRow {
                code,
                status,
                kind,
                retry_after: Some(seconds),
            }
        }
        // 400 and not 413 or 404 for what will fail again: Codex sends those six times.
        match self {
            Self::ModelNotFound => row("model_not_found", 400, "invalid_request_error"),
            Self::InvalidRequest => row("invalid_request", 400, "invalid_request_error"),
            Self::BodyTooLarge => row("body_too_large", 400, "invalid_request_error"),
            Self::Untranslatable => row("untranslatable", 400, "invalid_request_error"),
            // On this code a client sends the whole conversation.
            Self::PreviousResponseNotFound => {
                row("previous_response_not_found", 400, "invalid_request_error")
            }
            Self::UpstreamRedirected => row("upstream_redirected", 400, "upstream_error"),
            Self::LoopDetected => row("loop_detected", 400, "invalid_request_error"),
            Self::MissingCredential => row("missing_credential", 401, "authentication_error"),
            Self::InvalidGatewayKey => row("invalid_gateway_key", 401, "authentication_error"),
            Self::AdminRequired => row("admin_required", 403, "permission_error"),
            Self::HostNotAllowed => row("host_not_allowed", 403, "permission_error"),
            Self::OriginNotAllowed => row("origin_not_allowed", 403, "permission_error"),
            Self::KeyNotPermitted => row("key_not_permitted", 403, "permission_error"),
            Self::NotFound => row("not_found", 404, "invalid_request_error"),
            Self::Conflict => row("conflict", 409, "invalid_request_error"),
            Self::MethodNotAllowed => row("method_not_allowed", 405, "invalid_request_error"),
            Self::UnsupportedEncoding => row("unsupported_encoding", 415, "invalid_request_error"),
            Self::UnsupportedMediaType => {
                row("unsupported_media_type", 415, "invalid_request_error")
            }
            Self::HeadersTooLarge => row("headers_too_large", 431, "invalid_request_error"),
            Self::UsageLimitReached => row("usage_limit_reached", 429, "usage_limit_reached"),
            Self::RateLimitExceeded => later("rate_limit_exceeded", 429, "rate_limit_error", 1),
            Self::InternalError => row("internal_error", 500, "server_error"),
            Self::UpstreamUnreachable => later("upstream_unreachable", 502, "upstream_error", 2),
            Self::UpstreamTimeout => later("upstream_timeout", 504, "upstream_error", 2),
            Self::UpstreamTruncated => row("upstream_truncated", 502, "upstream_error"),
            Self::UpstreamUnreadable => row("upstream_unreadable", 502, "upstream_error"),
            Self::EventTooLarge => row("event_too_large", 502, "upstream_error"),
            Self::UpstreamAuth => row("upstream_auth", 502, "upstream_error"),
            Self::StorageUnavailable => later("storage_unavailable", 503, "server_error", 2),
            Self::ServerIsOverloaded => later("server_is_overloaded", 503, "server_error", 2),
            // A code of its own: Codex ends the turn on `server_is_overloaded` inside a stream, but
            // retries what it does not know, and then waits for the port to come back.
            Self::GatewayStopping => later("gateway_stopping", 503, "server_error", 2),
        }
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        self.row().code
    }
}

/// An error made by the gateway, ready to be answered.
#[derive(Debug, Clone)]
pub struct GatewayError {
    pub code: ErrorCode,
    /// For the person in front of the client: what is wrong and what to do next. Never holds a
    /// credential or a body.
    pub message: String,
    pub param: Option<Cow<'static, str>>,
    /// Overrides the table's seconds.
    pub retry_after: Option<u32>,
    /// Extra members of the `error` object (`plan_type`, `resets_at`).
    pub extra: Vec<(&'static str, serde_json::Value)>,
    /// Methods for the `allow` header of a 405.
    pub allow: Option<&'static str>,
    /// 403 in the place of 401.
    pub is_forbidden: bool,
}

impl GatewayError {
    /// An error with the table's status.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            retry_after: code.row().retry_after,
            extra: Vec::new(),
            allow: None,
            is_forbidden: false,
        }
    }

    /// Names the member of the request that is at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// A refusal of the gateway's own key beside a ChatGPT sign-in: never a 401, on which Codex
    /// would refresh the user's token.
    #[must_use]
    pub fn beside_chatgpt(mut self, is_chatgpt: bool) -> Self {
        self.is_forbidden = is_chatgpt && self.code.row().status == 401;
        self
    }

    /// HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        if self.is_forbidden {
            return StatusCode::FORBIDDEN;
        }
        StatusCode::from_u16(self.code.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The OpenAI-shaped envelope.
    pub fn body(&self) -> String {
        let row = self.code.row();
        let mut error = serde_json::Map::new();
        error.insert("message".to_owned(), self.message.clone().into());
        error.insert("type".to_owned(), row.kind.into());
        error.insert("code".to_owned(), row.code.into());
        error.insert(
            "param".to_owned(),
            self.param
                .as_deref()
                .map_or(serde_json::Value::Null, Into::into),
        );
        for (name, value) in &self.extra {
            error.insert((*name).to_owned(), value.clone());
        }
        let mut envelope = serde_json::Map::new();
        envelope.insert("error".to_owned(), error.into());
        serde_json::Value::from(envelope).to_string()
    }
}

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
