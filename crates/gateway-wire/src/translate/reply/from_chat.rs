//! A Chat completion as a Responses answer.

use super::read::{ReplyError, read_answer};
use super::translated::TranslatedReply;
use crate::chat::Chunk;
use crate::json::write::JsonWriter;
use crate::stream::Terminal;
use crate::translate::chat_stream::ChatToResponses;
use crate::translate::reply_settings::ReplySettings;

pub(super) fn translate(plan: &ReplySettings, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    let fields = read_answer(body, "choices")?;
    let mut json = JsonWriter::default();
    json.begin_object();
    for (name, value) in &fields.0 {
        json.field_raw(name, value.get());
    }
    json.end_object();
    let chunk: Chunk<'_> = serde_json::from_slice(&json.out)
        .map_err(|error| ReplyError::Unreadable(error.to_string()))?;
    if chunk.choices.as_ref().is_none_or(Vec::is_empty) && chunk.error.is_none() {
        return Err(ReplyError::Unreadable("it has no choice".to_owned()));
    }
    let mut machine = ChatToResponses::new(plan.clone(), true);
    machine.chunk(&chunk, body);
    machine.assume_stop();
    machine.end();
    let reasoning = machine.take_reasoning();
    machine.summary.events = 0;
    match machine.summary.terminal.take() {
        Some(Terminal::Failed(failure)) => Err(ReplyError::Failed(Box::new(failure))),
        terminal => {
            machine.summary.terminal = terminal;
            Ok(TranslatedReply {
                body: machine.whole,
                losses: machine.losses.into_vec(),
                summary: machine.summary,
                reasoning,
            })
        }
    }
}
