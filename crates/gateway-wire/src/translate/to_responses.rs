//! A Chat request as a Responses request.

mod messages;
mod params;

use super::body::Body;
use super::context::{TranslatedRequest, TranslationContext};
use super::error::TranslateError;
use super::losses::Losses;
use super::reply_settings::{ReplyPurpose, ReplySettings, seed_of};
use super::tool_map::ToolMap;
use crate::WireApi;
use crate::chat::Message;
use crate::json::raw::Literal;
use crate::json::write::JsonWriter;
use messages::Messages;

/// Said to an upstream that refuses a request without instructions, when the client gave none.
const NEUTRAL: &str = "You are a helpful assistant.";

/// Translates the body of `POST /chat/completions` for a Responses upstream.
pub fn chat_to_responses(
    body: &[u8],
    settings: &TranslationContext<'_>,
) -> Result<TranslatedRequest, TranslateError> {
    let request: Body<'_, Vec<Message<'_>>> = Body::read(body)?;
    let fields = request.fields;
    params::refuse(&fields)?;
    let dialect = settings.dialect;
    let mut losses = Losses::new(settings.strict);
    let Some(messages) = request.history else {
        let hint = if fields.get("input").is_some() {
            "it is missing; a body with `input` belongs to /responses"
        } else {
            "it is missing"
        };
        return Err(TranslateError::malformed("messages", hint));
    };
    let messages = Messages::new(messages);
    let client_streams = fields.flag("stream") == Some(true);
    let upstream_streams = client_streams || dialect.stream_only;

    let mut json = JsonWriter::with_capacity(body.len() + 1024);
    json.begin_object()
        .field_str("model", settings.model)
        .field_flag("stream", upstream_streams);
    json.field_flag("store", dialect.store);
    json.key("include")
        .begin_array()
        .string("reasoning.encrypted_content");
    if fields.flag("logprobs") == Some(true) && dialect.logprobs {
        json.string("message.output_text.logprobs");
    }
    json.end_array();
    let lead = if dialect.system_in_input && !dialect.instructions_required {
        0
    } else {
        messages.leading_system()
    };
    let instructions = messages.instructions(lead);
    if lead > 0 && !instructions.is_empty() {
        json.key("instructions").literal(&instructions);
    } else if dialect.instructions_required {
        json.key("instructions").literal(&Literal::plain(NEUTRAL));
    }
    messages.write(&mut json, lead, settings, &mut losses)?;
    params::write_tools(&mut json, &fields, &mut losses)?;
    params::write(&mut json, &fields, dialect, &mut losses)?;
    json.end_object();

    let wants_usage = fields
        .object("stream_options")
        .and_then(|options| options.flag("include_usage"))
        == Some(true);
    let reply = ReplySettings {
        client_wire: WireApi::Chat,
        model: settings.model.to_owned(),
        client_streams,
        upstream_streams,
        wants_usage,
        purpose: ReplyPurpose::Turn,
        tools: ToolMap::default(),
        used_call_ids: std::collections::HashSet::new(),
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
