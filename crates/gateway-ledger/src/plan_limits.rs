//! The newest ChatGPT plan limits seen per hashed account. Stored as the JSON the caller gives;
//! read by people only.

use jiff::Timestamp;
use serde::Serialize;

use crate::db::{Kind, Statement, Table};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::ledger::Ledger;

/// What an account's last answer said about its plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanLimits {
    /// A hash of the account's id; never the id.
    pub account: String,
    /// When the answer came.
    pub observed_at: Timestamp,
    /// The windows and credits as the caller read them.
    pub limits: serde_json::Value,
}

const PLAN_LIMITS: Table = Table {
    name: "plan_limits",
    columns: &[
        ("account", Kind::Text),
        ("observed_at", Kind::Int),
        ("body", Kind::Text),
    ],
    // Answers finish out of order, and replicas race: only a newer one replaces.
    conflict: "ON CONFLICT (account) DO UPDATE SET observed_at = excluded.observed_at, body = excluded.body \
               WHERE plan_limits.observed_at <= excluded.observed_at",
};

/// Most accounts that are listed.
const MOST: i64 = 1_000;

impl Ledger {
    /// Keeps what an account's answer said, unless a newer answer has.
    pub async fn put_plan_limits(&self, limits: &PlanLimits) -> Result<(), LedgerError> {
        let row = vec![
            limits.account.as_str().into(),
            limits.observed_at.as_microsecond().into(),
            limits.limits.to_string().into(),
        ];
        let mut connection = self.pool().acquire().await?;
        connection
            .link()
            .insert(&PLAN_LIMITS, vec![row])
            .await
            .map(drop)
    }

    /// The newest limits of every account, newest first.
    pub async fn plan_limits(&self) -> Result<Vec<PlanLimits>, LedgerError> {
        let mut statement = Statement::new(
            "SELECT account, observed_at, body FROM plan_limits ORDER BY observed_at DESC, account LIMIT ",
        );
        statement.bind(MOST);
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        let corrupt = |context| LedgerError::bare(LedgerErrorKind::Corrupt, context);
        let read = |row: &crate::db::Row| {
            Ok(PlanLimits {
                account: row.some_text(0)?,
                observed_at: Timestamp::from_microsecond(row.some_int(1)?)
                    .map_err(|_| corrupt("a stored time is out of range"))?,
                limits: serde_json::from_str(&row.some_text(2)?)
                    .map_err(|_| corrupt("stored plan limits cannot be read"))?,
            })
        };
        rows.iter().map(read).collect()
    }
}
