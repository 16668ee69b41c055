//! One call to an upstream: what is sent, and what comes of it.

use std::sync::Arc;

use bytes::Bytes;
use gateway_policy::{AttemptReason, Upstream};
use gateway_wire::failure::{Failure, SendState};
use gateway_wire::translate::ReplySettings;
use http::{Method, header};

use crate::error::GatewayError;
use crate::exchange::attempt::context::Attempts;
use crate::exchange::attempt::open::open;
use crate::exchange::attempt::outcome::{Hold, ReplyContext, ReplyOutcome};
use crate::exchange::attempt::planned::PlannedRequest;
use crate::exchange::attempt::{outgoing, translate_request};
use crate::exchange::forwarding::BodyWire;
use crate::record::Exchange;
use crate::request_body::TailWatch;
use crate::upstream::client::{CallTimes, Reply, UploadBody, UpstreamRequest};
use crate::upstream::failure::TransportFailure;
use crate::upstream::headers::LITE_HEADER;
use crate::upstream::segmented_body::SegmentedBody;

/// A call as it is made, and what reading its answer needs.
struct OutgoingCall {
    request: UpstreamRequest,
    upload: Option<TailWatch>,
    asks_usage: bool,
    /// Whether the client of a Chat stream asked for its token counts.
    wants_usage: bool,
    /// `None` where the upstream speaks the client's protocol.
    translation: Option<ReplySettings>,
}

