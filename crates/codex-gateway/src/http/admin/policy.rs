//! `GET /api/explain`, `GET /api/models`: the same answers as the command line's. And learned
//! refusals, `/api/facts`.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use gateway_policy::{AuthRoute, ModelId};
use http::Uri;

use crate::admin_auth::AdminPrincipal;
use crate::error::GatewayError;
use crate::http::admin::params::{Params, ledger_error};
use crate::http::state::HttpState;
use crate::reports::explain::{ExplainQuery, Explained, explain, explain_with_key};
use crate::reports::facts::{Cleared, FactsReport, to_stored};
use crate::reports::models::models;

/// `GET /api/explain?route=R&model=M[&endpoint=&effort=&plan=&key=&team=&kind=]`.
pub(super) async fn explained(
    State(app): State<HttpState>,
    uri: Uri,
) -> Result<Json<Explained>, GatewayError> {
    let query: ExplainQuery = Params::read(&uri)?.into_query()?;
    let live = app.config.load_full();
    let day = app.clock.date();
    let (settings, places) = (&live.settings, &live.places);
    let answer = if query.needs_store() {
        let when = (day, app.clock.now());
        explain_with_key(&app.ledger, settings, places, &query, when)
            .await
            .map_err(super::team::refused)?
    } else {
        explain(settings, places, &query, day)
    };
    Ok(Json(
        answer.with_learned(believed(&app), query.plan.as_deref()),
    ))
}

/// `GET /api/models[?route=R]`.
pub(super) async fn catalogue(
    State(app): State<HttpState>,
    uri: Uri,
) -> Result<Response, GatewayError> {
    let mut params = Params::read(&uri)?;
    let route: Option<AuthRoute> = params.parsed("route")?;
    params.done()?;
    let live = app.config.load();
    Ok(Json(models(&live.settings, route, app.clock.date())).into_response())
}

/// `GET /api/facts`: what this server believes at present, the newest first.
pub(super) async fn facts(
    State(app): State<HttpState>,
    uri: Uri,
) -> Result<Json<FactsReport>, GatewayError> {
    Params::read(&uri)?.done()?;
    let facts = believed(&app);
    Ok(Json(FactsReport { facts }))
}

/// What this server believes at present, the newest first.
fn believed(app: &HttpState) -> Vec<gateway_ledger::ModelRefusal> {
    let mut facts: Vec<_> = app
        .learned
        .known()
        .iter()
        .map(|(key, fact)| to_stored(key, fact))
        .collect();
    facts.sort_by(|a, b| {
        let order =
            |fact: &gateway_ledger::ModelRefusal| (fact.upstream.clone(), fact.model.clone());
        b.learned_at
            .cmp(&a.learned_at)
            .then(order(a).cmp(&order(b)))
    });
    facts
}

/// `DELETE /api/facts[?model=M]`: here and in the store, from which other servers hear of it.
pub(super) async fn clear_facts(
    State(app): State<HttpState>,
    Extension(by): Extension<AdminPrincipal>,
    uri: Uri,
) -> Result<Json<Cleared>, GatewayError> {
    let mut params = Params::read(&uri)?;
    let model: Option<ModelId> = params.parsed("model")?;
    params.done()?;
    let named = model.as_ref().map(ModelId::as_str);
    let cleared = app.ledger.clear_model_refusals(named, &by.actor).await;
    let cleared = cleared.map_err(|error| ledger_error(&error))?;
    app.learned.clear(model.as_ref());
    Ok(Json(Cleared { cleared }))
}
