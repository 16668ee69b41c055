//! A connection that is made again when it broke. Each lane belongs to one task.

use std::time::Duration;

use super::connection::{Connection, Link};
use super::target::DatabaseTarget;
use crate::error::LedgerError;

pub(crate) struct Lane {
    target: DatabaseTarget,
    connection: Option<Connection>,
}

impl Lane {
    pub(crate) async fn connect(target: DatabaseTarget) -> Result<Self, LedgerError> {
        let connection = Some(target.connect().await?);
        Ok(Self { target, connection })
    }

    /// Connects if necessary. Bounded by the target's connect timeout.
    pub(crate) async fn link(&mut self) -> Result<Link<'_>, LedgerError> {
        if self.connection.is_none() {
            self.connection = Some(self.target.connect().await?);
        }
        match &mut self.connection {
            Some(connection) => Ok(connection.link()),
            None => Err(LedgerError::unavailable("the store does not respond")),
        }
    }

    /// Gives a connection up that is in an unknown state; the next use makes a new one.
    pub(crate) fn discard(&mut self) {
        self.connection = None;
    }

    pub(crate) async fn close(&mut self) -> Result<(), LedgerError> {
        match self.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    /// How long a batch may take before its connection is given up. A local file has no network to
    /// lose an answer in, and giving up there would only leave its worker behind.
    pub(crate) const fn deadline(&self) -> Option<Duration> {
        match self.target {
            DatabaseTarget::Sqlite { .. } => None,
            DatabaseTarget::Postgres { .. } => Some(Duration::from_secs(5)),
        }
    }
}
