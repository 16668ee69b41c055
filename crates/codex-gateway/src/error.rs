//! Every error that the gateway itself makes: one table of codes, one shape of response. An error
//! of an upstream never passes through here.
//!
//! # Which code
//!
//! - The request cannot succeed as it is: a 4xx, and 400 unless the table has a more exact code.
//!   Codex sends a 404 or 413 six times and a constant 5xx thirty times, so a failure that would
//!   repeat is never one of these.
//! - The caller may not do this: 401 only where another credential would help, otherwise 403. A 401
//!   makes Codex refresh the user's ChatGPT token; see [`GatewayError::forbid_instead_of_401`].
//! - The caller may do it later: 429 with `retry-after`, or `usage_limit_reached` with the time at
//!   which the budget begins again.
//! - The upstream failed: `upstream_*`. `retry-after` only where nothing can have been paid for; otherwise
//!   `x-should-retry: false`, so that client libraries do not buy the same answer again by themselves.
//! - The gateway cannot do it now: 503 with `retry-after`.
//! - The gateway has a bug: `internal_error`; the log says more under the request id.
//!
//! # Conversions
//!
//! Errors of the crates below become a [`GatewayError`] here, each in one place; a module of this
//! crate converts its own error where it defines it.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use gateway_ledger::{LedgerError, LedgerErrorKind};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct ErrorRow {
    /// The stable word in `error.code`.
    pub code: &'static str,
    /// HTTP status when the error is the whole response.
    pub status: StatusCode,
    /// `error.type`.
    pub kind: &'static str,
    /// Seconds in `retry-after`, where waiting helps.
    pub retry_after: Option<u32>,
}

