//! Steps 2 to 5 of the walk: who asks, for what, what is decided, whether it is admitted, and the
//! intent that survives a crash.

use std::sync::Arc;

use axum::body::Body;
use gateway_policy::{AttemptPlan, AuthRoute, Decision, ModelId, PolicyRequest};
use gateway_wire::codex::TurnMetadata;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::app::App;
use crate::config::active::ActiveConfig;
use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::limiter;
use crate::identity::caller::{Caller, KeyIdentity, is_local};
use crate::identity::credentials::RequestCredentials;
use crate::identity::grant::Grant;
use crate::record::Exchange;
use crate::request_body::decode;
use crate::request_body::{self, ReadLimits, RequestBody, Tail};
use crate::upstream::headers;

/// Step 2. Turns the credential into a caller.
pub fn who(
    app: &App,
    live: &ActiveConfig,
    exchange: &mut Exchange,
    parts: &Parts,
) -> Result<Caller, GatewayError> {
    refuse_loops(app, &parts.headers)?;
    let presented = RequestCredentials::read(&parts.headers)?;
    let is_chatgpt = presented.route == AuthRoute::Chatgpt;
    let key = app
        .keys
        .identify(&presented)
        .map_err(|error| error.forbid_instead_of_401(is_chatgpt))?;
    if live.settings.share.is_key_required && key.is_none() {
        let error = GatewayError::new(
            ErrorCode::MissingCredential,
            "this gateway asks for a key of its own: send it as bearer token, or in the \
             `x-gateway-key` header beside your own credential",
        );
        return Err(error.forbid_instead_of_401(is_chatgpt));
    }
    if presented.route == AuthRoute::Anonymous
        && live
            .settings
            .policy
            .route_upstream(AuthRoute::Anonymous)
            .is_none()
    {
        return Err(GatewayError::new(
            ErrorCode::MissingCredential,
            "the request carries no credential: sign in to Codex, or send an API key as bearer \
             token (`env_key` in Codex's provider entry)",
        ));
    }
    if let Some(key) = &key {
        is_route_permitted(key, presented.route)?;
    }
    let caller = Caller {
        route: presented.route,
        label: presented.label,
        credential_digest: presented.credential_digest,
        account: presented.account,
        plan: presented.plan,
        is_local: is_local(parts),
        key,
    };
    exchange.ask_by(caller.clone());
    exchange.client = client(&parts.headers).map(str::to_owned);
    exchange.turn = TurnMetadata::read(&parts.headers, None);
    Ok(caller)
}

/// A request that this gateway forwarded to itself would go round for ever.
pub fn refuse_loops(app: &App, request: &HeaderMap) -> Result<(), GatewayError> {
    if !headers::is_loop(request, &app.instance) {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::LoopDetected,
        "this request has already passed this gateway: an upstream's base_url leads back here; \
         correct it in the configuration",
    ))
}

/// What the walk knows of the request's content.
pub enum Content {
    /// A JSON object that names a model.
    Model {
        model: ModelId,
        body: Box<RequestBody>,
    },
    /// Passed on without being looked at.
    Opaque(bytes::Bytes),
}

/// Step 3. Reads the body as far as the rules ask.
pub async fn what(
    live: &ActiveConfig,
    exchange: &mut Exchange,
    parts: &Parts,
    body: Body,
) -> Result<Content, GatewayError> {
    let max = live.settings.server.max_request_body;
    if !exchange.endpoint.names_a_model() {
        let bytes = request_body::read_opaque(body, max).await?;
        exchange.request_bytes = bytes.len() as u64;
        return Ok(Content::Opaque(bytes));
    }
    is_json(&parts.headers)?;
    let codings = decode::codings(&parts.headers)?;
    let limits = ReadLimits {
        max,
        is_whole_needed: live.settings.policy.reads_whole_body()
            || live.settings.policy.has_own_compaction(),
    };
    let body = request_body::read(body, codings, limits).await?;
    note_body(exchange, &body);
    exchange.turn = TurnMetadata::read(&parts.headers, body.head.client_metadata.as_ref());
    let Some(model) = &body.head.model else {
        return Err(GatewayError::new(
            ErrorCode::InvalidRequest,
            "the request body names no `model`; set `model` in Codex's configuration, or in the request",
        )
        .param("model"));
    };
    let model = ModelId::new(&model.id).map_err(|error| {
        GatewayError::new(
            ErrorCode::InvalidRequest,
            format!("`model` is not usable: {error}"),
        )
        .param("model")
    })?;
    exchange.model_requested = Some(model.clone());
    Ok(Content::Model {
        model,
        body: Box::new(body),
    })
}

