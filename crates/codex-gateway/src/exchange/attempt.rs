//! Step 6: asks the upstreams in the order of the plan until one serves. Nothing has reached the
//! client yet.

mod look;
pub mod open;
pub mod outgoing;
mod translated;
mod translation;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_ledger::AttemptRecord;
use gateway_policy::{
    Adjustment, Attempt, AttemptPlan, AttemptReason, NextStep, RequestNeeds, Upstream,
};
use gateway_wire::WireApi;
use gateway_wire::failure::{Failure, SendState, Verdict};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::app::App;
use crate::config::active::ActiveConfig;
use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::deliver::OpenStream;
use crate::exchange::prepare::Route;
use crate::identity::caller::Caller;
use crate::identity::grant::Grant;
use crate::record::Exchange;
use crate::request_body::{RequestBody, TailWatch};
use crate::upstream::client::{CallTimes, Pieces, Reply, ReplyBody, UploadBody, UpstreamRequest};
use crate::upstream::headers::LITE_HEADER;
use look::Look;
use open::{Hold, Opened, is_refused_credential};
use outgoing::BodyWire;
pub use translated::WholeTranslation;

/// Most calls of one exchange: the first, three hops, and two repeats in another shape.
const MAX_CALLS: usize = 6;
/// All attempts together must have begun within this time; a fallback that comes later helps
/// nobody.
const OVERALL: Duration = Duration::from_secs(120);

/// What an upstream answered, ready for the client.
pub enum Reached {
    Stream(Box<OpenStream>),
    Whole(Box<WholeReply>),
}

/// A plain answer, or an error of the upstream that passes byte for byte.
pub struct WholeReply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub pieces: Vec<Bytes>,
    /// More is coming.
    pub rest: Option<ReplyBody>,
    /// A coding that could not be undone.
    pub unknown_coding: Option<HeaderValue>,
    /// Longest silence while the rest arrives.
    pub idle: Duration,
    /// Set where the pieces were made here, from an answer in another protocol.
    pub translation: Option<Box<WholeTranslation>>,
}

/// Everything an attempt looks at and nothing that it changes.
#[derive(Clone, Copy)]
struct Walk<'a> {
    app: &'a Arc<App>,
    live: &'a Arc<ActiveConfig>,
    parts: &'a Parts,
    caller: &'a Caller,
    grant: &'a Grant,
}

/// Asks until somebody serves.
pub async fn attempts(
    app: &Arc<App>,
    live: &Arc<ActiveConfig>,
    exchange: &mut Exchange,
    parts: &Parts,
    (caller, grant): (&Caller, &Grant),
    route: Route,
) -> Result<Reached, GatewayError> {
    let walk = Walk {
        app,
        live,
        parts,
        caller,
        grant,
    };
    match route {
        Route::Direct { upstream, body } => walk.direct(exchange, &upstream, body).await,
        Route::Plan { plan, body } => walk.by_plan(exchange, &plan, *body).await,
    }
}

