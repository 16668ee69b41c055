//! Why a call to an upstream brought no response, and what the client is told of it.

use gateway_wire::failure::SendState;

use crate::error::{ErrorCode, GatewayError};

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportFailure {
    pub kind: TransportKind,
    /// Whether the upstream can have begun to work.
    pub send_state: SendState,
    /// For the log and the error message: never holds a URL's query or a credential.
    pub detail: String,
}

impl TransportFailure {
    /// The error for the client of a request to the upstream `name`.
    pub fn to_gateway_error(&self, name: &str) -> GatewayError {
        let detail = &self.detail;
        let (code, message) = match self.kind {
            TransportKind::Connect => (
                ErrorCode::UpstreamUnreachable,
                format!(
                    "cannot connect to upstream `{name}`: {detail}; check its base_url and the \
                     network of the gateway"
                ),
            ),
            TransportKind::HeadersTimeout => (
                ErrorCode::UpstreamTimeout,
                format!("upstream `{name}` sent no response headers: {detail} (`headers_timeout`)"),
            ),
            TransportKind::Reset => (
                ErrorCode::UpstreamUnreachable,
                format!("upstream `{name}` closed the connection before it responded: {detail}"),
            ),
            TransportKind::NotHttp => (
                ErrorCode::UpstreamUnreachable,
                format!(
                    "upstream `{name}` returned something that is not HTTP: {detail}; check its \
                     base_url"
                ),
            ),
        };
        let error = GatewayError::new(code, message);
        match self.send_state {
            SendState::NotSent => error,
            SendState::Sent | SendState::Ambiguous => error.after_dispatch(),
        }
    }
}

/// Where the connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Refused, unreachable, name not found, TLS refused.
    Connect,
    /// No headers in time.
    HeadersTimeout,
    /// Broken after the request went out.
    Reset,
    /// What came back is not HTTP.
    NotHttp,
}
