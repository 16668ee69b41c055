//! The stream machine that callers see: bytes of the upstream in, steps for the client out,
//! whichever way is translated.

use bytes::Bytes;

use super::chat_stream::ChatToResponses;
use super::failure::own_failure;
use super::loss_kind::Loss;
use super::reasoning::ReasoningBlob;
use super::reply_settings::ReplySettings;
use super::responses_stream::ResponsesToChat;
use crate::WireApi;
use crate::sse::{EventTooLarge, Frame, Splitter};
use crate::stream::{ReplySummary, Step, StreamFailure};

/// Translates one stream. The client always gets exactly one terminal event: also when the upstream
/// closes early, answers with an error, or sends garbage.
#[derive(Debug)]
pub struct StreamTranslator {
    splitter: Splitter,
    frames: Vec<Frame>,
    direction: Direction,
}

#[derive(Debug)]
enum Direction {
    ToResponses(Box<ChatToResponses>),
    ToChat(Box<ResponsesToChat>),
}

impl StreamTranslator {
    /// A machine for the answer to one translated request. `max_event`: the largest upstream event,
    /// in bytes.
    pub fn new(plan: ReplySettings, max_event: usize) -> Self {
        let direction = match plan.client_wire() {
            WireApi::Responses => {
                Direction::ToResponses(Box::new(ChatToResponses::new(plan, false)))
            }
            WireApi::Chat => Direction::ToChat(Box::new(ResponsesToChat::new(&plan))),
        };
        Self {
            splitter: Splitter::new(max_event),
            frames: Vec::new(),
            direction,
        }
    }

    /// Takes what the upstream sent and appends what the client gets. After the terminal event
    /// everything is swallowed.
    ///
    /// # Errors
    /// When an event is larger than the limit.
    pub fn push(&mut self, chunk: Bytes, steps: &mut Vec<Step>) -> Result<(), EventTooLarge> {
        if self.is_over() {
            return Ok(());
        }
        let result = self.splitter.push(chunk, &mut self.frames);
        let frames = std::mem::take(&mut self.frames);
        for frame in &frames {
            self.take(frame);
        }
        self.frames = frames;
        self.frames.clear();
        if result.is_err() {
            self.stop(own_failure(
                "event_too_large",
                "the upstream sent an event that is larger than this gateway accepts",
            ));
        }
        self.flush(steps);
        result
    }

    /// Ends the answer with an error of the gateway's own, such as a timeout. Nothing happens when
    /// it has ended.
    pub fn fail(&mut self, failure: StreamFailure, steps: &mut Vec<Step>) {
        if !self.is_over() {
            self.stop(failure);
            self.flush(steps);
        }
    }

    /// Says what time it is, Unix seconds: what follows is completed then.
    pub fn set_time(&mut self, unix_seconds: i64) {
        match &mut self.direction {
            Direction::ToResponses(machine) => machine.set_time(unix_seconds),
            // A Chat answer names the time of the request alone.
            Direction::ToChat(_) => {}
        }
    }

    /// Says to a client that the answer is still being made, while the upstream is silent. Nothing
    /// happens when it has ended.
    pub fn keepalive(&mut self, steps: &mut Vec<Step>) {
        if self.is_over() {
            return;
        }
        match &mut self.direction {
            Direction::ToResponses(machine) => machine.keepalive(),
            Direction::ToChat(machine) => machine.keepalive(),
        }
        self.flush(steps);
    }

    fn stop(&mut self, failure: StreamFailure) {
        match &mut self.direction {
            Direction::ToResponses(machine) if !machine.is_over() => machine.fail(failure),
            Direction::ToChat(machine) if !machine.is_over() => machine.fail(failure),
            Direction::ToResponses(_) | Direction::ToChat(_) => {}
        }
    }

    /// The upstream closed the stream: ends the answer, if the upstream did not.
    pub fn end(&mut self, steps: &mut Vec<Step>) {
        if let Some(frame) = self.splitter.finish() {
            self.take(&frame);
        }
        match &mut self.direction {
            Direction::ToResponses(machine) => machine.end(),
            Direction::ToChat(machine) => machine.end(),
        }
        self.flush(steps);
    }

    fn take(&mut self, frame: &Frame) {
        let Some(data) = frame.data() else { return };
        let name = frame.event_name();
        match &mut self.direction {
            Direction::ToResponses(machine) => machine.data(&data, name),
            Direction::ToChat(machine) => machine.data(&data, name),
        }
    }

    fn flush(&mut self, steps: &mut Vec<Step>) {
        let repairs = self.splitter.repairs();
        match &mut self.direction {
            Direction::ToResponses(machine) => {
                machine.summary.repairs = repairs;
                machine.flush(steps);
            }
            Direction::ToChat(machine) => {
                machine.summary.repairs = repairs;
                machine.flush(steps);
            }
        }
    }

    /// Whether the terminal event was written.
    pub fn is_over(&self) -> bool {
        match &self.direction {
            Direction::ToResponses(machine) => machine.is_over(),
            Direction::ToChat(machine) => machine.is_over(),
        }
    }

    /// What is known about the stream so far.
    pub fn summary(&self) -> &ReplySummary {
        match &self.direction {
            Direction::ToResponses(machine) => &machine.summary,
            Direction::ToChat(machine) => &machine.summary,
        }
    }

    /// What the answer's translation could not carry so far.
    pub fn losses(&self) -> &[Loss] {
        match &self.direction {
            Direction::ToResponses(machine) => machine.losses.as_slice(),
            Direction::ToChat(machine) => machine.losses.as_slice(),
        }
    }

    /// Provider reasoning by call id, to keep for the next request of this caller to this upstream.
    /// Asked once, at the end.
    pub fn take_reasoning(&mut self) -> Vec<(String, ReasoningBlob)> {
        match &mut self.direction {
            Direction::ToResponses(machine) => machine.take_reasoning(),
            Direction::ToChat(machine) => machine.take_reasoning(),
        }
    }
}
