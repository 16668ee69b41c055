//! Reads moments as people write them: how long ago, a date, or a full timestamp.

use gateway_policy::units::{self, UnitError};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// What can be written.
const FORMS: &str = "a duration back from now (`90m`, `24h`, `7d`), a date (`2026-11-01`), a local time \
     (`2026-11-01T15:00`) or an RFC 3339 time";

/// A moment. A date is its first moment in the time zone; a time without a zone is a local time
/// there; a duration counts back from `now`.
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    let unknown = || format!("`{text}` is not a valid time; use {FORMS}");
    let too_long_ago = || format!("`{text}` is too long ago");
    match units::parse_duration(text) {
        Ok(back) => {
            return SignedDuration::try_from(back)
                .and_then(|back| now.checked_sub(back))
                .map_err(|_| too_long_ago());
        }
        Err(UnitError::TooLong(_)) => return Err(too_long_ago()),
        Err(UnitError::Duration(_) | UnitError::Size(_)) => {}
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    if let Ok(moment) = text.parse::<Zoned>() {
        return Ok(moment.timestamp());
    }
    // A date is read as its midnight.
    let local: DateTime = text.parse().map_err(|_| unknown())?;
    // A time that the clock skips, such as midnight in some zones, is read as if it had not been
    // set forward yet; of two equal ones it is the first.
    local
        .to_zoned(zone.clone())
        .map(|start| start.timestamp())
        .map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_dates_and_timestamps_are_read() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("90s", Some("2026-11-20T11:58:30Z")),
            ("30m", Some("2026-11-20T11:30:00Z")),
            ("24h", Some("2026-11-19T12:00:00Z")),
            ("7d", Some("2026-11-13T12:00:00Z")),
            ("2w", Some("2026-11-06T12:00:00Z")),
            (" 0d ", Some("2026-11-20T12:00:00Z")),
            ("2026-11-01", Some("2026-10-31T23:00:00Z")),
            ("2026-11-01T00:00:00Z", Some("2026-11-01T00:00:00Z")),
            (
                "2026-11-01T00:00:00.5+02:00",
                Some("2026-10-31T22:00:00.5Z"),
            ),
            ("2026-11-01T15:30", Some("2026-11-01T14:30:00Z")),
            ("2026-11-01 15:30:05", Some("2026-11-01T14:30:05Z")),
            ("2026-07-01T15:30", Some("2026-07-01T13:30:00Z")),
            // The clock shows this twice, and this never.
            ("2026-10-25T02:30", Some("2026-10-25T00:30:00Z")),
            ("2026-03-29T02:30", Some("2026-03-29T01:30:00Z")),
            (
                "2026-11-01T15:30[America/New_York]",
                Some("2026-11-01T20:30:00Z"),
            ),
            ("2026-11-01T15:30+01:00", Some("2026-11-01T14:30:00Z")),
            ("2026-11-01T15:30Z", Some("2026-11-01T15:30:00Z")),
            ("2026-11-01T25:00", None),
            ("2026-11-01T15:30+99:00", None),
            ("2026-11-01T", None),
            ("2026-11-01 noon", None),
            ("15:30", None),
            ("", None),
            ("d", None),
            ("7", None),
            ("7y", None),
            ("-7d", None),
            ("7é", None),
            ("yesterday", None),
            ("2026-13-01", None),
            ("99999999999999999999d", None),
            ("9999999999d", None),
        ] {
            let read = parse(text, now, &zone).ok();
            assert_eq!(read, expected.map(|text| text.parse().unwrap()), "{text:?}");
        }
    }
}
