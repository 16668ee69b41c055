//! `GET /models`: the OpenAI list for ordinary clients, the Codex catalogue for Codex. Never
//! invents a catalogue entry: Codex takes the served entry for its own, the system prompt included.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use gateway_policy::{AuthRoute, NoMemory, Subject, Upstream, UpstreamName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::app::App;
use crate::codex_catalog::entries;
use crate::codex_catalog::file::{CatalogFile, Listed, etag_of};
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::attempt::outgoing;
use crate::exchange::prepare::{self, client};
use crate::identity::caller::{Caller, is_local};
use crate::identity::credentials::RequestCredentials;
use crate::ids::RequestId;
use crate::model_visibility::{self, Viewer};
use crate::upstream::client::{
    CallTimes, Pieces, PrefixEnd, UploadBody, UpstreamRequest, read_prefix,
};
use crate::upstream::headers;
use crate::upstream::response_decoding::{Encoding, decoded};

/// Codex waits five seconds for its catalogue; an upstream that is slower is no help.
const UPSTREAM_TIME: std::time::Duration = std::time::Duration::from_secs(4);
/// Largest catalogue that is passed on.
const MAX_CATALOGUE: usize = 16 << 20;

/// `GET /models`.
pub async fn list(app: &Arc<App>, parts: &Parts) -> Response {
    let live = app.live.load_full();
    let caller = match who(app, &live, parts) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let response = answer(app, &live, parts, &caller).await;
    described(response, parts, caller.route)
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

async fn answer(app: &App, live: &ActiveConfig, parts: &Parts, caller: &Caller) -> Response {
    let route = caller.route;
    let memory = app.learned.view(caller, None);
    let viewer = Viewer {
        caller,
        client: client(&parts.headers),
        memory: &memory,
    };
    if is_codex(parts) {
        return catalogue(app, live, parts, &viewer).await;
    }
    let upstream = live.settings.policy.route_upstream(route);
    // Only Codex reads the list of a ChatGPT sign-in's upstream.
    if !matches!(route, AuthRoute::Anonymous | AuthRoute::Chatgpt)
        && let Some(upstream) = upstream
        && let Some(reply) = ask(app, live, parts, &viewer, upstream).await
    {
        return reply.into_response();
    }
    let list = own_list(live, route);
    let text = Bytes::from(list.to_string());
    with_etag(&parts.headers, Some(&etag_of(&text)), text)
}

/// Only Codex says which version it is, and only it reads a catalogue.
fn is_codex(parts: &Parts) -> bool {
    parts.uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.starts_with("client_version="))
    })
}

/// What Codex reads: the operator's catalogue, else on the ChatGPT route the upstream's own, else
/// nothing but the operator's entries. Never a 5xx: Codex would ask twenty times and start ten
/// seconds late.
async fn catalogue(app: &App, live: &ActiveConfig, parts: &Parts, viewer: &Viewer<'_>) -> Response {
    let known = |catalog: &CatalogFile| {
        let base = Some(catalog.etag.clone());
        let shown =
            model_visibility::show(live, viewer, catalog.text.clone(), base, &catalog.listed);
        with_etag(&parts.headers, shown.etag.as_ref(), shown.text)
    };
    if let Some(catalog) = &live.catalog {
        return known(catalog);
    }
    let route = viewer.caller.route;
    if route == AuthRoute::Chatgpt
        && let Some(upstream) = live.settings.policy.route_upstream(route)
        && let Some(reply) = ask(app, live, parts, viewer, upstream).await
    {
        return filtered(app, live, parts, viewer, (upstream, reply));
    }
    let own = live.own_entries.as_ref();
    own.map_or_else(|| nothing_to_add(&parts.headers), known)
}

