//! THE WALK of one request, in the order of `docs/ARCHITECTURE.md`: accept → authenticate → read →
//! decide → reserve → send → commit → pump → settle. Each step is one call here; what it does is in
//! its own file, and what it finds out is added to the [`Exchange`].

pub mod attempt;
pub mod authenticate;
pub mod client_response;
pub mod decide;
pub mod deliver;
pub mod early_head;
pub mod forwarding;
pub mod head;
pub mod limiter;
pub mod ownership;
pub mod proxy;
pub mod pump;
pub mod read;
pub mod reply;
pub mod settle;
pub mod socket_turn;
pub mod stream_processor;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use gateway_policy::{AttemptPlan, PolicyRequest};
use gateway_wire::codex::RequestKind;
use http::request::Parts;
use http::{HeaderValue, Request};

use crate::config::OnDisconnect;
use crate::config::active::ActiveConfig;
use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::caller::Caller;
use crate::identity::client;
use crate::identity::grant::Grant;
use crate::ids::RequestId;
use crate::record::{Arrival, AttemptFacts, End, Exchange, RequestFacts};
use crate::request_body::RequestBody;
use attempt::{Attempts, PlannedRequest};
use authenticate::{Keyless, authenticate};
use client_response::ResponseSender;
use deliver::Delivery;
use early_head::{ClientSide, EarlyHead, first_keepalive};
use forwarding::Forwarding;
use proxy::Proxy;
use read::Content;
use reply::UpstreamReply;
use socket_turn::SocketTurn;

/// Runs one exchange. It lives in a task of its own, so that it is settled whatever the client
/// does.
///
/// Dropping this future tells the exchange that the client has gone.
pub async fn run(proxy: Arc<Proxy>, endpoint: Endpoint, request: Request<Body>) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let arrival = Arrival {
        id: id.unwrap_or_else(RequestId::generate),
        endpoint,
        at: proxy.clock.now(),
        instant: proxy.clock.instant(),
        trace_parent: proxy.recorder.trace_parent(request.headers()),
    };
    let config = proxy.config.load_full();
    let limit = config.settings.server.max_concurrent;
    let Some(permit) = proxy.concurrency.try_acquire(limit) else {
        return overloaded(&proxy, &arrival);
    };
    let (sender, response) = ResponseSender::channel(proxy.shutdown.clone());
    let tasks = proxy.tasks.clone();
    tasks.spawn_exchange(async move {
        let in_flight = proxy
            .metrics
            .in_flight
            .with_label_values(&[endpoint.as_str()]);
        in_flight.inc();
        let mut exchange = Exchange::new(arrival);
        let walk = walk(&proxy, &config, &mut exchange, request, sender);
        // A panic stays inside one request, and what was sent still ends in the ledger.
        if AssertUnwindSafe(walk).catch_unwind().await.is_err() {
            let id = &exchange.arrival.id;
            tracing::error!(request.id = %id, "the exchange panicked; please report this");
            settle::panicked(&proxy.recorder, &config, &mut exchange).await;
        }
        in_flight.dec();
        drop(permit);
    });
    response
        .await
        .unwrap_or_else(|_| GatewayError::internal().into_response())
}

/// As many exchanges run as may. Nothing was looked at, so that a flood costs little: no caller is
/// known, and nothing goes into the ledger.
fn overloaded(proxy: &Proxy, arrival: &Arrival) -> Response {
    proxy
        .metrics
        .limit_rejections
        .with_label_values(&["max_concurrent"])
        .inc();
    let error = GatewayError::new(
        ErrorCode::ServerIsOverloaded,
        "this gateway is already serving its maximum number of requests (`max_concurrent` in \
         [server]); try again in a moment",
    );
    tracing::info!(
        request.id = %arrival.id,
        endpoint = arrival.endpoint.as_str(),
        status = error.status().as_u16(),
        error = error.code.as_str(),
        "refused: `max_concurrent` requests are running"
    );
    let mut response = error.into_response();
    if let Ok(id) = HeaderValue::from_str(arrival.id.as_str()) {
        response.headers_mut().insert("x-gateway-request-id", id);
    }
    response
}

