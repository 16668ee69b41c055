use proptest::prelude::*;

use super::*;

#[test]
fn quantities_need_their_unit() {
    for (text, millis) in [
        ("0s", Some(0)),
        ("500ms", Some(500)),
        ("120s", Some(120_000)),
        ("10 m", Some(600_000)),
        ("12h", Some(43_200_000)),
        ("90d", Some(7_776_000_000)),
        ("2w", Some(1_209_600_000)),
        ("120", None),
        ("s", None),
        ("", None),
        ("-1s", None),
        ("1.5s", None),
        ("1S", None),
        ("1s ", None),
        ("99999999999999999999d", None),
        ("213503982335d", None),
    ] {
        assert_eq!(
            parse_duration(text).ok().map(|found| found.as_millis()),
            millis,
            "{text}"
        );
    }
    for (text, bytes) in [
        ("0B", Some(0)),
        ("64KiB", Some(65_536)),
        ("64MiB", Some(67_108_864)),
        ("1GiB", Some(1 << 30)),
        ("2kB", Some(2_000)),
        ("3MB", Some(3_000_000)),
        ("4GB", Some(4_000_000_000)),
        ("64", None),
        ("64mib", None),
        ("64 Mi B", None),
        ("99999999999GiB", None),
    ] {
        assert_eq!(parse_size(text).ok(), bytes, "{text}");
    }
}

proptest! {
    #[test]
    fn a_duration_is_its_number_times_its_unit(number in 0u64..10_000, unit in 0..DURATIONS.len()) {
        let (name, millis) = DURATIONS[unit];
        let duration = Duration::from_millis(number * millis);
        prop_assert_eq!(parse_duration(&format!("{number}{name}")), Ok(duration));
    }

    #[test]
    fn no_text_breaks_the_reading(text in ".{0,20}") {
        let _ = (parse_duration(&text).is_ok(), parse_size(&text).is_ok());
    }
}
