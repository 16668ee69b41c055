//! Writes many rows in few statements, each database in the way it likes.

use super::{Cell, FAILED, Kind, Link, Row, answered};
use crate::error::LedgerError;

/// A table to write many rows to in one go.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Columns in the order of a row's cells. The first one identifies the row in
    /// [`Link::insert`]'s answer.
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// What follows the values: the conflict clause.
    pub(crate) conflict: &'static str,
}

impl Link<'_> {
    /// Writes rows and answers the identifying cells of those that were new or changed. A statement
    /// is a hop to another thread or a round trip, so it carries many rows: lists of values for
    /// SQLite, whole columns for PostgreSQL.
    pub(crate) async fn insert(
        &mut self,
        table: &Table,
        rows: Vec<Vec<Cell>>,
    ) -> Result<Vec<String>, LedgerError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        match self {
            Self::Sqlite(_) => {
                let id = table.columns.first().map_or("1", |(name, _)| *name);
                let mut written = Vec::new();
                let mut rows = rows.into_iter();
                while let Some(size) = chunk(rows.len()) {
                    let sql = format!(
                        "INSERT INTO {} ({names}) VALUES {} {} RETURNING {id}",
                        table.name,
                        places(size, table.columns.len()),
                        table.conflict
                    );
                    let cells = rows.by_ref().take(size).flatten().collect();
                    for row in self.fetch(sqlx::AssertSqlSafe(sql), cells).await? {
                        written.push(row.some_text(0)?);
                    }
                }
                Ok(written)
            }
            Self::Postgres(connection) => {
                let arrays: Vec<String> = table
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(index, (_, kind))| match kind {
                        Kind::Text => format!("${}::text[]", index + 1),
                        Kind::Int => format!("${}::bigint[]", index + 1),
                    })
                    .collect();
                let id = table.columns.first().map_or("1", |(name, _)| *name);
                let sql = format!(
                    "INSERT INTO {} ({names}) SELECT * FROM UNNEST({}) {} RETURNING {}.{id}::text",
                    table.name,
                    arrays.join(", "),
                    table.conflict,
                    table.name
                );
                let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
                for column in columns(table, rows) {
                    query = match column {
                        Column::Text(texts) => query.bind(texts),
                        Column::Int(numbers) => query.bind(numbers),
                    };
                }
                let rows = answered(query.fetch_all(&mut **connection)).await;
                let rows = rows.map_err(|error| LedgerError::sql(FAILED, error))?;
                rows.into_iter()
                    .map(|row| Row::Postgres(row).some_text(0))
                    .collect()
            }
        }
    }
}

/// The largest power of two up to 64 that is not above a number of rows: every statement is one of
/// seven, so that all stay prepared.
fn chunk(rows: usize) -> Option<usize> {
    (0..7)
        .rev()
        .map(|power| 1 << power)
        .find(|size| *size <= rows)
}

/// `($1, $2), ($3, $4)` …
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns)
            .map(|column| format!("${}", row * columns + column))
            .collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

enum Column {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
}

fn columns(table: &Table, rows: Vec<Vec<Cell>>) -> Vec<Column> {
    let mut columns: Vec<Column> = table
        .columns
        .iter()
        .map(|(_, kind)| match kind {
            Kind::Text => Column::Text(Vec::with_capacity(rows.len())),
            Kind::Int => Column::Int(Vec::with_capacity(rows.len())),
        })
        .collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            match (column, cell) {
                (Column::Text(texts), Cell::Text(text)) => texts.push(text),
                (Column::Int(numbers), Cell::Int(number)) => numbers.push(number),
                // A row that does not fit its table; NULL makes the database say so.
                (Column::Text(texts), Cell::Int(_)) => texts.push(None),
                (Column::Int(numbers), Cell::Text(_)) => numbers.push(None),
            }
        }
    }
    columns
}
