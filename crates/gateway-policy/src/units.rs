//! Durations and sizes as people write them. A number without a unit is refused: `120` could mean
//! anything.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error(
        "`{0}` is not a valid duration; write a number and a unit, such as `500ms`, `120s`, `10m`, \
         `12h`, `90d` or `2w`"
    )]
    Duration(String),
    /// A duration with more milliseconds than can be counted.
    #[error("`{0}` is too long")]
    TooLong(String),
    /// Not a size.
    #[error(
        "`{0}` is not a valid size; write a number and a unit, such as `512B`, `64KiB`, `64MiB` or \
         `1GiB`"
    )]
    Size(String),
}

const DURATIONS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
];

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Reads `500ms`, `120s`, `10m`, `12h`, `90d` or `2w`.
///
/// # Errors
/// When the text is not a whole number with one of these units, or too long.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(gateway_policy::units::parse_duration("10m"), Ok(Duration::from_secs(600)));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (digits, factor) =
        quantity(text, &DURATIONS).ok_or_else(|| UnitError::Duration(text.to_owned()))?;
    product(digits, factor)
        .map(Duration::from_millis)
        .ok_or_else(|| UnitError::TooLong(text.to_owned()))
}

/// Reads `512B`, `64KiB`, `64MiB`, `1GiB` and the decimal `kB`, `MB`, `GB`, into bytes.
///
/// # Errors
/// When the text is not a whole number with one of these units, or too large.
///
/// ```
/// assert_eq!(gateway_policy::units::parse_size("64MiB"), Ok(64 << 20));
/// ```
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    quantity(text, &SIZES)
        .and_then(|(digits, factor)| product(digits, factor))
        .ok_or_else(|| UnitError::Size(text.to_owned()))
}

/// The digits, and the size of the unit behind them.
fn quantity<'t>(text: &'t str, units: &[(&str, u64)]) -> Option<(&'t str, u64)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_start_matches(' ');
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    (!number.is_empty()).then_some((number, factor))
}

fn product(digits: &str, factor: u64) -> Option<u64> {
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
