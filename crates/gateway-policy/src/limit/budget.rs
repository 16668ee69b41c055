//! One budget: how it is written, and whether a request fits into what is left of it.

use serde::{Deserialize, Serialize};

use super::window::Window;
use crate::money::{Usd, UsdError};
use crate::price::Billing;

/// So much money in so much time.
///
/// ```
/// use gateway_policy::Billing;
/// use gateway_policy::limit::{Budget, BudgetCheck, Position};
///
/// let budget = Budget::parse("5.00/day", Some("80%"), Billing::Metered)?;
/// assert_eq!(budget.to_string(), "5.00 USD a day");
///
/// let position = Position { spent: 3_900_000_000, reserved: 0 };
/// let check = budget.check(position, 200_000_000);
/// assert_eq!(check, BudgetCheck::Fits { is_soft_crossed: true });
/// assert_eq!(budget.check(position, 2_000_000_000), BudgetCheck::Spent);
/// # Ok::<(), gateway_policy::limit::BudgetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Budget {
    /// USD × 10⁻⁹.
    pub nanos: i64,
    /// How long it lasts.
    pub window: Window,
    /// Which kind of money it counts.
    pub billing: Billing,
    /// From which share on a warning is due, in percent.
    pub soft_percent: Option<u8>,
}

/// Why a text is not a valid budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Not an amount and a window.
    #[error("a budget is an amount of USD and a window, for example `5.00/day`")]
    Shape,
    /// The amount.
    #[error(transparent)]
    Amount(#[from] UsdError),
    /// The window.
    #[error("the window is not one of `day`, `week`, `month`, `total`")]
    Window,
    /// The threshold.
    #[error("the soft threshold is not a percentage from 1% to 100%")]
    Soft,
}

impl Budget {
    /// Reads `5.00/day` and, for the threshold, `80%`.
    ///
    /// # Errors
    /// Which part cannot be read.
    pub fn parse(text: &str, soft: Option<&str>, billing: Billing) -> Result<Self, BudgetError> {
        let (amount, window) = text.split_once('/').ok_or(BudgetError::Shape)?;
        let amount: Usd = amount.trim().parse()?;
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
            nanos: amount.nanos(),
            window,
            billing,
            soft_percent: soft.map(percent).transpose()?,
        })
    }

    /// How much has to be used before a warning is due, in USD × 10⁻⁹.
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

impl std::fmt::Display for Budget {
    /// The amount and the window, such as `5.00 USD a day`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let window = match self.window {
            Window::Day => "a day",
            Window::Week => "a week",
            Window::Month => "a month",
            Window::Total => "in total",
        };
        write!(f, "{:#} USD {window}", Usd::from_nanos(self.nanos.max(0)))
    }
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
    /// It fits; perhaps a warning is due.
    Fits {
        /// Whether the soft threshold is reached with it.
        is_soft_crossed: bool,
    },
    /// It would fit if requests in flight cost less than was set aside for them.
    Reserved,
    /// It does not fit into what is left, even alone.
    Spent,
}
