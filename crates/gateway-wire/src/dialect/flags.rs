//! Every way in which an upstream can deviate from the protocol: one flag each, with its meaning and
//! its default.

use serde::Deserialize;

use super::values::{
    EffortField, Efforts, EmptyContent, MaxTokensField, MissingFinish, ParallelCalls,
    ReasoningEcho, ResponseFormat, SystemMessages, Thinking, ToolChoice,
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
        pub struct DialectOverrides { $( $(#[doc = $doc])+ pub $flag: Option<$kind>, )* }

        impl Dialect {
            /// The protocol as its owner documents it.
            pub const OPENAI: Self = Self { $( $flag: $default, )* };

            /// The name and description of every flag, for `docs/translation.md`.
            pub const FLAGS: &'static [(&'static str, &'static str)] =
                &[$( (stringify!($flag), concat!($($doc),+)), )*];

            /// This dialect with single flags replaced.
            #[must_use]
            pub fn with(&self, overrides: &DialectOverrides) -> Self {
                Self { $( $flag: overrides.$flag.unwrap_or(self.$flag), )* }
            }
        }
    };
}

dialect! {
    /// Supports the role `developer`; otherwise such messages become `system`.
    developer_role: bool = true,
    /// Where system messages are allowed: `anywhere`, or `leading_only` (the leading ones are
    /// merged into one message, later ones become `user`).
    system_messages: SystemMessages = SystemMessages::Anywhere,
    /// The content of an assistant message that has tool calls but no text: `null` or `empty`.
    assistant_content: EmptyContent = EmptyContent::Null,
    /// Accepts images.
    images: bool = true,
    /// Accepts file parts.
    files: bool = true,
    /// Accepts audio parts.
    audio: bool = true,
    /// Accepts `strict` on a function tool.
    strict_tools: bool = true,
    /// Accepts a JSON schema with other keys next to `$ref`.
    ref_siblings: bool = true,
    /// Accepts a tool schema with `oneOf`, `anyOf`, `allOf`, `enum`, `const` or `not` at its root.
    combined_schema_root: bool = true,
    /// The supported tool choices: `any`, `auto_only`, or `omit` (never sent).
    tool_choice: ToolChoice = ToolChoice::Any,
    /// `parallel_tool_calls`: `send`, `omit`, or `one` (always sent as false).
    parallel_tool_calls: ParallelCalls = ParallelCalls::Send,
    /// Accepts only call ids of nine letters and digits; in the history, others are replaced by
    /// such ids.
    short_call_ids: bool = false,
    /// The field for the reasoning effort: `reasoning_effort`, `reasoning_object`, or `omit`.
    effort: EffortField = EffortField::ReasoningEffort,
    /// The supported efforts; any other is replaced by the nearest lower one, or by the lowest.
    efforts: Efforts = Efforts::ALL,
    /// How thinking is turned on and off: `none`, `type_object` (`thinking.type`), or
    /// `enable_thinking`.
    thinking: Thinking = Thinking::None,
    /// The field that returns provider reasoning on messages with tool calls: `none`,
    /// `reasoning_content`, `reasoning`, or `reasoning_details`.
    echo_reasoning: ReasoningEcho = ReasoningEcho::None,
    /// Needs the `extra_content` of a tool call (thought signatures) returned.
    echo_extra_content: bool = false,
    /// Needs `reasoning_split` to separate reasoning from the text.
    reasoning_split: bool = false,
    /// Writes its reasoning into the text, between leading `<think>` tags.
    think_tags: bool = false,
    /// The field for the limit of output tokens: `max_completion_tokens`, `max_tokens`, or `omit`
    /// (also on a Responses upstream).
    max_tokens: MaxTokensField = MaxTokensField::MaxCompletionTokens,
    /// Accepts `temperature`.
    temperature: bool = true,
    /// Accepts `top_p`.
    top_p: bool = true,
    /// Accepts `logprobs` and `top_logprobs`.
    logprobs: bool = true,
    /// Accepts `verbosity`.
    verbosity: bool = true,
    /// Accepts `service_tier`.
    service_tier: bool = true,
    /// Accepts `prompt_cache_key`.
    prompt_cache_key: bool = true,
    /// Accepts `prompt_cache_retention`.
    prompt_cache_retention: bool = true,
    /// Accepts `metadata`.
    metadata: bool = true,
    /// Accepts `safety_identifier` and `user`.
    safety_identifier: bool = true,
    /// How structured output is requested: `json_schema`, `json_object` (the schema goes into the
    /// instructions), or `omit`.
    response_format: ResponseFormat = ResponseFormat::JsonSchema,
    /// Accepts `stream_options.include_usage`; the gateway then requests the token counts of
    /// streams that it pays for or limits.
    stream_usage: bool = true,
    /// How a stream that ends without a finish reason is treated: `failed` or `completed`.
    missing_finish: MissingFinish = MissingFinish::Failed,
    /// A Responses upstream that supports only streaming.
    stream_only: bool = false,
    /// A Responses upstream that refuses a request without `instructions`.
    instructions_required: bool = false,
    /// A Responses upstream that accepts `system` messages in `input`; otherwise they become
    /// `developer`.
    system_in_input: bool = true,
    /// A Responses upstream from which reasoning summaries are requested if the client does not
    /// say.
    reasoning_summary: bool = false,
    /// The value of `store` for a Responses upstream.
    store: bool = false,
}

impl Default for Dialect {
    fn default() -> Self {
        Self::OPENAI
    }
}
