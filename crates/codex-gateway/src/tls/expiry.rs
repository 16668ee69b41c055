//! When a certificate expires: the one field of X.509 that nothing else here reads. Checks no
//! signature and no name.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of a certificate in DER, in Unix seconds. `None` if it cannot be read.
pub(super) fn of(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut signed, _) = element(certificate)?;
    if signed.first() == Some(&EXPLICIT_VERSION) {
        (_, _, signed) = element(signed)?;
    }
    // Serial number, algorithm of the signature, issuer.
    for _ in 0..3 {
        (_, _, signed) = element(signed)?;
    }
    let (tag, validity, _) = element(signed)?;
    let (_, _, validity) = element(validity).filter(|_| tag == SEQUENCE)?;
    let (tag, not_after, _) = element(validity)?;
    time(tag, std::str::from_utf8(not_after).ok()?)
}

/// The tag and the contents of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        // Four bytes are more than any certificate needs.
        let length = (length.len() <= 4).then_some(length)?;
        let value = length
            .iter()
            .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
        (value, rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

/// `YYMMDDhhmmssZ` (1950 to 2049) or `YYYYMMDDhhmmssZ`: the forms that RFC 5280 allows.
fn time(tag: u8, text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME if text < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_times_are_read() {
        let seconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
        for (year, at) in [
            (2031, "2031-02-03T00:00:00Z"),
            (2049, "2049-02-03T00:00:00Z"),
            (2050, "2050-02-03T00:00:00Z"),
            (2075, "2075-02-03T00:00:00Z"),
        ] {
            assert_eq!(of(&certificate(year)), Some(seconds(at)), "{year}");
        }
        assert_eq!(
            time(UTC_TIME, "991231235959Z"),
            Some(seconds("1999-12-31T23:59:59Z"))
        );
    }

    #[test]
    fn what_is_cut_or_is_no_certificate_has_no_expiry() {
        let whole = certificate(2031);
        for end in 0..whole.len() {
            assert_eq!(of(&whole[..end]), None, "{end}");
        }
        assert_eq!(of(b"no certificate at all"), None);
        assert_eq!(of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(of(&[0x30, 0xff, 0x30]), None);
    }
}
