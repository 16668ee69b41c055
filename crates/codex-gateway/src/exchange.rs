//! THE WALK of one request, in the order of `docs/ARCHITECTURE.md`: accept → who → what → decide →
//! admit → intent → attempt(s) → commit → pump → settle. Each step is one call here; what it does
//! is in its own file.

pub mod answer;
pub mod attempt;
pub mod deliver;
pub mod head;
pub mod limiter;
pub mod machine;
pub mod prepare;
pub mod pump;
pub mod settle;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::HeaderValue;
use http::Request;
use http::request::Parts;

use crate::app::App;
use crate::config::OnDisconnect;
use crate::config::active::ActiveConfig;
use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::ids::RequestId;
use crate::record::Exchange;
use answer::Answer;
use attempt::Reached;
use gateway_ledger::Outcome;

/// Runs one exchange. It lives in a task of its own, so that it is settled whatever the client
/// does.
///
/// Dropping this future tells the exchange that the client has gone.
pub async fn run(app: Arc<App>, endpoint: Endpoint, request: Request<Body>) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .cloned()
        .unwrap_or_else(RequestId::generate);
    let limit = app.live.load().settings.server.max_concurrent;
    let Some(permit) = app.concurrency.try_acquire(limit) else {
        return overloaded(&app, endpoint, &id);
    };
    let (answer, answered) = Answer::channel(app.deadline.clone());
    let told_id = id.clone();
    let mut exchange = Exchange::new(id.clone(), endpoint, app.clock.now(), app.clock.instant());
    exchange.trace_parent = app.traces.parent(request.headers());
    let tasks = app.tasks.clone();
    tasks.spawn_exchange(async move {
        let in_flight = app
            .metrics
            .in_flight
            .with_label_values(&[endpoint.as_str()]);
        in_flight.inc();
        let sent = Sent::default();
        let walk = AssertUnwindSafe(walk(&app, exchange, request, answer, &sent)).catch_unwind();
        // A panic stays inside one request, and what was sent still ends in the ledger.
        if walk.await.is_err() {
            tracing::error!(request.id = %id, "the exchange panicked; please report this");
            let sent = sent.lock().unwrap_or_else(PoisonError::into_inner).take();
            match sent {
                Some(exchange) => settle::panicked(&app, *exchange).await,
                // Nothing was sent; what was set aside is given back.
                None => app.books.withdraw(&id),
            }
        }
        in_flight.dec();
        drop(permit);
    });
    answered.await.unwrap_or_else(|_| {
        GatewayError::new(
            ErrorCode::InternalError,
            format!("internal error; the gateway's log has more under request id {told_id}"),
        )
        .into_response()
    })
}

/// No place is free. Nothing was looked at, so that a flood costs little: no caller is known, and
/// nothing goes into the ledger.
fn overloaded(app: &App, endpoint: Endpoint, id: &RequestId) -> Response {
    app.metrics
        .limit_rejections
        .with_label_values(&["max_concurrent"])
        .inc();
    let error = GatewayError::new(
        ErrorCode::ServerIsOverloaded,
        "this gateway is serving as many requests as it is allowed to (`max_concurrent` in \
         [server]); try again in a moment",
    );
    tracing::info!(
        request.id = %id,
        endpoint = endpoint.as_str(),
        status = error.status().as_u16(),
        error = error.code.as_str(),
        "refused: `max_concurrent` requests are running"
    );
    let mut response = error.into_response();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert("x-gateway-request-id", id);
    }
    response
}

/// The exchange as it was when its intent was written: what a panic leaves behind.
type Sent = Mutex<Option<Box<Exchange>>>;

async fn walk(
    app: &Arc<App>,
    mut exchange: Exchange,
    request: Request<Body>,
    mut answer: Answer,
    sent: &Sent,
) {
    let live = app.live.load_full();
    let (parts, body) = request.into_parts();
    let cancels = live.settings.server.on_disconnect == OnDisconnect::Cancel;
    let reached = tokio::select! {
        reached = toward_upstream(app, &live, &mut exchange, &parts, body, sent) => reached,
        () = answer.client_gone(), if cancels => {
            // Dropping the attempt closed the upstream's connection.
            exchange.outcome = Outcome::ClientGone;
            return settle::cut_off(app, &live, exchange).await;
        }
        () = app.deadline.cancelled() => {
            exchange.outcome = Outcome::Interrupted;
            settle::note_open_call(&mut exchange);
            Err(GatewayError::new(
                ErrorCode::GatewayStopping,
                "the gateway is being stopped; try again in a moment",
            ))
        }
    };
    match reached {
        Ok(reached) => deliver::deliver(app, &live, exchange, &parts, reached, answer).await,
        Err(error) => deliver::refuse(app, &live, exchange, &parts, error, answer).await,
    }
}

/// Steps 2 to 6: everything before the client hears anything.
async fn toward_upstream(
    app: &Arc<App>,
    live: &Arc<ActiveConfig>,
    exchange: &mut Exchange,
    parts: &Parts,
    body: Body,
    sent: &Sent,
) -> Result<Reached, GatewayError> {
    // 2. Who.
    let caller = prepare::who(app, live, exchange, parts)?;
    // 3. What.
    let content = prepare::what(live, exchange, parts, body).await?;
    // 4. Decide.
    let route = prepare::decide(app, live, exchange, parts, &caller, content)?;
    let grant = app.limiter.grant(&caller);
    let route = prepare::weigh(&grant, exchange, route).await?;
    // 5. Admit, and write down what is about to be sent.
    app.limiter.reserve(live, &grant, exchange).await?;
    prepare::intent(app, exchange).await?;
    *sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(exchange.clone()));
    // 6. Attempt(s).
    attempt::attempts(app, live, exchange, parts, (&caller, &grant), route).await
}
