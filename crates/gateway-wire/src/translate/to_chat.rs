//! A Responses request as a Chat request.

use super::body::{Body, Input};
use super::context::{TranslatedRequest, TranslationContext};
use super::error::TranslateError;
use super::history::{History, Role};
use super::losses::Losses;
use super::reply_settings::{ReplyPurpose, ReplySettings, seed_of};
use super::{compaction, params};
use crate::WireApi;
use crate::json::raw::{Fields, Literal};
use crate::json::write::JsonWriter;

/// Translates the body of `POST /responses` (or `/responses/compact`) for a Chat upstream.
pub fn responses_to_chat(
    body: &[u8],
    settings: &TranslationContext<'_>,
) -> Result<TranslatedRequest, TranslateError> {
    let request: Body<'_, Input<'_>> = Body::read(body)?;
    let dialect = settings.dialect;
    let purpose = purpose_of(settings, request.history.as_ref());
    let is_summary = purpose != ReplyPurpose::Turn;
    let Body {
        fields,
        history: input,
    } = request;
    params::refuse_stored(&fields)?;
    let losses = Losses::new(settings.strict);
    let mut history = History::new(dialect, settings.reasoning, losses, is_summary);
    history.declare(fields.get("tools"), "tools")?;
    if let Some(instructions) = fields
        .literal("instructions")
        .filter(|text| !text.is_empty())
    {
        history.say(Role::Developer, instructions);
    }
    if !is_summary
        && let Some(text) = params::schema_as_text(&fields, dialect, &mut history.losses)?
    {
        history.say(Role::Developer, Literal::plain(&text));
    }
    match input {
        Some(Input::Items(items)) => history.read(&items)?,
        Some(Input::Text(text)) => history.say(Role::User, Literal::plain(&text.0)),
        None if fields.get("instructions").is_some() => {}
        None => return Err(missing_input(&fields)),
    }
    if is_summary {
        history.say(Role::User, Literal::plain(compaction::REQUEST));
    }
    let client_streams =
        fields.flag("stream") == Some(true) && purpose != ReplyPurpose::CompactReply;

    let mut json = JsonWriter::with_capacity(body.len() + 1024);
    json.begin_object()
        .field_str("model", settings.model)
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
        params::write_tools(&mut json, &fields, &mut history.tools, dialect, &mut losses)?;
        params::write_text(&mut json, &fields, dialect, &mut losses)?;
    }
    params::write(&mut json, &fields, dialect, &mut losses)?;
    json.end_object();

    let reply = ReplySettings {
        client_wire: WireApi::Responses,
        model: settings.model.to_owned(),
        client_streams,
        upstream_streams: client_streams,
        wants_usage: true,
        purpose,
        tools: history.tools.map,
        used_call_ids: history.call_ids,
        seed: seed_of(settings.request_id),
        created_at: settings.created_at,
        dialect: *dialect,
        parallel: fields.flag("parallel_tool_calls").unwrap_or(true),
    };
    Ok(TranslatedRequest {
        body: json.out,
        losses: losses.into_vec(),
        reply,
    })
}

/// A trigger among the items turns an ordinary request into one for a compaction item.
fn purpose_of(settings: &TranslationContext<'_>, input: Option<&Input<'_>>) -> ReplyPurpose {
    let asks_for_summary = input.is_some_and(Input::asks_for_summary);
    if settings.purpose == ReplyPurpose::Turn && asks_for_summary {
        return ReplyPurpose::CompactionItem;
    }
    settings.purpose
}

fn missing_input(fields: &Fields<'_>) -> TranslateError {
    let hint = if fields.get("messages").is_some() {
        "it is missing; a body with `messages` belongs to /chat/completions"
    } else {
        "it is missing"
    };
    TranslateError::malformed("input", hint)
}
