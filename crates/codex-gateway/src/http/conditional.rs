//! Answers with an etag, and reads that are conditional on it.

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// The JSON `body`, or 304 where the client has it under this etag already.
pub fn with_etag(request: &HeaderMap, etag: Option<&HeaderValue>, body: Bytes) -> Response {
    let Some(etag) = etag else {
        return json_response(StatusCode::OK, body);
    };
    let is_known = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| is_same_tag(tag, etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json_response(StatusCode::OK, body)
    };
    response.headers_mut().insert(header::ETAG, etag.clone());
    response
}

/// Compared weakly, as conditional reads are.
fn is_same_tag(tag: &str, etag: &HeaderValue) -> bool {
    let strong = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let tag = tag.trim();
    tag == "*" || strong(tag.as_bytes()) == strong(etag.as_bytes())
}

/// A JSON answer.
pub fn json_response(status: StatusCode, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
