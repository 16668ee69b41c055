//! Tables described once: their columns, what a row writes there, and what happens to a row that is
//! there already. Writes many rows in few statements, each database in the way it likes.

use super::connection::{Link, Row, answered, failed};
use super::value::{Cell, without_nul};
use crate::error::LedgerError;

/// A table to write rows of `R` to.
pub(crate) struct TableSchema<R: 'static> {
    pub(crate) name: &'static str,
    /// The first column identifies the row in [`Link::insert`]'s answer.
    pub(crate) columns: &'static [Column<R>],
    /// A row that is there already is changed only where this holds; empty: always.
    pub(crate) change_if: &'static str,
}

/// A column, and what a row writes there.
pub(crate) struct Column<R> {
    name: &'static str,
    value: Value<R>,
    on_conflict: OnConflict,
}

enum Value<R> {
    Text(fn(&R) -> Option<String>),
    Int(fn(&R) -> Option<i64>),
}

/// What becomes of a column of a row that is there already.
enum OnConflict {
    /// It is part of what makes the two rows the same.
    Key,
    Keep,
    Replace,
    Add,
}

/// A column of text.
pub(crate) const fn text<R>(name: &'static str, value: fn(&R) -> Option<String>) -> Column<R> {
    Column {
        name,
        value: Value::Text(value),
        on_conflict: OnConflict::Keep,
    }
}

/// A column of integers.
pub(crate) const fn int<R>(name: &'static str, value: fn(&R) -> Option<i64>) -> Column<R> {
    Column {
        name,
        value: Value::Int(value),
        on_conflict: OnConflict::Keep,
    }
}

/// Two rows that are equal in this column and in the other keys are the same row.
pub(crate) const fn key<R>(mut column: Column<R>) -> Column<R> {
    column.on_conflict = OnConflict::Key;
    column
}

/// The new value replaces the old one.
pub(crate) const fn replaced<R>(mut column: Column<R>) -> Column<R> {
    column.on_conflict = OnConflict::Replace;
    column
}

/// The new value is added to the old one.
pub(crate) const fn added<R>(mut column: Column<R>) -> Column<R> {
    column.on_conflict = OnConflict::Add;
    column
}

impl<R> Column<R> {
    fn cell(&self, row: &R) -> Cell {
        match self.value {
            Value::Text(value) => Cell::Text(value(row).map(without_nul)),
            Value::Int(value) => Cell::Int(value(row)),
        }
    }
}

impl<R> TableSchema<R> {
    /// The names of the columns, as `SELECT` takes them.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    fn insert_sql(&self, values: &str) -> String {
        let name = self.name;
        let id = self.columns.first().map_or("1", |column| column.name);
        let (names, conflict) = (self.names(), self.conflict_clause());
        format!("INSERT INTO {name} ({names}) {values} {conflict} RETURNING {name}.{id}")
    }

    fn conflict_clause(&self) -> String {
        let (mut keys, mut changes) = (Vec::new(), Vec::new());
        for column in self.columns {
            let name = column.name;
            match column.on_conflict {
                OnConflict::Key => keys.push(name),
                OnConflict::Keep => {}
                OnConflict::Replace => changes.push(format!("{name} = excluded.{name}")),
                OnConflict::Add => {
                    changes.push(format!("{name} = {}.{name} + excluded.{name}", self.name));
                }
            }
        }
        if changes.is_empty() {
            return "ON CONFLICT DO NOTHING".to_owned();
        }
        let condition = if self.change_if.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", self.change_if)
        };
        format!(
            "ON CONFLICT ({}) DO UPDATE SET {}{condition}",
            keys.join(", "),
            changes.join(", ")
        )
    }

    /// `SELECT * FROM UNNEST($1::text[], $2::bigint[], …)`
    fn unnested(&self) -> String {
        let array = |(index, column): (usize, &Column<R>)| {
            let kind = match column.value {
                Value::Text(_) => "text",
                Value::Int(_) => "bigint",
            };
            format!("${}::{kind}[]", index + 1)
        };
        let arrays: Vec<String> = self.columns.iter().enumerate().map(array).collect();
        format!("SELECT * FROM UNNEST({})", arrays.join(", "))
    }
}

