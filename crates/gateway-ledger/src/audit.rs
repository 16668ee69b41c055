//! Who changed what, and when. Written in the transaction of the change; never changed or deleted
//! here.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::db::{Link, Row, Statement};
use crate::entry::EntryId;
use crate::error::{LedgerError, LedgerErrorKind};
use crate::ledger::Ledger;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

pub(crate) async fn write(
    link: &mut Link<'_>,
    at: Timestamp,
    actor: &Actor,
    action: &str,
    subject: &str,
    detail: &serde_json::Value,
) -> Result<(), LedgerError> {
    let address = actor.address.map(|address| address.to_string());
    let cells = vec![
        EntryId::at(at).as_str().into(),
        at.as_microsecond().into(),
        actor.name.as_str().into(),
        action.into(),
        subject.into(),
        detail.to_string().into(),
        address.as_deref().into(),
    ];
    let sql = "INSERT INTO audit (id, at, actor, action, subject, detail, address) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    link.execute(sql, cells).await.map(drop)
}

impl Ledger {
    /// The newest changes, at most so many.
    pub async fn audit(&self, most: u32) -> Result<Vec<AuditRecord>, LedgerError> {
        let mut statement = Statement::new(
            "SELECT id, at, actor, action, subject, detail, address FROM audit ORDER BY at DESC, id DESC LIMIT ",
        );
        statement.bind(i64::from(most));
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        rows.iter().map(record_of).collect()
    }
}

fn record_of(row: &Row) -> Result<AuditRecord, LedgerError> {
    let corrupt = |context| LedgerError::bare(LedgerErrorKind::Corrupt, context);
    Ok(AuditRecord {
        id: EntryId::parse(&row.some_text(0)?).map_err(|_| corrupt("a stored id is no UUID"))?,
        at: Timestamp::from_microsecond(row.some_int(1)?)
            .map_err(|_| corrupt("a stored time is out of range"))?,
        actor: row.some_text(2)?,
        action: row.some_text(3)?,
        subject: row.some_text(4)?,
        detail: serde_json::from_str(&row.some_text(5)?)
            .map_err(|_| corrupt("a stored audit record cannot be read"))?,
        address: row.text(6)?,
    })
}
