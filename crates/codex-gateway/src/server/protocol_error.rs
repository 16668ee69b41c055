//! Responses to what the HTTP library refuses by itself: the same envelope as
//! for every other error, with an id.

use bytes::Bytes;

use crate::access::request_guard::{MAX_HEADER_BYTES, MAX_HEADER_FIELDS, MAX_URI_BYTES};
use crate::error::{ErrorCode, GatewayError};
use crate::ids::RequestId;

/// A whole response in place of the library's, which has no body.
pub fn response(status: u16) -> Bytes {
    let error = match status {
        414 => GatewayError::new(
            ErrorCode::HeadersTooLarge,
            format!("the request target is longer than {MAX_URI_BYTES} bytes"),
        ),
        431 => GatewayError::new(
            ErrorCode::HeadersTooLarge,
            format!(
                "the request has too many headers; the maximum is {MAX_HEADER_FIELDS} fields in \
                 {MAX_HEADER_BYTES} bytes"
            ),
        ),
        _ => GatewayError::new(
            ErrorCode::InvalidRequest,
            "this is not a valid HTTP request; use `http://` unless TLS is configured",
        ),
    };
    let id = RequestId::generate();
    tracing::info!(request.id = %id, error.code = error.code.as_str(), "a request could not be read");
    let (status, body) = (error.status(), error.body());
    let length = body.len();
    Bytes::from(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: \
         {length}\r\nconnection: close\r\nx-request-id: {id}\r\n\r\n{body}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_whole() {
        let text = String::from_utf8(response(414).to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"),
            "{head}"
        );
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(body.contains("headers_too_large"));
    }
}
