//! `/api`: its endpoints, in one list, and the check in front of them.

mod audit;
mod budgets;
pub(in crate::http) mod filters;
mod json;
mod keys;
mod openapi;
mod page_size;
mod path;
mod plan;
pub(in crate::http) mod policy;
pub(in crate::http) mod query;
mod session;
mod teams;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::client_address::ClientAddr;
use crate::admin_auth::AdminAuth;
use crate::error::{ErrorCode, GatewayError};
use crate::http::admin::json::Json;
use crate::http::state::HttpState;

/// Every endpoint, below `/api`. One is declared by its handler, with `#[utoipa::path]`, and its
/// line here; neither works without the other.
fn endpoints() -> OpenApiRouter<HttpState> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(version))
        .routes(routes!(openapi_document))
        .routes(routes!(policy::explain_request))
        .routes(routes!(policy::list_models))
        .routes(routes!(policy::list_facts, policy::clear_facts))
        .routes(routes!(usage::sum_usage))
        .routes(routes!(usage::list_exchanges))
        .routes(routes!(plan::list_plan_limits))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::show_key, keys::update_key, keys::revoke_key))
        .routes(routes!(keys::rotate_key))
        .routes(routes!(teams::list_teams))
        .routes(routes!(teams::put_team, teams::delete_team))
        .routes(routes!(budgets::list_budgets))
        .routes(routes!(budgets::put_budget))
        .routes(routes!(budgets::delete_budget))
        .routes(routes!(audit::list_changes))
        .routes(routes!(
            session::get_session,
            session::sign_in,
            session::sign_out
        ))
}

/// The endpoints behind the check of credentials. Without the admin token or a session, nothing
/// below `/api` is reachable, not even the answer that a path does not exist.
pub fn router(state: &HttpState) -> Router<HttpState> {
    let (endpoints, _) = endpoints().split_for_parts();
    let guarded = endpoints
        .fallback(no_such_path)
        .layer(middleware::from_fn_with_state(state.clone(), authorize));
    Router::new().nest("/api", guarded)
}

/// The description of the endpoints: what `/api/openapi.json` answers.
pub fn description() -> OpenApi {
    openapi::complete(endpoints().into_openapi(), "/api")
}

/// Name and version of the gateway.
#[derive(Serialize, ToSchema)]
struct Version {
    name: &'static str,
    version: &'static str,
}

/// Name and version.
#[utoipa::path(get, path = "/version", responses((status = 200, body = Version)))]
async fn version() -> Json<Version> {
    Json(Version {
        name: "codex-gateway",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    responses((status = 200, description = "An OpenAPI document", body = serde_json::Value)),
)]
async fn openapi_document() -> Json<OpenApi> {
    Json(description())
}

async fn no_such_path() -> GatewayError {
    GatewayError::new(
        ErrorCode::NotFound,
        "the admin API has no endpoint at this path",
    )
}

/// Denies by default. The one endpoint that needs no credential is the one that exchanges a
/// one-time link for a session.
async fn authorize(
    State(auth): State<Arc<AdminAuth>>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_sign_in = request.method() == Method::POST && request.uri().path() == "/session";
    if !is_sign_in {
        set_host(&mut request);
        let client = request.extensions().get::<ClientAddr>().copied();
        let (method, headers) = (request.method(), request.headers());
        let authorized = match client {
            Some(client) => auth.authorize(method, headers, client).await,
            None => Err(GatewayError::new(
                ErrorCode::InternalError,
                "internal error; please report this",
            )),
        };
        match authorized {
            Ok(principal) => request.extensions_mut().insert(principal),
            Err(error) => return uncached(error.into_response()),
        };
    }
    uncached(next.run(request).await)
}

/// HTTP/2 names the host in the request target alone. Whether an origin is the dashboard's own is
/// decided by that name.
fn set_host(request: &mut Request) {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    if !request.headers().contains_key(header::HOST)
        && let Some(Ok(host)) = authority.map(HeaderValue::from_str)
    {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Nothing of this API belongs in a cache.
fn uncached(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
