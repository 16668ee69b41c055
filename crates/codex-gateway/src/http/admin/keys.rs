//! `/api/keys`: what `codex-gateway keys` does. Checks nothing itself: `administration/keys.rs` does.

use axum::Extension;
use axum::extract::{Path, State};
use gateway_ledger::{KeyRecord, Ledger};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin_auth::AdminPrincipal;
use crate::administration::key_update_spec::KeyUpdateSpec;
use crate::administration::keys::{self, KeyDetail, ShownKey};
use crate::administration::spec::KeySpec;
use crate::clock::Clock;
use crate::error::GatewayError;
use crate::http::admin::json::{Empty, Items, Json};
use crate::http::admin::path::Name;

/// A key that was revoked.
#[derive(Serialize, ToSchema)]
pub(super) struct RevokedKey {
    id: String,
    /// Always true.
    revoked: bool,
}

/// All gateway keys, without their secrets.
#[utoipa::path(get, path = "/keys", responses((status = 200, body = Items<KeyRecord>)))]
pub(super) async fn list_keys(
    State(ledger): State<Ledger>,
) -> Result<Json<Items<KeyRecord>>, GatewayError> {
    let items = ledger.keys().await?;
    Ok(Json(Items { items }))
}

/// Creates a key. Only this answer shows its secret.
#[utoipa::path(post, path = "/keys", responses((status = 201, body = ShownKey)))]
pub(super) async fn create_key(
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Extension(principal): Extension<AdminPrincipal>,
    Json(spec): Json<KeySpec>,
) -> Result<(StatusCode, Json<ShownKey>), GatewayError> {
    let created = keys::create_key(&ledger, &spec, clock.now(), &principal.actor).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// One key, named by its id or name, with its budgets and what is spent of them.
#[utoipa::path(
    get,
    path = "/keys/{key}",
    params(("key" = inline(Name), Path)),
    responses((status = 200, body = KeyDetail)),
)]
pub(super) async fn show_key(
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Path(key): Path<String>,
) -> Result<Json<KeyDetail>, GatewayError> {
    Ok(Json(keys::show_key(&ledger, &key, clock.now()).await?))
}

/// Changes a key, named by its id or name. Its secret stays.
#[utoipa::path(
    patch,
    path = "/keys/{key}",
    params(("key" = inline(Name), Path)),
    responses((status = 200, body = KeyRecord)),
)]
pub(super) async fn update_key(
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Extension(principal): Extension<AdminPrincipal>,
    Path(key): Path<String>,
    Json(spec): Json<KeyUpdateSpec>,
) -> Result<Json<KeyRecord>, GatewayError> {
    let now = clock.now();
    let updated = keys::update_key(&ledger, &key, &spec, now, &principal.actor).await?;
    Ok(Json(updated))
}

/// Revokes a key, named by its id or name.
#[utoipa::path(
    delete,
    path = "/keys/{key}",
    params(("key" = inline(Name), Path)),
    responses((status = 200, body = RevokedKey)),
)]
pub(super) async fn revoke_key(
    State(ledger): State<Ledger>,
    Extension(principal): Extension<AdminPrincipal>,
    Path(key): Path<String>,
) -> Result<Json<RevokedKey>, GatewayError> {
    let id = keys::revoke_key(&ledger, &key, &principal.actor).await?;
    Ok(Json(RevokedKey { id, revoked: true }))
}

/// Replaces the secret of a key, named by its id or name.
#[utoipa::path(
    post,
    path = "/keys/{key}/rotate",
    params(("key" = inline(Name), Path)),
    responses((status = 200, body = ShownKey)),
)]
pub(super) async fn rotate_key(
    State(ledger): State<Ledger>,
    Extension(principal): Extension<AdminPrincipal>,
    Path(key): Path<String>,
    Json(Empty {}): Json<Empty>,
) -> Result<Json<ShownKey>, GatewayError> {
    let rotated = keys::rotate_key(&ledger, &key, &principal.actor).await?;
    Ok(Json(rotated))
}
