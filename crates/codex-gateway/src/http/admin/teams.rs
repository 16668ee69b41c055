//! `/api/teams`: what `codex-gateway teams` does. Checks nothing itself: `administration.rs` does.

use axum::Extension;
use axum::extract::{Path, State};
use gateway_ledger::{Ledger, TeamRecord};

use crate::admin_auth::AdminPrincipal;
use crate::administration;
use crate::administration::spec::RateLimitSpec;
use crate::error::GatewayError;
use crate::http::admin::json::{Done, Items, Json};
use crate::http::admin::path::Name;

/// All teams.
#[utoipa::path(get, path = "/teams", responses((status = 200, body = Items<TeamRecord>)))]
pub(super) async fn list_teams(
    State(ledger): State<Ledger>,
) -> Result<Json<Items<TeamRecord>>, GatewayError> {
    let items = ledger.teams().await?;
    Ok(Json(Items { items }))
}

/// Creates a team, or replaces its rate limits.
#[utoipa::path(
    put,
    path = "/teams/{team}",
    params(("team" = inline(Name), Path)),
    responses((status = 200, body = Done)),
)]
pub(super) async fn put_team(
    State(ledger): State<Ledger>,
    Extension(principal): Extension<AdminPrincipal>,
    Path(team): Path<String>,
    Json(limits): Json<RateLimitSpec>,
) -> Result<Json<Done>, GatewayError> {
    administration::put_team(&ledger, &team, &limits, &principal.actor).await?;
    Ok(Done::OK)
}

/// Deletes a team without live keys.
#[utoipa::path(
    delete,
    path = "/teams/{team}",
    params(("team" = inline(Name), Path)),
    responses((status = 200, body = Done)),
)]
pub(super) async fn delete_team(
    State(ledger): State<Ledger>,
    Extension(principal): Extension<AdminPrincipal>,
    Path(team): Path<String>,
) -> Result<Json<Done>, GatewayError> {
    administration::delete_team(&ledger, &team, &principal.actor).await?;
    Ok(Done::OK)
}
