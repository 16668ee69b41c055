//! The SQL of intents: written before a request goes upstream, deleted when its entry is settled.

use std::collections::BTreeMap;

use crate::db::{Link, SqlDialect, TableSchema, int, text};
use crate::entry::Intent;
use crate::error::LedgerError;
use crate::ids::{EntryId, InstanceId};

/// One row of `intents`.
pub(crate) struct IntentRow {
    id: EntryId,
    instance: InstanceId,
    started_at: i64,
    /// The intent as JSON.
    body: String,
}

impl IntentRow {
    pub(crate) fn new(intent: &Intent, instance: &InstanceId) -> Result<Self, LedgerError> {
        let body = serde_json::to_string(intent)
            .map_err(|error| LedgerError::json("an intent cannot be written as JSON", error))?;
        Ok(Self {
            id: intent.id.clone(),
            instance: instance.clone(),
            started_at: intent.started_at.as_microsecond(),
            body,
        })
    }
}

pub(super) const INTENTS: TableSchema<IntentRow> = TableSchema {
    name: "intents",
    columns: &[
        text("id", |row| Some(row.id.to_string())),
        text("instance", |row| Some(row.instance.as_str().to_owned())),
        int("started_at", |row| Some(row.started_at)),
        text("body", |row| Some(row.body.clone())),
    ],
    change_if: "",
};

/// Changes the intents that are still open. One that is settled by now must not come back.
pub(super) async fn update_intents(
    link: &mut Link<'_>,
    updates: &[&IntentRow],
) -> Result<(), LedgerError> {
    if updates.is_empty() {
        return Ok(());
    }
    // Of several changes to one intent the last one counts.
    let bodies: BTreeMap<&str, &str> = updates
        .iter()
        .map(|row| (row.id.as_str(), row.body.as_str()))
        .collect();
    let list = serde_json::to_string(&bodies).unwrap_or_default();
    let sql = match link.dialect() {
        SqlDialect::Sqlite => {
            "UPDATE intents SET body = new.value FROM json_each($1) AS new \
             WHERE intents.id = new.key"
        }
        SqlDialect::Postgres => {
            "UPDATE intents SET body = new.value FROM jsonb_each_text($1::jsonb) AS new \
             WHERE intents.id = new.key"
        }
    };
    link.execute(sql, vec![list.into()]).await.map(drop)
}

pub(crate) async fn delete_intents(
    link: &mut Link<'_>,
    ids: impl Iterator<Item = &EntryId>,
) -> Result<(), LedgerError> {
    let ids: Vec<&str> = ids.map(EntryId::as_str).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_string(&ids).unwrap_or_default();
    let sql = match link.dialect() {
        SqlDialect::Sqlite => "DELETE FROM intents WHERE id IN (SELECT value FROM json_each($1))",
        SqlDialect::Postgres => {
            "DELETE FROM intents WHERE id IN (SELECT jsonb_array_elements_text($1::jsonb))"
        }
    };
    link.execute(sql, vec![list.into()]).await.map(drop)
}

/// Open intents of one instance, oldest first.
pub(crate) struct OpenIntents {
    pub(crate) intents: Vec<Intent>,
    /// Intents that cannot be read back. Nothing is known of them but that they were; keeping them
    /// would stop every sweep.
    pub(crate) unreadable: Vec<EntryId>,
}

/// Reads at most so many open intents of an instance.
pub(crate) async fn open_intents(
    link: &mut Link<'_>,
    instance: &InstanceId,
    most: i64,
) -> Result<OpenIntents, LedgerError> {
    let sql = "SELECT id, body FROM intents WHERE instance = $1 ORDER BY started_at, id LIMIT $2";
    let cells = vec![instance.as_str().into(), most.into()];
    let rows = link.fetch(sql, cells).await?;
    let mut found = OpenIntents {
        intents: Vec::new(),
        unreadable: Vec::new(),
    };
    for row in rows {
        match row.json(1) {
            Ok(intent) => found.intents.push(intent),
            Err(error) => {
                let id = row.some_text(0)?;
                tracing::error!(
                    %id,
                    error = &error as &dyn std::error::Error,
                    "a stored intent cannot be read and is dropped"
                );
                found.unreadable.extend(EntryId::parse(&id));
            }
        }
    }
    Ok(found)
}
