//! Translation between Responses and Chat Completions, both ways, requests and answers, streams and
//! plain JSON.
//!
//! | client | upstream | request | answer |
//! |---|---|---|---|
//! | Responses | Chat | [`responses_to_chat`] | [`StreamTranslator`], [`reply_json`] |
//! | Chat | Responses | [`chat_to_responses`] | [`StreamTranslator`], [`reply_json`] |
//!
//! What cannot be carried is a [`Loss`] or, where going on would be wrong, a [`TranslateError`].
//! Nothing vanishes silently but bookkeeping that means nothing to the other side
//! (`docs/translation.md` lists it). Never sends, waits or remembers: ids come from the request id,
//! time from the caller, provider reasoning from a [`ReasoningLookup`].

mod body;
mod chat_stream;
mod collect;
pub mod compaction;
mod emit;
mod failure;
mod freeform;
mod history;
pub(crate) mod json;
mod loss;
mod params;
mod plan;
mod reply;
mod responses_stream;
mod schema;
mod stream;
mod think;
mod to_chat;
mod to_responses;
mod tools;

use crate::dialect::Dialect;

pub use collect::Collector;
pub use failure::error_body;
pub use loss::{Loss, LossKind};
pub use plan::{NoReasoning, Purpose, ReasoningBlob, ReasoningLookup, ReplyPlan};
pub use reply::{ReplyError, TranslatedReply, json_as_stream, reply_json};
pub use stream::StreamTranslator;
pub use to_chat::responses_to_chat;
pub use to_responses::chat_to_responses;

/// What a translation needs to know besides the body.
pub struct Settings<'a> {
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
    /// Provider reasoning of earlier calls.
    pub reasoning: &'a dyn ReasoningLookup,
    /// Which endpoint asked; [`Purpose::CompactReply`] for `/responses/compact`, else
    /// [`Purpose::Turn`].
    pub purpose: Purpose,
}

/// A translated request.
#[derive(Debug)]
pub struct Translated {
    /// The body for the upstream.
    pub body: Vec<u8>,
    /// What it could not carry.
    pub losses: Vec<Loss>,
    /// What the answer's translation needs.
    pub reply: ReplyPlan,
}

/// Why a request cannot be translated. Every message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// Not the JSON it must be.
    #[error("`{path}`: {problem}")]
    Malformed {
        /// Where.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Something that matters has no counterpart.
    #[error("`{path}` cannot be carried to this model's endpoint: {why}")]
    Unsupported {
        /// Where.
        path: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// A severe loss, refused in strict mode.
    #[error(
        "`{path}` would be lost on this model's endpoint ({}), and this gateway is set to refuse \
         that: remove it or choose another model",
        kind.as_str()
    )]
    Strict {
        /// What would be lost.
        kind: LossKind,
        /// Where.
        path: String,
    },
    /// A stored response that only its own upstream knows.
    #[error("previous response `{id}` is not known here: send the whole conversation in `input`")]
    PreviousResponse {
        /// Its id.
        id: String,
    },
}

impl TranslateError {
    pub(crate) fn malformed(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn unsupported(path: impl Into<String>, why: &'static str) -> Self {
        Self::Unsupported {
            path: path.into(),
            why,
        }
    }

    /// The public error code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "invalid_request",
            Self::Unsupported { .. } | Self::Strict { .. } => "untranslatable",
            Self::PreviousResponse { .. } => "previous_response_not_found",
        }
    }

    /// The path of what is wrong, for `error.param`.
    pub fn param(&self) -> &str {
        match self {
            Self::Malformed { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Strict { path, .. } => path,
            Self::PreviousResponse { .. } => "previous_response_id",
        }
    }
}