/// Takes over what is known of a body.
fn note_body(exchange: &mut Exchange, body: &RequestBody) {
    exchange.is_stream = body.head.stream == Some(true);
    exchange.max_output_tokens = body.head.max_output_tokens;
    exchange
        .service_tier_requested
        .clone_from(&body.head.service_tier);
    exchange.request_bytes = match &body.tail {
        Tail::Replayable { plain, .. } => plain.len() as u64,
        Tail::Streamed(streamed) => streamed.announced_bytes(),
        Tail::Sent => 0,
    };
}

/// A web page can send a form anywhere; only a program says JSON.
fn is_json(headers: &HeaderMap) -> Result<(), GatewayError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = value.to_str().unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if kind == "application/json" || kind.ends_with("+json") {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::UnsupportedMediaType,
        "send the body as `content-type: application/json`",
    ))
}

/// What was decided: the attempts in order, or the one upstream of the route where no model is
/// named.
pub enum Route {
    Plan {
        plan: Box<AttemptPlan>,
        body: Box<RequestBody>,
    },
    Direct {
        upstream: Arc<gateway_policy::Upstream>,
        body: bytes::Bytes,
    },
}

/// Step 4. Pure: the same call answers `explain`.
pub fn decide(
    app: &App,
    live: &ActiveConfig,
    exchange: &mut Exchange,
    parts: &Parts,
    caller: &Caller,
    content: Content,
) -> Result<Route, GatewayError> {
    let policy = &live.settings.policy;
    let (model, body) = match content {
        Content::Opaque(body) => {
            let upstream = policy
                .route_upstream(caller.route)
                .ok_or_else(|| no_route(caller.route))?;
            exchange.send_to(upstream);
            is_allowed_on(live, exchange.endpoint, caller, upstream)?;
            return Ok(Route::Direct {
                upstream: Arc::clone(upstream),
                body,
            });
        }
        Content::Model { model, body } => (model, body),
    };
    let request = PolicyRequest {
        client_wire: exchange.endpoint.wire(),
        effort: body.head.effort.as_deref(),
        kind: exchange.kind(),
        has_previous_response: body.head.previous_response_id.is_some(),
        ..caller.subject(client(&parts.headers)).request(&model)
    };
    let memory = app
        .learned
        .view(caller, exchange.turn.session_id.as_deref());
    match policy.decide(&request, &memory) {
        Decision::Reject(rejection) => {
            exchange.decision = Some(gateway_policy::DecisionKind::Rejected);
            exchange.rule = Some(rejection.rule.name.to_string());
            Err(GatewayError::new(ErrorCode::ModelNotFound, rejection.message()).param("model"))
        }
        Decision::Unrouted(route) => Err(no_route(route)),
        Decision::Forward(mut plan) => {
            exchange.rule = plan.rule.as_ref().map(|rule| rule.name.to_string());
            if let Some(key) = &caller.key {
                keep_permitted(key, &mut plan, exchange)?;
            }
            exchange.serve_by(&plan, &plan.first);
            for attempt in std::iter::once(&plan.first).chain(&plan.rest) {
                is_allowed_on(live, exchange.endpoint, caller, &attempt.upstream)?;
            }
            Ok(Route::Plan {
                plan: Box::new(plan),
                body,
            })
        }
    }
}

