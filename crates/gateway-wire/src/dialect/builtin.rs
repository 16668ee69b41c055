//! The table of built-in dialects. Facts about upstream families, each proved by a fixture folder
//! of its name.

use super::flags::Dialect;
use super::values::{
    EffortField, Efforts, EmptyContent, MaxTokensField, ParallelCalls, ReasoningEcho,
    ResponseFormat, SystemMessages, Thinking, ToolChoice,
};

/// What nearly every compatible server has in common: the classic fields, none of the newer ones.
const COMPATIBLE: Dialect = Dialect {
    developer_role: false,
    assistant_content: EmptyContent::Empty,
    files: false,
    audio: false,
    strict_tools: false,
    efforts: Efforts::CLASSIC,
    max_tokens: MaxTokensField::MaxTokens,
    logprobs: false,
    verbosity: false,
    service_tier: false,
    prompt_cache_key: false,
    prompt_cache_retention: false,
    metadata: false,
    safety_identifier: false,
    ..Dialect::OPENAI
};

/// Servers that people run themselves: strict chat templates, any model.
const LOCAL: Dialect = Dialect {
    system_messages: SystemMessages::LeadingOnly,
    effort: EffortField::Omit,
    ..COMPATIBLE
};

/// Names and dialects; a name is what `dialect = "…"` says in an upstream's configuration.
pub const BUILTIN: &[(&str, Dialect)] = &[
    ("openai", Dialect::OPENAI),
    ("compatible", COMPATIBLE),
    (
        "chatgpt",
        Dialect {
            max_tokens: MaxTokensField::Omit,
            temperature: false,
            top_p: false,
            logprobs: false,
            metadata: false,
            prompt_cache_retention: false,
            safety_identifier: false,
            stream_only: true,
            instructions_required: true,
            system_in_input: false,
            reasoning_summary: true,
            ..Dialect::OPENAI
        },
    ),
    (
        "azure",
        Dialect {
            prompt_cache_key: false,
            prompt_cache_retention: false,
            service_tier: false,
            safety_identifier: false,
            ..Dialect::OPENAI
        },
    ),
    (
        "openrouter",
        Dialect {
            developer_role: false,
            effort: EffortField::ReasoningObject,
            efforts: Efforts::UP_TO_XHIGH,
            echo_reasoning: ReasoningEcho::ReasoningDetails,
            max_tokens: MaxTokensField::MaxTokens,
            verbosity: false,
            service_tier: false,
            prompt_cache_retention: false,
            metadata: false,
            safety_identifier: false,
            // Usage always comes; the old switch is deprecated there.
            stream_usage: false,
            ..Dialect::OPENAI
        },
    ),
    (
        "deepseek",
        Dialect {
            images: false,
            efforts: Efforts::HIGH_OR_MAX,
            thinking: Thinking::TypeObject,
            echo_reasoning: ReasoningEcho::ReasoningContent,
            response_format: ResponseFormat::JsonObject,
            parallel_tool_calls: ParallelCalls::Omit,
            ..COMPATIBLE
        },
    ),
    (
        "moonshot",
        Dialect {
            ref_siblings: false,
            effort: EffortField::Omit,
            thinking: Thinking::TypeObject,
            echo_reasoning: ReasoningEcho::ReasoningContent,
            temperature: false,
            parallel_tool_calls: ParallelCalls::Omit,
            ..COMPATIBLE
        },
    ),
    (
        "zai",
        Dialect {
            effort: EffortField::Omit,
            thinking: Thinking::TypeObject,
            echo_reasoning: ReasoningEcho::ReasoningContent,
            tool_choice: ToolChoice::AutoOnly,
            parallel_tool_calls: ParallelCalls::Omit,
            response_format: ResponseFormat::JsonObject,
            ..COMPATIBLE
        },
    ),
    (
        "qwen",
        Dialect {
            effort: EffortField::Omit,
            thinking: Thinking::EnableThinking,
            response_format: ResponseFormat::JsonObject,
            ..COMPATIBLE
        },
    ),
    (
        "minimax",
        Dialect {
            system_messages: SystemMessages::LeadingOnly,
            effort: EffortField::Omit,
            echo_reasoning: ReasoningEcho::ReasoningDetails,
            reasoning_split: true,
            think_tags: true,
            parallel_tool_calls: ParallelCalls::Omit,
            ..COMPATIBLE
        },
    ),
    (
        "mistral",
        Dialect {
            effort: EffortField::Omit,
            short_call_ids: true,
            // Refused with 422, as every member it does not know; usage comes without it.
            stream_usage: false,
            ..COMPATIBLE
        },
    ),
    (
        "groq",
        Dialect {
            efforts: Efforts::CLASSIC_OR_NONE,
            ..COMPATIBLE
        },
    ),
    (
        "together",
        Dialect {
            think_tags: true,
            ..COMPATIBLE
        },
    ),
    (
        "fireworks",
        Dialect {
            think_tags: true,
            efforts: Efforts::CLASSIC_OR_NONE,
            ..COMPATIBLE
        },
    ),
    (
        "xai",
        Dialect {
            combined_schema_root: false,
            ..COMPATIBLE
        },
    ),
    (
        "nvidia",
        Dialect {
            effort: EffortField::Omit,
            think_tags: true,
            parallel_tool_calls: ParallelCalls::One,
            ..COMPATIBLE
        },
    ),
    (
        "vllm",
        Dialect {
            think_tags: true,
            ..LOCAL
        },
    ),
    (
        "llamacpp",
        Dialect {
            think_tags: true,
            parallel_tool_calls: ParallelCalls::Omit,
            ..LOCAL
        },
    ),
    (
        "ollama",
        Dialect {
            think_tags: true,
            effort: EffortField::ReasoningEffort,
            efforts: Efforts::CLASSIC_OR_NONE,
            tool_choice: ToolChoice::Omit,
            parallel_tool_calls: ParallelCalls::Omit,
            ..LOCAL
        },
    ),
    (
        "lmstudio",
        Dialect {
            think_tags: true,
            parallel_tool_calls: ParallelCalls::Omit,
            tool_choice: ToolChoice::AutoOnly,
            ..LOCAL
        },
    ),
    (
        "anthropic",
        Dialect {
            effort: EffortField::Omit,
            files: true,
            response_format: ResponseFormat::Omit,
            ..COMPATIBLE
        },
    ),
    (
        "gemini",
        Dialect {
            echo_extra_content: true,
            parallel_tool_calls: ParallelCalls::Omit,
            ..COMPATIBLE
        },
    ),
    (
        "bedrock",
        Dialect {
            max_tokens: MaxTokensField::MaxCompletionTokens,
            ..COMPATIBLE
        },
    ),
];

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
