//! A Chat request as a Responses request.

mod content;
mod messages;
mod params;
mod tool_messages;
mod tools;

use super::body::Body;
use super::context::{TranslatedRequest, TranslationContext};
use super::error::TranslateError;
use super::losses::Losses;
use super::reply_settings::{ReplyPurpose, ReplySettings, seed_of};
use super::tool_map::ToolMap;
use crate::WireApi;
use crate::chat::Message;
use crate::dialect::Dialect;
use crate::json::raw::{Fields, Literal};
use crate::json::write::JsonWriter;
use messages::Messages;

/// Said to an upstream that refuses a request without instructions, when the client gave none.
const NEUTRAL: &str = "You are a helpful assistant.";

/// Said in the input where the instructions alone ask for JSON: upstreams look for the word there.
const JSON_REMINDER: &str = "Answer with one JSON object.";

/// Translates the body of `POST /chat/completions` for a Responses upstream. See
/// [`responses_to_chat`](super::responses_to_chat) for the context.
///
/// # Errors
/// When the body is not a Chat request, or something that matters has no counterpart.
pub fn chat_to_responses(
    body: &[u8],
    context: &TranslationContext<'_>,
) -> Result<TranslatedRequest, TranslateError> {
    let request: Body<'_, Vec<Message<'_>>> = Body::read(body)?;
    let fields = request.fields;
    params::refuse(&fields)?;
    let dialect = context.dialect;
    let mut losses = Losses::new(context.strict);
    let messages = Messages::new(request.history.ok_or_else(|| missing_messages(&fields))?);
    let client_streams = fields.flag("stream") == Some(true);
    let upstream_streams = client_streams || dialect.stream_only;

    let mut json = JsonWriter::with_capacity(body.len() + 1024);
    json.begin_object()
        .field_str("model", context.model)
        .field_flag("stream", upstream_streams);
    json.field_flag("store", dialect.store);
    write_include(&mut json, &fields, dialect);
    let lead = write_instructions(&mut json, &messages, dialect);
    write_input(&mut json, &messages, lead, &fields, context, &mut losses)?;
    tools::write(&mut json, &fields, &mut losses)?;
    params::write(&mut json, &fields, dialect, &mut losses)?;
    json.end_object();

    let options = fields.object("stream_options");
    let wants_usage = options.and_then(|options| options.flag("include_usage"));
    let reply = ReplySettings {
        client_wire: WireApi::Chat,
        model: context.model.to_owned(),
        client_streams,
        upstream_streams,
        wants_usage: wants_usage == Some(true),
        purpose: ReplyPurpose::Turn,
        tools: ToolMap::default(),
        used_call_ids: std::collections::HashSet::new(),
        seed: seed_of(context.request_id),
        created_at: context.created_at,
        completed_at: context.created_at,
        dialect: *dialect,
        echo: String::new(),
        is_codex: context.is_codex,
    };
    Ok(TranslatedRequest {
        body: json.out,
        losses: losses.into_vec(),
        reply,
    })
}

fn write_include(json: &mut JsonWriter, fields: &Fields<'_>, dialect: &Dialect) {
    json.key("include")
        .begin_array()
        .string("reasoning.encrypted_content");
    if fields.flag("logprobs") == Some(true) && dialect.logprobs {
        json.string("message.output_text.logprobs");
    }
    json.end_array();
}

/// Writes the instructions; gives how many messages they took.
fn write_instructions(json: &mut JsonWriter, messages: &Messages<'_>, dialect: &Dialect) -> usize {
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
    lead
}

fn write_input(
    json: &mut JsonWriter,
    messages: &Messages<'_>,
    lead: usize,
    fields: &Fields<'_>,
    context: &TranslationContext<'_>,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let format = fields.object("response_format");
    let kind = format.and_then(|format| format.text("type"));
    let wants_json = kind.as_deref() == Some("json_object");
    let start = json.out.len();
    messages.write(json, lead, context, losses)?;
    if wants_json && lead > 0 {
        let input = json.out.get(start..).unwrap_or_default();
        let input = String::from_utf8_lossy(input).to_ascii_lowercase();
        if !input.contains("json") {
            messages::write_reminder(json, JSON_REMINDER);
        }
    }
    json.end_array();
    Ok(())
}

fn missing_messages(fields: &Fields<'_>) -> TranslateError {
    let hint = if fields.get("input").is_some() {
        "it is missing; a body with `input` belongs to /responses"
    } else {
        "it is missing"
    };
    TranslateError::malformed("messages", hint)
}