async fn walk(
    proxy: &Proxy,
    config: &ActiveConfig,
    exchange: &mut Exchange,
    request: Request<Body>,
    sender: ResponseSender,
) {
    let (parts, body) = request.into_parts();
    let delivery = Delivery {
        recorder: &proxy.recorder,
        reasoning: &proxy.reasoning,
        config,
        shutdown: &proxy.shutdown,
        parts: &parts,
    };
    let client = ClientSide::Unsent(sender);
    let (asked, client) = ask(proxy, config, exchange, &parts, body, client).await;
    // 7 to 9. Commit, pump, settle.
    match asked {
        Attempted::Reply(Ok(reply)) => delivery.deliver(exchange, *reply, client).await,
        Attempted::Reply(Err(error)) => {
            delivery.refuse(exchange, End::Refused, error, client).await;
        }
        // Dropping the attempt closed the upstream's connection.
        Attempted::ClientGone => {
            settle::cut_off(&proxy.recorder, config, exchange, End::ClientGone).await;
        }
        Attempted::Stopping => {
            exchange.note_open_call();
            let stopping = GatewayError::new(
                ErrorCode::GatewayStopping,
                "the gateway is shutting down; try again in a moment",
            );
            delivery
                .refuse(exchange, End::Stopped, stopping, client)
                .await;
        }
    }
}

/// How steps 2 to 6 ended.
enum Attempted {
    Reply(Result<Box<UpstreamReply>, GatewayError>),
    ClientGone,
    Stopping,
}

/// Runs steps 2 to 6, and watches the client and the process meanwhile. A client that waits for long gets the head of
/// its stream, and keepalives.
async fn ask(
    proxy: &Proxy,
    config: &ActiveConfig,
    exchange: &mut Exchange,
    parts: &Parts,
    body: Body,
    mut client: ClientSide,
) -> (Attempted, ClientSide) {
    let cancels = config.settings.server.on_disconnect == OnDisconnect::Cancel;
    let wire = exchange.arrival.endpoint.wire();
    let keepalive = first_keepalive(wire, client::takes_early_events(&parts.headers));
    let (early, mut starts) = EarlyHead::channel();
    let early = early.unneeded_if(SocketTurn::of(parts).is_some());
    let asking = toward_upstream(proxy, config, exchange, parts, body, &early);
    tokio::pin!(asking);
    let mut pause = None;
    let mut has_client = true;
    let asked = loop {
        tokio::select! {
            reply = &mut asking => break Attempted::Reply(reply.map(Box::new)),
            Some(start) = starts.recv() => {
                pause = Some(start.pause);
                client = client.begin(start.head);
            }
            () = client.gone(pause, &keepalive), if has_client => {
                if cancels {
                    break Attempted::ClientGone;
                }
                has_client = false;
            }
            () = proxy.shutdown.cancelled() => break Attempted::Stopping,
        }
    };
    (asked, client)
}

