//! What every page of the dashboard needs: its style sheet and script, and the headers that keep
//! other origins out of it.

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderValue, header};

use crate::http::state::HttpState;

const SCRIPT: &str = include_str!("dashboard/page.js");
const STYLE: &str = include_str!("dashboard/page.css");
const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><rect width=\"16\" height=\"16\" \
                    rx=\"4\" fill=\"#2f6fde\"/><path d=\"M4 11V8m4 3V4m4 7V6\" stroke=\"#fff\" stroke-width=\"2\" \
                    stroke-linecap=\"round\"/></svg>";

/// The media type of pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The parts of pages. They hold no data, so everybody may have them.
pub fn router() -> Router<HttpState> {
    let part = |kind, text: &'static str| get(async move || secured(kind, text.into_response()));
    Router::new()
        .route(
            "/dashboard/page.js",
            part("text/javascript; charset=utf-8", SCRIPT),
        )
        .route(
            "/dashboard/page.css",
            part("text/css; charset=utf-8", STYLE),
        )
        .route("/dashboard/icon.svg", part("image/svg+xml", ICON))
}

/// Adds the media type and the headers that every part of the dashboard has.
pub(super) fn secured(kind: &'static str, mut response: Response) -> Response {
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
