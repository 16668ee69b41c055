//! Amounts of money as whole nano-dollars, and the one way in which they are written.

use std::fmt;
use std::str::FromStr;

/// Nano-dollars in a dollar.
const NANOS_PER_USD: u64 = 1_000_000_000;
/// Decimals of a dollar that a nano-dollar is.
const MAX_DECIMALS: usize = 9;

/// An amount of US dollars, kept exactly as whole nano-dollars (USD × 10⁻⁹).
///
/// Written with four decimals, or as many as the format asks for, rounded half away from zero;
/// `{:#}` writes every decimal that there is, and two at least.
///
/// ```
/// use gateway_policy::money::Usd;
///
/// let amount: Usd = "0.12345".parse()?;
/// assert_eq!(amount.nanos(), 123_450_000);
/// assert_eq!(amount.to_string(), "0.1235");
/// assert_eq!(format!("{amount:.2}"), "0.12");
/// assert_eq!(format!("{amount:#}"), "0.12345");
/// assert_eq!(format!("{:#}", Usd::from_nanos(5_000_000_000)), "5.00");
/// # Ok::<(), gateway_policy::money::UsdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Usd(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is not a number of USD with at most nine decimals")]
pub struct UsdError;

impl Usd {
    /// An amount in USD × 10⁻⁹.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// USD × 10⁻⁹.
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

impl FromStr for Usd {
    type Err = UsdError;

    fn from_str(text: &str) -> Result<Self, UsdError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || fraction.len() > MAX_DECIMALS {
            return Err(UsdError);
        }
        let whole: u64 = whole.parse().map_err(|_| UsdError)?;
        let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| UsdError)?;
        whole
            .checked_mul(NANOS_PER_USD)
            .and_then(|nanos| nanos.checked_add(fraction))
            .and_then(|nanos| i64::try_from(nanos).ok())
            .map(Self)
            .ok_or(UsdError)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if f.alternate() {
            exact_decimals(self.0).max(2)
        } else {
            f.precision().unwrap_or(4).min(MAX_DECIMALS)
        };
        let scale = power_of_ten(decimals);
        let step = NANOS_PER_USD / scale;
        let steps = (self.0.unsigned_abs() + step / 2) / step;
        let sign = if self.0 < 0 && steps > 0 { "-" } else { "" };
        write!(f, "{sign}{}", steps / scale)?;
        if decimals == 0 {
            return Ok(());
        }
        write!(f, ".{:0decimals$}", steps % scale)
    }
}

/// Decimals that it takes to write an amount exactly.
fn exact_decimals(nanos: i64) -> usize {
    let nanos = nanos.unsigned_abs();
    (0..MAX_DECIMALS)
        .find(|decimals| nanos.is_multiple_of(NANOS_PER_USD / power_of_ten(*decimals)))
        .unwrap_or(MAX_DECIMALS)
}

fn power_of_ten(decimals: usize) -> u64 {
    (0..decimals).fold(1, |power, _| power * 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_rounded_half_away_from_zero() {
        for (nanos, plain, cents, exact) in [
            (0, "0.0000", "0.00", "0.00"),
            (49_999, "0.0000", "0.00", "0.000049999"),
            (50_000, "0.0001", "0.00", "0.00005"),
            (-50_000, "-0.0001", "0.00", "-0.00005"),
            (-49_999, "0.0000", "0.00", "-0.000049999"),
            (70_000_000, "0.0700", "0.07", "0.07"),
            (5_000_000_000, "5.0000", "5.00", "5.00"),
            (1_999_950_000, "2.0000", "2.00", "1.99995"),
            (1_234_500_000, "1.2345", "1.23", "1.2345"),
            (1, "0.0000", "0.00", "0.000000001"),
            (
                i64::MIN,
                "-9223372036.8548",
                "-9223372036.85",
                "-9223372036.854775808",
            ),
        ] {
            let amount = Usd::from_nanos(nanos);
            assert_eq!(amount.to_string(), plain);
            assert_eq!(format!("{amount:.2}"), cents);
            assert_eq!(format!("{amount:#}"), exact);
        }
        assert_eq!(format!("{:.0}", Usd::from_nanos(1_500_000_000)), "2");
    }

    #[test]
    fn only_digits_with_at_most_nine_decimals_are_an_amount() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "0.0000000001",
            "$1",
            " 1",
        ] {
            assert_eq!(text.parse::<Usd>(), Err(UsdError), "{text:?}");
        }
        assert_eq!("9223372037".parse::<Usd>(), Err(UsdError));
        assert_eq!("007.50".parse(), Ok(Usd::from_nanos(7_500_000_000)));
    }

    proptest! {
        #[test]
        fn what_is_written_exactly_reads_back(nanos in 0..=i64::MAX) {
            let amount = Usd::from_nanos(nanos);
            prop_assert_eq!(format!("{amount:#}").parse(), Ok(amount));
        }

        #[test]
        fn four_decimals_are_the_nearest(nanos: i64) {
            let shown: i128 = Usd::from_nanos(nanos).to_string().replace('.', "").parse().unwrap();
            prop_assert!((shown * 100_000 - i128::from(nanos)).abs() <= 50_000);
        }
    }
}
