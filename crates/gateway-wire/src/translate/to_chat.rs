//! A Responses request as a Chat request.

mod params;
mod tools;

use super::body::{Body, Input};
use super::context::{TranslatedRequest, TranslationContext};
use super::error::TranslateError;
use super::history::{History, Role};
use super::losses::Losses;
use super::reply_settings::{ReplyPurpose, ReplySettings, seed_of};
use super::{compaction, echo};
use crate::WireApi;
use crate::dialect::Dialect;
use crate::json::raw::{Fields, Literal};
use crate::json::write::JsonWriter;

/// Translates the body of `POST /responses` (or `/responses/compact`) for a Chat upstream.
///
/// ```
/// use gateway_wire::Dialect;
/// use gateway_wire::translate::{NoReasoning, ReplyPurpose, TranslationContext, responses_to_chat};
/// let context = TranslationContext {
///     model: "m",
///     dialect: &Dialect::OPENAI,
///     strict: false,
///     request_id: "r1",
///     created_at: 0,
///     is_codex: false,
///     reasoning: &NoReasoning,
///     purpose: ReplyPurpose::Turn,
/// };
/// let translated = responses_to_chat(br#"{"model":"x","input":"Hi."}"#, &context)?;
/// assert_eq!(
///     translated.body,
///     br#"{"model":"m","stream":false,"messages":[{"role":"user","content":"Hi."}]}"#
/// );
/// # Ok::<(), gateway_wire::translate::TranslateError>(())
/// ```
///
/// # Errors
/// When the body is not a Responses request, or something that matters has no counterpart.
pub fn responses_to_chat(
    body: &[u8],
    context: &TranslationContext<'_>,
) -> Result<TranslatedRequest, TranslateError> {
    let request: Body<'_, Input<'_>> = Body::read(body)?;
    let dialect = context.dialect;
    let purpose = purpose_of(context, request.history.as_ref());
    let is_summary = purpose != ReplyPurpose::Turn;
    let fields = request.fields;
    params::refuse_stored(&fields)?;
    let losses = Losses::new(context.strict);
    let mut history = History::new(dialect, context.reasoning, losses, is_summary);
    read_conversation(&mut history, &fields, request.history, dialect, is_summary)?;
    let client_streams =
        fields.flag("stream") == Some(true) && purpose != ReplyPurpose::CompactReply;

    let mut json = JsonWriter::with_capacity(body.len() + 1024);
    json.begin_object()
        .field_str("model", context.model)
        .field_flag("stream", client_streams);
    if client_streams && dialect.stream_usage {
        json.key("stream_options")
            .begin_object()
            .field_flag("include_usage", true)
            .end_object();
    }
    history.write(&mut json);
    let mut losses = history.losses;
    if !is_summary {
        tools::write(&mut json, &fields, &mut history.tools, dialect, &mut losses)?;
        params::write_text(&mut json, &fields, dialect, &mut losses)?;
    }
    params::write(&mut json, &fields, dialect, &mut losses)?;
    json.end_object();

    let reply = ReplySettings {
        client_wire: WireApi::Responses,
        model: context.model.to_owned(),
        client_streams,
        upstream_streams: client_streams,
        wants_usage: true,
        purpose,
        tools: history.tools.map,
        used_call_ids: history.call_ids,
        seed: seed_of(context.request_id),
        created_at: context.created_at,
        completed_at: context.created_at,
        dialect: *dialect,
        echo: echo::members(&fields),
        is_codex: context.is_codex,
    };
    Ok(TranslatedRequest {
        body: json.out,
        losses: losses.into_vec(),
        reply,
    })
}

/// Reads tools, instructions and input into the history.
fn read_conversation<'a>(
    history: &mut History<'a, '_>,
    fields: &Fields<'a>,
    input: Option<Input<'a>>,
    dialect: &Dialect,
    is_summary: bool,
) -> Result<(), TranslateError> {
    history.declare(fields.get("tools"), "tools")?;
    let instructions = fields.literal("instructions");
    if let Some(instructions) = instructions.filter(|text| !text.is_empty()) {
        history.say(Role::Developer, instructions);
    }
    if !is_summary && let Some(text) = params::schema_as_text(fields, dialect, &mut history.losses)?
    {
        history.say(Role::Developer, Literal::plain(&text));
    }
    match input {
        Some(Input::Items(items)) => history.read(&items)?,
        Some(Input::Text(text)) => history.say(Role::User, Literal::plain(&text.0)),
        None if fields.get("instructions").is_some() => {}
        None => return Err(missing_input(fields)),
    }
    if is_summary {
        history.say(Role::User, Literal::plain(compaction::REQUEST));
    }
    Ok(())
}

/// A trigger among the items turns an ordinary request into one for a compaction item.
fn purpose_of(context: &TranslationContext<'_>, input: Option<&Input<'_>>) -> ReplyPurpose {
    let asks_for_summary = input.is_some_and(Input::asks_for_summary);
    if context.purpose == ReplyPurpose::Turn && asks_for_summary {
        return ReplyPurpose::CompactionItem;
    }
    context.purpose
}

fn missing_input(fields: &Fields<'_>) -> TranslateError {
    let hint = if fields.get("messages").is_some() {
        "it is missing; a body with `messages` belongs to /chat/completions"
    } else {
        "it is missing"
    };
    TranslateError::malformed("input", hint)
}
