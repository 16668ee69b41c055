//! `GET /models`: the OpenAI list for ordinary clients, the Codex catalogue for Codex. Never
//! invents a catalogue entry: Codex takes the served entry for its own, the system prompt included.

mod upstream_list;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use gateway_policy::{AuthRoute, NoMemory, Subject, Upstream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::codex_catalog::entries;
use crate::codex_catalog::file::{CatalogFile, Listed, etag_of};
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::authenticate::{Keyless, authenticate};
use crate::exchange::forwarding::Forwarding;
use crate::exchange::proxy::Proxy;
use crate::http::conditional::{json_response, with_etag};
use crate::identity::caller::Caller;
use crate::identity::client::{originator, wants_codex_catalog};
use crate::ids::RequestId;
use crate::model_visibility::{self, Viewer};
use upstream_list::{UpstreamList, ask};

/// `GET /models`.
pub async fn list(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let config = proxy.config.load_full();
    let caller = match caller(&proxy, &config, &parts).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let memory = proxy.learned.view(&caller, None);
    let viewer = Viewer {
        config: &config,
        caller: &caller,
        client: originator(&parts.headers),
        memory: &memory,
    };
    let response = if wants_codex_catalog(&parts.uri) {
        catalog(&proxy, &viewer, &parts).await
    } else {
        openai_list(&proxy, &viewer, &parts).await
    };
    described(response, &parts, caller.route)
}

/// `GET /models/{id}`.
pub async fn one(
    State(proxy): State<Arc<Proxy>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let config = proxy.config.load_full();
    let caller = match caller(&proxy, &config, &parts).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let viewer = Viewer {
        config: &config,
        caller: &caller,
        client: originator(&parts.headers),
        memory: &NoMemory,
    };
    let response = match of_upstream(&proxy, &viewer, &parts).await {
        Some(reply) => reply.into_response(),
        None => own_model(&config, caller.route, &id),
    };
    described(response, &parts, caller.route)
}

/// The caller. Without a credential only this machine's own programs are answered.
async fn caller(
    proxy: &Proxy,
    config: &ActiveConfig,
    parts: &Parts,
) -> Result<Caller, GatewayError> {
    let settings = &config.settings;
    authenticate(
        &proxy.keys,
        settings,
        &proxy.instance,
        parts,
        Keyless::Local,
    )
    .await
}

/// What the contract promises of every proxied answer, as far as a list has it.
fn described(mut response: Response, parts: &Parts, route: AuthRoute) -> Response {
    let id = parts.extensions.get::<RequestId>();
    let id = id.and_then(|id| HeaderValue::from_str(id.as_str()).ok());
    let route = HeaderValue::from_static(route.as_str());
    let headers = response.headers_mut();
    headers.insert("x-gateway-route", route);
    if let Some(id) = id {
        headers.insert("x-gateway-request-id", id);
    }
    response
}

/// What ordinary clients read: the upstream's own list, else the models of the rules.
async fn openai_list(proxy: &Proxy, viewer: &Viewer<'_>, parts: &Parts) -> Response {
    if let Some(reply) = of_upstream(proxy, viewer, parts).await {
        return reply.into_response();
    }
    let list = own_list(viewer.config, viewer.caller.route);
    let text = Bytes::from(list.to_string());
    with_etag(&parts.headers, Some(&etag_of(&text)), text)
}

/// The list of the route's upstream. Only Codex reads the one of a ChatGPT sign-in's.
async fn of_upstream(proxy: &Proxy, viewer: &Viewer<'_>, parts: &Parts) -> Option<UpstreamList> {
    let route = viewer.caller.route;
    if matches!(route, AuthRoute::Anonymous | AuthRoute::Chatgpt) {
        return None;
    }
    let upstream = viewer.config.settings.policy.route_upstream(route)?;
    ask(proxy, viewer, forwarding(proxy, viewer, parts), upstream).await
}

fn forwarding<'a>(proxy: &'a Proxy, viewer: &Viewer<'a>, parts: &'a Parts) -> Forwarding<'a> {
    Forwarding {
        parts,
        caller: viewer.caller,
        settings: &viewer.config.settings,
        instance: &proxy.instance,
    }
}

