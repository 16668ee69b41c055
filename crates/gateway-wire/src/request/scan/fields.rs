//! Which keys matter, and what becomes of their values. Knows nothing about JSON text but how a
//! string is quoted.

use std::ops::Range;

use super::super::error::RequestErrorKind;
use super::super::head::{ModelValue, RequestHead};
use super::members::WrittenMembers;
use crate::json::span::unquote;

/// Longest raw text of a model value. A model id has at most 256 bytes, and an escape takes six for
/// one.
const MAX_MODEL: usize = 4 * 1024;
/// Longest raw text of another captured value, and of a key. Longer ones are not captured.
const MAX_VALUE: usize = 4 * 1024;
/// Most raw bytes of client metadata.
const MAX_METADATA: usize = 16 * 1024;

/// The head as it grows.
#[derive(Debug, Clone)]
pub(super) struct HeadFields {
    pub(super) head: RequestHead,
    /// What the next value, or the one being read, is.
    field: Field,
    /// The object at depth 2 whose members matter.
    inside: Inside,
    written: WrittenMembers,
    metadata_key: String,
    metadata_left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Other,
    Reasoning,
    StreamOptions,
    ClientMetadata,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Other,
    Model,
    Stream,
    ServiceTier,
    Effort,
    PreviousResponseId,
    PromptCacheKey,
    MaxTokens,
    Store,
    Background,
    IncludeUsage,
    Metadata,
    Object(Inside),
}

impl HeadFields {
    pub(super) fn new() -> Self {
        Self {
            head: RequestHead::default(),
            field: Field::Other,
            inside: Inside::Other,
            written: WrittenMembers::default(),
            metadata_key: String::new(),
            metadata_left: MAX_METADATA,
        }
    }

    /// Whether keys at this depth matter.
    pub(super) fn wants_keys(&self, depth: u32) -> bool {
        depth == 1 || (depth == 2 && self.inside != Inside::Other)
    }

    /// Whether the value that comes matters.
    pub(super) fn wants_value(&self) -> bool {
        self.field != Field::Other
    }

    /// Whether the value that comes is the model.
    pub(super) fn is_model(&self) -> bool {
        self.field == Field::Model
    }

    /// The value that comes does not matter, or no longer.
    pub(super) fn pass_over(&mut self) {
        self.field = Field::Other;
    }

    /// An object or array begins at this depth.
    pub(super) fn open(&mut self, depth: u32, is_object: bool) {
        if let Field::Object(inside) = self.field
            && depth == 1
            && is_object
        {
            self.inside = inside;
        }
        self.field = Field::Other;
    }

    /// An object or array ended; this depth is left.
    pub(super) fn close(&mut self, depth: u32) {
        if depth <= 1 {
            self.inside = Inside::Other;
        }
    }

    /// Longest text that is captured of the key or value being read.
    pub(super) const fn limit(&self, is_key: bool) -> usize {
        match (is_key, self.field) {
            (false, Field::Model) => MAX_MODEL,
            (false, Field::Metadata) => self.metadata_left,
            (_, _) => MAX_VALUE,
        }
    }

    /// A key that matters, quotes included.
    pub(super) fn key(&mut self, raw: &[u8]) -> Result<(), RequestErrorKind> {
        let Some(key) = unquote(raw) else {
            return Ok(());
        };
        let parent = match self.inside {
            Inside::Other => "",
            Inside::Reasoning => "reasoning.",
            Inside::StreamOptions => "stream_options.",
            Inside::ClientMetadata => "client_metadata.",
        };
        self.written.note(parent, &key)?;
        match self.inside {
            Inside::Other => self.top_key(&key),
            Inside::Reasoning if key == "effort" => self.field = Field::Effort,
            Inside::StreamOptions if key == "include_usage" => self.field = Field::IncludeUsage,
            Inside::ClientMetadata => {
                self.metadata_key = key.into_owned();
                self.field = Field::Metadata;
            }
            Inside::Reasoning | Inside::StreamOptions => {}
        }
        Ok(())
    }

    fn top_key(&mut self, key: &str) {
        self.field = match key {
            "model" => Field::Model,
            "stream" => Field::Stream,
            "service_tier" => Field::ServiceTier,
            "reasoning_effort" => Field::Effort,
            "previous_response_id" => Field::PreviousResponseId,
            "prompt_cache_key" => Field::PromptCacheKey,
            "max_output_tokens" | "max_completion_tokens" | "max_tokens" => Field::MaxTokens,
            "store" => Field::Store,
            "background" => Field::Background,
            "reasoning" => Field::Object(Inside::Reasoning),
            "stream_options" => Field::Object(Inside::StreamOptions),
            "client_metadata" => Field::Object(Inside::ClientMetadata),
            _ => Field::Other,
        };
        match key {
            "input" => self.head.has_input = true,
            "messages" => self.head.has_messages = true,
            "conversation" => self.head.has_conversation = true,
            _ => {}
        }
    }

    /// The string or scalar that stands at `span`, after its key.
    pub(super) fn value(&mut self, raw: &[u8], span: Range<usize>) -> Result<(), RequestErrorKind> {
        let text = || unquote(raw).map(std::borrow::Cow::into_owned);
        let plain = || std::str::from_utf8(raw).ok();
        let flag = match raw {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        };
        let head = &mut self.head;
        match std::mem::replace(&mut self.field, Field::Other) {
            Field::Model => {
                let id = text().ok_or(RequestErrorKind::ModelNotAString)?;
                head.model = Some(ModelValue { id, span });
            }
            Field::Stream => head.stream = flag,
            Field::Store => head.store = flag,
            Field::Background => head.background = flag,
            Field::IncludeUsage => head.stream_options_include_usage = flag,
            Field::ServiceTier => head.service_tier = text(),
            Field::PreviousResponseId => head.previous_response_id = text(),
            Field::PromptCacheKey => head.prompt_cache_key = text(),
            // What is not said here may be said at the other place.
            Field::Effort if raw == b"null" || flag.is_some() => {}
            Field::Effort => head.effort = text().or_else(|| plain().map(str::to_owned)),
            Field::MaxTokens => {
                let count = plain().and_then(|text| text.parse().ok());
                head.max_output_tokens = head.max_output_tokens.max(count);
            }
            Field::Metadata => {
                if let Some(value) = text() {
                    let key = std::mem::take(&mut self.metadata_key);
                    self.metadata_left = self.metadata_left.saturating_sub(raw.len() + key.len());
                    head.client_metadata
                        .get_or_insert_default()
                        .entries
                        .push((key, value));
                }
            }
            Field::Other | Field::Object(_) => {}
        }
        Ok(())
    }
}
