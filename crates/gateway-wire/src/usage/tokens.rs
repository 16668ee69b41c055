//! Token counts of one exchange, and what an upstream reported of them.

use serde::{Deserialize, Serialize};

/// Token counts of one exchange.
///
/// Invariants, enforced by [`Usage::new`]: `cached_input + cache_write <= input` and `reasoning <=
/// output`. Cached and cache-write tokens are parts of `input`; reasoning tokens are a part of
/// `output`.
///
/// ```
/// use gateway_wire::{Usage, UsageError};
/// let usage = Usage::new(1_000, 400, 0, 50, 20)?;
/// assert_eq!(usage.uncached_input(), 600);
/// assert_eq!(Usage::new(1_000, 1_001, 0, 50, 20), Err(UsageError::CacheExceedsInput));
/// # Ok::<(), UsageError>(())
/// ```
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
    ///
    /// # Errors
    /// When a count is above [`MAX_COUNT`], or parts exceed the whole.
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

    /// Whether every count is zero, as of an answer that generates nothing.
    pub const fn is_zero(self) -> bool {
        self.input == 0 && self.output == 0
    }

    /// The later counts; where they have no input or no output, the earlier ones.
    const fn followed_by(self, later: Self) -> Self {
        let of_input = if later.input == 0 { self } else { later };
        let of_output = if later.output == 0 { self } else { later };
        Self {
            input: of_input.input,
            cached_input: of_input.cached_input,
            cache_write: of_input.cache_write,
            output: of_output.output,
            reasoning: of_output.reasoning,
        }
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

impl UsageReading {
    /// What holds after a later `usage` object of the same answer. Some upstreams repeat the
    /// counts, some send input and output apart, and some send an empty object last; a count of
    /// zero never erases one that was reported before.
    #[must_use]
    pub fn followed_by(self, later: Self) -> Self {
        match (self, later) {
            (earlier, Self::Missing) => earlier,
            (Self::Reported(earlier), Self::Refused(_)) => Self::Reported(earlier),
            (Self::Reported(earlier), Self::Reported(later)) => {
                Self::Reported(earlier.followed_by(later))
            }
            (Self::Missing | Self::Refused(_), later) => later,
        }
    }
}
