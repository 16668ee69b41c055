//! What all checks on the network share.

use std::time::Duration;

/// How long anything on the network may take.
pub(super) const NETWORK: Duration = Duration::from_secs(5);

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let texts: Vec<String> = std::iter::once(error.to_string())
        .chain(causes.map(ToString::to_string))
        .collect();
    texts.join(": ")
}
