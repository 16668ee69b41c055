//! The arithmetic of budgets and rate limits: what fits, what has to wait and for how long, what is
//! spent and until when. Pure: whoever keeps the counts (the ledger) asks here and writes the
//! answer down in the same transaction.

mod rate;

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::price::Billing;

pub use rate::RateLimit;

/// How soon to ask again when what stands in the way is other requests in flight.
pub const RETRY_SOON: Duration = Duration::from_secs(2);

/// Whose money, requests and tokens are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One gateway key, by its id.
    Key(String),
    /// One team, by its name.
    Team(String),
    /// Everything that goes through the gateway and its replicas.
    Gateway,
}

impl Scope {
    /// `key:…`, `team:…` or `gateway`: how a scope is stored and shown.
    pub fn as_text(&self) -> String {
        match self {
            Self::Key(id) => format!("key:{id}"),
            Self::Team(name) => format!("team:{name}"),
            Self::Gateway => "gateway".to_owned(),
        }
    }

    /// Reads [`Scope::as_text`] back.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("key", id)) if !id.is_empty() => Some(Self::Key(id.to_owned())),
            Some(("team", name)) if !name.is_empty() => Some(Self::Team(name.to_owned())),
            None if text == "gateway" => Some(Self::Gateway),
            Some(_) | None => None,
        }
    }
}

/// For how long a budget lasts before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
    /// For good.
    Total,
}

/// The days that a window covers at some moment, and when the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First and last day; `None`: all days.
    pub days: Option<(Date, Date)>,
    /// When the count starts anew; `None`: never.
    pub resets_at: Option<Timestamp>,
}

impl Window {
    /// All windows.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Total];

    /// The word used in commands, in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == word)
    }

    /// The period that a moment lies in, in the operator's time zone.
    pub fn period(self, at: Timestamp, zone: &TimeZone) -> Period {
        let day = at.to_zoned(zone.clone()).date();
        let first = match self {
            Self::Day => day,
            Self::Week => day
                .saturating_sub(Span::new().days(i64::from(day.weekday().to_monday_zero_offset()))),
            Self::Month => day.first_of_month(),
            Self::Total => {
                return Period {
                    days: None,
                    resets_at: None,
                };
            }
        };
        let last = match self {
            Self::Day | Self::Total => day,
            Self::Week => first.saturating_add(Span::new().days(6)),
            Self::Month => day.last_of_month(),
        };
        // The first moment of the next day, which is not midnight where a clock change skips
        // midnight.
        let next = last
            .saturating_add(Span::new().days(1))
            .to_zoned(zone.clone());
        Period {
            days: Some((first, last)),
            resets_at: next.ok().map(|next| next.timestamp()),
        }
    }
}

/// So much money in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Budget {
    /// USD × 10⁻⁹.
    pub nanos: i64,
    /// How long it lasts.
    pub window: Window,
    /// Which kind of money it counts.
    pub billing: Billing,
    /// From what share on somebody should be told, in percent.
    pub soft_percent: Option<u8>,
}

/// Why a text is not a valid budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Not an amount and a window.
    #[error("a budget is an amount of USD and a window, for example `5.00/day`")]
    Shape,
    /// The amount.
    #[error("the amount is not a number of USD with at most nine decimals")]
    Amount,
    /// The window.
    #[error("the window is none of `day`, `week`, `month`, `total`")]
    Window,
    /// The threshold.
    #[error("the soft threshold is not a percentage from 1% to 100%")]
    Soft,
}

impl Budget {
    /// Reads `5.00/day` and, for the threshold, `80%`.
    pub fn parse(text: &str, soft: Option<&str>, billing: Billing) -> Result<Self, BudgetError> {
        let (amount, window) = text.split_once('/').ok_or(BudgetError::Shape)?;
        let nanos = parse_usd(amount.trim()).ok_or(BudgetError::Amount)?;
        let window = Window::parse(window.trim()).ok_or(BudgetError::Window)?;
        let percent = |text: &str| {
            let digits = text.trim().strip_suffix('%').unwrap_or(text.trim());
            digits
                .parse::<u8>()
                .ok()
                .filter(|percent| (1..=100).contains(percent))
                .ok_or(BudgetError::Soft)
        };
        Ok(Self {
            nanos,
            window,
            billing,
            soft_percent: soft.map(percent).transpose()?,
        })
    }

