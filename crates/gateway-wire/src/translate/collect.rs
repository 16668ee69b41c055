//! A stream put together into the JSON answer that a client without `stream` asked for. Same wire
//! in and out. What cannot be read fails the answer.

mod chat;
mod responses;

use bytes::Bytes;

use super::failure::truncated;
use crate::WireApi;
use crate::sse::{EventTooLarge, Frame, Splitter};
use crate::stream::{ReplySummary, StreamFailure, Terminal};
use chat::CollectedCompletion;
use responses::CollectedResponse;

/// Puts one stream together.
#[derive(Debug)]
pub struct StreamCollector {
    splitter: Splitter,
    frames: Vec<Frame>,
    summary: ReplySummary,
    reply: CollectedReply,
    size: usize,
    max_size: usize,
}

#[derive(Debug)]
enum CollectedReply {
    Responses(CollectedResponse),
    Chat(Box<CollectedCompletion>),
}

impl StreamCollector {
    /// `max_event`: the largest event; `max_size`: the largest stream, both in bytes.
    pub fn new(wire: WireApi, max_event: usize, max_size: usize) -> Self {
        let reply = match wire {
            WireApi::Responses => CollectedReply::Responses(CollectedResponse::default()),
            WireApi::Chat => CollectedReply::Chat(Box::default()),
        };
        Self {
            splitter: Splitter::new(max_event),
            frames: Vec::new(),
            summary: ReplySummary::default(),
            reply,
            size: 0,
            max_size,
        }
    }

    /// Takes what the upstream sent.
    ///
    /// # Errors
    /// When an event or the stream is too large; nothing more is taken.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), EventTooLarge> {
        self.size = self.size.saturating_add(chunk.len());
        if self.size > self.max_size {
            return Err(EventTooLarge {
                limit: self.max_size,
            });
        }
        let result = self.splitter.push(chunk, &mut self.frames);
        for frame in std::mem::take(&mut self.frames) {
            self.take(&frame);
        }
        result
    }

    /// What is known about the stream so far.
    pub fn summary(&self) -> &ReplySummary {
        &self.summary
    }

    /// The upstream closed the stream: the JSON answer, or why there is none.
    pub fn finish(mut self) -> (Result<Vec<u8>, StreamFailure>, ReplySummary) {
        if let Some(frame) = self.splitter.finish() {
            self.take(&frame);
        }
        self.summary.repairs = self.splitter.repairs();
        if self.summary.terminal.is_none() {
            let is_whole =
                matches!(&self.reply, CollectedReply::Chat(completion) if completion.is_finished());
            let failure = self.summary.pending_error.take();
            self.summary.end_with(match failure {
                None if is_whole => Terminal::Completed,
                None => Terminal::Failed(truncated()),
                Some(failure) => Terminal::Failed(failure),
            });
        }
        if let CollectedReply::Chat(completion) = &mut self.reply
            && !matches!(self.summary.terminal, Some(Terminal::Failed(_)))
            && let Some(failure) = completion.close()
        {
            self.summary.end_with(Terminal::Failed(failure));
        }
        let result = match &self.summary.terminal {
            Some(Terminal::Failed(failure)) => Err(failure.clone()),
            Some(Terminal::Completed | Terminal::Incomplete { .. }) | None => {
                Ok(match &self.reply {
                    CollectedReply::Responses(response) => response.to_json(),
                    CollectedReply::Chat(completion) => completion.to_json(&self.summary),
                })
            }
        };
        (result, self.summary)
    }

    fn take(&mut self, frame: &Frame) {
        let Some(data) = frame.data() else { return };
        if self.summary.terminal.is_some() {
            return;
        }
        self.summary.events += 1;
        let name = frame.event_name();
        match &mut self.reply {
            CollectedReply::Responses(response) => response.take(&data, name, &mut self.summary),
            CollectedReply::Chat(completion) => completion.take(&data, name, &mut self.summary),
        }
    }
}
