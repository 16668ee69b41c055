//! The parts of the Chat Completions format that translation reads: messages, chunks and whole
//! answers, borrowed.
//!
//! Forgiving where upstreams differ: ids, texts and arguments are taken undecoded, so that a null,
//! a number or an object in their place is no parse error.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::raw::Str;

/// A message of a request or an answer, or the delta of a chunk.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default)]
    pub(crate) role: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    pub(crate) function_call: Option<Function<'a>>,
    #[serde(borrow, default)]
    pub(crate) tool_call_id: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<&'a RawValue>,
}

/// A call, or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ToolCall<'a> {
    #[serde(default)]
    pub(crate) index: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) function: Option<Function<'a>>,
    #[serde(borrow, default)]
    pub(crate) custom: Option<Custom<'a>>,
    #[serde(borrow, default)]
    pub(crate) extra_content: Option<&'a RawValue>,
}

/// Name and arguments of a call.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Function<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// Name and text of a freeform call.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Custom<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) input: Option<&'a RawValue>,
}

/// A chunk of a stream, or a whole answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) service_tier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(crate) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) error: Option<&'a RawValue>,
}

/// One alternative of an answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(default)]
    pub(crate) index: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) delta: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(crate) message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
    /// Some upstreams put the usage here.
    #[serde(borrow, default)]
    pub(crate) usage: Option<&'a RawValue>,
}

/// A part of a message's content.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ContentPart<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(crate) kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) input_audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) file: Option<&'a RawValue>,
}
