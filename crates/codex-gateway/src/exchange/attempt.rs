//! Step 6: asks the upstreams in the order of the plan until one serves. Nothing has reached the
//! client yet.

mod call;
mod context;
mod open;
mod outcome;
mod outgoing;
mod planned;
mod translate_reply;
mod translate_request;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_policy::{NextStep, Upstream};
use gateway_wire::WireApi;
use gateway_wire::failure::{Failure, Verdict};

use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::reply::UpstreamReply;
use crate::record::{AttemptFacts, Exchange};
pub use context::Attempts;
use outcome::ReplyOutcome;
pub use planned::PlannedRequest;

/// Most calls of one exchange: the first, three hops, and two repeats in another shape.
const MAX_CALLS: usize = 6;
/// All attempts together must have begun within this time; a fallback that comes later is of
/// no use to the client.
const OVERALL: Duration = Duration::from_secs(120);

/// A refusal that the client gets when no other attempt serves, and the attempt that it refused.
type RefusedAttempt = (AttemptFacts, UpstreamReply);

impl Attempts<'_> {
    /// A request that names no model: one call to the upstream of the caller's route.
    ///
    /// # Errors
    /// When the upstream gives no answer that can be passed on.
    pub async fn pass_on(
        self,
        exchange: &mut Exchange,
        upstream: &Arc<Upstream>,
        body: Bytes,
    ) -> Result<UpstreamReply, GatewayError> {
        let is_stored = exchange.arrival.endpoint == Endpoint::StoredResponse;
        if is_stored && !upstream.speaks(WireApi::Responses) {
            return Err(GatewayError::new(
                ErrorCode::NotFound,
                format!(
                    "upstream `{}` supports only Chat Completions and stores no responses; send \
                     the whole conversation in `input`",
                    upstream.name
                ),
            ));
        }
        match self.call_unchanged(exchange, upstream, body).await? {
            ReplyOutcome::Served(reply) => Ok(reply),
            ReplyOutcome::Refused { verdict, reply } => {
                self.refusal(exchange, upstream, &verdict, reply)
            }
        }
    }

    /// Asks by the plan until an upstream serves. Otherwise the client gets the first refusal.
    ///
    /// # Errors
    /// When there is no answer that can be passed on, or a limit refuses a fallback.
    pub async fn by_plan(
        self,
        exchange: &mut Exchange,
        mut planned: PlannedRequest,
    ) -> Result<UpstreamReply, GatewayError> {
        let started = self.clock.instant();
        let mut first: Option<RefusedAttempt> = None;
        for call in 1..=MAX_CALLS {
            self.begin(exchange, self.facts(&planned)).await?;
            let (verdict, reply) = match self.call(exchange, &mut planned).await {
                Ok(ReplyOutcome::Served(reply)) => {
                    return Ok(self.served(exchange, &planned, reply));
                }
                Ok(ReplyOutcome::Refused { verdict, reply }) => (verdict, reply),
                // The upstream of a hop that gives no answer proves nothing.
                Err(error) => {
                    let first = first.map(|first| self.go_back(exchange, first));
                    return first.ok_or(error);
                }
            };
            self.note(exchange, &planned, &verdict);
            let has_calls = call < MAX_CALLS;
            if has_calls && planned.is_question_refused(&reply) {
                planned.concessions.leaves_usage_unasked = true;
                let name = &planned.attempt.upstream.name;
                tracing::warn!(
                    upstream.name = %name,
                    "upstream `{name}` does not accept `stream_options`: set `deviations = {{ \
                     stream_usage = false }}`"
                );
                continue;
            }
            // The head says which model serves: from then on no other may.
            let is_said = self.early.is_out();
            let is_late = self.clock.instant().saturating_duration_since(started) >= OVERALL;
            let next = if has_calls && !is_late {
                planned.next_step(verdict.failure)
            } else {
                NextStep::Stop
            };
            let is_hop = matches!(next, NextStep::Attempt { .. });
            if next == NextStep::Stop || (is_said && is_hop) {
                return match first {
                    Some(first) => Ok(self.go_back(exchange, first)),
                    None => self.refusal(exchange, &planned.attempt.upstream, &verdict, reply),
                };
            }
            if first.is_none() {
                first = exchange.attempt.clone().zip(Some(reply));
            }
            self.report_hop(&planned, &next, &verdict);
            planned.follow(next);
        }
        Err(GatewayError::new(
            ErrorCode::InternalError,
            "internal error: the plan of attempts did not end",
        ))
    }

    /// What is known of the present attempt before it is made.
    fn facts(self, planned: &PlannedRequest) -> AttemptFacts {
        AttemptFacts {
            adjusted: planned.describe_changes(),
            ..AttemptFacts::of(&planned.plan, &planned.attempt, self.request.caller)
        }
    }

    /// Starts an attempt. Another model or upstream needs another reservation and another intent, so
    /// that limits and a crash count the right one.
    async fn begin(self, exchange: &mut Exchange, facts: AttemptFacts) -> Result<(), GatewayError> {
        let now = exchange.attempt.as_ref();
        let is_moved = now.is_none_or(|now| !now.is_same_target(&facts));
        exchange.attempt = Some(facts);
        if is_moved {
            self.limiter
                .reserve_again(self.config, self.grant, exchange)
                .await?;
            self.recorder.update(exchange).await?;
        }
        Ok(())
    }

    /// Remembers who served.
    fn served(
        self,
        exchange: &Exchange,
        planned: &PlannedRequest,
        mut reply: UpstreamReply,
    ) -> UpstreamReply {
        let session = exchange.request.turn.session_id.as_deref();
        let PlannedRequest { plan, attempt, .. } = planned;
        self.learned
            .served(self.request.caller, session, plan, attempt);
        if attempt.is_probe {
            self.tag_again(exchange, &attempt.upstream, &mut reply);
        }
        reply
    }

    /// Notes a refusal: in the record, in the metrics, in what was learned.
    fn note(self, exchange: &mut Exchange, planned: &PlannedRequest, verdict: &Verdict) {
        let class = verdict.failure.as_str();
        if let Some(call) = exchange.calls.last_mut() {
            call.failure = Some(class.to_owned());
        }
        if let Some(facts) = &mut exchange.attempt {
            facts.failure = Some(class);
        }
        let attempt = &planned.attempt;
        self.metrics
            .upstream_failures
            .with_label_values(&[attempt.upstream.name.as_str(), class])
            .inc();
        let caller = self.request.caller;
        if verdict.failure == Failure::UnsupportedModel {
            self.learned.refused(caller, attempt, verdict);
        } else {
            self.learned.probe_inconclusive(caller, attempt);
        }
    }

    /// Counts and logs that another model is asked.
    fn report_hop(self, planned: &PlannedRequest, next: &NextStep, verdict: &Verdict) {
        let from = &planned.attempt;
        let NextStep::Attempt { attempt: to, .. } = next else {
            return;
        };
        if to.model == from.model {
            return;
        }
        let labels = &self.config.labels;
        let (from_label, to_label) = (labels.label(&from.model), labels.label(&to.model));
        self.metrics
            .fallbacks
            .with_label_values(&[from_label, to_label, verdict.failure.as_str()])
            .inc();
        tracing::info!(
            from = %from.model, to = %to.model, upstream.name = %from.upstream.name,
            "upstream `{}` refused the model, trying the next", from.upstream.name
        );
    }

    /// Goes back to the first refusal: the client gets it byte for byte.
    fn go_back(self, exchange: &mut Exchange, (facts, mut reply): RefusedAttempt) -> UpstreamReply {
        self.tag_again(exchange, &facts.upstream, &mut reply);
        exchange.attempt = Some(facts);
        reply
    }

    /// A refusal that goes to the client: byte for byte, unless it is the gateway's own credential
    /// that was refused.
    fn refusal(
        self,
        exchange: &mut Exchange,
        upstream: &Upstream,
        verdict: &Verdict,
        mut reply: UpstreamReply,
    ) -> Result<UpstreamReply, GatewayError> {
        if let Some(facts) = &mut exchange.attempt {
            facts.failure = Some(verdict.failure.as_str());
        }
        let name = upstream.name.as_str();
        let is_own = self.config.settings.credentials.contains_key(name);
        let is_credential = verdict.failure == Failure::Auth
            && reply.whole().is_some()
            && matches!(reply.status.as_u16(), 401 | 403);
        if is_own && is_credential {
            tracing::error!(
                upstream.name = name,
                "upstream `{name}` refuses the gateway's own credential"
            );
            return Err(GatewayError::new(
                ErrorCode::UpstreamAuth,
                format!(
                    "upstream `{name}` refuses the gateway's own credential; the gateway's \
                     operator must renew it"
                ),
            ));
        }
        self.tag_again(exchange, upstream, &mut reply);
        Ok(reply)
    }

    /// What was learned from an answer can change which models the caller's catalogue shows, and
    /// with them its etag.
    fn tag_again(self, exchange: &Exchange, upstream: &Upstream, reply: &mut UpstreamReply) {
        reply.models_etag = self.answer_tag(exchange, upstream, &reply.headers).etag;
    }
}
