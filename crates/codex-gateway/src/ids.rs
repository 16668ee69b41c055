//! Ids that this process makes.

use gateway_ledger::EntryId;

use crate::clock;

/// The id of a request: in logs, as the id of the ledger entry, and in `x-request-id` where the
/// upstream sent none. A UUID of version 7, so that ids sort by the time they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(EntryId);

impl RequestId {
    /// A new id.
    pub fn generate() -> Self {
        Self(EntryId::at(clock::now()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The id of the request's ledger entry.
    pub const fn entry(&self) -> &EntryId {
        &self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