/// What the client calls itself. A claim.
pub fn client(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("originator")
        .and_then(|value| value.to_str().ok())
}

fn no_route(route: AuthRoute) -> GatewayError {
    GatewayError::new(
        ErrorCode::KeyNotPermitted,
        format!(
            "no upstream is configured for the auth route `{route}`; set `{route}` in the \
             [routes] section of the gateway's configuration"
        ),
    )
}

/// An upstream's own credential is for holders of gateway keys; for others only while everybody who
/// reaches the gateway sits at this machine.
fn is_allowed_on(
    live: &ActiveConfig,
    endpoint: Endpoint,
    caller: &Caller,
    upstream: &gateway_policy::Upstream,
) -> Result<(), GatewayError> {
    if !live
        .settings
        .credentials
        .contains_key(upstream.name.as_str())
    {
        return Ok(());
    }
    if endpoint.needs_own_credential() {
        return Err(GatewayError::new(
            ErrorCode::KeyNotPermitted,
            format!(
                "`{}` works with a credential of your own only, not with the gateway's",
                endpoint.as_str()
            ),
        ));
    }
    if caller.key.is_some() || caller.is_local && live.settings.share.is_open {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::KeyNotPermitted,
        format!(
            "upstream `{}` uses the gateway's credential and needs a gateway key; ask the \
             gateway's operator for one",
            upstream.name
        ),
    ))
}

/// A key that is limited to some routes works on those alone.
fn is_route_permitted(key: &KeyIdentity, route: AuthRoute) -> Result<(), GatewayError> {
    key.grant
        .check_route(&key.name, route)
        .map_err(|denied| GatewayError::new(ErrorCode::KeyNotPermitted, denied.to_string()))
}

/// Leaves of a plan what the key may use. It is the model that rules chose which counts, and each
/// fallback by itself.
fn keep_permitted(
    key: &KeyIdentity,
    plan: &mut AttemptPlan,
    exchange: &mut Exchange,
) -> Result<(), GatewayError> {
    if let Err(denied) = key.grant.check_model(&key.name, &plan.head.model) {
        exchange.decision = Some(gateway_policy::DecisionKind::Rejected);
        return Err(GatewayError::new(ErrorCode::ModelNotFound, denied.to_string()).param("model"));
    }
    if !key.grant.permits_model(&plan.first.model) {
        // Memory proposes a model that this key may not use: the one that the rules chose is asked.
        plan.first = plan.head.clone();
    }
    plan.rest
        .retain(|attempt| key.grant.permits_model(&attempt.model));
    Ok(())
}

/// Reads a body to its end where a limit has to know how much it asks for: its size, and what
/// stands behind its input.
pub async fn weigh(
    grant: &Grant,
    exchange: &mut Exchange,
    mut route: Route,
) -> Result<Route, GatewayError> {
    exchange.is_limited = !grant.limits().is_empty();
    if let Route::Plan { body, .. } = &mut route
        && !body.is_replayable()
        && exchange.is_limited
    {
        body.collect().await?;
        note_body(exchange, body);
    }
    if let Route::Plan { body, .. } = &route
        && body.head.background == Some(true)
        && limiter::is_usage_counted(grant)
    {
        return Err(GatewayError::new(
            ErrorCode::KeyNotPermitted,
            "a budget or a limit on tokens counts this caller's requests, and what a background response costs is not known when it \
             is accepted: send the request without `background`",
        )
        .param("background"));
    }
    Ok(route)
}

/// Step 5b. Writes down what is about to be sent, so that a crash loses nothing.
pub async fn intent(app: &App, exchange: &mut Exchange) -> Result<(), GatewayError> {
    let Some(intent) = app.books.intent(exchange) else {
        exchange.is_dispatched = true;
        return Ok(());
    };
    app.books.begin(&intent).await?;
    exchange.is_dispatched = true;
    Ok(())
}
