//! The newest ChatGPT plan limits seen per hashed account. Stored as the JSON the caller gives;
//! read by people only.

use jiff::Timestamp;
use serde::Serialize;

use crate::db::{Row, Statement, TableSchema, int, key, replaced, text};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::time::stored_time;

/// What an account's last answer said about the limits of its plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountLimits {
    /// A hash of the account's id; never the id.
    pub account: String,
    /// When the answer came.
    pub observed_at: Timestamp,
    /// The windows and credits as the caller read them.
    pub limits: serde_json::Value,
}

const ACCOUNT_LIMITS: TableSchema<AccountLimits> = TableSchema {
    name: "plan_limits",
    columns: &[
        key(text("account", |limits| Some(limits.account.clone()))),
        replaced(int("observed_at", |limits| {
            Some(limits.observed_at.as_microsecond())
        })),
        replaced(text("body", |limits| Some(limits.limits.to_string()))),
    ],
    // Answers finish out of order, and replicas race: only a newer one replaces.
    change_if: "plan_limits.observed_at <= excluded.observed_at",
};

/// Most accounts that are listed.
const MOST: i64 = 1_000;

impl Ledger {
    /// Keeps what an account's answer said, unless there is a newer one.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn put_account_limits(&self, limits: &AccountLimits) -> Result<(), LedgerError> {
        let mut connection = self.pool().acquire().await?;
        let mut link = connection.link();
        link.insert(&ACCOUNT_LIMITS, &[limits]).await.map(drop)
    }

    /// The newest limits of every account, newest first.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn account_limits(&self) -> Result<Vec<AccountLimits>, LedgerError> {
        let mut statement = Statement::new(format!(
            "SELECT {} FROM plan_limits ORDER BY observed_at DESC, account LIMIT ",
            ACCOUNT_LIMITS.names()
        ));
        statement.bind(MOST);
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        let read = |row: &Row| {
            Ok(AccountLimits {
                account: row.some_text("account")?,
                observed_at: stored_time(row.some_int("observed_at")?)?,
                limits: row.json("body")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
