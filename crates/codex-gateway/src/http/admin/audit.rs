//! `/api/audit`: the log of administrative changes.

use axum::extract::State;
use gateway_ledger::{AuditRecord, Ledger};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::GatewayError;
use crate::http::admin::json::{Items, Json};
use crate::http::admin::page_size::PageSize;
use crate::http::admin::query::Query;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// How many changes.
    #[serde(default)]
    #[param(inline)]
    limit: PageSize,
}

/// The newest administrative changes, the newest first.
#[utoipa::path(
    get,
    path = "/audit",
    params(AuditQuery),
    responses((status = 200, body = Items<AuditRecord>)),
)]
pub(super) async fn list_changes(
    State(ledger): State<Ledger>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Items<AuditRecord>>, GatewayError> {
    let items = ledger.audit(query.limit.get()).await?;
    Ok(Json(Items { items }))
}
