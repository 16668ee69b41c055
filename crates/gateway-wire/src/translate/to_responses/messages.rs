//! Chat messages as Responses items. A call is always followed by its output, and no output stands
//! without its call.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;

use crate::chat::{ContentPart, Message, ToolCall};
use crate::dialect::Dialect;
use crate::json::raw::{Literal, fields_of, text_of};
use crate::json::write::JsonWriter;
use crate::translate::context::TranslationContext;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;

/// Said to the model where a call never got an output.
const NO_OUTPUT: &str = "No output was recorded for this call.";

/// The messages of a request.
pub(super) struct Messages<'a> {
    list: Vec<Message<'a>>,
}

/// Where the tool messages of each call stand.
#[derive(Default)]
struct ToolMessages<'a> {
    waiting: HashMap<Cow<'a, str>, VecDeque<usize>>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(list: Vec<Message<'a>>) -> Self {
        Self { list }
    }

    /// How many messages at the start are the operator's.
    pub(super) fn leading_system(&self) -> usize {
        self.list
            .iter()
            .take_while(|message| matches!(role(message), "system" | "developer"))
            .count()
    }

    /// The texts of the first messages in one.
    pub(super) fn instructions(&self, lead: usize) -> Literal<'a> {
        let texts: Vec<_> = self
            .list
            .iter()
            .take(lead)
            .filter_map(|message| message.content)
            .flat_map(texts)
            .collect();
        Literal::join(&texts, r"\n\n")
    }

    /// Writes `"input":[…]`, without the first `lead` messages.
    pub(super) fn write(
        &self,
        json: &mut JsonWriter,
        lead: usize,
        settings: &TranslationContext<'_>,
        losses: &mut Losses,
    ) -> Result<(), TranslateError> {
        let mut outputs = self.outputs(lead);
        let claimed = self.claimed(lead, &outputs);
        json.key("input").begin_array();
        for (index, message) in self.list.iter().enumerate().skip(lead) {
            let path = format!("messages[{index}]");
            match role(message) {
                "assistant" => {
                    self.write_assistant(json, message, &path, &mut outputs, settings, losses)?;
                }
                "tool" => {
                    if !claimed.contains(&index) {
                        losses.note(LossKind::OrphanOutput, path.clone())?;
                        open_message(json, "user");
                        json.begin_object().field_str("type", "input_text");
                        json.field_str("text", "Output of an earlier tool call:")
                            .end_object();
                        write_input(
                            json,
                            &format!("{path}.content"),
                            message.content,
                            settings.dialect,
                            losses,
                        )?;
                        json.end_array().end_object();
                    }
                }
                role @ ("user" | "system" | "developer") => {
                    if message.name.is_some() {
                        losses.note(LossKind::Parameter, format!("{path}.name"))?;
                    }
                    let role = if role == "system" && !settings.dialect.system_in_input {
                        "developer"
                    } else {
                        role
                    };
                    open_message(json, role);
                    write_input(
                        json,
                        &format!("{path}.content"),
                        message.content,
                        settings.dialect,
                        losses,
                    )?;
                    json.end_array().end_object();
                }
                other => {
                    return Err(TranslateError::malformed(
                        format!("{path}.role"),
                        format!("unknown role `{other}`"),
                    ));
                }
            }
        }
        json.end_array();
        Ok(())
    }

    fn outputs(&self, lead: usize) -> ToolMessages<'a> {
        let mut outputs = ToolMessages::default();
        for (index, message) in self.list.iter().enumerate().skip(lead) {
            if let ("tool", Some(id)) = (role(message), &message.tool_call_id) {
                outputs
                    .waiting
                    .entry(id.0.clone())
                    .or_default()
                    .push_back(index);
            }
        }
        outputs
    }

    /// The tool messages that some call will take.
    fn claimed(&self, lead: usize, outputs: &ToolMessages<'a>) -> std::collections::HashSet<usize> {
        let mut calls: HashMap<Cow<'a, str>, usize> = HashMap::new();
        for message in self
            .list
            .iter()
            .skip(lead)
            .filter(|message| role(message) == "assistant")
        {
            for call in message.tool_calls.iter().flatten() {
                if let Some(id) = call.id.and_then(text_of) {
                    *calls.entry(id).or_default() += 1;
                }
            }
        }
        calls
            .iter()
            .filter_map(|(id, count)| {
                outputs
                    .waiting
                    .get(id)
                    .map(|places| places.iter().take(*count))
            })
            .flatten()
            .copied()
            .collect()
    }

    fn write_assistant(
        &self,
        json: &mut JsonWriter,
        message: &Message<'a>,
        path: &str,
        outputs: &mut ToolMessages<'a>,
        settings: &TranslationContext<'_>,
        losses: &mut Losses,
    ) -> Result<(), TranslateError> {
        if message.function_call.is_some() {
            return Err(TranslateError::unsupported(
                format!("{path}.function_call"),
                super::params::OLD_FUNCTIONS,
            ));
        }
        if message.audio.is_some() {
            losses.note(LossKind::Audio, format!("{path}.audio"))?;
        }
        let calls = message.tool_calls.as_deref().unwrap_or_default();
        write_reasoning(json, message, calls, path, settings, losses)?;
        let texts = message.content.map(texts).unwrap_or_default();
        let refusal = message.refusal.and_then(Literal::of);
        if !texts.is_empty() || refusal.is_some() {
            open_message(json, "assistant");
            for text in &texts {
                json.begin_object()
                    .field_str("type", "output_text")
                    .key("text")
                    .literal(text)
                    .end_object();
            }
            if let Some(refusal) = refusal {
                json.begin_object()
                    .field_str("type", "refusal")
                    .key("refusal")
                    .literal(&refusal)
                    .end_object();
            }
            json.end_array().end_object();
        }
        let mut ids = Vec::with_capacity(calls.len());
        for (n, call) in calls.iter().enumerate() {
            let path = format!("{path}.tool_calls[{n}]");
            let id = call.id.and_then(text_of).filter(|id| !id.is_empty());
            let id = id.unwrap_or_else(|| Cow::Owned(path.replace(['[', ']', '.'], "_")));
            if !write_call(json, call, &id) {
                return Err(TranslateError::malformed(
                    path,
                    "a call needs `function` or `custom` with a name",
                ));
            }
            ids.push((id, call.custom.is_some(), path));
        }
        for (id, is_custom, path) in ids {
            let kind = if is_custom {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            };
            json.begin_object()
                .field_str("type", kind)
                .field_str("call_id", &id)
                .key("output");
            let place = outputs.waiting.get_mut(&id).and_then(VecDeque::pop_front);
            if let Some(output) = place.and_then(|place| self.list.get(place)) {
                write_output(json, output.content, &path, settings.dialect, losses)?;
            } else {
                losses.note(LossKind::MissingOutput, path)?;
                json.string(NO_OUTPUT);
            }
            json.end_object();
        }
        Ok(())
    }
}

