//! Whole answers: translated, or expanded into the stream that the client asked for.

mod expand;
mod from_chat;
mod from_responses;
mod read;
mod translated;

use super::reply_settings::ReplySettings;
use crate::WireApi;

pub use expand::json_as_stream;
pub use read::ReplyError;
pub use translated::TranslatedReply;

/// Translates a plain JSON answer for the client whose request `settings` came from.
///
/// # Errors
/// When the upstream told an error in place of an answer, or one that cannot be read.
pub fn reply_json(settings: &ReplySettings, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    match settings.client_wire() {
        WireApi::Responses => from_chat::translate(settings, body),
        WireApi::Chat => from_responses::translate(settings, body),
    }
}
