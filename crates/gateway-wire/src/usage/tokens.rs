//! Token counts of one exchange, and what an upstream reported of them.

use serde::{Deserialize, Serialize};

/// Token counts of one exchange.
///
/// Invariants, enforced by [`Usage::new`]: `cached_input + cache_write <= input` and `reasoning <=
/// output`. Cached and cache-write tokens are parts of `input`; reasoning tokens are a part of
/// `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Usage {
    input: u64,
    cached_input: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
}

/// Why a reading was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Cached plus cache-write tokens exceed the input they are part of.
    #[error("cached and cache-write tokens exceed input tokens")]
    CacheExceedsInput,
    /// Reasoning tokens exceed the output they are part of.
    #[error("reasoning tokens exceed output tokens")]
    ReasoningExceedsOutput,
    /// A count is negative, fractional, or above 2^53.
    #[error("a token count is not an integer between 0 and 2^53")]
    NotACount,
}

/// Largest count that is believed: what JSON numbers carry exactly.
pub const MAX_COUNT: u64 = 1 << 53;

impl Usage {
    /// All counts in tokens. `cached_input` and `cache_write` are parts of `input`, `reasoning` of
    /// `output`.
    pub const fn new(
        input: u64,
        cached_input: u64,
        cache_write: u64,
        output: u64,
        reasoning: u64,
    ) -> Result<Self, UsageError> {
        if input > MAX_COUNT
            || output > MAX_COUNT
            || cached_input > MAX_COUNT
            || cache_write > MAX_COUNT
            || reasoning > MAX_COUNT
        {
            return Err(UsageError::NotACount);
        }
        if cached_input + cache_write > input {
            return Err(UsageError::CacheExceedsInput);
        }
        if reasoning > output {
            return Err(UsageError::ReasoningExceedsOutput);
        }
        Ok(Self {
            input,
            cached_input,
            cache_write,
            output,
            reasoning,
        })
    }

    /// Input tokens, cached and cache-write ones included.
    pub const fn input(self) -> u64 {
        self.input
    }

    /// Input tokens read from the prompt cache.
    pub const fn cached_input(self) -> u64 {
        self.cached_input
    }

    /// Input tokens written to the prompt cache.
    pub const fn cache_write(self) -> u64 {
        self.cache_write
    }

    /// Input tokens at the full input rate.
    pub const fn uncached_input(self) -> u64 {
        self.input - self.cached_input - self.cache_write
    }

    /// Output tokens, reasoning included.
    pub const fn output(self) -> u64 {
        self.output
    }

    /// Output tokens spent on reasoning.
    pub const fn reasoning(self) -> u64 {
        self.reasoning
    }
}

/// What an upstream said about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsageReading {
    /// Nothing, or too little to sum up.
    #[default]
    Missing,
    /// Figures that cannot be true.
    Refused(UsageError),
    /// Figures.
    Reported(Usage),
}
