//! The parts of the Responses format that translation reads: input items and stream events,
//! borrowed.
//!
//! One flat struct for all items and one for all events: kinds that nobody knows yet parse like the
//! known ones, and what is not named here is skipped without being built.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::lenient;
use crate::json::raw::{Literal, Str, array_of};

/// An item of `input` or `output`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Item<'a> {
    #[serde(rename = "type", borrow, default, deserialize_with = "lenient::label")]
    pub(crate) kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::label")]
    pub(crate) role: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::label")]
    pub(crate) call_id: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::label")]
    pub(crate) name: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::label")]
    pub(crate) namespace: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) summary: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) encrypted_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) action: Option<&'a RawValue>,
}

impl Item<'_> {
    /// The item's kind; an item without one is a message.
    pub(crate) fn kind(&self) -> &str {
        self.kind.as_ref().map_or("message", |kind| &kind.0)
    }
}

/// A content part of a message, an output or a reasoning item.
#[derive(Debug, Deserialize)]
pub(crate) struct ResponsesPart<'a> {
    #[serde(rename = "type", borrow, default, deserialize_with = "lenient::label")]
    pub(crate) kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) detail: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) input_audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) file_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) filename: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
}

/// An event of a stream.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(rename = "type", borrow, default, deserialize_with = "lenient::label")]
    pub(crate) kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) item_id: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient::index")]
    pub(crate) output_index: Option<u64>,
    #[serde(default, deserialize_with = "lenient::index")]
    pub(crate) summary_index: Option<u64>,
    #[serde(default, deserialize_with = "lenient::index")]
    pub(crate) content_index: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) response: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Reads an event that is as it should be.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        // A list would be read as the fields in their order.
        let is_object = data.trim_ascii_start().starts_with(b"{");
        is_object.then(|| serde_json::from_slice(data).ok())?
    }
}

impl<'a> Item<'a> {
    /// Reads an item that is as it should be.
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        raw.get()
            .starts_with('{')
            .then(|| serde_json::from_str(raw.get()).ok())?
    }
}

impl<'a> ResponsesPart<'a> {
    /// A text in place of a list of parts.
    const fn of_text(text: &'a RawValue) -> Self {
        Self {
            kind: None,
            text: Some(text),
            refusal: None,
            image_url: None,
            detail: None,
            input_audio: None,
            file_data: None,
            filename: None,
            annotations: None,
            logprobs: None,
        }
    }
}

/// The content parts of a list, or of a text in its place. `None` when one of them cannot be read.
pub(crate) fn parts_of(content: Option<&RawValue>) -> Option<Vec<ResponsesPart<'_>>> {
    let Some(content) = content else {
        return Some(Vec::new());
    };
    if Literal::of(content).is_some() {
        return Some(vec![ResponsesPart::of_text(content)]);
    }
    array_of(content)?
        .into_iter()
        .map(|part| {
            part.get()
                .starts_with('{')
                .then(|| serde_json::from_str(part.get()).ok())?
        })
        .collect()
}
