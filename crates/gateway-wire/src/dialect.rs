//! Dialects: every way in which an "OpenAI-compatible" upstream deviates from the protocol, as
//! plain data.
//!
//! A dialect says what an upstream takes and gives; it decides nothing and holds no code per
//! vendor. Each flag is read in exactly one place of `translate`.
//!
//! To add a flag: one field in the `dialect!` list below, with its sentence and its default, and
//! the one place that reads it. To add an upstream family: one row in `dialect/builtin.rs` and a
//! folder `tests/fixtures/dialect/<name>/`.

mod builtin;
mod phrases;
mod values;

use serde::Deserialize;

pub use builtin::BUILTIN;
pub use phrases::{Finish, finish_of, known_code};
pub use values::{
    Echo, EffortField, Efforts, EmptyContent, MaxTokensField, MissingFinish, ParallelCalls,
    ResponseFormat, SystemMessages, Thinking, ToolChoice,
};

/// Writes the struct, its overrides and the table of flags from one list, so that none of the three
/// can lag behind.
macro_rules! dialect {
    ($( $(#[doc = $doc:literal])+ $flag:ident: $kind:ty = $default:expr, )*) => {
        /// How an upstream deviates from the protocol. [`Dialect::OPENAI`] is no deviation at all.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Dialect { $( $(#[doc = $doc])+ pub $flag: $kind, )* }

        /// Single flags that an operator sets beside a named dialect; unknown names are errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Overrides { $( $(#[doc = $doc])+ pub $flag: Option<$kind>, )* }

        impl Dialect {
            /// The protocol as its owner documents it.
            pub const OPENAI: Self = Self { $( $flag: $default, )* };

            /// Every flag's name and what it says, for `docs/translation.md`.
            pub const FLAGS: &'static [(&'static str, &'static str)] =
                &[$( (stringify!($flag), concat!($($doc),+)), )*];

            /// This dialect with single flags replaced.
            #[must_use]
            pub fn with(&self, overrides: &Overrides) -> Self {
                Self { $( $flag: overrides.$flag.unwrap_or(self.$flag), )* }
            }
        }
    };
}

dialect! {
    /// Knows the role `developer`; otherwise such messages become `system`.
    developer_role: bool = true,
    /// Where system messages may stand: `anywhere`, or `leading_only` (the first run becomes one
    /// message, later ones become `user`).
    system_messages: SystemMessages = SystemMessages::Anywhere,
    /// What an assistant message with tool calls and no text carries as content: `null` or `empty`.
    assistant_content: EmptyContent = EmptyContent::Null,
    /// Takes images.
    images: bool = true,
    /// Takes file parts.
    files: bool = true,
    /// Takes audio parts.
    audio: bool = true,
    /// Takes `strict` on a function tool.
    strict_tools: bool = true,
    /// Takes a JSON schema in which `$ref` stands beside other keys.
    ref_siblings: bool = true,
    /// Takes a tool schema whose root holds `oneOf`, `anyOf`, `allOf`, `enum`, `const` or `not`.
    combined_schema_root: bool = true,
    /// Which tool choices it takes: `any`, `auto_only`, or `omit` (never sent).
    tool_choice: ToolChoice = ToolChoice::Any,
    /// `parallel_tool_calls`: `send`, `omit`, or `one` (always sent as false).
    parallel_tool_calls: ParallelCalls = ParallelCalls::Send,
    /// Takes call ids of nine letters and digits only; others are replaced by such ones in the
    /// history.
    short_call_ids: bool = false,
    /// How the reasoning effort is said: `reasoning_effort`, `reasoning_object`, or `omit`.
    effort: EffortField = EffortField::ReasoningEffort,
    /// The efforts it knows; another one is replaced by the nearest below it, or by the lowest.
    efforts: Efforts = Efforts::ALL,
    /// How thinking is switched: `none`, `type_object` (`thinking.type`), or `enable_thinking`.
    thinking: Thinking = Thinking::None,
    /// Which field gives provider reasoning back on messages with tool calls: `none`,
    /// `reasoning_content`, `reasoning`, or `reasoning_details`.
    echo_reasoning: Echo = Echo::None,
    /// Gives a tool call's `extra_content` (thought signatures) back.
    echo_extra_content: bool = false,
    /// Wants `reasoning_split`, and then answers reasoning outside of the text.
    reasoning_split: bool = false,
    /// Writes its reasoning into the text, between leading `<think>` tags.
    think_tags: bool = false,
    /// How the limit of output tokens is called: `max_completion_tokens`, `max_tokens`, or `omit`
    /// (also on a Responses upstream).
    max_tokens: MaxTokensField = MaxTokensField::MaxCompletionTokens,
    /// Takes `temperature`.
    temperature: bool = true,
    /// Takes `top_p`.
    top_p: bool = true,
    /// Takes `logprobs` and `top_logprobs`.
    logprobs: bool = true,
    /// Takes `verbosity`.
    verbosity: bool = true,
    /// Takes `service_tier`.
    service_tier: bool = true,
    /// Takes `prompt_cache_key`.
    prompt_cache_key: bool = true,
    /// Takes `metadata`.
    metadata: bool = true,
    /// Takes `safety_identifier` and `user`.
    safety_identifier: bool = true,
    /// How structured output is asked for: `json_schema`, `json_object` (the schema goes into the
    /// instructions), or `omit`.
    response_format: ResponseFormat = ResponseFormat::JsonSchema,
    /// Takes `stream_options.include_usage`; the gateway then asks for the token counts of streams
    /// that it pays for or limits.
    stream_usage: bool = true,
    /// What a stream means that ends without a finish reason: `failed` or `completed`.
    missing_finish: MissingFinish = MissingFinish::Failed,
    /// A Responses upstream that only streams.
    stream_only: bool = false,
    /// A Responses upstream that refuses a request without `instructions`.
    instructions_required: bool = false,
    /// A Responses upstream that takes `system` messages in `input`; otherwise they become
    /// `developer`.
    system_in_input: bool = true,
    /// A Responses upstream that is asked for reasoning summaries when the client did not say.
    reasoning_summary: bool = false,
    /// What `store` says to a Responses upstream.
    store: bool = false,
}

impl Default for Dialect {
    fn default() -> Self {
        Self::OPENAI
    }
}

impl Dialect {
    /// The built-in dialect of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        BUILTIN
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, dialect)| dialect)
    }

    /// All built-in names, for messages that offer them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests;
