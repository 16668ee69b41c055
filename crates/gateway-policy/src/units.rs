//! Durations and sizes as people write them. A number without a unit is refused: `120` could mean anything.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error(
        "`{0}` is not a valid duration; write a number and a unit, such as `500ms`, `120s`, `10m`, `12h` or `90d`"
    )]
    Duration(String),
    /// Not a size.
    #[error(
        "`{0}` is not a valid size; write a number and a unit, such as `512B`, `64KiB`, `64MiB` or `1GiB`"
    )]
    Size(String),
}

const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
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

/// Reads `500ms`, `120s`, `10m`, `12h` or `90d`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(gateway_policy::units::parse_duration("10m"), Ok(Duration::from_secs(600)));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    quantity(text, &DURATIONS)
        .map(Duration::from_millis)
        .ok_or_else(|| UnitError::Duration(text.to_owned()))
}

/// Reads `512B`, `64KiB`, `64MiB`, `1GiB` and the decimal `kB`, `MB`, `GB`, into bytes.
///
/// ```
/// assert_eq!(gateway_policy::units::parse_size("64MiB"), Ok(64 << 20));
/// ```
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    quantity(text, &SIZES).ok_or_else(|| UnitError::Size(text.to_owned()))
}

/// Writes a duration the way it is read, in the largest unit that says it exactly.
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, factor) = DURATIONS
        .into_iter()
        .rev()
        .find(|(_, factor)| millis > 0 && millis.is_multiple_of(*factor))
        .unwrap_or(("s", 1_000));
    format!("{}{unit}", millis / factor)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_start_matches(' ');
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}
