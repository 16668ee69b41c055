//! Reads the few fields of a request body that decisions hang on, in one pass, from a whole body or
//! from one that is still arriving.
//!
//! Checks that the body is one JSON object, by the grammar `serde_json` accepts, and that it names
//! one model only. Builds no value of it and keeps nothing but [`RequestHead`].

use std::ops::Range;

mod features;
mod scan;
mod text;

pub use features::{RequestFeatures, features};
pub use scan::HeadScanner;

/// The top-level fields of a Responses or Chat body that matter before it is sent. Absent, null or
/// wrongly typed fields are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// `model`.
    pub model: Option<ModelValue>,
    /// `stream`.
    pub stream: Option<bool>,
    /// `service_tier`.
    pub service_tier: Option<String>,
    /// `reasoning.effort`, or `reasoning_effort`; a number as its text.
    pub effort: Option<String>,
    /// `previous_response_id`.
    pub previous_response_id: Option<String>,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<String>,
    /// The largest of `max_output_tokens`, `max_completion_tokens` and `max_tokens`.
    pub max_output_tokens: Option<u64>,
    /// `store`.
    pub store: Option<bool>,
    /// `background`.
    pub background: Option<bool>,
    /// `stream_options.include_usage`.
    pub stream_options_include_usage: Option<bool>,
    /// The strings of `client_metadata`, where Codex puts what it also says in headers.
    pub client_metadata: Option<ClientMetadata>,
    /// Whether there is an `input`, as in a Responses body.
    pub has_input: bool,
    /// Whether there are `messages`, as in a Chat body.
    pub has_messages: bool,
    /// Whether there is a `conversation`, state that only one upstream holds.
    pub has_conversation: bool,
}

/// A model id and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelValue {
    /// The id, escapes undone.
    pub id: String,
    /// The JSON string in the body, quotes included.
    pub span: Range<usize>,
}

/// String members of `client_metadata`, at most 16 KiB in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientMetadata {
    entries: Vec<(String, String)>,
}

impl ClientMetadata {
    /// The value of a key; the last one when it stands twice.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// A body that cannot be taken, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (byte {offset})")]
pub struct RequestError {
    /// What is wrong.
    pub kind: RequestErrorKind,
    /// The byte it was found at, from 0.
    pub offset: usize,
}

/// What can be wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestErrorKind {
    /// It is something else, or empty.
    #[error("the request body is not a JSON object")]
    NotAnObject,
    /// Broken JSON.
    #[error("the request body is not valid JSON")]
    Syntax,
    /// A line break or another control character inside a string.
    #[error("the request body has a control character inside a string")]
    ControlCharacter,
    /// It ends too early.
    #[error("the request body ends before its JSON object does")]
    Truncated,
    /// Something follows the object.
    #[error("the request body goes on after its JSON object")]
    TrailingData,
    /// Nested 128 levels deep or deeper.
    #[error("the request body is nested deeper than 127 levels")]
    TooDeep,
    /// Not UTF-8.
    #[error("the request body is not valid UTF-8")]
    BadUtf8,
    /// Two top-level `model` keys, escapes undone.
    #[error("the request body has `model` twice")]
    DuplicateModel,
    /// `model` is no string, or one with half a surrogate pair.
    #[error("`model` in the request body is not a string")]
    ModelNotAString,
    /// More bytes than any model id has.
    #[error("`model` in the request body is too long")]
    ModelTooLong,
}

/// Reads a whole body.
pub fn scan(body: &[u8]) -> Result<RequestHead, RequestError> {
    let mut scanner = HeadScanner::new();
    scanner.push(body)?;
    scanner.finish()
}

#[cfg(test)]
mod tests;
