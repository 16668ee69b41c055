//! ChatContent of messages and outputs: what of it a Chat upstream takes.

use serde_json::value::RawValue;

use crate::dialect::Dialect;
use crate::json::raw::{Literal, fields_of};
use crate::responses::ResponsesPart;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;

/// A content part that Chat can hold.
#[derive(Debug, Clone)]
pub(crate) enum ChatContent<'a> {
    Text(Literal<'a>),
    Image {
        url: Literal<'a>,
        detail: Option<Literal<'a>>,
    },
    /// Raw JSON of `input_audio`.
    Audio(&'a RawValue),
    File {
        data: Literal<'a>,
        name: Option<Literal<'a>>,
    },
}

/// The texts of a string or of an array of parts.
pub(super) fn text_parts(content: &RawValue) -> Vec<Literal<'_>> {
    if let Some(text) = Literal::of(content) {
        return vec![text];
    }
    let parts: Vec<ResponsesPart<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
    parts
        .into_iter()
        .filter_map(|part| part.text.and_then(Literal::of))
        .filter(|text| !text.is_empty())
        .collect()
}

/// The parts of a message or an output that the upstream takes.
pub(super) fn contents<'a>(
    path: &str,
    content: Option<&'a RawValue>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<Vec<ChatContent<'a>>, TranslateError> {
    let Some(content) = content else {
        return Ok(Vec::new());
    };
    if let Some(text) = Literal::of(content) {
        return Ok(vec![ChatContent::Text(text)]);
    }
    let parts: Vec<ResponsesPart<'a>> = if content.get().starts_with('{') {
        serde_json::from_str(content.get()).map(|part| vec![part])
    } else {
        serde_json::from_str(content.get())
    }
    .map_err(|error| TranslateError::malformed(path, error.to_string()))?;
    let mut out = Vec::with_capacity(parts.len());
    for (n, part) in parts.into_iter().enumerate() {
        out.extend(part_content(
            &format!("{path}[{n}]"),
            &part,
            dialect,
            losses,
        )?);
    }
    Ok(out)
}

fn part_content<'a>(
    path: &str,
    part: &ResponsesPart<'a>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<Option<ChatContent<'a>>, TranslateError> {
    let (kind, what) = match part.kind.as_ref().map_or("", |kind| &*kind.0) {
        "input_image" | "image_url" | "computer_screenshot" => {
            if let Some(image) = image(path, part, dialect, losses)? {
                return Ok(Some(image));
            }
            (LossKind::Image, "image")
        }
        "input_file" => {
            let data = part.file_data.and_then(Literal::of);
            if let Some(data) = data.filter(|_| dialect.files) {
                let name = part.filename.and_then(Literal::of);
                return Ok(Some(ChatContent::File { data, name }));
            }
            (LossKind::File, "file")
        }
        "input_audio" => {
            if let Some(audio) = part.input_audio.filter(|_| dialect.audio) {
                return Ok(Some(ChatContent::Audio(audio)));
            }
            (LossKind::Audio, "audio")
        }
        kind => {
            let is_known = matches!(
                kind,
                "input_text"
                    | "output_text"
                    | "text"
                    | "summary_text"
                    | "reasoning_text"
                    | "refusal"
            );
            if !is_known {
                losses.note(LossKind::UnknownContent, path)?;
            }
            let text = part.text.or(part.refusal).and_then(Literal::of);
            return Ok(text.map(ChatContent::Text));
        }
    };
    losses.note(kind, path)?;
    // The model must know that something stood here.
    let text = format!("[{what} left out: it cannot be shown here]");
    Ok(Some(ChatContent::Text(Literal::plain(&text))))
}

/// The image of a part, when it has one that this upstream takes.
fn image<'a>(
    path: &str,
    part: &ResponsesPart<'a>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<Option<ChatContent<'a>>, TranslateError> {
    let url = part
        .image_url
        .and_then(|url| Literal::of(url).or_else(|| fields_of(url)?.literal("url")));
    let Some(url) = url.filter(|_| dialect.images) else {
        return Ok(None);
    };
    let mut detail = part.detail.and_then(Literal::of);
    if detail
        .as_ref()
        .is_some_and(|detail| detail.as_json() == "\"original\"")
    {
        losses.note(LossKind::ImageDetail, format!("{path}.detail"))?;
        detail = None;
    }
    Ok(Some(ChatContent::Image { url, detail }))
}
