//! `GET /models`: the OpenAI list for ordinary clients, the Codex catalogue for Codex. Never
//! invents a catalogue entry: Codex takes the served entry for its own, the system prompt included.

mod openai_list;
mod upstream_list;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use gateway_policy::{AuthRoute, ModelId, Upstream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::codex_catalog::entries;
use crate::codex_catalog::file::{CatalogFile, Listed, etag_of};
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::authenticate::{Keyless, authenticate};
use crate::exchange::forwarding::Forwarding;
use crate::exchange::limiter::plain_calls::CountedCall;
use crate::exchange::proxy::Proxy;
use crate::http::conditional::{json_response, with_etag};
use crate::identity::caller::Caller;
use crate::identity::client::{originator, wants_codex_catalog};
use crate::ids::RequestId;
use crate::learned::LearnedView;
use crate::model_visibility::{self, Viewer};
use upstream_list::{UpstreamList, ask};

/// `GET /models`.
pub async fn list(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let question = match ModelsQuestion::read(&proxy, request).await {
        Ok(question) => question,
        Err(error) => return error.into_response(),
    };
    let memory = proxy.learned.view(&question.caller, None);
    let (viewer, parts) = (question.viewer(&memory), &question.parts);
    let response = if wants_codex_catalog(&parts.uri) {
        catalog(&proxy, &viewer, parts).await
    } else {
        openai_list(&proxy, &viewer, parts).await
    };
    described(response, parts, question.caller.route)
}

/// `GET /models/{id}`.
pub async fn one(
    State(proxy): State<Arc<Proxy>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let question = match ModelsQuestion::read(&proxy, request).await {
        Ok(question) => question,
        Err(error) => return error.into_response(),
    };
    let memory = proxy.learned.view(&question.caller, None);
    let (viewer, parts) = (question.viewer(&memory), &question.parts);
    let response = openai_model(&proxy, &viewer, parts, &id).await;
    described(response, parts, question.caller.route)
}

/// Who asks for models, and what is in force for the answer.
struct ModelsQuestion {
    parts: Parts,
    config: Arc<ActiveConfig>,
    caller: Caller,
}

impl ModelsQuestion {
    /// Reads the caller. Without a credential only this machine's own programs are answered.
    async fn read(proxy: &Proxy, request: Request) -> Result<Self, GatewayError> {
        let (parts, _) = request.into_parts();
        let config = proxy.config.load_full();
        let (keys, instance) = (&proxy.keys, &proxy.instance);
        let caller = authenticate(keys, &config.settings, instance, &parts, Keyless::Local).await?;
        Ok(Self {
            parts,
            config,
            caller,
        })
    }

    fn viewer<'a>(&'a self, memory: &'a LearnedView<'a>) -> Viewer<'a> {
        Viewer {
            config: &self.config,
            caller: &self.caller,
            client: originator(&self.parts.headers),
            memory,
        }
    }
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

/// What ordinary clients read: the upstream's own list with the models of the configuration behind
/// it that other upstreams serve, else the models of the rules.
async fn openai_list(proxy: &Proxy, viewer: &Viewer<'_>, parts: &Parts) -> Response {
    let _counted = match counted(proxy, viewer).await {
        Ok(counted) => counted,
        Err(error) => return error.into_response(),
    };
    let added = openai_list::additions(viewer);
    let asked = (!added.is_empty()).then(|| openai_list::without_etag(parts));
    let reply = of_upstream(proxy, viewer, asked.as_ref().unwrap_or(parts)).await;
    let Some(reply) = reply else {
        let known = openai_list::known(viewer);
        let data: Vec<Value> = known
            .iter()
            .map(|model| openai_list::model_entry(model.as_str()))
            .collect();
        let text = Bytes::from(json!({"object": "list", "data": data}).to_string());
        return with_etag(&parts.headers, Some(&etag_of(&text)), text);
    };
    match openai_list::extended(&reply, &added) {
        Some(text) => {
            let answer = with_etag(&parts.headers, Some(&etag_of(&text)), text);
            merge_headers(answer, reply.into_response().headers().clone())
        }
        None => reply.into_response(),
    }
}

/// One model of that list: the configuration's, the upstream's own answer, or its entry in the
/// upstream's list.
async fn openai_model(proxy: &Proxy, viewer: &Viewer<'_>, parts: &Parts, id: &str) -> Response {
    let is_asked = |model: &&ModelId| model.folded() == id.to_ascii_lowercase();
    let added = openai_list::additions(viewer);
    if let Some(model) = added.iter().find(is_asked) {
        return found(&openai_list::model_entry(model.as_str()));
    }
    let _counted = match counted(proxy, viewer).await {
        Ok(counted) => counted,
        Err(error) => return error.into_response(),
    };
    if let Some(reply) = of_upstream(proxy, viewer, parts).await {
        return reply.into_response();
    }
    // Many upstreams have a list and no answer for a single model.
    if let Some(whole) = openai_list::whole_list(parts)
        && let Some(reply) = of_upstream(proxy, viewer, &whole).await
        && let Some(data) = openai_list::data(&reply)
    {
        return openai_list::find(&data, id).map_or_else(no_such_model, found);
    }
    let known = openai_list::known(viewer);
    let known = known.iter().find(is_asked);
    known.map_or_else(no_such_model, |model| {
        found(&openai_list::model_entry(model.as_str()))
    })
}

fn found(entry: &Value) -> Response {
    json_response(StatusCode::OK, Bytes::from(entry.to_string()))
}

fn no_such_model() -> Response {
    GatewayError::new(
        ErrorCode::NotFound,
        "this model is not known on this route; `GET /v1/models` lists the known ones",
    )
    .into_response()
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

/// Counts a request for a list that is asked for with the gateway's credential, like any other of
/// the caller's.
async fn counted(proxy: &Proxy, viewer: &Viewer<'_>) -> Result<Option<CountedCall>, GatewayError> {
    let (config, caller) = (viewer.config, viewer.caller);
    let upstream = config.settings.policy.route_upstream(caller.route);
    if !upstream.is_some_and(|upstream| upstream.credential.is_own()) {
        return Ok(None);
    }
    let grant = proxy.limiter.grant(caller, None);
    proxy.limiter.count_call(config, &grant).await
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