impl Attempts<'_> {
    /// Makes the call of the present attempt of a plan.
    pub(super) async fn call(
        self,
        exchange: &mut Exchange,
        planned: &mut PlannedRequest,
    ) -> Result<ReplyOutcome, GatewayError> {
        let call = self.outgoing(exchange, planned)?;
        // The end of a chain is held for the first answer's sake, a probe because it is to find out
        // whether the model is served.
        let is_judged = planned.can_hop()
            || planned.attempt.reason == AttemptReason::Fallback
            || planned.attempt.is_probe;
        let server = &self.config.settings.server;
        let hold = is_judged.then_some(Hold {
            time: server.hold_timeout,
            bytes: server.hold_bytes,
        });
        self.make(exchange, &planned.attempt.upstream, call, hold)
            .await
    }

    /// Passes a request on that names no model, with nothing changed.
    pub(super) async fn call_unchanged(
        self,
        exchange: &mut Exchange,
        upstream: &Upstream,
        body: Bytes,
    ) -> Result<ReplyOutcome, GatewayError> {
        let parts = self.request.parts;
        let mut headers = self.request.headers(upstream, BodyWire::Clients);
        if let Some(coding) = parts.headers.get(header::CONTENT_ENCODING) {
            headers.insert(header::CONTENT_ENCODING, coding.clone());
        }
        let call = OutgoingCall {
            request: UpstreamRequest {
                method: parts.method.clone(),
                url: self.request.url(upstream),
                headers,
                body: UploadBody::Whole(SegmentedBody::from([body])),
            },
            upload: None,
            asks_usage: false,
            wants_usage: false,
            translation: None,
        };
        self.make(exchange, upstream, call, None).await
    }

    /// Puts the request of an attempt together. What that costs is noted in the exchange.
    fn outgoing(
        self,
        exchange: &mut Exchange,
        planned: &mut PlannedRequest,
    ) -> Result<OutgoingCall, GatewayError> {
        let is_translated = planned.is_translated();
        let upstream = Arc::clone(&planned.attempt.upstream);
        let wire = if is_translated {
            BodyWire::Other
        } else {
            BodyWire::Clients
        };
        let mut headers = self.request.headers(&upstream, wire);
        if planned.drops_lite_header() {
            headers.remove(LITE_HEADER);
        }
        if upstream.name != planned.plan.head.upstream.name {
            // A sticky-routing value that one upstream minted means nothing to another.
            headers.remove("x-codex-turn-state");
        }
        let (body, url, translation, losses) = if is_translated {
            let caller = &self.request.caller.label;
            let reasoning = self.reasoning.view(caller, &upstream.name);
            let translated = translate_request::body(
                planned,
                &exchange.arrival,
                self.request.is_codex(),
                &reasoning,
                &mut headers,
            )?;
            let url = self
                .request
                .url_of(&upstream, translate_request::path(planned.attempt.wire));
            (
                translated.body,
                url,
                Some(translated.reply),
                translated.losses,
            )
        } else {
            let is_foreign = self.request.hides_client(&upstream);
            let body = outgoing::body(planned, is_foreign, &mut headers)?;
            (body, self.request.url(&upstream), None, Vec::new())
        };
        if let Some(facts) = &mut exchange.attempt {
            facts.losses = losses;
            facts.upload.clone_from(&body.upload);
        }
        Ok(OutgoingCall {
            request: UpstreamRequest {
                method: Method::POST,
                url,
                headers,
                body: body.body,
            },
            upload: body.upload,
            asks_usage: body.asks_usage,
            wants_usage: planned.body.head.stream_options_include_usage == Some(true),
            translation,
        })
    }

    /// Sends a request and reads as much of the answer as tells what it is.
    async fn make(
        self,
        exchange: &mut Exchange,
        upstream: &Upstream,
        call: OutgoingCall,
        hold: Option<Hold>,
    ) -> Result<ReplyOutcome, GatewayError> {
        let patience = self.patience(exchange, upstream);
        let sending = self.upstream.send(
            call.request,
            CallTimes::from(upstream),
            upstream.request_max_retries,
        );
        let sent = self.early.unless_within(patience, exchange, sending).await;
        self.note_call(exchange, upstream, &sent);
        let reply = sent.map_err(|failure| {
            let refusal = call.upload.as_ref().and_then(TailWatch::refusal);
            refusal.unwrap_or_else(|| self.transport_error(exchange, upstream, &failure))
        })?;
        if let Some(upload) = &call.upload {
            exchange.request.add_head(&upload.head());
        }
        let tag = self.answer_tag(exchange, upstream, &reply.headers);
        let server = &self.config.settings.server;
        let context = ReplyContext {
            exchange,
            upstream,
            translation: call.translation.as_ref(),
            wants_usage: call.wants_usage,
            hides_usage: call.asks_usage,
            passes_catalog: tag.is_upstreams_own,
            secrets: self.request.secrets_of(upstream),
            max_event: server.max_event,
            drain: server.drain_timeout,
            patience,
        };
        let opening = open(context, reply, hold);
        let mut outcome = self
            .early
            .unless_within(patience, exchange, opening)
            .await
            .map_err(|unusable| unusable.into_error(upstream))?;
        match &mut outcome {
            ReplyOutcome::Served(reply) | ReplyOutcome::Refused { reply, .. } => {
                reply.models_etag = tag.etag;
            }
        }
        Ok(outcome)
    }

    /// Notes a call and what came of it in the record.
    fn note_call(
        self,
        exchange: &mut Exchange,
        upstream: &Upstream,
        sent: &Result<Reply, TransportFailure>,
    ) {
        self.metrics
            .upstream_attempts
            .with_label_values(&[upstream.name.as_str()])
            .inc();
        let (status, failure, state) = match sent {
            Ok(reply) => (Some(reply.status.as_u16()), None, SendState::Sent),
            Err(failure) => (
                None,
                Some(Failure::Transport(failure.send_state).as_str().to_owned()),
                failure.send_state,
            ),
        };
        let facts = exchange.attempt.as_ref();
        exchange
            .calls
            .extend(facts.map(|facts| facts.call(status, failure, state)));
    }

    /// A transport failure as our error, counted and logged.
    fn transport_error(
        self,
        exchange: &Exchange,
        upstream: &Upstream,
        failure: &TransportFailure,
    ) -> GatewayError {
        let name = upstream.name.as_str();
        self.metrics
            .upstream_failures
            .with_label_values(&[name, "transport"])
            .inc();
        tracing::warn!(
            upstream.name = name, detail = %failure.detail, request.id = %exchange.arrival.id,
            "upstream `{name}` did not respond"
        );
        failure.to_gateway_error(name)
    }
}
