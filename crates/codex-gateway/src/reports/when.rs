//! Reads moments as people write them: how long ago, a date, or a full timestamp.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What can be written.
const FORMS: &str =
    "a duration back from now (`90m`, `24h`, `7d`), a date (`2026-11-01`) or an RFC 3339 time";

/// A moment. A date is its first moment in the time zone; a duration counts back from `now`.
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    let unknown = || format!("`{text}` is no moment; write {FORMS}");
    if let Some(back) = duration(text) {
        return back
            .and_then(|back| now.checked_sub(back).map_err(|_| TooLongAgo))
            .map_err(|_| format!("`{text}` is too long ago"));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let date: Date = text.parse().map_err(|_| unknown())?;
    // A day with a hole at midnight begins behind the hole.
    date.to_zoned(zone.clone())
        .map(|start| start.timestamp())
        .map_err(|_| unknown())
}

struct TooLongAgo;

/// `None`: not of that form at all.
fn duration(text: &str) -> Option<Result<SignedDuration, TooLongAgo>> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let count: Option<i64> = digits.parse().ok();
    Some(
        count
            .and_then(|count| count.checked_mul(seconds))
            .map(SignedDuration::from_secs)
            .ok_or(TooLongAgo),
    )
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
