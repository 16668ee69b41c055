//! A request that a plan was made for, in the shape in which the present attempt sends it. Decides
//! when all of the body has to be here; sends nothing.

use gateway_policy::{Adjustment, Attempt, AttemptPlan, AttemptReason, NextStep, RequestNeeds};
use gateway_wire::codex::TurnMetadata;
use gateway_wire::request::{RequestFeatures, RequestHead};
use gateway_wire::{Failure, WireApi};

use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::forwarding::Forwarding;
use crate::exchange::reply::UpstreamReply;
use crate::request_body::{RequestBody, Tail};
use crate::upstream::headers::LITE_HEADER;

/// A request, its plan, and the attempt that is to be made.
pub struct PlannedRequest {
    pub plan: AttemptPlan,
    pub body: RequestBody,
    /// The attempt that is made next, or was made last.
    pub attempt: Attempt,
    /// What that attempt changes in the request beside the model.
    pub changes: Vec<Adjustment>,
    pub concessions: Concessions,
    endpoint: Endpoint,
    /// Whether a limit counts what the caller uses.
    is_limited: bool,
    /// Whether the client says where its workspaces lie, which the first upstream is not to learn.
    hides_workspaces: bool,
    /// Whether the client sent the header that marks a Responses-Lite request.
    has_lite_header: bool,
    /// Read at most once, and only where another model or upstream may come in.
    features: Option<RequestFeatures>,
}

/// What refusals made necessary: it changed the request and not the model, and stays so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Concessions {
    /// The header that marks a Responses-Lite request is left out.
    pub drops_lite_header: bool,
    /// Encrypted reasoning is left out.
    pub strips_reasoning: bool,
    /// The upstream is not asked for token counts.
    pub leaves_usage_unasked: bool,
}

impl PlannedRequest {
    /// Reads on until the body is as whole as the plan needs it, and chooses the first attempt.
    ///
    /// # Errors
    /// When the rest of the body is too large or broken.
    pub async fn new(
        plan: AttemptPlan,
        body: RequestBody,
        endpoint: Endpoint,
        request: Forwarding<'_>,
        is_limited: bool,
    ) -> Result<Self, GatewayError> {
        let headers = &request.parts.headers;
        let hides_workspaces = request.hides_client(&plan.first.upstream)
            && TurnMetadata::read(headers, None).has_workspaces;
        let mut planned = Self {
            attempt: plan.first.clone(),
            changes: Vec::new(),
            concessions: Concessions::default(),
            endpoint,
            is_limited,
            hides_workspaces,
            has_lite_header: headers.contains_key(LITE_HEADER),
            features: None,
            plan,
            body,
        };
        if planned.needs_whole_body() {
            planned.body.collect().await?;
        }
        planned.check_meaning()?;
        if planned.may_hold_own_compaction() {
            planned.body.expand_own_compaction()?;
        }
        if planned.is_first_chosen() {
            planned.read_features();
            let (attempt, changes) = planned.plan.begin(&planned.needs());
            planned.attempt = attempt;
            planned.changes = changes;
        }
        Ok(planned)
    }

    /// Whether all of the body has to be here before any of it is sent.
    fn needs_whole_body(&self) -> bool {
        // Where a limit counts it or the operator pays, all of it has to mean what is read here, and
        // a fallback sends it again.
        let is_counted_or_repeated = self.is_metered() || !self.plan.rest.is_empty();
        // A model that refuses the lite header is asked again without it.
        is_counted_or_repeated
            || self.hides_workspaces
            || self.is_first_chosen()
            || self.is_translated()
            || self.has_lite_header
            || self.may_ask_usage()
    }

    /// Whether a limit counts the request, or an attempt may be made with the gateway's credential.
    fn is_metered(&self) -> bool {
        let mut attempts = std::iter::once(&self.plan.first).chain(&self.plan.rest);
        self.is_limited || attempts.any(|attempt| attempt.upstream.credential.is_own())
    }

    /// Refuses a body that could mean one thing here and another to the upstream, where the request
    /// is counted or paid for. Those who pay themselves may send what they like.
    fn check_meaning(&self) -> Result<(), GatewayError> {
        let Tail::Replayable { plain, .. } = &self.body.tail else {
            return Ok(());
        };
        if !self.is_metered() {
            return Ok(());
        }
        let Some(found) = gateway_wire::request::ambiguity(plain) else {
            return Ok(());
        };
        let message = format!(
            "the request could mean something else to the upstream than to the gateway, which \
             counts it: {found}; write it once, by its exact name and with the right type"
        );
        Err(GatewayError::new(ErrorCode::InvalidRequest, message).param(found.member))
    }

    /// Whether the first attempt is not simply what the client asked for: what that one needs
    /// changed in the request depends on its content.
    fn is_first_chosen(&self) -> bool {
        let is_remembered = matches!(
            self.plan.first.reason,
            AttemptReason::Sticky | AttemptReason::Learned
        );
        is_remembered || self.has_another_model()
    }

    /// Whether what this gateway compacted can be in the body for an upstream that could not read
    /// it.
    fn may_hold_own_compaction(&self) -> bool {
        let mut attempts = std::iter::once(&self.plan.first).chain(&self.plan.rest);
        self.endpoint.wire() == WireApi::Responses
            && attempts.any(|attempt| attempt.wire == WireApi::Responses)
    }

