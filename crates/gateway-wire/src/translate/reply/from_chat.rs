//! A Chat completion as a Responses answer.

use super::read::{ReplyError, read_answer, unreadable};
use super::translated::TranslatedReply;
use crate::chat::Chunk;
use crate::stream::Terminal;
use crate::translate::chat_stream::ChatToResponses;
use crate::translate::reply_settings::ReplySettings;

pub(super) fn translate(
    settings: &ReplySettings,
    body: &[u8],
) -> Result<TranslatedReply, ReplyError> {
    let answer = read_answer(body, "choices")?;
    let chunk: Chunk<'_> =
        serde_json::from_str(answer.json()).map_err(|error| unreadable(error.to_string()))?;
    let mut machine = ChatToResponses::new(settings.clone(), true);
    machine.chunk(&chunk, answer.json().as_bytes(), None);
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
