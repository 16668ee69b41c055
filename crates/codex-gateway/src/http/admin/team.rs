//! `/api/keys`, `/api/teams`, `/api/budgets`, `/api/audit`: the same as the command line does, over
//! HTTP. What is checked is checked in `administration.rs`.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use gateway_ledger::LedgerError;
use http::StatusCode;
use serde_json::{Value, json};

use crate::admin_auth::AdminPrincipal;
use crate::administration;
use crate::administration::error::AdminError;
use crate::administration::spec::{self, BudgetSpec, KeySpec, RateLimitSpec};
use crate::error::{ErrorCode, GatewayError};
use crate::http::admin::json_body::{self, Empty};
use crate::http::state::HttpState;

/// Most records of one answer.
const MAX_AUDIT: u32 = 1000;
const AUDIT: u32 = 100;

type Answer = Result<Response, GatewayError>;

/// The routes, below `/api`.
pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/keys", get(keys).post(create_key))
        .route("/keys/{key}", axum::routing::delete(revoke_key))
        .route("/keys/{key}/rotate", post(rotate_key))
        .route("/teams", get(teams))
        .route("/teams/{team}", put(put_team).delete(delete_team))
        .route("/budgets", get(budgets))
        .route("/budgets/{scope}", put(put_budget))
        .route(
            "/budgets/{scope}/{window}/{billing}",
            axum::routing::delete(delete_budget),
        )
        .route("/audit", get(audit))
}

async fn keys(State(app): State<HttpState>) -> Answer {
    let keys = app.ledger.keys().await.map_err(store)?;
    Ok(Json(json!({ "items": keys })).into_response())
}

async fn create_key(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    json_body::Json(spec): json_body::Json<KeySpec>,
) -> Answer {
    let shown = administration::create_key(&app.ledger, &spec, app.clock.now(), &by.actor)
        .await
        .map_err(refused)?;
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

async fn rotate_key(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    Path(key): Path<String>,
    json_body::Json(Empty {}): json_body::Json<Empty>,
) -> Answer {
    let shown = administration::rotate_key(&app.ledger, &key, &by.actor)
        .await
        .map_err(refused)?;
    Ok(Json(shown).into_response())
}

async fn revoke_key(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    Path(key): Path<String>,
) -> Answer {
    let id = administration::revoke_key(&app.ledger, &key, &by.actor)
        .await
        .map_err(refused)?;
    Ok(Json(json!({ "id": id, "revoked": true })).into_response())
}

async fn teams(State(app): State<HttpState>) -> Answer {
    let teams = app.ledger.teams().await.map_err(store)?;
    Ok(Json(json!({ "items": teams })).into_response())
}

async fn put_team(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    Path(team): Path<String>,
    json_body::Json(limits): json_body::Json<RateLimitSpec>,
) -> Answer {
    administration::put_team(&app.ledger, &team, &limits, &by.actor)
        .await
        .map_err(refused)?;
    Ok(done())
}

async fn delete_team(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    Path(team): Path<String>,
) -> Answer {
    administration::delete_team(&app.ledger, &team, &by.actor)
        .await
        .map_err(refused)?;
    Ok(done())
}

async fn budgets(State(app): State<HttpState>) -> Answer {
    let lines = administration::budgets(&app.ledger)
        .await
        .map_err(refused)?;
    Ok(Json(json!({ "items": lines })).into_response())
}

async fn put_budget(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    Path(scope): Path<String>,
    json_body::Json(spec): json_body::Json<BudgetSpec>,
) -> Answer {
    administration::put_budget(&app.ledger, &scope, &spec, &by.actor)
        .await
        .map_err(refused)?;
    Ok(done())
}

async fn delete_budget(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    Path((scope, window, billing)): Path<(String, String, String)>,
) -> Answer {
    let window = spec::window(&window).map_err(refused)?;
    let billing = spec::billing(Some(&billing)).map_err(refused)?;
    administration::delete_budget(&app.ledger, &scope, window, billing, &by.actor)
        .await
        .map_err(refused)?;
    Ok(done())
}

async fn audit(State(app): State<HttpState>, RawQuery(query): RawQuery) -> Answer {
    let most = limit(query.as_deref().unwrap_or_default())?;
    let records = app.ledger.audit(most).await.map_err(store)?;
    Ok(Json(json!({ "items": records })).into_response())
}

fn limit(query: &str) -> Result<u32, GatewayError> {
    let wrong = || {
        GatewayError::new(
            ErrorCode::InvalidRequest,
            format!("`limit` is a number from 1 to {MAX_AUDIT}, and the only parameter here"),
        )
        .param("limit")
    };
    if query.is_empty() {
        return Ok(AUDIT);
    }
    let digits = query.strip_prefix("limit=").ok_or_else(wrong)?;
    let most = digits.parse().map_err(|_| wrong())?;
    if (1..=MAX_AUDIT).contains(&most) {
        return Ok(most);
    }
    Err(wrong())
}

fn done() -> Response {
    let done: Value = json!({ "ok": true });
    Json(done).into_response()
}

pub(super) fn refused(error: AdminError) -> GatewayError {
    match error {
        AdminError::Invalid(text) => GatewayError::new(ErrorCode::InvalidRequest, text),
        AdminError::NotFound(text) => GatewayError::new(ErrorCode::NotFound, text),
        AdminError::Conflict(text) => GatewayError::new(ErrorCode::Conflict, text),
        AdminError::Store(error) => store(error),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "stands where a function of the error itself is asked for"
)]
fn store(error: LedgerError) -> GatewayError {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "the store does not answer the admin API"
    );
    GatewayError::new(
        ErrorCode::StorageUnavailable,
        "the store does not answer; nothing was changed; try again in a moment",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_records_is_checked() {
        assert_eq!(limit("").unwrap(), AUDIT);
        assert_eq!(limit("limit=7").unwrap(), 7);
        for bad in ["limit=0", "limit=1001", "limit=x", "top=3"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }
}