    /// Whether the attempt asks another model than the client did.
    pub fn has_another_model(&self) -> bool {
        self.attempt.model.as_str() != self.plan.requested.as_str()
    }

    /// Whether the upstream speaks another protocol than the client.
    pub fn is_translated(&self) -> bool {
        self.attempt.wire != self.endpoint.wire()
    }

    /// Whether the request is sent without the header that marks it as Responses-Lite.
    pub fn drops_lite_header(&self) -> bool {
        self.concessions.drops_lite_header || self.changes.contains(&Adjustment::LiftLiteTools)
    }

    /// Whether the request is to ask for the token counts of its stream.
    pub fn asks_usage(&self) -> bool {
        self.body.head.stream == Some(true)
            && !self.concessions.leaves_usage_unasked
            && self.may_ask_usage()
    }

    /// Whether an attempt has to ask for the token counts of a stream, without which its
    /// cost is unknown: where the gateway pays for it, or a limit counts it. For callers that pay
    /// with a credential of their own, the bytes pass unchanged. A body that still arrives may yet
    /// say that it streams, or that it asks itself.
    fn may_ask_usage(&self) -> bool {
        let (attempt, head): (_, &RequestHead) = (&self.attempt, &self.body.head);
        (self.is_limited || !attempt.upstream.credential.is_callers())
            && self.endpoint.wire() == WireApi::Chat
            && attempt.wire == WireApi::Chat
            && attempt.upstream.dialect.stream_usage
            && head.stream_options_include_usage != Some(true)
            && head.stream != Some(false)
    }

    /// Whether an upstream refused the stream for no other reason than that it was asked for its
    /// token counts.
    pub fn is_question_refused(&self, reply: &UpstreamReply) -> bool {
        const NAME: &[u8] = b"stream_options";
        let Some(pieces) = reply.whole() else {
            return false;
        };
        self.asks_usage()
            && matches!(reply.status.as_u16(), 400 | 422)
            && pieces.concat().windows(NAME.len()).any(|text| text == NAME)
    }

    /// What is changed in the request beside its model, as a header and a log field say it; `None`
    /// when nothing is.
    pub fn describe_changes(&self) -> Option<String> {
        let mut words: Vec<String> = self
            .changes
            .iter()
            .map(|change| match change {
                Adjustment::Effort(effort) => format!("effort={effort}"),
                Adjustment::Verbosity(verbosity) => format!("verbosity={verbosity}"),
                Adjustment::LiftLiteTools => "lite-tools-lifted".to_owned(),
                Adjustment::StripReasoning => "encrypted-reasoning-stripped".to_owned(),
            })
            .collect();
        if self.concessions.drops_lite_header && !self.changes.contains(&Adjustment::LiftLiteTools)
        {
            words.push("lite-header-dropped".to_owned());
        }
        (!words.is_empty()).then(|| words.join(","))
    }

    /// What the plan says to do after the present attempt failed.
    pub fn next_step(&mut self, failure: Failure) -> NextStep {
        if !self.body.is_replayable() {
            return NextStep::Stop;
        }
        self.read_features();
        self.plan.next(&self.attempt, failure, &self.needs())
    }

    /// Whether another target of the plan can still be asked after the present one.
    pub fn can_hop(&self) -> bool {
        let last = self.plan.rest.last();
        self.body.is_replayable() && last.is_some_and(|last| !last.is_same_target(&self.attempt))
    }

    /// Takes up the next attempt.
    pub fn follow(&mut self, next: NextStep) {
        match next {
            NextStep::Attempt { attempt, adjust } => {
                let as_lite = RequestNeeds {
                    lite: true,
                    ..self.needs()
                };
                self.changes = if self.concessions.drops_lite_header {
                    self.plan.adjustments(&attempt, &as_lite)
                } else {
                    adjust
                };
                let strips = Adjustment::StripReasoning;
                if self.concessions.strips_reasoning && !self.changes.contains(&strips) {
                    self.changes.push(strips);
                }
                self.attempt = attempt;
            }
            NextStep::SameModelWithoutLiteHeader => self.concessions.drops_lite_header = true,
            NextStep::StripForeignReasoning => {
                self.concessions.strips_reasoning = true;
                self.changes.push(Adjustment::StripReasoning);
            }
            NextStep::Stop => {}
        }
    }

    fn read_features(&mut self) {
        if self.features.is_none()
            && let Tail::Replayable { plain, .. } = &self.body.tail
        {
            self.features = Some(gateway_wire::request::features(plain, &self.body.head));
        }
    }

    /// What the request needs in the shape in which it was last sent.
    fn needs(&self) -> RequestNeeds<'_> {
        let Some(found) = &self.features else {
            return RequestNeeds::default();
        };
        let is_lite = found.has_additional_tools || self.has_lite_header;
        RequestNeeds {
            approx_tokens: found.approx_input_tokens,
            images: found.has_images,
            effort: found.effort.as_deref(),
            verbosity: found.verbosity.as_deref(),
            lite: is_lite && !self.concessions.drops_lite_header,
            previous_response: self.body.head.previous_response_id.is_some(),
            encrypted_reasoning: found.has_encrypted_reasoning
                && !self.concessions.strips_reasoning,
            compaction: found.has_compaction_item,
        }
    }
}