/// Steps 2 to 6: everything before the client hears anything.
async fn toward_upstream(
    proxy: &Proxy,
    config: &ActiveConfig,
    exchange: &mut Exchange,
    parts: &Parts,
    body: Body,
    early: &EarlyHead,
) -> Result<UpstreamReply, GatewayError> {
    let endpoint = exchange.arrival.endpoint;
    // 2. Authenticate.
    let settings = &config.settings;
    let (keys, instance) = (&proxy.keys, &proxy.instance);
    let caller = authenticate(keys, settings, instance, parts, Keyless::Refused).await?;
    authenticate::check_route(&caller)?;
    let caller = Arc::new(caller);
    exchange.caller = Some(Arc::clone(&caller));
    let repos = settings.storage.repositories;
    exchange.request = RequestFacts::of_headers(&parts.headers, repos);
    // 3. Read.
    let content = read::read_body(config, endpoint, parts, body).await?;
    if let Content::Json(body) = &content {
        exchange.request.add_turn(&parts.headers, &body.head, repos);
    }
    let grant = proxy
        .limiter
        .grant(&caller, exchange.request.repo.as_deref());
    let request = Forwarding {
        parts,
        caller: &caller,
        settings,
        instance,
    };
    let attempts = Attempts::new(proxy, config, &grant, request, early);
    match content {
        Content::Json(body) => {
            exchange.request.add_body(&body);
            // 4. Decide.
            let socket = SocketTurn::of(parts);
            let plan = decide(proxy, config, exchange, &caller, &body, socket)?;
            let mut body = body;
            if let Some(turn) = socket {
                turn.expand(&mut body, settings.server.max_request_body)?;
            }
            let is_limited = !grant.limits().is_empty();
            let mut planned =
                PlannedRequest::new(plan, *body, endpoint, request, is_limited).await?;
            let ledger = &proxy.recorder.ledger;
            ownership::check_request(ledger, &caller, &mut planned).await?;
            exchange.request.add_body(&planned.body);
            exchange.attempt = Some(AttemptFacts::of(&planned.plan, &planned.attempt, &caller));
            limiter::check_background(&grant, &planned.body.head)?;
            if socket.is_some_and(|turn| turn.is_warmup()) {
                exchange.request.turn.request_kind = Some(RequestKind::Prewarm);
                let (id, model) = (&exchange.arrival.id, exchange.request.model.as_ref());
                return Ok(socket_turn::warmup_reply(id, model, &planned.attempt));
            }
            // 5. Reserve.
            reserve(proxy, config, exchange, &grant).await?;
            // 6. Send.
            attempts.by_plan(exchange, planned).await
        }
        Content::Opaque(body) => {
            exchange.request.bytes = body.len() as u64;
            // 4. Decide.
            let upstream = decide::route_upstream(config, &caller)?;
            exchange.attempt = Some(AttemptFacts::at(upstream, &caller));
            decide::check_credential(config, endpoint, &caller, upstream)?;
            if endpoint == Endpoint::StoredResponse {
                let (ledger, path) = (&proxy.recorder.ledger, parts.uri.path());
                ownership::check_retrieval(ledger, &caller, upstream, path).await?;
            }
            // 5. Reserve.
            reserve(proxy, config, exchange, &grant).await?;
            // 6. Send.
            attempts.pass_on(exchange, upstream, body).await
        }
    }
}

/// Step 4 of a request that names a model.
fn decide(
    proxy: &Proxy,
    config: &ActiveConfig,
    exchange: &mut Exchange,
    caller: &Caller,
    body: &RequestBody,
    socket: Option<&Arc<SocketTurn>>,
) -> Result<AttemptPlan, GatewayError> {
    let endpoint = exchange.arrival.endpoint;
    let model = read::requested_model(&body.head)?;
    exchange.request.model = Some(model.clone());
    let request = &exchange.request;
    let memory = proxy
        .learned
        .view(caller, request.turn.session_id.as_deref());
    let asked = PolicyRequest {
        client_wire: endpoint.wire(),
        effort: body.head.effort.as_deref(),
        kind: request.kind(),
        repo: request.turn.repo.as_deref(),
        has_previous_response: body.head.previous_response_id.is_some()
            && socket.is_none_or(|turn| turn.is_bound_to_upstream()),
        ..caller.subject(request.client.as_deref()).request(&model)
    };
    let policy = &config.settings.policy;
    let (decided, plan) = decide::decide(policy, &asked, &memory, caller.key.as_ref());
    exchange.decided = decided;
    let plan = plan?;
    exchange.attempt = Some(AttemptFacts::of(&plan, &plan.first, caller));
    for attempt in std::iter::once(&plan.first).chain(&plan.rest) {
        decide::check_credential(config, endpoint, caller, &attempt.upstream)?;
    }
    Ok(plan)
}

/// Step 5: limits and budgets, at the decided model's price; then what is about to be sent is
/// written, so that a crash loses nothing.
async fn reserve(
    proxy: &Proxy,
    config: &ActiveConfig,
    exchange: &mut Exchange,
    grant: &Grant,
) -> Result<(), GatewayError> {
    exchange.set_aside = proxy.limiter.reserve(config, grant, exchange).await?;
    proxy.recorder.begin(exchange).await?;
    exchange.is_dispatched = true;
    Ok(())
}
