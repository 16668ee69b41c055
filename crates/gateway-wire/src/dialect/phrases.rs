//! Words of upstreams that mean something everywhere: finish reasons, and error texts whose code is
//! missing.
//!
//! The only place where an upstream's text is matched. Decides nothing; names what was said.

/// Why an upstream stopped writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It had said what it wanted.
    Stop,
    /// It calls tools.
    ToolCalls,
    /// The limit of output tokens was reached.
    Length,
    /// A filter stopped it.
    Filtered,
    /// It broke.
    Broken,
}

/// The meaning of a finish reason; an unknown word is a [`Finish::Stop`].
pub fn finish_of(word: &str) -> Finish {
    match word {
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "length" | "max_tokens" | "model_context_window_exceeded" | "model_length" => {
            Finish::Length
        }
        "content_filter" | "sensitive" | "safety" | "SAFETY" | "recitation" => Finish::Filtered,
        "error" | "network_error" | "insufficient_system_resource" | "malformed_function_call" => {
            Finish::Broken
        }
        _ => Finish::Stop,
    }
}

/// Parts of messages whose meaning has a code that clients act on. Lower case.
const PHRASES: &[(&str, &str)] = &[
    ("maximum context length", "context_length_exceeded"),
    ("context length exceeded", "context_length_exceeded"),
    ("exceeds the context window", "context_length_exceeded"),
    (
        "exceeds the available context size",
        "context_length_exceeded",
    ),
    (
        "exceeds the model's maximum context",
        "context_length_exceeded",
    ),
    ("prompt is too long", "context_length_exceeded"),
    ("input token count exceeds", "context_length_exceeded"),
    ("exceeded model token limit", "context_length_exceeded"),
    ("insufficient balance", "insufficient_quota"),
    ("exceeded your current quota", "insufficient_quota"),
];

/// The code of an error that has none (or only the upstream's own), read from its message.
pub fn known_code(message: &str) -> Option<&'static str> {
    let message = message.to_ascii_lowercase();
    PHRASES
        .iter()
        .find(|(phrase, _)| message.contains(phrase))
        .map(|(_, code)| *code)
}
