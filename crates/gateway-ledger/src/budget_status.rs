//! Where budgets stand, for dashboards, commands and scrapes.

use gateway_policy::limit::{Budget, Position, Scope};
use jiff::Timestamp;

use crate::error::LedgerError;
use crate::in_flight::positions::{PositionKey, days, read_positions};
use crate::ledger::Ledger;

/// Where a budget stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetStatus {
    /// Whose.
    pub scope: Scope,
    /// Which.
    pub budget: Budget,
    /// What is spent and reserved in its current period, USD × 10⁻⁹.
    pub position: Position,
    /// When it resets; `None`: never.
    pub resets_at: Option<Timestamp>,
}

impl Ledger {
    /// Where budgets stand now, in the order asked. Opens a connection of its own: for dashboards
    /// and scrapes, not for requests.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn budget_status(
        &self,
        budgets: &[(Scope, Budget)],
    ) -> Result<Vec<BudgetStatus>, LedgerError> {
        let at = self.timestamp();
        let zone = self.time_zone();
        let key = |(scope, budget): &(Scope, Budget)| {
            let days = days(budget.window.period(at, zone));
            (scope.as_text(), budget.billing, days)
        };
        let keys: Vec<PositionKey> = budgets.iter().map(key).collect();
        let keys: Vec<&PositionKey> = keys.iter().collect();
        let mut connection = self.in_flight_target().connect().await?;
        let positions = read_positions(&mut connection.link(), &keys).await?;
        connection.close().await?;
        let status = |((scope, budget), position): (&(Scope, Budget), Position)| BudgetStatus {
            scope: scope.clone(),
            budget: *budget,
            position,
            resets_at: budget.window.period(at, zone).resets_at,
        };
        Ok(budgets.iter().zip(positions).map(status).collect())
    }
}
