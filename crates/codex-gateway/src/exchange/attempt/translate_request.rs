//! A request for an upstream that speaks the other protocol. Translates and says what that cost;
//! sends nothing.

use bytes::Bytes;
use gateway_wire::WireApi;
use gateway_wire::translate::{
    Loss, ReplyPurpose, ReplySettings, TranslateError, TranslationContext, chat_to_responses,
    responses_to_chat,
};
use http::{HeaderMap, HeaderValue, header};

use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::attempt::outgoing::{self, OutgoingBody};
use crate::exchange::attempt::planned::PlannedRequest;
use crate::reasoning::ReasoningView;
use crate::record::Arrival;
use crate::request_body::Tail;

/// A request in the upstream's protocol.
pub(super) struct Translated {
    pub(super) body: OutgoingBody,
    /// What could not be carried.
    pub(super) losses: Vec<Loss>,
    /// What the way back needs.
    pub(super) reply: ReplySettings,
}

/// Where requests of a protocol go.
pub(super) const fn path(wire: WireApi) -> &'static str {
    match wire {
        WireApi::Responses => "/responses",
        WireApi::Chat => "/chat/completions",
    }
}

/// Translates the body of an attempt. `reasoning`: what is kept for the caller at this upstream.
/// `is_codex`: whether the client names itself as Codex does.
pub(super) fn body(
    request: &PlannedRequest,
    arrival: &Arrival,
    is_codex: bool,
    reasoning: &ReasoningView<'_>,
    headers: &mut HeaderMap,
) -> Result<Translated, GatewayError> {
    let Tail::Replayable { plain, .. } = &request.body.tail else {
        return Err(outgoing::internal());
    };
    let (attempt, changes) = (&request.attempt, &request.changes);
    let upstream = &attempt.upstream;
    let adjusted = (!changes.is_empty())
        .then(|| outgoing::adjusted(plain, None, changes, false))
        .transpose()?;
    let context = TranslationContext {
        model: attempt.model.as_str(),
        dialect: &upstream.dialect,
        strict: upstream.strict_translation,
        request_id: arrival.id.as_str(),
        created_at: arrival.at.as_second(),
        is_codex,
        reasoning,
        purpose: purpose(arrival.endpoint, upstream.name.as_str())?,
    };
    let translate = match attempt.wire {
        WireApi::Chat => responses_to_chat,
        WireApi::Responses => chat_to_responses,
    };
    let translated =
        translate(adjusted.as_ref().unwrap_or(plain), &context).map_err(|error| refusal(&error))?;
    tracing::debug!(request.id = %arrival.id, losses = ?translated.losses, "request translated");
    let accept = if translated.reply.upstream_streams() {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    Ok(Translated {
        body: OutgoingBody::whole([Bytes::from(translated.body)], false),
        losses: translated.losses,
        reply: translated.reply,
    })
}

/// What the answer is for; an endpoint without a counterpart is refused.
fn purpose(endpoint: Endpoint, upstream: &str) -> Result<ReplyPurpose, GatewayError> {
    endpoint.row().purpose.ok_or_else(|| {
        GatewayError::new(
            ErrorCode::Untranslatable,
            format!(
                "upstream `{upstream}` supports only Chat Completions, which has no equivalent of \
                 `{}`; use a model of another upstream",
                endpoint.as_str()
            ),
        )
    })
}

fn refusal(error: &TranslateError) -> GatewayError {
    let code = match error {
        TranslateError::Malformed { .. } => ErrorCode::InvalidRequest,
        TranslateError::Unsupported { .. } | TranslateError::Strict { .. } => {
            ErrorCode::Untranslatable
        }
        TranslateError::PreviousResponse { .. } => ErrorCode::PreviousResponseNotFound,
    };
    GatewayError::new(code, error.to_string()).param(error.param().to_owned())
}
