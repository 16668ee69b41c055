//! Who made what an upstream keeps under the gateway's own credential. Decides nothing about who may
//! use it.

use crate::db::{Row, Statement, TableSchema, int, key, text};
use crate::error::LedgerError;
use crate::ledger::Ledger;

/// Something that an upstream keeps, and who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredId {
    /// The upstream's name.
    pub upstream: String,
    /// Its id there.
    pub id: String,
    /// The id of the gateway key that made it.
    pub key: String,
    /// That key's team.
    pub team: Option<String>,
    /// The model that made it, where one did.
    pub model: Option<String>,
}

/// A row, and when it was made.
type StoredRow = (StoredId, i64);

const STORED_IDS: TableSchema<StoredRow> = TableSchema {
    name: "stored_ids",
    columns: &[
        key(text("id", |row: &StoredRow| Some(row.0.id.clone()))),
        key(text("upstream", |row: &StoredRow| {
            Some(row.0.upstream.clone())
        })),
        text("key_id", |row: &StoredRow| Some(row.0.key.clone())),
        text("team", |row: &StoredRow| row.0.team.clone()),
        text("model", |row: &StoredRow| row.0.model.clone()),
        int("made_at", |row: &StoredRow| Some(row.1)),
    ],
    change_if: "",
};

impl Ledger {
    /// Remembers who made these. The first who made one stays its owner.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn remember_stored(&self, made: Vec<StoredId>) -> Result<(), LedgerError> {
        let now = self.now();
        let rows: Vec<StoredRow> = made.into_iter().map(|made| (made, now)).collect();
        let rows: Vec<&StoredRow> = rows.iter().collect();
        let mut connection = self.pool().begin().await?;
        connection.link().insert(&STORED_IDS, &rows).await?;
        connection.commit().await
    }

    /// Those of these ids at an upstream that somebody made.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn stored(&self, upstream: &str, ids: &[&str]) -> Result<Vec<StoredId>, LedgerError> {
        let mut statement =
            Statement::new("SELECT upstream, id, key_id, team, model FROM stored_ids WHERE ");
        statement
            .push("upstream = ")
            .bind(upstream)
            .push(" AND id IN (");
        for (index, id) in ids.iter().enumerate() {
            statement.push(if index == 0 { "" } else { ", " }).bind(*id);
        }
        statement.push(")");
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<StoredId, LedgerError> {
    Ok(StoredId {
        upstream: row.some_text("upstream")?,
        id: row.some_text("id")?,
        key: row.some_text("key_id")?,
        team: row.text("team")?,
        model: row.text("model")?,
    })
}
