//! What the translation of a whole answer gives.

use crate::stream::ReplySummary;
use crate::translate::loss_kind::Loss;
use crate::translate::reasoning::ReasoningBlob;

/// A translated answer.
#[derive(Debug)]
pub struct TranslatedReply {
    /// The body for the client.
    pub body: Vec<u8>,
    /// What it could not carry.
    pub losses: Vec<Loss>,
    /// What the ledger needs.
    pub summary: ReplySummary,
    /// Provider reasoning by call id, to keep for the next request.
    pub reasoning: Vec<(String, ReasoningBlob)>,
}
