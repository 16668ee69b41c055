//! Whether a request fits into everything that limits one scope, and if not, which limit refuses it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::budget::{Budget, BudgetCheck, Position};
use super::rate::RateLimit;
use super::scope::Scope;
use crate::price::Billing;

/// How soon to retry when only other requests in flight stand in the way.
pub const RETRY_SOON: Duration = Duration::from_secs(2);

/// Limits on speed; `None`: unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Input and output tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Exchanges in flight.
    pub concurrency: Option<u64>,
}

/// Everything that limits one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeLimits {
    /// Whose limits they are.
    pub scope: Scope,
    /// Its budgets.
    pub budgets: Vec<Budget>,
    /// Its limits on speed.
    pub limits: Limits,
}

/// How much of its limits a scope has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeState {
    /// One for each of [`ScopeLimits::budgets`].
    pub positions: Vec<Position>,
    /// Exchanges in flight.
    pub in_flight: u64,
    /// The bucket of requests, see [`RateLimit`].
    pub requests: i64,
    /// The bucket of tokens.
    pub tokens: i64,
}

/// What a request is likely to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// USD × 10⁻⁹.
    pub nanos: i64,
    /// Input and output tokens.
    pub tokens: u64,
    /// Which budgets count it.
    pub billing: Billing,
    /// The present moment.
    pub at: Timestamp,
    /// When the request arrived: its money counts in that moment's period, also when midnight has
    /// passed since.
    pub arrived_at: Timestamp,
    /// Whether only the price of a request changed that was admitted already: its speed is not
    /// counted again.
    pub is_repriced: bool,
}

/// What admitting a request changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The bucket of requests after it.
    pub requests: i64,
    /// The bucket of tokens after it.
    pub tokens: i64,
    /// Budgets whose soft threshold is reached with it.
    pub soft_crossed: Vec<Budget>,
}

/// Why a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose limit.
    pub scope: Scope,
    /// Which limit.
    pub limit: RefusedBy,
}

/// The limit that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBy {
    /// The request does not fit into what is left.
    Budget {
        /// The budget.
        budget: Budget,
        /// Settled so far.
        spent: i64,
        /// When it starts again; `None`: never.
        resets_at: Option<Timestamp>,
    },
    /// Only what is set aside for others stands in the way.
    Reservations {
        /// The budget.
        budget: Budget,
    },
    /// Requests per minute.
    Requests {
        /// After how long one fits.
        retry_after: Duration,
    },
    /// Tokens per minute.
    Tokens {
        /// After how long it fits.
        retry_after: Duration,
    },
    /// Exchanges in flight.
    Concurrency,
}

impl Refusal {
    /// The error code to answer with: `usage_limit_reached` when waiting a little does not help,
    /// else `rate_limit_exceeded`.
    pub const fn code(&self) -> &'static str {
        match self.limit {
            RefusedBy::Budget { .. } => "usage_limit_reached",
            RefusedBy::Reservations { .. }
            | RefusedBy::Requests { .. }
            | RefusedBy::Tokens { .. }
            | RefusedBy::Concurrency => "rate_limit_exceeded",
        }
    }

    /// Every word of [`Refusal::kind`].
    pub const KINDS: [&'static str; 5] = [
        "budget",
        "reservations",
        "requests",
        "tokens",
        "concurrency",
    ];

    /// A word for metrics.
    pub const fn kind(&self) -> &'static str {
        match self.limit {
            RefusedBy::Budget { .. } => "budget",
            RefusedBy::Reservations { .. } => "reservations",
            RefusedBy::Requests { .. } => "requests",
            RefusedBy::Tokens { .. } => "tokens",
            RefusedBy::Concurrency => "concurrency",
        }
    }

    /// After how long asking again can help; `None` for a spent budget.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.limit {
            RefusedBy::Budget { .. } => None,
            RefusedBy::Reservations { .. } | RefusedBy::Concurrency => Some(RETRY_SOON),
            RefusedBy::Requests { retry_after } | RefusedBy::Tokens { retry_after } => {
                Some(retry_after)
            }
        }
    }

    /// When the budget starts again; `None` for a rate limit and for a budget in total.
    pub const fn resets_at(&self) -> Option<Timestamp> {
        match self.limit {
            RefusedBy::Budget { resets_at, .. } => resets_at,
            RefusedBy::Reservations { .. }
            | RefusedBy::Requests { .. }
            | RefusedBy::Tokens { .. }
            | RefusedBy::Concurrency => None,
        }
    }
}

