//! The parts of the Chat Completions format that translation reads: messages, chunks and whole
//! answers, borrowed.
//!
//! Lenient where upstreams differ and mean the same: ids, texts and arguments are taken undecoded,
//! so that a null, a number or an object in their place is not a parse error. What cannot be read
//! is one, so that nothing of an answer is lost unnoticed.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::lenient;
use crate::json::raw::Str;

/// A message of a request or an answer, or the delta of a chunk.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::label")]
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
    #[serde(borrow, default, deserialize_with = "lenient::objects")]
    pub(crate) tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    pub(crate) function_call: Option<Function<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::label")]
    pub(crate) tool_call_id: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<&'a RawValue>,
}

/// A call, or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ToolCall<'a> {
    #[serde(default, deserialize_with = "lenient::index")]
    pub(crate) index: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    pub(crate) function: Option<Function<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    pub(crate) custom: Option<Custom<'a>>,
    #[serde(borrow, default)]
    pub(crate) extra_content: Option<&'a RawValue>,
}

/// Name and arguments of a call.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Function<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::label")]
    pub(crate) name: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// Name and text of a freeform call.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Custom<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::label")]
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
    #[serde(borrow, default, deserialize_with = "lenient::objects")]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(crate) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) error: Option<&'a RawValue>,
    /// Some upstreams wrap the whole in this.
    #[serde(borrow, default)]
    pub(crate) data: Option<&'a RawValue>,
}

impl<'a> Chunk<'a> {
    /// The usage, wherever the upstream puts it.
    pub(crate) fn usage(&self) -> Option<&'a RawValue> {
        let mut choices = self.choices.iter().flatten();
        self.usage
            .or_else(|| choices.find_map(|choice| choice.usage))
    }

    /// Reads a chunk that is as it should be.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        // A list would be read as the fields in their order.
        let is_object = data.trim_ascii_start().starts_with(b"{");
        is_object.then(|| serde_json::from_slice(data).ok())?
    }

    /// Whether it is worth a look for an error.
    pub(crate) fn may_be_error(&self) -> bool {
        self.is_bare() || self.error.is_some()
    }

    /// Whether it says nothing of an answer.
    pub(crate) fn is_bare(&self) -> bool {
        self.choices.as_ref().is_none_or(Vec::is_empty) && self.usage().is_none()
    }
}

/// One alternative of an answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(default, deserialize_with = "lenient::index")]
    pub(crate) index: Option<u64>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    pub(crate) delta: Option<Message<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    pub(crate) message: Option<Message<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::label")]
    pub(crate) finish_reason: Option<Str<'a>>,
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
    /// Some upstreams put the usage here.
    #[serde(borrow, default)]
    pub(crate) usage: Option<&'a RawValue>,
    /// The text of a completion of the older kind.
    #[serde(borrow, default)]
    pub(crate) text: Option<&'a RawValue>,
    /// Why this alternative broke off.
    #[serde(borrow, default)]
    pub(crate) error: Option<&'a RawValue>,
}
