//! What goes into the translation of a request besides its body, and what comes out.

use super::loss_kind::Loss;
use super::reasoning::ReasoningLookup;
use super::reply_settings::{ReplyPurpose, ReplySettings};
use crate::dialect::Dialect;

/// What a translation needs to know besides the body.
pub struct TranslationContext<'a> {
    /// The model id that the upstream is asked for.
    pub model: &'a str,
    /// How the upstream deviates.
    pub dialect: &'a Dialect,
    /// Refuse the request instead of losing something that matters.
    pub strict: bool,
    /// Unique; all ids of the answer are made of it.
    pub request_id: &'a str,
    /// Unix seconds, said as the time of the answer.
    pub created_at: i64,
    /// Whether the client is Codex, which sends a request again whose answer is incomplete.
    pub is_codex: bool,
    /// Provider reasoning of earlier calls.
    pub reasoning: &'a dyn ReasoningLookup,
    /// Which endpoint asked; [`ReplyPurpose::CompactReply`] for `/responses/compact`, else
    /// [`ReplyPurpose::Turn`].
    pub purpose: ReplyPurpose,
}

/// A translated request.
#[derive(Debug)]
pub struct TranslatedRequest {
    /// The body for the upstream.
    pub body: Vec<u8>,
    /// What it could not carry.
    pub losses: Vec<Loss>,
    /// What the answer's translation needs.
    pub reply: ReplySettings,
}
