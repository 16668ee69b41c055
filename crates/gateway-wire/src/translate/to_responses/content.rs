//! Content of Chat messages as input parts of a Responses request, inside its schema.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::dialect::Dialect;
use crate::json::raw::{Fields, Literal, array_of, fields_of, text_piece};
use crate::json::write::JsonWriter;
use crate::translate::chat_content::{ContentPiece, TextKind, pieces_of};
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;

/// Levels of detail that an image may be asked for in.
const DETAILS: [&str; 3] = ["low", "high", "auto"];

/// Writes content as input parts.
pub(super) struct ContentWriter<'w> {
    pub(super) dialect: &'w Dialect,
    pub(super) losses: &'w mut Losses,
}

impl ContentWriter<'_> {
    /// Writes content without the brackets.
    pub(super) fn write(
        &mut self,
        json: &mut JsonWriter,
        path: &str,
        content: Option<&RawValue>,
    ) -> Result<(), TranslateError> {
        let Some(content) = content else {
            return Ok(());
        };
        if let Some(text) = Literal::of(content) {
            write_text(json, &text);
            return Ok(());
        }
        let parts = array_of(content).unwrap_or_else(|| vec![content]);
        for (n, part) in parts.into_iter().enumerate() {
            self.write_part(json, &format!("{path}[{n}]"), part)?;
        }
        Ok(())
    }

    fn write_part(
        &mut self,
        json: &mut JsonWriter,
        path: &str,
        raw: &RawValue,
    ) -> Result<(), TranslateError> {
        let Some(part) = fields_of(raw) else {
            return match text_piece(raw) {
                Some(text) => {
                    write_text(json, &text);
                    Ok(())
                }
                None if raw.get() == "null" => Ok(()),
                None => Err(TranslateError::malformed(
                    path,
                    "a content part must be an object",
                )),
            };
        };
        let kind = part.text("type").unwrap_or_default();
        match &*kind {
            "image_url" | "input_image" | "image" => self.write_image(json, path, &part),
            "file" | "input_file" => self.write_file(json, path, &part),
            // No Responses endpoint takes audio.
            "input_audio" => self.losses.note(LossKind::Audio, path),
            _ => self.write_texts(json, path, raw, &kind),
        }
    }

    /// Texts of a part; of one of an unknown kind too, whose rest is lost.
    fn write_texts(
        &mut self,
        json: &mut JsonWriter,
        path: &str,
        raw: &RawValue,
        kind: &str,
    ) -> Result<(), TranslateError> {
        if kind == "tool_use" || kind == "tool_call" {
            return Err(TranslateError::unsupported(
                path,
                "it is a call of a tool inside of content; send calls in `tool_calls`",
            ));
        }
        let Some(pieces) = pieces_of(raw, TextKind::Text) else {
            return Err(TranslateError::malformed(path, "its text cannot be read"));
        };
        for piece in pieces {
            match piece {
                ContentPiece::Text(text) | ContentPiece::Refusal(text) => write_text(json, &text),
                ContentPiece::Reasoning(_) => self.losses.note(LossKind::Reasoning, path)?,
                ContentPiece::Lost(loss) => self.losses.note(loss, path)?,
            }
        }
        Ok(())
    }

    fn write_image(
        &mut self,
        json: &mut JsonWriter,
        path: &str,
        part: &Fields<'_>,
    ) -> Result<(), TranslateError> {
        let object = part.object("image_url").unwrap_or_default();
        let url = part
            .literal("image_url")
            .or_else(|| object.literal("url"))
            .map(Literal::decode)
            .or_else(|| embedded_image(part).map(Cow::Owned));
        let file_id = part.literal("file_id");
        if !self.dialect.images || (url.is_none() && file_id.is_none()) {
            return self.losses.note(LossKind::Image, path);
        }
        json.begin_object().field_str("type", "input_image");
        if let Some(url) = &url {
            json.field_str("image_url", url);
        }
        if let Some(id) = file_id {
            json.key("file_id").literal(&id);
        }
        let wanted = object.text("detail").or_else(|| part.text("detail"));
        let detail = wanted.unwrap_or(Cow::Borrowed("auto"));
        if DETAILS.contains(&&*detail) {
            json.field_str("detail", &detail).end_object();
            return Ok(());
        }
        json.field_str("detail", "auto").end_object();
        self.losses
            .note(LossKind::ImageDetail, format!("{path}.detail"))
    }

    fn write_file(
        &mut self,
        json: &mut JsonWriter,
        path: &str,
        part: &Fields<'_>,
    ) -> Result<(), TranslateError> {
        const NAMES: [&str; 4] = ["file_data", "file_id", "file_url", "filename"];
        let file = part.object("file");
        let file = file.as_ref().unwrap_or(part);
        let has_content = NAMES[..3].iter().any(|name| file.get(name).is_some());
        if !self.dialect.files || !has_content {
            return self.losses.note(LossKind::File, path);
        }
        json.begin_object().field_str("type", "input_file");
        for name in NAMES {
            if let Some(value) = file.get(name) {
                json.field_raw(name, value.get());
            }
        }
        json.end_object();
        Ok(())
    }
}

pub(super) fn write_text(json: &mut JsonWriter, text: &Literal<'_>) {
    json.begin_object()
        .field_str("type", "input_text")
        .key("text")
        .literal(text)
        .end_object();
}

/// An image that stands in the part itself, as a data URL.
fn embedded_image(part: &Fields<'_>) -> Option<String> {
    let source = part.object("source")?;
    if let Some(url) = source.text("url") {
        return Some(url.into_owned());
    }
    let data = source.text("data")?;
    let kind = source.text("media_type")?;
    Some(format!("data:{kind};base64,{data}"))
}
