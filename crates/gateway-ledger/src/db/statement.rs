//! SQL put together from constants, with its values beside it.

use super::connection::{Link, Row};
use super::value::Cell;
use crate::error::LedgerError;

pub(crate) struct Statement {
    sql: String,
    cells: Vec<Cell>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            cells: Vec::new(),
        }
    }

    /// Appends SQL; never a value.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a placeholder and binds a value to it.
    pub(crate) fn bind(&mut self, value: impl Into<Cell>) -> &mut Self {
        self.cells.push(value.into());
        self.sql.push('$');
        self.sql.push_str(&self.cells.len().to_string());
        self
    }

    pub(crate) async fn fetch(self, link: &mut Link<'_>) -> Result<Vec<Row>, LedgerError> {
        link.fetch(sqlx::AssertSqlSafe(self.sql), self.cells).await
    }
}
