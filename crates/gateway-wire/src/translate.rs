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
mod call_assembler;
mod call_ids;
mod chat_content;
mod chat_stream;
mod chunk_writer;
mod collect;
pub mod compaction;
mod completion;
mod context;
mod echo;
mod emit;
mod error;
mod failure;
mod freeform;
mod history;
mod loss_kind;
mod losses;
mod parameters;
mod placeholders;
mod reasoning;
mod reply;
mod reply_settings;
mod responses_stream;
mod schema;
mod stream;
mod think_tags;
mod to_chat;
mod to_responses;
mod tool_declarations;
mod tool_map;

pub use collect::StreamCollector;
pub use context::{TranslatedRequest, TranslationContext};
pub use error::TranslateError;
pub use failure::error_body;
pub use loss_kind::{Loss, LossKind};
pub use reasoning::{NoReasoning, ReasoningBlob, ReasoningLookup};
pub use reply::{ReplyError, TranslatedReply, json_as_stream, reply_json};
pub use reply_settings::{ReplyPurpose, ReplySettings};
pub use stream::StreamTranslator;
pub use to_chat::responses_to_chat;
pub use to_responses::chat_to_responses;