impl Walk<'_> {
    /// An endpoint without a model: one call, nothing changed.
    async fn direct(
        self,
        exchange: &mut Exchange,
        upstream: &Upstream,
        body: Bytes,
    ) -> Result<Reached, GatewayError> {
        if exchange.endpoint == Endpoint::StoredResponse && !upstream.speaks(WireApi::Responses) {
            return Err(GatewayError::new(
                ErrorCode::NotFound,
                format!(
                    "upstream `{}` speaks Chat Completions and stores no responses; send the \
                     whole conversation in `input`",
                    upstream.name
                ),
            ));
        }
        let mut headers = self.headers(upstream, BodyWire::Clients);
        if let Some(coding) = self.parts.headers.get(header::CONTENT_ENCODING) {
            headers.insert(header::CONTENT_ENCODING, coding.clone());
        }
        let request = UpstreamRequest {
            method: self.parts.method.clone(),
            url: outgoing::url(upstream, self.parts),
            headers,
            body: UploadBody::Pieces(Pieces::from([body])),
        };
        let reply = self.send(exchange, upstream, request, None).await?;
        let view = open::View {
            app: self.app,
            live: self.live,
            upstream,
            plan: None,
            hides_usage: false,
        };
        match open::open(view, exchange, reply, None).await {
            Ok(Opened::Served(reached)) => Ok(reached),
            Ok(Opened::Refused { verdict, reached }) => {
                self.refusal(exchange, upstream, &verdict, reached)
            }
            Err(unusable) => Err(unusable.into_error(upstream)),
        }
    }

    async fn by_plan(
        self,
        exchange: &mut Exchange,
        plan: &AttemptPlan,
        mut request: RequestBody,
    ) -> Result<Reached, GatewayError> {
        let is_remembered = matches!(
            plan.first.reason,
            AttemptReason::Sticky | AttemptReason::Learned
        );
        let is_rewritten = plan.first.model != plan.requested;
        let client_wire = exchange.endpoint.wire();
        let is_edited = outgoing::is_edited(exchange, &plan.first, &request.head, self.parts);
        if !plan.rest.is_empty() || is_remembered || is_rewritten || is_edited {
            request.collect().await?;
        }
        if client_wire == WireApi::Responses
            && std::iter::once(&plan.first)
                .chain(&plan.rest)
                .any(|attempt| attempt.wire == WireApi::Responses)
        {
            request.expand_own_compaction()?;
        }
        let mut look = Look::default();
        let (mut attempt, mut changes) = if is_remembered || is_rewritten {
            look.read(&request, self.parts);
            plan.begin(&look.needs())
        } else {
            (plan.first.clone(), Vec::new())
        };
        let mut first: Option<(Exchange, Reached)> = None;
        let started = self.app.clock.instant();
        for call in 1..=MAX_CALLS {
            self.serve_by(exchange, plan, &attempt).await?;
            let result = self
                .one(exchange, plan, &attempt, &changes, &mut request, &look)
                .await;
            let (verdict, reached) = match result {
                Ok(Opened::Served(reached)) => {
                    self.app.learned.served(
                        self.caller,
                        exchange.turn.session_id.as_deref(),
                        plan,
                        &attempt,
                    );
                    return Ok(reached);
                }
                Ok(Opened::Refused { verdict, reached }) => (verdict, reached),
                // The upstream of a hop that gives no answer proves nothing; the client gets the
                // first answer.
                Err(error) => {
                    return first.map_or(Err(error), |first| Ok(restore(exchange, first)));
                }
            };
            self.note(exchange, &attempt, &verdict);
            if call < MAX_CALLS
                && !look.is_usage_unasked
                && outgoing::is_question_refused(exchange, &attempt, &request.head, &reached)
            {
                look.is_usage_unasked = true;
                tracing::warn!(upstream.name = %attempt.upstream.name, "upstream `{}` takes no `stream_options`: say so with `deviations = {{ stream_usage = false }}`", attempt.upstream.name);
                continue;
            }
            let is_late = self.app.clock.instant().saturating_duration_since(started) >= OVERALL;
            let next = if request.is_replayable() && call < MAX_CALLS && !is_late {
                look.read(&request, self.parts);
                plan.next(&attempt, verdict.failure, &look.needs())
            } else {
                NextStep::Stop
            };
            if next == NextStep::Stop {
                return match first {
                    Some(first) => Ok(restore(exchange, first)),
                    None => {
                        self.refusal(exchange, &Arc::clone(&attempt.upstream), &verdict, reached)
                    }
                };
            }
            first.get_or_insert_with(|| (exchange.clone(), reached));
            self.follow(plan, next, &mut attempt, &mut changes, &mut look, &verdict);
        }
        Err(GatewayError::new(
            ErrorCode::InternalError,
            "internal error: the plan of attempts did not end",
        ))
    }

    /// Prepares the next attempt.
    fn follow(
        self,
        plan: &AttemptPlan,
        next: NextStep,
        attempt: &mut Attempt,
        changes: &mut Vec<Adjustment>,
        look: &mut Look,
        verdict: &Verdict,
    ) {
        match next {
            NextStep::Attempt {
                attempt: hop,
                adjust,
            } => {
                let from = self.live.labels.label(&attempt.model);
                let to = self.live.labels.label(&hop.model);
                if hop.model != attempt.model {
                    self.app
                        .metrics
                        .fallbacks
                        .with_label_values(&[from, to, verdict.failure.as_str()])
                        .inc();
                    tracing::info!(from = %attempt.model, to = %hop.model, upstream.name = %attempt.upstream.name, "upstream `{}` refused model, trying next", attempt.upstream.name);
                }
                let as_lite = RequestNeeds {
                    lite: true,
                    ..look.needs()
                };
                *changes = if look.is_lite_dropped {
                    plan.adjustments(&hop, &as_lite)
                } else {
                    adjust
                };
                // What an earlier refusal made necessary stays necessary: it changed the request,
                // not the model.
                if look.is_reasoning_stripped && !changes.contains(&Adjustment::StripReasoning) {
                    changes.push(Adjustment::StripReasoning);
                }
                *attempt = hop;
            }
            NextStep::SameModelWithoutLiteHeader => look.is_lite_dropped = true,
            NextStep::StripForeignReasoning => {
                look.is_reasoning_stripped = true;
                changes.push(Adjustment::StripReasoning);
            }
            NextStep::Stop => {}
        }
    }

    /// Takes over who serves; another model needs another reservation.
    async fn serve_by(
        self,
        exchange: &mut Exchange,
        plan: &AttemptPlan,
        attempt: &Attempt,
    ) -> Result<(), GatewayError> {
        let is_moved = exchange.model_served.as_ref() != Some(&attempt.model)
            || exchange.upstream.as_deref() != Some(attempt.upstream.name.as_str());
        exchange.serve_by(plan, attempt);
        if is_moved {
            self.app
                .limiter
                .reserve_again(self.live, self.grant, exchange)
                .await
        } else {
            Ok(())
        }
    }

    async fn one(
        self,
        exchange: &mut Exchange,
        plan: &AttemptPlan,
        attempt: &Attempt,
        changes: &[Adjustment],
        request: &mut RequestBody,
        look: &Look,
    ) -> Result<Opened, GatewayError> {
        let upstream = &attempt.upstream;
        let is_translated = attempt.wire != exchange.endpoint.wire();
        let mut headers = self.headers(
            upstream,
            if is_translated {
                BodyWire::Other
            } else {
                BodyWire::Clients
            },
        );
        if look.is_lite_dropped || changes.contains(&Adjustment::LiftLiteTools) {
            headers.remove(LITE_HEADER);
        }
        let is_first_upstream = upstream.name == plan.head.upstream.name;
        if !is_first_upstream {
            // A sticky-routing value that one upstream minted means nothing to another.
            headers.remove("x-codex-turn-state");
        }
        exchange.losses.clear();
        exchange.adjusted = outgoing::told(changes, look.is_lite_dropped);
        let (outgoing, url, reply_plan) = if is_translated {
            let (body, plan) =
                translation::body(self, exchange, attempt, changes, request, &mut headers)?;
            let url = outgoing::url_of(upstream, translation::path(attempt.wire), self.parts);
            (body, url, Some(plan))
        } else {
            let body = outgoing::body(request, exchange, attempt, changes, look, &mut headers)?;
            (body, outgoing::url(upstream, self.parts), None)
        };
        let call = UpstreamRequest {
            method: Method::POST,
            url,
            headers,
            body: outgoing.body,
        };
        exchange.tail.clone_from(&outgoing.watch);
        let reply = self
            .send(exchange, upstream, call, outgoing.watch.as_ref())
            .await?;
        if let Some(watch) = &outgoing.watch {
            let head = watch.head();
            exchange.service_tier_requested = head.service_tier;
            exchange.is_stream = head.stream == Some(true);
        }
        let can_hop = request.is_replayable()
            && plan
                .rest
                .last()
                .is_some_and(|last| !last.is_same_target(attempt));
        // The end of a chain is held for the first answer's sake, a probe because it is to find out
        // whether the model is served.
        let is_judged = can_hop || attempt.reason == AttemptReason::Fallback || attempt.is_probe;
        let hold = is_judged.then_some(Hold {
            time: self.live.settings.server.hold_timeout,
            bytes: self.live.settings.server.hold_bytes,
        });
        let view = open::View {
            app: self.app,
            live: self.live,
            upstream,
            plan: reply_plan.as_ref(),
            hides_usage: outgoing.asks_usage,
        };
        open::open(view, exchange, reply, hold)
            .await
            .map_err(|unusable| unusable.into_error(upstream))
    }

    fn headers(self, upstream: &Upstream, body: BodyWire) -> HeaderMap {
        outgoing::headers(self.app, self.live, self.parts, self.caller, upstream, body)
    }

    /// Books a refusal: in the record, in the metrics, in what was learned.
    fn note(self, exchange: &mut Exchange, attempt: &Attempt, verdict: &Verdict) {
        let class = verdict.failure.as_str();
        if let Some(record) = exchange.attempts.last_mut() {
            record.failure = Some(class.to_owned());
        }
        exchange.error = Some(class.to_owned());
        self.app
            .metrics
            .upstream_failures
            .with_label_values(&[attempt.upstream.name.as_str(), class])
            .inc();
        if verdict.failure == Failure::UnsupportedModel {
            self.app.learned.refused(self.caller, attempt, verdict);
        } else {
            self.app.learned.undecided(self.caller, attempt);
        }
    }

    /// A refusal that goes to the client: byte for byte, unless it is the gateway's own credential
    /// that was refused.
    fn refusal(
        self,
        exchange: &mut Exchange,
        upstream: &Upstream,
        verdict: &Verdict,
        reached: Reached,
    ) -> Result<Reached, GatewayError> {
        let status = match &reached {
            Reached::Whole(reply) => Some(reply.status.as_u16()),
            Reached::Stream(_) => None,
        };
        exchange.error = Some(verdict.failure.as_str().to_owned());
        let is_own = self
            .live
            .settings
            .credentials
            .contains_key(upstream.name.as_str());
        if is_own && is_refused_credential(verdict.failure, status) {
            tracing::error!(upstream.name = %upstream.name, "upstream `{}` refuses the gateway's own credential", upstream.name);
            return Err(GatewayError::new(
                ErrorCode::UpstreamAuth,
                format!(
                    "upstream `{}` refuses the gateway's own credential; its operator has to renew it",
                    upstream.name
                ),
            ));
        }
        Ok(reached)
    }

    /// One call. A transport failure becomes our error; only a connection that never stood is tried
    /// again, and only where configured.
    async fn send(
        self,
        exchange: &mut Exchange,
        upstream: &Upstream,
        request: UpstreamRequest,
        watch: Option<&TailWatch>,
    ) -> Result<Reply, GatewayError> {
        let name = upstream.name.as_str();
        let model = exchange
            .model_served
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        self.app
            .metrics
            .upstream_attempts
            .with_label_values(&[name])
            .inc();
        let sent = self
            .app
            .upstream
            .send(
                request,
                CallTimes::from(upstream),
                upstream.request_max_retries,
            )
            .await;
        let (status, failure, state) = match &sent {
            Ok(reply) => (Some(reply.status.as_u16()), None, SendState::Sent),
            Err(failure) => (
                None,
                Some(Failure::Transport(failure.send_state).as_str().to_owned()),
                failure.send_state,
            ),
        };
        exchange.attempts.push(AttemptRecord {
            model,
            upstream: name.to_owned(),
            status,
            failure,
            sent: state,
        });
        sent.map_err(|failure| {
            if let Some(refusal) = watch.and_then(TailWatch::refusal) {
                return refusal;
            }
            self.app.metrics.upstream_failures.with_label_values(&[name, "transport"]).inc();
            tracing::warn!(upstream.name = name, detail = %failure.detail, request.id = %exchange.id, "upstream `{name}` gave no answer");
            failure.to_gateway_error(name)
        })
    }
}

/// Goes back to what the first attempt said: the client gets the first answer, byte for byte.
fn restore(exchange: &mut Exchange, first: (Exchange, Reached)) -> Reached {
    let (before, reached) = first;
    let attempts = std::mem::take(&mut exchange.attempts);
    *exchange = before;
    exchange.attempts = attempts;
    reached
}
