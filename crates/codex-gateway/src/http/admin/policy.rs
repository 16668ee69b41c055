//! `GET /api/explain`, `GET /api/models`: the same answers as the command line's. And learned
//! refusals, `/api/facts`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use gateway_policy::{AuthRoute, ModelId};
use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;
use http::Uri;

use crate::admin_auth::AdminPrincipal;
use crate::app::App;
use crate::error::GatewayError;
use crate::http::admin::params::{Params, known, ledger_error};
use crate::reports::explain::{Explained, Question, explain, explain_with_key};
use crate::reports::facts::{Cleared, FactsReport, to_stored};
use crate::reports::models::models;

fn route(word: &str) -> Result<AuthRoute, String> {
    AuthRoute::parse(word).ok_or_else(|| not_known(word, &AuthRoute::ALL, AuthRoute::as_str))
}

fn not_known<T: Copy>(word: &str, all: &[T], name: fn(T) -> &'static str) -> String {
    known(word, all, name).unwrap_or_else(|problem| problem)
}

fn model(text: &str) -> Result<ModelId, String> {
    ModelId::new(text).map_err(|error| error.to_string())
}

/// `GET /api/explain?route=R&model=M[&endpoint=&effort=&plan=&key=&team=&kind=]`.
pub(super) async fn explained(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Json<Explained>, GatewayError> {
    let mut params = Params::read(&uri)?;
    let question = Question {
        route: params.required("route", route)?,
        model: params.required("model", model)?,
        endpoint: params
            .read_as("endpoint", |word| {
                WireApi::parse(word).ok_or_else(|| not_known(word, &WireApi::ALL, WireApi::as_str))
            })?
            .unwrap_or(WireApi::Responses),
        effort: params.text("effort"),
        plan: params.text("plan"),
        key: params.text("key"),
        team: params.text("team"),
        kind: params
            .read_as("kind", |word| {
                RequestKind::parse(word)
                    .ok_or_else(|| not_known(word, &RequestKind::ALL, RequestKind::as_str))
            })?
            .unwrap_or_default(),
    };
    params.done()?;
    let live = app.live.load_full();
    let day = app.clock.date();
    let (settings, places) = (&live.settings, &live.places);
    let answer = if question.key.is_none() && question.team.is_none() {
        explain(settings, places, &question, day)
    } else {
        let when = (day, app.clock.now());
        explain_with_key(app.books.ledger(), settings, places, &question, when)
            .await
            .map_err(super::team::refused)?
    };
    Ok(Json(
        answer.with_learned(believed(&app), question.plan.as_deref()),
    ))
}

/// `GET /api/models[?route=R]`.
pub(super) async fn catalogue(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Response, GatewayError> {
    let mut params = Params::read(&uri)?;
    let route = params.read_as("route", route)?;
    params.done()?;
    let live = app.live.load();
    Ok(Json(models(&live.settings, route, app.clock.date())).into_response())
}

/// `GET /api/facts`: what this server believes at present, the newest first.
pub(super) async fn facts(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Json<FactsReport>, GatewayError> {
    Params::read(&uri)?.done()?;
    let facts = believed(&app);
    Ok(Json(FactsReport { facts }))
}

/// What this server believes at present, the newest first.
fn believed(app: &App) -> Vec<gateway_ledger::Fact> {
    let mut facts: Vec<_> = app
        .learned
        .known()
        .iter()
        .map(|(key, fact)| to_stored(key, fact))
        .collect();
    facts.sort_by(|a, b| {
        let order = |fact: &gateway_ledger::Fact| (fact.upstream.clone(), fact.model.clone());
        b.learned_at
            .cmp(&a.learned_at)
            .then(order(a).cmp(&order(b)))
    });
    facts
}

/// `DELETE /api/facts[?model=M]`: here and in the store, from which other servers hear of it.
pub(super) async fn clear_facts(
    State(app): State<Arc<App>>,
    Extension(by): Extension<AdminPrincipal>,
    uri: Uri,
) -> Result<Json<Cleared>, GatewayError> {
    let mut params = Params::read(&uri)?;
    let model = params.read_as("model", model)?;
    params.done()?;
    let named = model.as_ref().map(ModelId::as_str);
    let cleared = app.books.ledger().clear_facts(named, &by.actor).await;
    let cleared = cleared.map_err(|error| ledger_error(&error))?;
    app.learned.clear(model.as_ref());
    Ok(Json(Cleared { cleared }))
}
