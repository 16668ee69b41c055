//! Rate limits as flags and as text, for keys and teams.

use clap::Args;
use gateway_policy::limit::Limits;

use crate::administration::spec::RateLimitSpec;

/// The flags that set rate limits.
#[derive(Debug, Args)]
pub(super) struct RateLimitArgs {
    /// Requests per minute.
    #[arg(long, value_name = "N")]
    pub(super) rpm: Option<u64>,
    /// Input and output tokens per minute.
    #[arg(long, value_name = "N")]
    pub(super) tpm: Option<u64>,
    /// Concurrent exchanges.
    #[arg(long, value_name = "N")]
    pub(super) concurrency: Option<u64>,
}

impl From<RateLimitArgs> for RateLimitSpec {
    fn from(args: RateLimitArgs) -> Self {
        Self {
            requests_per_minute: args.rpm,
            tokens_per_minute: args.tpm,
            concurrency: args.concurrency,
        }
    }
}

/// Rate limits for a person: `60 rpm, 4 at a time`.
pub(super) fn rate_limits(limits: Limits) -> String {
    [
        (limits.requests_per_minute, "rpm"),
        (limits.tokens_per_minute, "tpm"),
        (limits.concurrency, "at a time"),
    ]
    .into_iter()
    .filter_map(|(limit, unit)| Some(format!("{} {unit}", limit?)))
    .collect::<Vec<_>>()
    .join(", ")
}
