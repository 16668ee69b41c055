//! The list of models that ordinary clients read: the upstream's, with those models of the
//! configuration behind it that the upstream does not know because another one serves them.

use bytes::Bytes;
use gateway_policy::{Access, AuthRoute, ModelId, Subject};
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::upstream_list::UpstreamList;
use crate::config::active::ActiveConfig;
use crate::model_visibility::Viewer;

/// The models that are served but that the upstream of the caller's route cannot list: those that
/// the operator declared, and those that a rule sends to another upstream.
pub(super) fn additions(viewer: &Viewer<'_>) -> Vec<ModelId> {
    let policy = &viewer.config.settings.policy;
    let subject = subject(viewer);
    let of_route = policy.route_upstream(subject.route);
    let is_elsewhere = |access: &Access| match access {
        Access::Served { upstream } | Access::Rewritten { upstream, .. } => {
            of_route.is_none_or(|of_route| of_route.name != *upstream)
        }
        Access::Rejected { .. } | Access::Refused { .. } | Access::Unrouted => false,
    };
    let mut models: Vec<ModelId> = policy
        .models_for(subject, viewer.memory)
        .into_iter()
        .filter(|view| is_elsewhere(&view.access) && is_permitted(viewer, &view.model))
        .map(|view| view.model)
        .collect();
    add_declared(viewer, &mut models);
    models
}

/// All models that the configuration and the catalogue know and that the caller can use.
pub(super) fn known(viewer: &Viewer<'_>) -> Vec<ModelId> {
    let policy = &viewer.config.settings.policy;
    let mut models: Vec<ModelId> = policy
        .models_for(subject(viewer), viewer.memory)
        .into_iter()
        .filter(|view| view.access.is_visible() && is_permitted(viewer, &view.model))
        .map(|view| view.model)
        .collect();
    add_declared(viewer, &mut models);
    models
}

fn add_declared(viewer: &Viewer<'_>, models: &mut Vec<ModelId>) {
    let settings = &viewer.config.settings;
    let slugs = settings.catalog.entries.iter();
    let slugs = slugs.filter_map(|entry| entry.get("slug")?.as_str());
    for model in slugs.filter_map(|slug| ModelId::new(slug).ok()) {
        let access = settings
            .policy
            .access(subject(viewer), &model, viewer.memory);
        if access.is_visible() && is_permitted(viewer, &model) && !models.contains(&model) {
            models.push(model);
        }
    }
}

fn is_permitted(viewer: &Viewer<'_>, model: &ModelId) -> bool {
    let key = viewer.caller.key.as_ref();
    key.is_none_or(|key| key.grant.permits_model(model))
}

/// The caller as the rules see it; without a credential and an upstream for it, as with an API key.
fn subject<'a>(viewer: &'a Viewer<'_>) -> Subject<'a> {
    Subject {
        route: shown_route(viewer.config, viewer.caller.route),
        ..viewer.caller.subject(viewer.client)
    }
}

fn shown_route(config: &ActiveConfig, route: AuthRoute) -> AuthRoute {
    let is_unrouted = config.settings.policy.route_upstream(route).is_none();
    if route == AuthRoute::Anonymous && is_unrouted {
        AuthRoute::ApiKey
    } else {
        route
    }
}

/// The upstream's list with these models behind its own; `None` when there is nothing to add, or
/// the answer is not a list.
pub(super) fn extended(reply: &UpstreamList, added: &[ModelId]) -> Option<Bytes> {
    let mut list = read(reply)?;
    let data = list.get_mut("data")?.as_array_mut()?;
    let before = data.len();
    for model in added {
        if find(data, model.as_str()).is_none() {
            data.push(model_entry(model.as_str()));
        }
    }
    (data.len() > before).then(|| Bytes::from(list.to_string()))
}

/// The models of an upstream's list; `None` when the answer is not a list.
pub(super) fn data(reply: &UpstreamList) -> Option<Vec<Value>> {
    read(reply)?.get("data")?.as_array().cloned()
}

fn read(reply: &UpstreamList) -> Option<Value> {
    if reply.status != StatusCode::OK {
        return None;
    }
    serde_json::from_slice(&reply.body).ok()
}

/// The entry of a model.
pub(super) fn find<'a>(data: &'a [Value], id: &str) -> Option<&'a Value> {
    let is_named = |entry: &&Value| {
        entry
            .get("id")
            .and_then(Value::as_str)
            .is_some_and(|known| known.eq_ignore_ascii_case(id))
    };
    data.iter().find(is_named)
}

/// A model as such lists show it.
pub(super) fn model_entry(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "system"})
}

/// The request without the client's etag, which is ours where models are added.
pub(super) fn without_etag(parts: &Parts) -> Parts {
    let mut parts = parts.clone();
    parts.headers.remove(header::IF_NONE_MATCH);
    parts
}

/// The request for the whole list, made of one for a single model.
pub(super) fn whole_list(parts: &Parts) -> Option<Parts> {
    let (base, _) = parts.uri.path().split_once("/models/")?;
    let mut parts = without_etag(parts);
    parts.uri = format!("{base}/models").parse().ok()?;
    Some(parts)
}
