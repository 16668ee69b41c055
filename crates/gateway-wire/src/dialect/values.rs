//! The values of dialect flags. The words are those of the configuration file.

use serde::{Deserialize, Deserializer};

crate::words! {
    /// Where system messages may stand.
    pub enum SystemMessages {
        /// At any place of the conversation.
        Anywhere = "anywhere",
        /// Only one, and only at the start.
        LeadingOnly = "leading_only",
    }
    /// Content of an assistant message that only calls tools.
    pub enum EmptyContent {
        /// `null`
        Null = "null",
        /// `""`
        Empty = "empty",
    }
    /// Which tool choices are taken.
    pub enum ToolChoice {
        /// All of them.
        Any = "any",
        /// Nothing but `auto`.
        AutoOnly = "auto_only",
        /// The field is never sent.
        Omit = "omit",
    }
    /// What is said about parallel tool calls.
    pub enum ParallelCalls {
        /// What the client said.
        Send = "send",
        /// Nothing.
        Omit = "omit",
        /// Always false.
        One = "one",
    }
    /// How the reasoning effort is said.
    pub enum EffortField {
        /// Not at all.
        Omit = "omit",
        /// `reasoning_effort: "…"`
        ReasoningEffort = "reasoning_effort",
        /// `reasoning: {"effort": "…"}`
        ReasoningObject = "reasoning_object",
    }
    /// How thinking is switched on and off.
    pub enum Thinking {
        /// Not at all.
        None = "none",
        /// `thinking: {"type": "enabled" | "disabled"}`
        TypeObject = "type_object",
        /// `enable_thinking: true | false`
        EnableThinking = "enable_thinking",
    }
    /// Which field gives provider reasoning back.
    pub enum ReasoningEcho {
        /// None.
        None = "none",
        /// `reasoning_content`, a string.
        ReasoningContent = "reasoning_content",
        /// `reasoning`, a string.
        Reasoning = "reasoning",
        /// `reasoning_details`, an array.
        ReasoningDetails = "reasoning_details",
    }
    /// How the limit of output tokens is called.
    pub enum MaxTokensField {
        /// `max_completion_tokens`
        MaxCompletionTokens = "max_completion_tokens",
        /// `max_tokens`
        MaxTokens = "max_tokens",
        /// The limit is never sent.
        Omit = "omit",
    }
    /// How structured output is asked for.
    pub enum ResponseFormat {
        /// With the schema.
        JsonSchema = "json_schema",
        /// As any JSON object; the schema is said in the instructions.
        JsonObject = "json_object",
        /// Not at all; the schema is said in the instructions.
        Omit = "omit",
    }
    /// What the end of a stream without a finish reason means.
    pub enum MissingFinish {
        /// The connection was lost.
        Failed = "failed",
        /// The upstream never says more.
        Completed = "completed",
    }
}

/// Efforts from least to most.
const NAMES: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// A set of reasoning efforts. In a configuration file: a list of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Efforts(u8);

impl Efforts {
    /// Every effort, and names nobody knows yet.
    pub const ALL: Self = Self(u8::MAX);
    /// `low`, `medium`, `high`
    pub const CLASSIC: Self = Self(0b001_1100);
    /// `none`, `low`, `medium`, `high`
    pub const CLASSIC_OR_NONE: Self = Self(0b001_1101);
    /// `none` to `xhigh`
    pub const UP_TO_XHIGH: Self = Self(0b011_1111);
    /// `high` and `max`
    pub const HIGH_OR_MAX: Self = Self(0b101_0000);

    /// The word to send for `wanted`: itself where it is known, else the nearest below, else the
    /// lowest; `None` for a name nobody knows.
    pub fn nearest(self, wanted: &str) -> Option<&str> {
        if self == Self::ALL {
            return Some(wanted);
        }
        let at = NAMES.iter().position(|name| *name == wanted)?;
        let known = |index: &usize| self.0 & (1 << index) != 0;
        // Never down to `none`: that would switch reasoning off for somebody who asked for a
        // little.
        let index = (at.min(1)..=at)
            .rev()
            .find(known)
            .or_else(|| (at..NAMES.len()).find(known))?;
        NAMES.get(index).copied()
    }
}

impl<'de> Deserialize<'de> for Efforts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut bits = 0;
        for word in Vec::<String>::deserialize(deserializer)? {
            let Some(index) = NAMES.iter().position(|name| *name == word) else {
                return Err(serde::de::Error::unknown_variant(&word, &NAMES));
            };
            bits |= 1 << index;
        }
        if bits == 0 {
            return Err(serde::de::Error::custom(
                "at least one effort is needed; use `effort = \"omit\"` for none",
            ));
        }
        Ok(Self(bits))
    }
}