/// An upstream's catalogue with the operator's entries behind its own, and without what this caller
/// cannot use. When neither changes anything, its bytes and its etag pass.
fn filtered(
    app: &App,
    live: &ActiveConfig,
    parts: &Parts,
    viewer: &Viewer<'_>,
    (upstream, reply): (&Upstream, UpstreamList),
) -> Response {
    if reply.status != StatusCode::OK {
        return reply.into_response();
    }
    let entries = &live.settings.catalog.entries;
    let merged = (!entries.is_empty()).then(|| entries::merged(&reply.body, entries));
    let text = merged
        .clone()
        .flatten()
        .unwrap_or_else(|| reply.body.clone());
    let Some(listed) = Listed::read(&text) else {
        return reply.into_response();
    };
    let told = reply.headers.get(header::ETAG);
    let etag = told.and_then(|told| model_visibility::with_entries(live, told));
    if let Some(etag) = &etag {
        app.catalogues.saw(&upstream.name, etag, &listed);
    }
    let shown = model_visibility::show(live, viewer, text, etag, &listed);
    if !shown.is_changed && merged.is_none() {
        return reply.into_response();
    }
    let etag = shown.etag.unwrap_or_else(|| etag_of(&shown.text));
    let answer = with_etag(&parts.headers, Some(&etag), shown.text);
    beside(answer, reply.into_response().headers().clone())
}

