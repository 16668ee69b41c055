//! The fields of a request that decisions depend on.

use std::ops::Range;

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
    pub(super) entries: Vec<(String, String)>,
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
