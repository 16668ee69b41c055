//! `/api/session`: a one-time link becomes a browser's session, and a session ends. The link is
//! sent in the body of a `POST`, so that whatever opens the link in advance, such as a mail scanner
//! or a chat preview, does not use it up.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::json;

use crate::access::client_address::ClientAddr;
use crate::admin_auth::{AdminPrincipal, session_cookie};
use crate::error::GatewayError;
use crate::http::admin::json_body;
use crate::http::state::HttpState;

/// The secret of a one-time sign-in link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    link: String,
}

/// `POST /api/session`, which needs no credential: the secret of a link becomes a cookie.
pub(super) async fn sign_in(
    State(app): State<HttpState>,
    Extension(client): Extension<ClientAddr>,
    json_body::Json(SignIn { link }): json_body::Json<SignIn>,
) -> Result<Response, GatewayError> {
    let session = app.admin.sign_in(&link, client).await?;
    let mut response = Json(json!({ "expires_at": session.expires_at })).into_response();
    if let Some(cookie) = session_cookie::set(session.secret.reveal(), client.is_secure) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `GET /api/session`: who is signed in.
pub(super) async fn state(Extension(principal): Extension<AdminPrincipal>) -> Response {
    let expires_at = principal.session.map(|session| session.expires_at);
    Json(json!({ "actor": principal.actor.name, "expires_at": expires_at })).into_response()
}

/// `DELETE /api/session`: signs out. Without a session there is nothing to end, and that is no
/// error.
pub(super) async fn sign_out(
    State(app): State<HttpState>,
    Extension(principal): Extension<AdminPrincipal>,
    headers: HeaderMap,
) -> Result<Response, GatewayError> {
    let ended = app.admin.sign_out(&principal, &headers).await?;
    let mut response = Json(json!({ "ended": ended })).into_response();
    for cookie in session_cookie::delete() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
