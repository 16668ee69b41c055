//! `/api/explain`, `/api/models` and `/api/facts`: what the commands of these names answer, and what
//! this server has learned.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use gateway_ledger::Ledger;
use gateway_policy::{AuthRoute, ModelId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin_auth::AdminPrincipal;
use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::error::GatewayError;
use crate::http::admin::json::Json;
use crate::http::admin::query::{NoParameters, Query};
use crate::learned::Learned;
use crate::learned::stored::to_stored;
use crate::reports::explain::{ExplainQuery, Explained, explain, explain_with_key};
use crate::reports::facts::{Cleared, FactsReport};
use crate::reports::models::{ModelsReport, models};

/// What would happen to a request, and which rule decides.
#[utoipa::path(
    get,
    path = "/explain",
    params(ExplainQuery),
    responses((status = 200, body = Explained)),
)]
pub(super) async fn explain_request(
    State(config): State<SharedConfig>,
    State(clock): State<Clock>,
    State(ledger): State<Ledger>,
    State(learned): State<Arc<Learned>>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explained>, GatewayError> {
    let config = config.load_full();
    let day = clock.date();
    let (settings, places) = (&config.settings, &config.places);
    let answer = if query.needs_store() {
        let when = (day, clock.now());
        explain_with_key(&ledger, settings, places, &query, when).await?
    } else {
        explain(settings, places, &query, day)
    };
    let plan = query.plan.as_deref();
    Ok(Json(answer.with_learned(believed(&learned), plan)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelsQuery {
    /// Only this auth route.
    #[param(inline)]
    route: Option<AuthRoute>,
}

/// The model catalogue with auth routes, prices and dated sources.
#[utoipa::path(
    get,
    path = "/models",
    params(ModelsQuery),
    responses((status = 200, body = ModelsReport)),
)]
pub(super) async fn list_models(
    State(config): State<SharedConfig>,
    State(clock): State<Clock>,
    Query(query): Query<ModelsQuery>,
) -> Response {
    let config = config.load();
    Json(models(&config.settings, query.route, clock.date())).into_response()
}

/// The refusals of models that this server currently believes, the newest first.
#[utoipa::path(get, path = "/facts", responses((status = 200, body = FactsReport)))]
pub(super) async fn list_facts(
    State(learned): State<Arc<Learned>>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<FactsReport> {
    let facts = believed(&learned);
    Json(FactsReport { facts })
}

/// What this server currently believes, the newest first.
pub(in crate::http) fn believed(learned: &Learned) -> Vec<gateway_ledger::ModelRefusal> {
    let mut facts: Vec<_> = learned
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

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearQuery {
    /// Only refusals of this model.
    #[param(
        value_type = Option<String>,
        max_length = 64,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]+( [^\s\x00-\x1f\x7f-\x9f]+)*$"
    )]
    model: Option<ModelId>,
}

/// Forgets refusals of models, here and in the store, from which other servers learn of it.
#[utoipa::path(
    delete,
    path = "/facts",
    params(ClearQuery),
    responses((status = 200, body = Cleared)),
)]
pub(super) async fn clear_facts(
    State(ledger): State<Ledger>,
    State(learned): State<Arc<Learned>>,
    Extension(principal): Extension<AdminPrincipal>,
    Query(query): Query<ClearQuery>,
) -> Result<Json<Cleared>, GatewayError> {
    let model = query.model.as_ref();
    let named = model.map(ModelId::as_str);
    let cleared = ledger.clear_model_refusals(named, &principal.actor).await?;
    learned.clear(model);
    Ok(Json(Cleared { cleared }))
}
