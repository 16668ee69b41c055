//! A Responses request as a Chat request.

use super::body::{Body, Input};
use super::history::{History, Role};
use super::json::{Fields, JsonWriter, Literal};
use super::loss::Losses;
use super::plan::{Purpose, ReplyPlan, seed_of};
use super::{Settings, TranslateError, Translated, compaction, params};
use crate::WireApi;

/// Translates the body of `POST /responses` (or `/responses/compact`) for a Chat upstream.
pub fn responses_to_chat(
    body: &[u8],
    settings: &Settings<'_>,
) -> Result<Translated, TranslateError> {
    let request: Body<'_, Input<'_>> = Body::read(body)?;
    let dialect = settings.dialect;
    let purpose = match settings.purpose {
        Purpose::Turn
            if request
                .history
                .as_ref()
                .is_some_and(Input::asks_for_summary) =>
        {
            Purpose::CompactionItem
        }
        Purpose::Turn | Purpose::CompactionItem | Purpose::CompactReply => settings.purpose,
    };
    let is_summary = purpose != Purpose::Turn;
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
    let client_streams = fields.flag("stream") == Some(true) && purpose != Purpose::CompactReply;

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

    let reply = ReplyPlan {
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
    Ok(Translated {
        body: json.out,
        losses: losses.into_vec(),
        reply,
    })
}

fn missing_input(fields: &Fields<'_>) -> TranslateError {
    let hint = if fields.get("messages").is_some() {
        "it is missing; a body with `messages` belongs to /chat/completions"
    } else {
        "it is missing"
    };
    TranslateError::malformed("input", hint)
}
