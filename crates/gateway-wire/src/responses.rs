//! The parts of the Responses format that translation reads: input items and stream events,
//! borrowed.
//!
//! One flat struct for all items and one for all events: kinds that nobody knows yet parse like the
//! known ones, and what is not named here is skipped without being built.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::raw::{Str, array_of};

/// An item of `input` or `output`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Item<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(crate) kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) role: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) call_id: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Str<'a>>,
    #[serde(borrow, default)]
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
pub(crate) struct Part<'a> {
    #[serde(rename = "type", borrow, default)]
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
    #[serde(rename = "type", borrow, default)]
    pub(crate) kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) item_id: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) output_index: Option<u64>,
    #[serde(default)]
    pub(crate) summary_index: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) response: Option<&'a RawValue>,
}

/// The content parts of an array; what is not one is left out.
pub(crate) fn parts_of(content: &RawValue) -> Vec<Part<'_>> {
    array_of(content)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|part| serde_json::from_str(part.get()).ok())
        .collect()
}
