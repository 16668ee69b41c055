//! One rate and the rates of one tier, as exact integers, never as floating-point numbers.

use gateway_wire::Usage;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// Pico-dollars per token: a price per million tokens with at most six decimals, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(u64);

/// Why a text is not a valid rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not digits with at most one dot between them.
    #[error("not a decimal number")]
    NotDecimal,
    /// More decimals than a pico-dollar per token can carry.
    #[error("more than six decimals")]
    TooPrecise,
    /// Above [`Rate::MAX_PER_MILLION`].
    #[error("more than 10000 USD per million tokens")]
    TooLarge,
    /// Above zero, yet below a tenth of a cent per million tokens: a price per token, most likely.
    #[error("less than 0.001 USD per million tokens")]
    TooSmall,
}

/// Pico-dollars per token that one dollar per million tokens comes to.
const PICO_PER_DOLLAR_PER_MILLION: u64 = 1_000_000;
const PICO_PER_NANO: i128 = 1_000;

impl Rate {
    /// The highest rate that is accepted, in USD per million tokens.
    pub const MAX_PER_MILLION: u64 = 10_000;
    /// The lowest rate above zero that is accepted, in pico-dollars per token.
    const MIN_NONZERO: u64 = PICO_PER_DOLLAR_PER_MILLION / 1_000;

    /// Reads USD per million tokens, for example `0.125`.
    ///
    /// # Errors
    /// Why the text is not a valid rate.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(RateError::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 6 {
            // A price per token looks like this, and is the likelier mistake.
            let tiny = whole.bytes().all(|byte| byte == b'0') && fraction.starts_with("000");
            return Err(if tiny {
                RateError::TooSmall
            } else {
                RateError::TooPrecise
            });
        }
        let whole: u64 = whole.parse().map_err(|_| RateError::TooLarge)?;
        let fraction: u64 = format!("{fraction:0<6}")
            .parse()
            .map_err(|_| RateError::NotDecimal)?;
        let pico = whole
            .checked_mul(PICO_PER_DOLLAR_PER_MILLION)
            .and_then(|pico| pico.checked_add(fraction))
            .ok_or(RateError::TooLarge)?;
        if pico > Self::MAX_PER_MILLION * PICO_PER_DOLLAR_PER_MILLION {
            return Err(RateError::TooLarge);
        }
        if pico > 0 && pico < Self::MIN_NONZERO {
            return Err(RateError::TooSmall);
        }
        Ok(Self(pico))
    }
}

impl Rate {
    /// Of a price per thousand: nano-dollars for so many; `None` when they do not fit.
    pub(super) fn nanos_of(self, count: u64) -> Option<i64> {
        i64::try_from(self.0.checked_mul(count)?).ok()
    }
}

impl std::fmt::Display for Rate {
    /// USD per million tokens, without trailing zeros.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.0 / PICO_PER_DOLLAR_PER_MILLION;
        let fraction = self.0 % PICO_PER_DOLLAR_PER_MILLION;
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl utoipa::PartialSchema for Rate {
    fn schema() -> gateway_wire::words::Schema {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^[0-9]+(\.[0-9]{1,6})?$"))
            .into()
    }
}

impl ToSchema for Rate {}

/// What each kind of token costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rates {
    /// Input tokens that are neither read from nor written to the cache.
    pub input: Rate,
    /// Input tokens read from the cache; without a rate they cost as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Rate>,
    /// Input tokens written to the cache; without a rate they cost as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Rate>,
    /// Output tokens, reasoning included.
    pub output: Rate,
}

impl Rates {
    pub(super) const FREE: Self = Self {
        input: Rate(0),
        cached_input: None,
        cache_write: None,
        output: Rate(0),
    };

    /// The rate of cached input.
    pub fn cached_input(&self) -> Rate {
        self.cached_input.unwrap_or(self.input)
    }

    /// The rate of cache writes.
    pub fn cache_write(&self) -> Rate {
        self.cache_write.unwrap_or(self.input)
    }

    /// Per kind of token, the higher of two rates.
    #[must_use]
    pub fn highest(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cached_input: Some(self.cached_input().max(other.cached_input())),
            cache_write: Some(self.cache_write().max(other.cache_write())),
            output: self.output.max(other.output),
        }
    }

    /// Nano-dollars for a usage, rounded half up; `None` when the sum does not fit.
    pub fn charge(&self, usage: Usage) -> Option<i64> {
        let parts = [
            (usage.uncached_input(), self.input),
            (usage.cached_input(), self.cached_input()),
            (usage.cache_write(), self.cache_write()),
            (usage.output(), self.output),
        ];
        // At most 2^53 tokens at 10^10 pico-dollars each: far inside 128 bits.
        let pico: i128 = parts
            .iter()
            .map(|(tokens, rate)| i128::from(*tokens) * i128::from(rate.0))
            .sum();
        i64::try_from((pico + PICO_PER_NANO / 2) / PICO_PER_NANO).ok()
    }
}