fn role<'m>(message: &'m Message<'_>) -> &'m str {
    message.role.as_ref().map_or("", |role| &role.0)
}

/// The texts of a string or of an array of parts.
fn texts(content: &RawValue) -> Vec<Literal<'_>> {
    if let Some(text) = Literal::of(content) {
        return if text.is_empty() { vec![] } else { vec![text] };
    }
    let parts: Vec<ContentPart<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
    parts
        .into_iter()
        .filter_map(|part| part.text.or(part.refusal).and_then(Literal::of))
        .filter(|text| !text.is_empty())
        .collect()
}

fn open_message(json: &mut JsonWriter, role: &str) {
    json.begin_object()
        .field_str("type", "message")
        .field_str("role", role)
        .key("content")
        .begin_array();
}

/// Reasoning items that came with the message's calls; text alone is nothing that a Responses
/// upstream takes back.
fn write_reasoning(
    json: &mut JsonWriter,
    message: &Message<'_>,
    calls: &[ToolCall<'_>],
    path: &str,
    settings: &TranslationContext<'_>,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let kept = calls
        .iter()
        .filter_map(|call| call.id.and_then(text_of))
        .find_map(|id| settings.reasoning.find(&id));
    let items = kept
        .as_ref()
        .map(|blob| blob.items.as_slice())
        .unwrap_or_default();
    for item in items {
        json.raw(item);
    }
    if items.is_empty() && (message.reasoning_content.is_some() || message.reasoning.is_some()) {
        losses.note(LossKind::Reasoning, path)?;
    }
    Ok(())
}

/// Writes one call item. False when it names no tool.
fn write_call(json: &mut JsonWriter, call: &ToolCall<'_>, id: &str) -> bool {
    if let Some(custom) = &call.custom {
        let Some(name) = &custom.name else {
            return false;
        };
        json.begin_object()
            .field_str("type", "custom_tool_call")
            .field_str("call_id", id);
        json.field_str("name", &name.0).key("input");
        json.literal(
            &custom
                .input
                .and_then(Literal::of)
                .unwrap_or_else(|| Literal::plain("")),
        )
        .end_object();
        return true;
    }
    let Some(function) = &call.function else {
        return false;
    };
    let Some(name) = function.name.as_ref().filter(|name| !name.0.is_empty()) else {
        return false;
    };
    json.begin_object()
        .field_str("type", "function_call")
        .field_str("call_id", id);
    json.field_str("name", &name.0).key("arguments");
    match function.arguments {
        Some(raw) => match Literal::of(raw).filter(|text| !text.is_empty()) {
            Some(text) => json.literal(&text),
            None if raw.get() == "\"\"" => json.string("{}"),
            None => json.string(raw.get()),
        },
        None => json.string("{}"),
    };
    json.end_object();
    true
}

fn write_output(
    json: &mut JsonWriter,
    content: Option<&RawValue>,
    path: &str,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    match content {
        Some(content) if content.get().starts_with('[') => {
            json.begin_array();
            write_input(json, path, Some(content), dialect, losses)?;
            json.end_array();
        }
        Some(content) => {
            json.literal(&Literal::of(content).unwrap_or_else(|| Literal::plain(content.get())));
        }
        None => {
            json.string("");
        }
    }
    Ok(())
}

/// Writes content as input parts, without the brackets.
fn write_input(
    json: &mut JsonWriter,
    path: &str,
    content: Option<&RawValue>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let Some(content) = content else {
        return Ok(());
    };
    if let Some(text) = Literal::of(content) {
        json.begin_object()
            .field_str("type", "input_text")
            .key("text")
            .literal(&text)
            .end_object();
        return Ok(());
    }
    let parts: Vec<ContentPart<'_>> = serde_json::from_str(content.get())
        .map_err(|error| TranslateError::malformed(path, error.to_string()))?;
    for (n, part) in parts.iter().enumerate() {
        write_part(json, &format!("{path}[{n}]"), part, dialect, losses)?;
    }
    Ok(())
}

fn write_part(
    json: &mut JsonWriter,
    path: &str,
    part: &ContentPart<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    match part.kind.as_ref().map_or("", |kind| &kind.0) {
        "image_url" => {
            let object = part.image_url.and_then(fields_of);
            let url = part
                .image_url
                .and_then(Literal::of)
                .or_else(|| object.as_ref()?.literal("url"));
            let Some(url) = url.filter(|_| dialect.images) else {
                return losses.note(LossKind::Image, path);
            };
            json.begin_object()
                .field_str("type", "input_image")
                .key("image_url")
                .literal(&url);
            if let Some(detail) = object.and_then(|object| object.literal("detail")) {
                json.key("detail").literal(&detail);
            }
            json.end_object();
        }
        "file" => {
            let Some(file) = part.file.and_then(fields_of).filter(|_| dialect.files) else {
                return losses.note(LossKind::File, path);
            };
            json.begin_object().field_str("type", "input_file");
            for name in ["file_data", "filename", "file_id"] {
                if let Some(value) = file.get(name) {
                    json.field_raw(name, value.get());
                }
            }
            json.end_object();
        }
        "input_audio" => {
            let Some(audio) = part.input_audio.filter(|_| dialect.audio) else {
                return losses.note(LossKind::Audio, path);
            };
            json.begin_object()
                .field_str("type", "input_audio")
                .field_raw("input_audio", audio.get())
                .end_object();
        }
        "text" | "refusal" | "" => {
            if let Some(text) = part.text.or(part.refusal).and_then(Literal::of) {
                json.begin_object()
                    .field_str("type", "input_text")
                    .key("text")
                    .literal(&text)
                    .end_object();
            }
        }
        _ => losses.note(LossKind::UnknownContent, path)?,
    }
    Ok(())
}
