//! A request for an upstream that speaks the other protocol. Translates and says what that cost;
//! sends nothing.

use bytes::Bytes;
use gateway_policy::{Adjustment, Attempt};
use gateway_wire::WireApi;
use gateway_wire::translate::{
    ReplyPurpose, ReplySettings, TranslateError, TranslationContext, chat_to_responses,
    responses_to_chat,
};
use http::{HeaderMap, HeaderValue, header};

use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange::attempt::Walk;
use crate::exchange::attempt::outgoing::{self, OutgoingBody};
use crate::record::Exchange;
use crate::request_body::{RequestBody, Tail};
use crate::upstream::client::{Pieces, UploadBody};

/// Where requests of a protocol go.
pub(super) const fn path(wire: WireApi) -> &'static str {
    match wire {
        WireApi::Responses => "/responses",
        WireApi::Chat => "/chat/completions",
    }
}

/// The body in the upstream's protocol, and what the way back needs. Notes in the exchange what
/// could not be carried.
pub(super) fn body(
    walk: Walk<'_>,
    exchange: &mut Exchange,
    attempt: &Attempt,
    changes: &[Adjustment],
    request: &RequestBody,
    headers: &mut HeaderMap,
) -> Result<(OutgoingBody, ReplySettings), GatewayError> {
    let Tail::Replayable { plain, .. } = &request.tail else {
        return Err(outgoing::internal());
    };
    let upstream = &attempt.upstream;
    let adjusted = (!changes.is_empty())
        .then(|| outgoing::adjusted(plain, changes))
        .transpose()?;
    let reasoning = walk.app.reasoning.view(&walk.caller.label, &upstream.name);
    let settings = TranslationContext {
        model: attempt.model.as_str(),
        dialect: &upstream.dialect,
        strict: upstream.strict_translation,
        request_id: exchange.id.as_str(),
        created_at: exchange.started_at.as_second(),
        reasoning: &reasoning,
        purpose: purpose(exchange.endpoint, upstream.name.as_str())?,
    };
    let translate = match attempt.wire {
        WireApi::Chat => responses_to_chat,
        WireApi::Responses => chat_to_responses,
    };
    let translated = translate(adjusted.as_ref().unwrap_or(plain), &settings)
        .map_err(|error| refusal(&error))?;
    tracing::debug!(request.id = %exchange.id, losses = ?translated.losses, "request translated");
    exchange.losses = translated.losses;
    let accept = if translated.reply.upstream_streams() {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let body = OutgoingBody {
        body: UploadBody::Pieces(Pieces::from([Bytes::from(translated.body)])),
        watch: None,
        asks_usage: false,
    };
    Ok((body, translated.reply))
}

/// What the answer is for; an endpoint without a counterpart is refused.
fn purpose(endpoint: Endpoint, upstream: &str) -> Result<ReplyPurpose, GatewayError> {
    endpoint.row().purpose.ok_or_else(|| {
        GatewayError::new(
            ErrorCode::Untranslatable,
            format!(
                "upstream `{upstream}` speaks Chat Completions, which has nothing like `{}`; ask \
                 a model of another upstream",
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
