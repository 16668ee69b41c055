//! `GET /dashboard`: a small page that signs in and shows today's totals. It asks `/api` like any
//! other program; without a session it shows nothing.

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderValue, header};

use crate::http::state::HttpState;

const PAGE: &str = include_str!("dashboard/page.html");
const SCRIPT: &str = include_str!("dashboard/page.js");
const STYLE: &str = include_str!("dashboard/page.css");

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The page and its parts. They hold no data, so everybody may have them.
pub fn router() -> Router<HttpState> {
    Router::new()
        .route(
            "/dashboard",
            get(async || part("text/html; charset=utf-8", PAGE)),
        )
        .route(
            "/dashboard/page.js",
            get(async || part("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(
            "/dashboard/page.css",
            get(async || part("text/css; charset=utf-8", STYLE)),
        )
}

fn part(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
