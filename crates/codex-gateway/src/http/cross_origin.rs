//! Lets a browser use the answers to pages of a listed origin (CORS): preflight requests are answered
//! on every path, and every answer, streams and refusals included, says that the page may read it.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, header};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{
    AllowHeaders, AllowMethods, AllowOrigin, AllowPrivateNetwork, CorsLayer, ExposeHeaders,
};

/// How long a browser may remember a preflight. Browsers ask again for each new request otherwise.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// Runs a request whose origin the configuration lists.
///
/// Credentials are not allowed: such pages send a key or a token, and never the dashboard's session.
/// So any header may be sent and read.
pub(super) async fn run(origin: HeaderValue, request: Request, next: Next) -> Response {
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::exact(origin))
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(AllowPrivateNetwork::yes())
        .expose_headers(ExposeHeaders::any())
        .max_age(PREFLIGHT_MAX_AGE);
    match layer.layer(next).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// A refusal that came before the request was looked at, readable by a page of a listed origin.
pub(super) fn readable(origin: Option<HeaderValue>, mut response: Response) -> Response {
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}
