//! What can be wrong with a request body on its way.

use std::time::Duration;

use gateway_wire::request::RequestError;

use crate::error::{ErrorCode, GatewayError};

/// Longest pause between two pieces of a request body.
pub(super) const BODY_IDLE: Duration = Duration::from_secs(60);

/// The body is not what it must be, and where.
pub(super) fn invalid(error: &RequestError) -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidRequest,
        format!("the request body is not valid: {error}"),
    )
}

/// The client sends nothing more.
pub(super) fn stalled() -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidRequest,
        format!(
            "the request body stopped arriving for {} s; send the request again",
            BODY_IDLE.as_secs()
        ),
    )
}

/// The connection broke.
pub(super) fn broken(error: &axum::Error) -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidRequest,
        format!("the request body was cut off: {error}"),
    )
}
