//! Ids that this process makes.

/// The id of a request; in logs, in the ledger, and in `x-request-id` where the upstream sent none.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// A new id: UUIDv7, so that ids sort by the time they were made.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
