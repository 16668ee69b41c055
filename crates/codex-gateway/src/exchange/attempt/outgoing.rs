//! The body of one attempt in the client's own protocol, with as few bytes changed as possible.

use bytes::Bytes;
use gateway_policy::{Adjustment, Upstream};
use gateway_wire::adjust::{self, Adjustments};
use gateway_wire::codex::{TURN_METADATA, TurnMetadata};
use gateway_wire::splice::{Edit, splice};
use gateway_wire::stream_usage;
use http::{HeaderMap, HeaderValue, header};

use crate::error::{ErrorCode, GatewayError};
use crate::exchange::attempt::planned::PlannedRequest;
use crate::request_body::decode::Coding;
use crate::request_body::{Streamed, Tail, TailWatch};
use crate::upstream::client::UploadBody;
use crate::upstream::segmented_body::SegmentedBody;

/// The body of an attempt.
pub(super) struct OutgoingBody {
    pub(super) body: UploadBody,
    /// Follows a body that is sent on while it arrives.
    pub(super) upload: Option<TailWatch>,
    /// Whether it asks for token counts that the client did not ask for.
    pub(super) asks_usage: bool,
}

impl OutgoingBody {
    /// A body that is all here.
    pub(super) fn whole(pieces: impl IntoIterator<Item = Bytes>, asks_usage: bool) -> Self {
        Self {
            body: UploadBody::Whole(SegmentedBody::from(pieces)),
            upload: None,
            asks_usage,
        }
    }
}

/// Makes the body of one attempt. A streamed tail is used up; a whole one stays for the next.
/// `is_foreign`: the upstream is not to learn where the client's workspaces lie.
pub(super) fn body(
    request: &mut PlannedRequest,
    is_foreign: bool,
    headers: &mut HeaderMap,
) -> Result<OutgoingBody, GatewayError> {
    if let Some(streamed) = request.body.take_streamed() {
        return Ok(sent_on(streamed));
    }
    let Tail::Replayable { raw, plain } = &request.body.tail else {
        return Err(internal());
    };
    let cut_workspaces = is_foreign && names_workspaces(request);
    let is_changed = request.has_another_model() || !request.changes.is_empty() || cut_workspaces;
    if is_changed || request.asks_usage() {
        return edited(plain, request, cut_workspaces);
    }
    let codings = &request.body.codings;
    if codings.is_empty() || !accepts(&request.attempt.upstream, codings) {
        return Ok(OutgoingBody::whole([plain.clone()], false));
    }
    headers.insert(header::CONTENT_ENCODING, words(codings)?);
    Ok(OutgoingBody::whole([raw.clone()], false))
}

/// A body that goes on as it arrives.
fn sent_on(streamed: Streamed) -> OutgoingBody {
    let (upload, watch) = streamed.into_upload();
    OutgoingBody {
        body: UploadBody::Streamed(upload),
        upload: Some(watch),
        asks_usage: false,
    }
}

/// Whether the body says where workspaces lie.
fn names_workspaces(request: &PlannedRequest) -> bool {
    let metadata = request.body.head.client_metadata.as_ref();
    let metadata = metadata.and_then(|members| members.get(TURN_METADATA));
    metadata.is_some_and(|text| TurnMetadata::parse(text).is_some_and(|turn| turn.has_workspaces))
}

/// The plain body with another model, other values, or the question for token counts.
fn edited(
    plain: &Bytes,
    request: &PlannedRequest,
    cut_workspaces: bool,
) -> Result<OutgoingBody, GatewayError> {
    let model = request.attempt.model.as_str();
    let model = request.has_another_model().then_some(model);
    // A body that is rebuilt gets its model there: the position of the old one is no longer valid.
    let (plain, model) = if request.changes.is_empty() && !cut_workspaces {
        let found = request.body.head.model.as_ref().zip(model);
        let edit = found.map(|(found, model)| Edit::string(found.span.clone(), model));
        (plain.clone(), edit)
    } else {
        (
            adjusted(plain, model, &request.changes, cut_workspaces)?,
            None,
        )
    };
    let usage = request
        .asks_usage()
        .then(|| stream_usage::ask(&plain))
        .flatten();
    let asks_usage = usage.is_some();
    let edits = model.into_iter().chain(usage).collect();
    let pieces = splice(&plain, edits).map_err(|_| internal())?;
    Ok(OutgoingBody::whole(pieces, asks_usage))
}

/// Makes the changes of an attempt, and writes the model where one is given.
pub(super) fn adjusted(
    plain: &Bytes,
    model: Option<&str>,
    changes: &[Adjustment],
    cut_workspaces: bool,
) -> Result<Bytes, GatewayError> {
    let mut wanted = Adjustments {
        model: model.map(str::to_owned),
        cut_workspaces,
        ..Adjustments::default()
    };
    for change in changes {
        match change {
            Adjustment::Effort(effort) => wanted.effort = Some(effort.clone()),
            Adjustment::Verbosity(verbosity) => wanted.verbosity = Some(verbosity.clone()),
            Adjustment::LiftLiteTools => wanted.lift_lite_tools = true,
            Adjustment::StripReasoning => wanted.strip_encrypted_reasoning = true,
        }
    }
    adjust::adjust(plain, &wanted)
        .map(Bytes::from)
        .map_err(|error| {
            GatewayError::new(
                ErrorCode::InvalidRequest,
                format!("the request body cannot be adapted to another model: {error}"),
            )
        })
}

/// Whether an upstream takes a body in the client's encoding.
fn accepts(upstream: &Upstream, codings: &[Coding]) -> bool {
    let accepted = &upstream.request_encodings;
    codings.iter().all(|coding| {
        accepted
            .iter()
            .any(|known| known.as_str() == coding.as_str())
    })
}

fn words(codings: &[Coding]) -> Result<HeaderValue, GatewayError> {
    let words: Vec<&str> = codings.iter().map(|coding| coding.as_str()).collect();
    HeaderValue::from_str(&words.join(", ")).map_err(|_| internal())
}

pub(super) fn internal() -> GatewayError {
    GatewayError::new(
        ErrorCode::InternalError,
        "internal error: the request body was not where it was expected",
    )
}