impl Link<'_> {
    /// Writes rows and answers the identifying cells of those that were new or changed. A statement
    /// is a hop to another thread or a round trip, so it carries many rows: lists of values for
    /// SQLite, whole columns for PostgreSQL.
    pub(crate) async fn insert<R: Sync>(
        &mut self,
        table: &TableSchema<R>,
        rows: &[&R],
    ) -> Result<Vec<String>, LedgerError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Sqlite(_) => self.insert_values(table, rows).await,
            Self::Postgres(connection) => {
                let mut query =
                    sqlx::query(sqlx::AssertSqlSafe(table.insert_sql(&table.unnested())));
                for column in table.columns {
                    let rows = rows.iter();
                    query = match column.value {
                        Value::Text(value) => {
                            let texts = rows.map(|row| value(row).map(without_nul));
                            query.bind(texts.collect::<Vec<_>>())
                        }
                        Value::Int(value) => {
                            query.bind(rows.map(|row| value(row)).collect::<Vec<_>>())
                        }
                    };
                }
                let written = answered(query.fetch_all(&mut **connection)).await;
                let written = written.map_err(failed)?.into_iter();
                written.map(|row| Row::Postgres(row).some_text(0)).collect()
            }
        }
    }

    async fn insert_values<R: Sync>(
        &mut self,
        table: &TableSchema<R>,
        mut rows: &[&R],
    ) -> Result<Vec<String>, LedgerError> {
        let mut written = Vec::new();
        while let Some((group, rest)) = split_group(rows) {
            rows = rest;
            let sql = table.insert_sql(&placeholders(group.len(), table.columns.len()));
            let cells = group
                .iter()
                .flat_map(|row| table.columns.iter().map(|column| column.cell(row)))
                .collect();
            for row in self.fetch(sqlx::AssertSqlSafe(sql), cells).await? {
                written.push(row.some_text(0)?);
            }
        }
        Ok(written)
    }
}

/// Takes the largest power of two of rows up to 64: every statement is one of seven, so that all
/// stay prepared.
fn split_group<R>(rows: &[R]) -> Option<(&[R], &[R])> {
    (0..7)
        .rev()
        .find_map(|power| rows.split_at_checked(1 << power))
}

/// `VALUES (?, ?), (?, ?)` …: SQLite's driver looks a numbered placeholder up in a list of all of
/// them, so that a statement of 64 rows took the square of its length.
fn placeholders(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    format!("VALUES {}", vec![row; rows].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: TableSchema<(String, i64, i64)> = TableSchema {
        name: "pairs",
        columns: &[
            key(text("name", |row| Some(row.0.clone()))),
            replaced(int("newest", |row| Some(row.1))),
            added(int("sum", |row| Some(row.2))),
        ],
        change_if: "pairs.newest <= excluded.newest",
    };

    #[test]
    fn what_happens_to_a_known_row_is_said_at_its_columns() {
        assert_eq!(
            PAIRS.insert_sql(&placeholders(2, 3)),
            "INSERT INTO pairs (name, newest, sum) VALUES (?, ?, ?), (?, ?, ?) \
             ON CONFLICT (name) DO UPDATE SET newest = excluded.newest, \
             sum = pairs.sum + excluded.sum WHERE pairs.newest <= excluded.newest \
             RETURNING pairs.name"
        );
        assert_eq!(
            PAIRS.unnested(),
            "SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[])"
        );
    }

    #[test]
    fn rows_are_split_into_powers_of_two() {
        let mut rows: &[u8] = &[0; 100];
        let mut sizes = Vec::new();
        while let Some((group, rest)) = split_group(rows) {
            sizes.push(group.len());
            rows = rest;
        }
        assert_eq!(sizes, [64, 32, 4]);
    }
}
