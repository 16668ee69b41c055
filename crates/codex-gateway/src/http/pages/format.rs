//! Figures as people read them. Rounds for display only; exact figures are in the titles.

use gateway_ledger::UsageSums;
use gateway_policy::money::Usd;
use jiff::Timestamp;
use maud::{Markup, html};

/// An amount in USD × 10⁻⁹: cents from a dollar on, four decimals below, every digit below that.
pub(super) fn usd(nanos: i64) -> String {
    let usd = Usd::from_nanos(nanos);
    match nanos.unsigned_abs() {
        0 => "$0".to_owned(),
        1..100_000 => format!("${usd:#}"),
        100_000..1_000_000_000 => format!("${usd}"),
        _ => format!("${usd:.2}"),
    }
}

/// The same with the exact amount as its title.
pub(super) fn money(nanos: i64) -> Markup {
    html! { span title={ "$" (format!("{:#}", Usd::from_nanos(nanos))) } { (usd(nanos)) } }
}

/// A count with `k`, `M` or `G` from a thousand on, three digits at least.
pub(super) fn count(number: i64) -> String {
    let size = number.unsigned_abs();
    let short = |unit: u64, letter: char| {
        let tenths = (u128::from(size) * 10 + u128::from(unit) / 2) / u128::from(unit);
        let sign = if number < 0 { "-" } else { "" };
        if tenths >= 1000 {
            format!("{sign}{}{letter}", tenths / 10)
        } else {
            format!("{sign}{}.{}{letter}", tenths / 10, tenths % 10)
        }
    };
    match size {
        0..10_000 => grouped(number),
        10_000..1_000_000 => short(1_000, 'k'),
        1_000_000..1_000_000_000 => short(1_000_000, 'M'),
        _ => short(1_000_000_000, 'G'),
    }
}

/// All digits, in groups of three.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A count with all its digits as its title.
pub(super) fn tokens(number: i64) -> Markup {
    html! { span title=(grouped(number)) { (count(number)) } }
}

/// A part of a whole in percent, rounded half up; `–` of nothing.
pub(super) fn share(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "–".to_owned();
    }
    let (part, whole) = (i128::from(part), i128::from(whole));
    format!("{}%", (part * 200 + whole) / (2 * whole))
}

/// How much of the input came from the cache.
pub(super) fn hit_share(sums: &UsageSums) -> String {
    share(sums.cached_input_tokens, sums.input_tokens)
}

/// Milliseconds as a person says them.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
        _ => format!(
            "{} h {} min",
            millis / 3_600_000,
            millis % 3_600_000 / 60_000
        ),
    }
}

/// A moment: in UTC as served, in the viewer's zone once the script has run.
pub(super) fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// A long id, shortened to its end, which is where ids of one time differ.
pub(super) fn short_id(id: &str) -> String {
    let chars: Vec<char> = id.chars().collect();
    match chars.len().checked_sub(12) {
        None | Some(0) => id.to_owned(),
        Some(cut) => format!("…{}", chars.iter().skip(cut).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        for (nanos, text) in [
            (0, "$0"),
            (1, "$0.000000001"),
            (1_234_500, "$0.0012"),
            (12_345_678_900, "$12.35"),
            (-2_000_000_000, "$-2.00"),
        ] {
            assert_eq!(usd(nanos), text);
        }
        for (number, text) in [
            (0, "0"),
            (9_999, "9,999"),
            (12_345, "12.3k"),
            (999_960, "1000k"),
            (1_250_000, "1.3M"),
            (-5_000_000_000, "-5.0G"),
        ] {
            assert_eq!(count(number), text);
        }
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!((share(1, 3).as_str(), share(1, 0).as_str()), ("33%", "–"));
        for (millis, text) in [
            (12, "12 ms"),
            (1_250, "1.2 s"),
            (61_000, "1 min 1 s"),
            (3_660_000, "1 h 1 min"),
        ] {
            assert_eq!(duration(millis), text);
        }
        assert_eq!(
            short_id("01a21db8-d0d1-7863-9787-b3739d62fcc1"),
            "…b3739d62fcc1"
        );
        assert_eq!(short_id("s1"), "s1");
    }
}
