//! One number of a `usage` object, however it is written.

use serde_json::Value;

use super::tokens::MAX_COUNT;

/// One count as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Not there, or null.
    Absent,
    /// A whole number between 0 and 2^53, also when written as `12.0` or `"12"`.
    Is(u64),
    /// Anything else.
    Bad,
}

impl Count {
    pub(super) fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::Number(number)) => number
                .as_u64()
                .or_else(|| whole(number.as_f64()?))
                .map_or(Self::Bad, Self::bounded),
            Some(Value::String(text)) => text.trim().parse().map_or(Self::Bad, Self::bounded),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Self::Bad,
        }
    }

    const fn bounded(count: u64) -> Self {
        if count > MAX_COUNT {
            Self::Bad
        } else {
            Self::Is(count)
        }
    }

    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Absent { other() } else { self }
    }

    pub(super) const fn known(self) -> Option<u64> {
        match self {
            Self::Is(count) => Some(count),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(super) const fn or_zero(self) -> u64 {
        match self {
            Self::Is(count) => count,
            Self::Absent | Self::Bad => 0,
        }
    }
}

/// `12.0` as 12. Every whole number up to 2^53 has an exact `f64`.
fn whole(number: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
    let is_count = number.fract() == 0.0 && (0.0..=MAX_COUNT as f64).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number between 0 and 2^53"
    )]
    is_count.then_some(number as u64)
}
