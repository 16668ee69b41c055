//! Who changed what, and when. Written in the transaction of the change; never changed or deleted
//! here.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::{Link, Row, Statement, TableSchema, int, text};
use crate::error::LedgerError;
use crate::ids::EntryId;
use crate::ledger::Ledger;
use crate::time::stored_time;

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `cli`, `admin`, or a session's public name; never a credential.
    pub name: String,
    /// Where the change came from; `None` for commands.
    pub address: Option<IpAddr>,
}

impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
        }
    }
}

impl From<&Self> for Actor {
    fn from(actor: &Self) -> Self {
        actor.clone()
    }
}

/// One administrative change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditRecord {
    /// Identifies the record; sorts by time.
    pub id: EntryId,
    /// When.
    pub at: Timestamp,
    /// Who: `cli`, `admin`, a session; never a credential.
    pub actor: String,
    /// The network address that it came from; `None` for commands.
    pub address: Option<String>,
    /// What, for example `key.create`.
    pub action: String,
    /// To what: a key's id, a team's name, a scope.
    pub subject: String,
    /// With which values. No secret.
    pub detail: serde_json::Value,
}

/// The record of a change that is made at a moment.
pub(crate) fn record(
    at: Timestamp,
    actor: impl Into<Actor>,
    action: &str,
    subject: &str,
    detail: serde_json::Value,
) -> AuditRecord {
    let actor = actor.into();
    AuditRecord {
        id: EntryId::at(at),
        at,
        actor: actor.name,
        address: actor.address.map(|address| address.to_string()),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
    }
}

const AUDIT: TableSchema<AuditRecord> = TableSchema {
    name: "audit",
    columns: &[
        text("id", |record| Some(record.id.to_string())),
        int("at", |record| Some(record.at.as_microsecond())),
        text("actor", |record| Some(record.actor.clone())),
        text("action", |record| Some(record.action.clone())),
        text("subject", |record| Some(record.subject.clone())),
        text("detail", |record| Some(record.detail.to_string())),
        text("address", |record| record.address.clone()),
    ],
    change_if: "",
};

/// Writes a record in the transaction of its change.
pub(crate) async fn write(link: &mut Link<'_>, record: &AuditRecord) -> Result<(), LedgerError> {
    link.insert(&AUDIT, &[record]).await.map(drop)
}

impl Ledger {
    /// The newest changes, at most so many.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn audit(&self, most: u32) -> Result<Vec<AuditRecord>, LedgerError> {
        let mut statement = Statement::new(format!(
            "SELECT {} FROM audit ORDER BY at DESC, id DESC LIMIT ",
            AUDIT.names()
        ));
        statement.bind(i64::from(most));
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        rows.iter().map(read_record).collect()
    }

    /// Records an administrative change that lies outside the store, for example a new admin token.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn note(
        &self,
        actor: impl Into<Actor>,
        action: &str,
        subject: &str,
        detail: &serde_json::Value,
    ) -> Result<(), LedgerError> {
        let record = record(self.timestamp(), actor, action, subject, detail.clone());
        let mut connection = self.pool().acquire().await?;
        write(&mut connection.link(), &record).await
    }
}

fn read_record(row: &Row) -> Result<AuditRecord, LedgerError> {
    Ok(AuditRecord {
        id: EntryId::stored(&row.some_text("id")?)?,
        at: stored_time(row.some_int("at")?)?,
        actor: row.some_text("actor")?,
        action: row.some_text("action")?,
        subject: row.some_text("subject")?,
        detail: row.json("detail")?,
        address: row.text("address")?,
    })
}