/// Tells OpenAI's client libraries whether to repeat a request by themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Defines [`ErrorCode`] and its table from rows `Variant = "code", STATUS, TYPE [, SECONDS];`.
macro_rules! error_codes {
    ($(
        $(#[$about:meta])*
        $variant:ident = $code:literal, $status:ident, $kind:expr $(, $seconds:literal)?;
    )+) => {
        /// The public error codes (`docs/errors.md` holds the same table; a test compares them).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode {
            $($(#[$about])* $variant,)+
        }

        impl ErrorCode {
            /// All codes, in the order of the documentation.
            pub const ALL: [Self; [$($code),+].len()] = [$(Self::$variant),+];

            /// The row of this code.
            pub const fn row(self) -> ErrorRow {
                let (code, status, kind, retry_after) = match self {
                    $(Self::$variant => {
                        ($code, StatusCode::$status, $kind, seconds!($($seconds)?))
                    })+
                };
                ErrorRow { code, status, kind, retry_after }
            }
        }
    };
}

macro_rules! seconds {
    () => {
        None
    };
    ($seconds:literal) => {
        Some($seconds)
    };
}

/// Values of `error.type`, as OpenAI's clients know them; ours where an upstream failed.
const INVALID_REQUEST: &str = "invalid_request_error";
const AUTHENTICATION: &str = "authentication_error";
const PERMISSION: &str = "permission_error";
const SERVER: &str = "server_error";
const UPSTREAM: &str = "upstream_error";

error_codes! {
    ModelNotFound = "model_not_found", BAD_REQUEST, INVALID_REQUEST;
    InvalidRequest = "invalid_request", BAD_REQUEST, INVALID_REQUEST;
    BodyTooLarge = "body_too_large", BAD_REQUEST, INVALID_REQUEST;
    Untranslatable = "untranslatable", BAD_REQUEST, INVALID_REQUEST;
    /// A client that sees this code sends the whole conversation.
    PreviousResponseNotFound = "previous_response_not_found", BAD_REQUEST, INVALID_REQUEST;
    UpstreamRedirected = "upstream_redirected", BAD_REQUEST, UPSTREAM;
    LoopDetected = "loop_detected", BAD_REQUEST, INVALID_REQUEST;
    MissingCredential = "missing_credential", UNAUTHORIZED, AUTHENTICATION;
    InvalidGatewayKey = "invalid_gateway_key", UNAUTHORIZED, AUTHENTICATION;
    AdminRequired = "admin_required", FORBIDDEN, PERMISSION;
    HostNotAllowed = "host_not_allowed", FORBIDDEN, PERMISSION;
    OriginNotAllowed = "origin_not_allowed", FORBIDDEN, PERMISSION;
    KeyNotPermitted = "key_not_permitted", FORBIDDEN, PERMISSION;
    NotFound = "not_found", NOT_FOUND, INVALID_REQUEST;
    Conflict = "conflict", CONFLICT, INVALID_REQUEST;
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, INVALID_REQUEST;
    UnsupportedEncoding = "unsupported_encoding", UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST;
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST;
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, INVALID_REQUEST;
    UsageLimitReached = "usage_limit_reached", TOO_MANY_REQUESTS, "usage_limit_reached";
    RateLimitExceeded = "rate_limit_exceeded", TOO_MANY_REQUESTS, "rate_limit_error", 1;
    InternalError = "internal_error", INTERNAL_SERVER_ERROR, SERVER;
    UpstreamUnreachable = "upstream_unreachable", BAD_GATEWAY, UPSTREAM, 2;
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT, UPSTREAM;
    UpstreamTruncated = "upstream_truncated", BAD_GATEWAY, UPSTREAM;
    UpstreamUnreadable = "upstream_unreadable", BAD_GATEWAY, UPSTREAM;
    EventTooLarge = "event_too_large", BAD_GATEWAY, UPSTREAM;
    UpstreamAuth = "upstream_auth", BAD_GATEWAY, UPSTREAM;
    StorageUnavailable = "storage_unavailable", SERVICE_UNAVAILABLE, SERVER, 2;
    ServerIsOverloaded = "server_is_overloaded", SERVICE_UNAVAILABLE, SERVER, 2;
    /// A code of its own: Codex ends the turn on `server_is_overloaded` inside a stream, but
    /// retries what it does not know, and then waits for the port to come back.
    GatewayStopping = "gateway_stopping", SERVICE_UNAVAILABLE, SERVER, 2;
}

impl ErrorCode {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        self.row().code
    }
}

/// An error made by the gateway, ready to be sent.
#[derive(Debug, Clone)]
pub struct GatewayError {
    pub code: ErrorCode,
    /// For the person in front of the client: what is wrong and what to do next. Never holds a
    /// credential or a body.
    pub message: String,
    pub param: Option<Cow<'static, str>>,
    /// Seconds; the table's unless changed.
    pub retry_after: Option<u32>,
    /// Extra members of the `error` object (`plan_type`, `resets_at`).
    pub extra: Vec<(&'static str, serde_json::Value)>,
    /// Methods for the `allow` header of a 405.
    pub allow: Option<&'static str>,
    /// Whether the upstream may have been paid for an answer already.
    is_after_dispatch: bool,
    /// The table's unless changed.
    status: StatusCode,
}

impl GatewayError {
    /// An error with the status and `retry-after` of the table.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let row = code.row();
        Self {
            code,
            message: message.into(),
            param: None,
            retry_after: row.retry_after,
            extra: Vec::new(),
            allow: None,
            is_after_dispatch: false,
            status: row.status,
        }
    }

    /// A bug of the gateway. The log has to say more.
    pub fn internal() -> Self {
        Self::new(
            ErrorCode::InternalError,
            "internal error; the gateway's log has details under the request id",
        )
    }

    /// Names the member of the request that is at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The upstream got the request and may bill it: nothing invites a client to send it again.
    #[must_use]
    pub const fn after_dispatch(mut self) -> Self {
        self.is_after_dispatch = true;
        self.retry_after = None;
        self
    }

    /// Turns a 401 into a 403 where the request carries a ChatGPT sign-in: on a 401, Codex would
    /// refresh the user's token, which has nothing to do with the refused gateway key.
    #[must_use]
    pub fn forbid_instead_of_401(mut self, is_chatgpt: bool) -> Self {
        if is_chatgpt && self.status == StatusCode::UNAUTHORIZED {
            self.status = StatusCode::FORBIDDEN;
        }
        self
    }

    /// HTTP status of the response.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The OpenAI-shaped envelope.
    pub fn body(&self) -> String {
        let row = self.code.row();
        let mut error = serde_json::Map::new();
        error.insert("message".to_owned(), self.message.clone().into());
        error.insert("type".to_owned(), row.kind.into());
        error.insert("code".to_owned(), row.code.into());
        error.insert("param".to_owned(), self.param.as_deref().into());
        for (name, value) in &self.extra {
            error.insert((*name).to_owned(), value.clone());
        }
        serde_json::json!({ "error": error }).to_string()
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
        if self.is_after_dispatch {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// A failure of the store, before anything was sent to an upstream. The caller is told what to do;
/// the cause is logged here.
impl From<LedgerError> for GatewayError {
    fn from(error: LedgerError) -> Self {
        let cause: &dyn std::error::Error = &error;
        match error.kind() {
            LedgerErrorKind::Unavailable => {
                tracing::error!(error = cause, "the store is not available");
                Self::new(
                    ErrorCode::StorageUnavailable,
                    "the gateway's store is not available, so nothing was sent or changed; try \
                     again in a moment",
                )
            }
            LedgerErrorKind::Invalid => Self::new(ErrorCode::InvalidRequest, error.to_string()),
            LedgerErrorKind::NotFound => Self::new(ErrorCode::NotFound, error.to_string()),
            LedgerErrorKind::Conflict => Self::new(ErrorCode::Conflict, error.to_string()),
            LedgerErrorKind::Rejected => {
                tracing::error!(error = cause, "the store rejected a statement");
                Self::internal()
            }
            LedgerErrorKind::Corrupt => {
                tracing::error!(
                    error = cause,
                    "the store contains something that cannot be read"
                );
                Self::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_invites_a_retry_after_dispatch() {
        for code in ErrorCode::ALL {
            let response = GatewayError::new(code, "").after_dispatch().into_response();
            assert_eq!(response.headers()["x-should-retry"], "false");
            assert!(!response.headers().contains_key("retry-after"), "{code:?}");
            let response = GatewayError::new(code, "").into_response();
            assert!(!response.headers().contains_key("x-should-retry"));
        }
    }

    #[test]
    fn only_a_401_becomes_a_403_beside_a_chatgpt_sign_in() {
        let status = |code, is_chatgpt| {
            GatewayError::new(code, "")
                .forbid_instead_of_401(is_chatgpt)
                .status()
                .as_u16()
        };
        assert_eq!(status(ErrorCode::InvalidGatewayKey, true), 403);
        assert_eq!(status(ErrorCode::InvalidGatewayKey, false), 401);
        assert_eq!(status(ErrorCode::RateLimitExceeded, true), 429);
    }
}