/// The answer with the upstream's headers, except those that speak of its body.
fn beside(mut answer: Response, mut upstream: HeaderMap) -> Response {
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

/// Who asks. Without a credential only this machine's own programs are answered.
fn who(app: &App, live: &ActiveConfig, parts: &Parts) -> Result<Caller, GatewayError> {
    prepare::refuse_loops(app, &parts.headers)?;
    let presented = RequestCredentials::read(&parts.headers)?;
    let is_chatgpt = presented.route == AuthRoute::Chatgpt;
    let key = app
        .keys
        .identify(&presented)
        .map_err(|error| error.forbid_instead_of_401(is_chatgpt))?;
    let is_refused = if live.settings.share.is_key_required {
        key.is_none()
    } else {
        presented.route == AuthRoute::Anonymous
            && !(is_local(parts) && live.settings.server.listen.ip().is_loopback())
            && live
                .settings
                .policy
                .route_upstream(AuthRoute::Anonymous)
                .is_none()
    };
    if is_refused {
        let error = GatewayError::new(
            ErrorCode::MissingCredential,
            "send the credential that you use for requests",
        );
        return Err(error.forbid_instead_of_401(is_chatgpt));
    }
    Ok(Caller {
        route: presented.route,
        label: presented.label,
        credential_digest: presented.credential_digest,
        account: presented.account,
        plan: presented.plan,
        is_local: is_local(parts),
        key,
    })
}

/// An upstream's answer to the question for its models.
struct UpstreamList {
    upstream: UpstreamName,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl UpstreamList {
    /// Byte for byte.
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers::toward_client(&self.headers);
        if let Ok(upstream) = HeaderValue::from_str(self.upstream.as_str()) {
            response
                .headers_mut()
                .insert("x-gateway-upstream", upstream);
        }
        response
    }
}

/// The upstream's own answer; `None` when it has none.
async fn ask(
    app: &App,
    live: &ActiveConfig,
    parts: &Parts,
    viewer: &Viewer<'_>,
    upstream: &Upstream,
) -> Option<UpstreamList> {
    let route = viewer.caller.route;
    let is_catalogue = route == AuthRoute::Chatgpt && is_codex(parts);
    let own = live.settings.credentials.get(upstream.name.as_str());
    let is_open = live.settings.share.is_open && viewer.caller.is_local;
    if own.is_some() && route != AuthRoute::GatewayKey && !is_open {
        return None;
    }
    // A place like any other call's. Without one the gateway answers by itself: a refusal makes
    // Codex ask again and again.
    let _permit = app
        .concurrency
        .try_acquire(live.settings.server.max_concurrent)?;
    let mut out = outgoing::headers(
        app,
        live,
        parts,
        viewer.caller,
        upstream,
        outgoing::BodyWire::Clients,
    );
    // An upstream that says "not modified" sends nothing to hide entries in.
    let is_comparable = |tag: &&HeaderValue| {
        !is_catalogue
            || app
                .catalogues
                .is_passed_on(live, viewer, &upstream.name, tag)
    };
    out.remove(header::IF_NONE_MATCH);
    if let Some(tag) = parts
        .headers
        .get(header::IF_NONE_MATCH)
        .filter(is_comparable)
    {
        out.insert(header::IF_NONE_MATCH, tag.clone());
    }
    let request = UpstreamRequest {
        method: http::Method::GET,
        url: outgoing::url(upstream, parts),
        headers: out,
        body: UploadBody::Pieces(Pieces::default()),
    };
    let times = CallTimes {
        connect: upstream.connect_timeout.min(UPSTREAM_TIME),
        headers: UPSTREAM_TIME,
    };
    let reply = app.upstream.send(request, times, 0).await.ok()?;
    let is_answer = reply.status.is_success() || reply.status == StatusCode::NOT_MODIFIED;
    // A refused credential is the caller's to see; an upstream without such a list is not.
    if !is_answer && !matches!(reply.status.as_u16(), 401 | 403) {
        return None;
    }
    let Encoding::Plain(mut body) = decoded(&reply.headers, reply.body) else {
        return None;
    };
    let (pieces, end) = read_prefix(&mut body, MAX_CATALOGUE, UPSTREAM_TIME).await;
    if end != PrefixEnd::Whole {
        return None;
    }
    Some(UpstreamList {
        upstream: upstream.name.clone(),
        status: reply.status,
        headers: reply.headers,
        body: Bytes::from(pieces.concat()),
    })
}

/// The catalogue's models of a route as an OpenAI list; without a credential, those of an API key.
fn own_list(live: &ActiveConfig, route: AuthRoute) -> Value {
    let route = shown_route(live, route);
    let data: Vec<Value> = live
        .settings
        .policy
        .models_for(Subject::new(route), &NoMemory)
        .iter()
        .filter(|view| view.access.is_visible())
        .map(|view| json!({"id": view.model.as_str(), "object": "model", "created": 0, "owned_by": "system"}))
        .collect();
    json!({"object": "list", "data": data})
}

/// Whose models a keyless request is shown: without an upstream for it, those that a key would get.
fn shown_route(live: &ActiveConfig, route: AuthRoute) -> AuthRoute {
    let is_unrouted = live.settings.policy.route_upstream(route).is_none();
    if route == AuthRoute::Anonymous && is_unrouted {
        AuthRoute::ApiKey
    } else {
        route
    }
}

/// `GET /models/{id}`.
pub async fn one(app: &Arc<App>, parts: &Parts, id: &str) -> Response {
    let live = app.live.load_full();
    let caller = match who(app, &live, parts) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let response = answer_one(app, &live, parts, id, &caller).await;
    described(response, parts, caller.route)
}

async fn answer_one(
    app: &App,
    live: &ActiveConfig,
    parts: &Parts,
    id: &str,
    caller: &Caller,
) -> Response {
    let route = caller.route;
    let viewer = Viewer {
        caller,
        client: client(&parts.headers),
        memory: &NoMemory,
    };
    if route != AuthRoute::Anonymous
        && route != AuthRoute::Chatgpt
        && let Some(upstream) = live.settings.policy.route_upstream(route)
        && let Some(reply) = ask(app, live, parts, &viewer, upstream).await
    {
        return reply.into_response();
    }
    let known = live
        .settings
        .policy
        .models_for(Subject::new(shown_route(live, route)), &NoMemory)
        .into_iter()
        .find(|known| known.model.folded() == id.to_ascii_lowercase());
    match known {
        Some(known) => {
            let body = json!({"id": known.model.as_str(), "object": "model", "created": 0, "owned_by": "system"});
            json_response(StatusCode::OK, Bytes::from(body.to_string()))
        }
        None => GatewayError::new(
            ErrorCode::NotFound,
            "no such model is known on this route; `GET /v1/models` lists those that are",
        )
        .into_response(),
    }
}

fn with_etag(request: &HeaderMap, etag: Option<&HeaderValue>, body: Bytes) -> Response {
    let Some(etag) = etag else {
        return json_response(StatusCode::OK, body);
    };
    let is_known = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| is_same_tag(tag, etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json_response(StatusCode::OK, body)
    };
    response.headers_mut().insert(header::ETAG, etag.clone());
    response
}

/// Compared weakly, as conditional reads are.
fn is_same_tag(tag: &str, etag: &HeaderValue) -> bool {
    let strong = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let tag = tag.trim();
    tag == "*" || strong(tag.as_bytes()) == strong(etag.as_bytes())
}

fn json_response(status: StatusCode, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