/// What Codex reads: the operator's catalogue, else on the ChatGPT route the upstream's own, else
/// nothing but the operator's entries. Never a 5xx: Codex would ask twenty times and start ten
/// seconds late.
async fn catalog(proxy: &Proxy, viewer: &Viewer<'_>, parts: &Parts) -> Response {
    let config = viewer.config;
    let known = |catalog: &CatalogFile| {
        let base = Some(catalog.etag.clone());
        let shown = viewer.show(catalog.text.clone(), base, &catalog.listed);
        with_etag(&parts.headers, shown.etag.as_ref(), shown.text)
    };
    if let Some(catalog) = &config.catalog {
        return known(catalog);
    }
    let route = viewer.caller.route;
    if route == AuthRoute::Chatgpt
        && let Some(upstream) = config.settings.policy.route_upstream(route)
        && let Some(reply) = ask(proxy, viewer, forwarding(proxy, viewer, parts), upstream).await
    {
        return filtered(proxy, viewer, parts, upstream, reply);
    }
    let own = config.own_entries.as_ref();
    own.map_or_else(|| nothing_to_add(&parts.headers), known)
}

/// An upstream's catalogue with the operator's entries behind its own, and without what this caller
/// cannot use. When neither changes anything, its bytes and its etag pass.
fn filtered(
    proxy: &Proxy,
    viewer: &Viewer<'_>,
    parts: &Parts,
    upstream: &Upstream,
    reply: UpstreamList,
) -> Response {
    if reply.status != StatusCode::OK {
        return reply.into_response();
    }
    let entries = &viewer.config.settings.catalog.entries;
    let merged = (!entries.is_empty()).then(|| entries::merged(&reply.body, entries));
    let text = merged
        .clone()
        .flatten()
        .unwrap_or_else(|| reply.body.clone());
    let Some(listed) = Listed::read(&text) else {
        return reply.into_response();
    };
    let sent = reply.headers.get(header::ETAG);
    let etag = sent.and_then(|sent| model_visibility::with_entries(viewer.config, sent));
    if let Some(etag) = &etag {
        proxy.catalogs.remember(&upstream.name, etag, &listed);
    }
    let shown = viewer.show(text, etag, &listed);
    if !shown.is_changed && merged.is_none() {
        return reply.into_response();
    }
    let etag = shown.etag.unwrap_or_else(|| etag_of(&shown.text));
    let answer = with_etag(&parts.headers, Some(&etag), shown.text);
    merge_headers(answer, reply.into_response().headers().clone())
}

/// The answer with the upstream's headers, except those that speak of its body.
fn merge_headers(mut answer: Response, mut upstream: HeaderMap) -> Response {
    for name in [
        header::CONTENT_LENGTH,
        header::ETAG,
        header::LAST_MODIFIED,
        model_visibility::ETAG_HEADER,
    ] {
        upstream.remove(name);
    }
    upstream.extend(std::mem::take(answer.headers_mut()));
    *answer.headers_mut() = upstream;
    answer
}

/// No catalogue to base an answer on. An empty list leaves Codex's own list as it is, and says so
/// without an error in its log.
fn nothing_to_add(request: &HeaderMap) -> Response {
    let body = json!({"models": [], "object": "list", "data": []}).to_string();
    let body = Bytes::from(body);
    with_etag(request, Some(&etag_of(&body)), body)
}

/// The catalogue's models of a route as an OpenAI list; without a credential, those of an API key.
fn own_list(config: &ActiveConfig, route: AuthRoute) -> Value {
    let route = shown_route(config, route);
    let data: Vec<Value> = config
        .settings
        .policy
        .models_for(Subject::new(route), &NoMemory)
        .iter()
        .filter(|view| view.access.is_visible())
        .map(|view| openai_model(view.model.as_str()))
        .collect();
    json!({"object": "list", "data": data})
}

/// Whose models a keyless request is shown: without an upstream for it, those that a key would get.
fn shown_route(config: &ActiveConfig, route: AuthRoute) -> AuthRoute {
    let is_unrouted = config.settings.policy.route_upstream(route).is_none();
    if route == AuthRoute::Anonymous && is_unrouted {
        AuthRoute::ApiKey
    } else {
        route
    }
}

/// A model of a route, as the rules know it.
fn own_model(config: &ActiveConfig, route: AuthRoute, id: &str) -> Response {
    let known = config
        .settings
        .policy
        .models_for(Subject::new(shown_route(config, route)), &NoMemory)
        .into_iter()
        .find(|known| known.model.folded() == id.to_ascii_lowercase());
    match known {
        Some(known) => {
            let body = openai_model(known.model.as_str());
            json_response(StatusCode::OK, Bytes::from(body.to_string()))
        }
        None => GatewayError::new(
            ErrorCode::NotFound,
            "no such model is known on this route; `GET /v1/models` lists those that are",
        )
        .into_response(),
    }
}

fn openai_model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "system"})
}