    /// What has to be used up before somebody is told.
    pub fn soft_nanos(&self) -> Option<i64> {
        let percent = i128::from(self.soft_percent?);
        i64::try_from(i128::from(self.nanos) * percent / 100).ok()
    }

    /// Whether a request that is likely to cost `nanos` fits.
    pub fn check(&self, position: Position, nanos: i64) -> BudgetCheck {
        let left = self.nanos.saturating_sub(position.spent);
        if left <= 0 || nanos > left {
            return BudgetCheck::Spent;
        }
        let used = position
            .spent
            .saturating_add(position.reserved)
            .saturating_add(nanos);
        if used > self.nanos {
            return BudgetCheck::Reserved;
        }
        BudgetCheck::Fits {
            is_soft_crossed: self.soft_nanos().is_some_and(|soft| used >= soft),
        }
    }
}

/// Digits with at most nine decimals as USD × 10⁻⁹.
fn parse_usd(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// Where a budget stands in its current period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Settled, in nano-dollars. Corrections can make it negative.
    pub spent: i64,
    /// Set aside for requests in flight, in nano-dollars.
    pub reserved: i64,
}

/// Whether a request fits into a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetCheck {
    /// It fits; perhaps somebody should be told.
    Fits {
        /// Whether the soft threshold is reached with it.
        is_soft_crossed: bool,
    },
    /// It would fit if requests in flight cost less than was set aside for them.
    Reserved,
    /// It does not fit into what is left, even alone.
    Spent,
}

/// Limits on speed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Whose.
    pub scope: Scope,
    /// Its budgets.
    pub budgets: Vec<Budget>,
    /// Its speed.
    pub limits: Limits,
}

/// Where a scope stands.
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
    /// Now.
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
        /// When it begins anew; `None`: never.
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

    /// When the budget begins anew; `None` for a rate limit and for a budget in total.
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

    /// Whether a request is admitted. A spent budget is told before anything that passes by
    /// waiting.
    pub fn admit(
        &self,
        state: &ScopeState,
        estimate: Estimate,
        zone: &TimeZone,
    ) -> Result<Admitted, Refusal> {
        let mut admitted = Admitted {
            requests: state.requests,
            tokens: state.tokens,
            soft_crossed: Vec::new(),
        };
        let mut waits = None;
        for (index, budget) in self
            .budgets
            .iter()
            .enumerate()
            .filter(|(_, budget)| budget.billing == estimate.billing)
        {
            let position = state.positions.get(index).copied().unwrap_or_default();
            match budget.check(position, estimate.nanos) {
                BudgetCheck::Fits {
                    is_soft_crossed: true,
                } => admitted.soft_crossed.push(*budget),
                BudgetCheck::Fits {
                    is_soft_crossed: false,
                } => {}
                BudgetCheck::Reserved => waits = Some(RefusedBy::Reservations { budget: *budget }),
                BudgetCheck::Spent => {
                    let resets_at = budget.window.period(estimate.arrived_at, zone).resets_at;
                    let limit = RefusedBy::Budget {
                        budget: *budget,
                        spent: position.spent,
                        resets_at,
                    };
                    return Err(self.refuse(limit));
                }
            }
        }
        if let Some(limit) = waits {
            return Err(self.refuse(limit));
        }
        if estimate.is_repriced {
            return Ok(admitted);
        }
        if self
            .limits
            .concurrency
            .is_some_and(|most| state.in_flight >= most)
        {
            return Err(self.refuse(RefusedBy::Concurrency));
        }
        let now = estimate.at;
        if let Some(rate) = self.limits.requests_per_minute.map(RateLimit::per_minute) {
            let taken = rate.take(state.requests, 1, now);
            admitted.requests =
                taken.map_err(|retry_after| self.refuse(RefusedBy::Requests { retry_after }))?;
        }
        if let Some(rate) = self.limits.tokens_per_minute.map(RateLimit::per_minute) {
            let taken = rate.take(state.tokens, estimate.tokens, now);
            admitted.tokens =
                taken.map_err(|retry_after| self.refuse(RefusedBy::Tokens { retry_after }))?;
        }
        Ok(admitted)
    }

    fn refuse(&self, limit: RefusedBy) -> Refusal {
        Refusal {
            scope: self.scope.clone(),
            limit,
        }
    }
}

#[cfg(test)]
mod tests;
