//! Single values: durations and sizes. A value that cannot be read is reported, and its default
//! stands in for it so that the other checks go on.

use std::time::Duration;

use gateway_policy::problem::Problem;
use gateway_policy::units;
use serde_spanned::Spanned;

/// A duration with its unit, such as `120s`.
pub(super) fn duration(
    spec: Option<&Spanned<String>>,
    default: Duration,
    problems: &mut Vec<Problem>,
) -> Duration {
    let Some(spec) = spec else { return default };
    units::parse_duration(spec.get_ref()).unwrap_or_else(|error| {
        problems.push(Problem::error(spec.span(), error.to_string()));
        default
    })
}

/// A size with its unit, such as `64MiB`, in bytes.
pub(super) fn size(
    spec: Option<&Spanned<String>>,
    default: usize,
    problems: &mut Vec<Problem>,
) -> usize {
    let Some(spec) = spec else { return default };
    match units::parse_size(spec.get_ref()) {
        Ok(size) => usize::try_from(size).unwrap_or(usize::MAX),
        Err(error) => {
            problems.push(Problem::error(spec.span(), error.to_string()));
            default
        }
    }
}
