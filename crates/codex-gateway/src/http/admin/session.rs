//! `/api/session`: a one-time link becomes a browser's session, and a session ends. The link is
//! sent in the body of a `POST`, so that whatever opens the link in advance, such as a mail scanner
//! or a chat preview, does not use it up.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::client_address::ClientAddr;
use crate::admin_auth::{AdminAuth, AdminPrincipal, session_cookie};
use crate::error::GatewayError;
use crate::http::admin::json::Json;

/// The secret of a one-time sign-in link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkSignIn {
    #[schema(min_length = 1)]
    link: String,
}

/// A session that has begun.
#[derive(Serialize, ToSchema)]
pub(super) struct BegunSession {
    expires_at: Timestamp,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct CurrentSession {
    /// The name in the audit log.
    actor: String,
    /// Null for the admin token.
    expires_at: Option<Timestamp>,
}

/// Whether a session was ended.
#[derive(Serialize, ToSchema)]
pub(super) struct EndedSession {
    ended: bool,
}

/// Exchanges the secret of a one-time sign-in link for a session cookie; needs no credential.
#[utoipa::path(
    post,
    path = "/session",
    security(()),
    responses((status = 200, body = BegunSession)),
)]
pub(super) async fn sign_in(
    State(auth): State<Arc<AdminAuth>>,
    Extension(client): Extension<ClientAddr>,
    Json(LinkSignIn { link }): Json<LinkSignIn>,
) -> Result<Response, GatewayError> {
    let session = auth.sign_in(&link, client).await?;
    let expires_at = session.expires_at;
    let mut response = Json(BegunSession { expires_at }).into_response();
    if let Some(cookie) = session_cookie::set(session.secret.reveal(), client.is_secure) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Who is signed in, and until when.
#[utoipa::path(get, path = "/session", responses((status = 200, body = CurrentSession)))]
pub(super) async fn get_session(
    Extension(principal): Extension<AdminPrincipal>,
) -> Json<CurrentSession> {
    Json(CurrentSession {
        actor: principal.actor.name,
        expires_at: principal.session.map(|session| session.expires_at),
    })
}

/// Signs out. Without a session there is nothing to end, which is not an error.
#[utoipa::path(delete, path = "/session", responses((status = 200, body = EndedSession)))]
pub(super) async fn sign_out(
    State(auth): State<Arc<AdminAuth>>,
    Extension(principal): Extension<AdminPrincipal>,
    headers: HeaderMap,
) -> Result<Response, GatewayError> {
    let ended = auth.sign_out(&principal, &headers).await?;
    let mut response = Json(EndedSession { ended }).into_response();
    for cookie in session_cookie::delete() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
