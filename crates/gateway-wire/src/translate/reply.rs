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

/// Translates a plain JSON answer for the client of `plan`.
pub fn reply_json(plan: &ReplySettings, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    match plan.client_wire() {
        WireApi::Responses => from_chat::translate(plan, body),
        WireApi::Chat => from_responses::translate(plan, body),
    }
}