impl ScopeLimits {
    /// Whether there is nothing to count.
    pub const fn is_unlimited(&self) -> bool {
        self.budgets.is_empty()
            && self.limits.requests_per_minute.is_none()
            && self.limits.tokens_per_minute.is_none()
            && self.limits.concurrency.is_none()
    }

    /// Whether a request is admitted. A spent budget is reported before anything that passes by
    /// waiting.
    ///
    /// # Errors
    /// Which limit stands in the way.
    pub fn admit(
        &self,
        state: &ScopeState,
        estimate: Estimate,
        zone: &TimeZone,
    ) -> Result<Admitted, Refusal> {
        let soft_crossed = self
            .check_budgets(state, estimate, zone)
            .map_err(|limit| self.refuse(limit))?;
        let (requests, tokens) = if estimate.is_repriced {
            (state.requests, state.tokens)
        } else {
            self.check_speed(state, estimate)
                .map_err(|limit| self.refuse(limit))?
        };
        Ok(Admitted {
            requests,
            tokens,
            soft_crossed,
        })
    }

    /// The budgets whose soft threshold is reached with the request.
    fn check_budgets(
        &self,
        state: &ScopeState,
        estimate: Estimate,
        zone: &TimeZone,
    ) -> Result<Vec<Budget>, RefusedBy> {
        let mut soft_crossed = Vec::new();
        let mut waits = None;
        for (index, budget) in self.budgets.iter().enumerate() {
            if budget.billing != estimate.billing {
                continue;
            }
            let position = state.positions.get(index).copied().unwrap_or_default();
            match budget.check(position, estimate.nanos) {
                BudgetCheck::Fits { is_soft_crossed } => {
                    soft_crossed.extend(is_soft_crossed.then_some(*budget));
                }
                BudgetCheck::Reserved => waits = Some(RefusedBy::Reservations { budget: *budget }),
                BudgetCheck::Spent => {
                    return Err(RefusedBy::Budget {
                        budget: *budget,
                        spent: position.spent,
                        resets_at: budget.window.period(estimate.arrived_at, zone).resets_at,
                    });
                }
            }
        }
        waits.map_or(Ok(soft_crossed), Err)
    }

    /// The buckets of requests and tokens after the request.
    fn check_speed(&self, state: &ScopeState, estimate: Estimate) -> Result<(i64, i64), RefusedBy> {
        let limits = self.limits;
        if limits
            .concurrency
            .is_some_and(|most| state.in_flight >= most)
        {
            return Err(RefusedBy::Concurrency);
        }
        let take = |limit: Option<u64>, empty_at: i64, units: u64| {
            limit
                .map(RateLimit::per_minute)
                .map_or(Ok(empty_at), |rate| rate.take(empty_at, units, estimate.at))
        };
        let requests = take(limits.requests_per_minute, state.requests, 1)
            .map_err(|retry_after| RefusedBy::Requests { retry_after })?;
        let tokens = take(limits.tokens_per_minute, state.tokens, estimate.tokens)
            .map_err(|retry_after| RefusedBy::Tokens { retry_after })?;
        Ok((requests, tokens))
    }

    fn refuse(&self, limit: RefusedBy) -> Refusal {
        Refusal {
            scope: self.scope.clone(),
            limit,
        }
    }
}
