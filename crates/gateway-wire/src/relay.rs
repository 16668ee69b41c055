//! The same-wire stream machine: passes an upstream's events on as they came, reads what the ledger
//! needs, and repairs only what would break the client. Translates nothing and decides nothing.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::sse::{EventTooLarge, Go, SplitEvent, Splitter, data_of};
use crate::stream::{ReplySummary, Step, StepKind, Terminal};
use crate::wire_api::WireApi;

mod chat;
mod delta;
mod edit;
mod observation;
mod responses;

use chat::ChatWatch;
use edit::HeaderEdits;
use observation::Observation;
use responses::ResponsesWatch;

/// What a relay does besides passing bytes on.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The protocol both sides speak.
    pub wire: WireApi,
    /// The largest event, in bytes.
    pub max_event: usize,
    /// The model id that `openai-model` and `x-openai-model` inside events' headers must say: the
    /// requested one, when another one serves. `None`: they stay as they are.
    pub model_echo: Option<String>,
    /// Remove `x-models-etag` from events' headers.
    pub strip_models_etag: bool,
    /// Leave out the token counts of a Chat stream, which the gateway asked for and the client did
    /// not.
    pub hide_usage: bool,
    /// The stream is none of answers to a model's request: no event ends it, only its connection
    /// does.
    pub ends_with_connection: bool,
}

/// Passes one stream on.
#[derive(Debug)]
pub struct Relay {
    splitter: Splitter,
    watch: WireWatch,
    summary: ReplySummary,
    ends_with_connection: bool,
    is_over: bool,
}

#[derive(Debug)]
enum WireWatch {
    Responses(ResponsesWatch),
    Chat(ChatWatch),
}

impl Relay {
    /// A relay for one answer.
    pub fn new(settings: RelaySettings) -> Self {
        let edits = HeaderEdits::new(settings.model_echo, settings.strip_models_etag);
        Self {
            splitter: Splitter::new(settings.max_event),
            watch: match settings.wire {
                WireApi::Responses => WireWatch::Responses(ResponsesWatch::new(edits)),
                WireApi::Chat => WireWatch::Chat(ChatWatch::new(settings.hide_usage)),
            },
            summary: ReplySummary::default(),
            ends_with_connection: settings.ends_with_connection,
            is_over: false,
        }
    }

    /// Takes what the upstream sent and appends what the client gets. What stands behind the
    /// terminal event is not looked at: it goes with it, byte for byte.
    ///
    /// # Errors
    /// When an event is larger than the limit; nothing more is taken.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the chunk is handed over: steps keep parts of it"
    )]
    pub fn push(&mut self, chunk: Bytes, steps: &mut Vec<Step>) -> Result<(), EventTooLarge> {
        if self.is_over {
            let from = self.splitter.skip_line_feed(&chunk);
            behind_the_end(&chunk, from, steps);
            return Ok(());
        }
        let Self {
            splitter,
            watch,
            summary,
            is_over,
            ends_with_connection: _,
        } = self;
        let mut run = Run {
            chunk: &chunk,
            span: None,
        };
        let result = splitter.split(&chunk, |piece| {
            let kind = match piece {
                SplitEvent::InChunk { range, raw, data } => {
                    let seen = watch.see(raw, data, summary);
                    match seen.rewritten {
                        None => run.extend(seen.kind, range, steps),
                        Some(bytes) => run.interrupt(seen.kind, bytes, steps),
                    }
                    seen.kind
                }
                SplitEvent::Owned(frame) => {
                    let seen = watch.see(&frame.raw, data_of(&frame.raw), summary);
                    run.interrupt(seen.kind, seen.rewritten.unwrap_or(frame.raw), steps);
                    seen.kind
                }
            };
            if kind == StepKind::Terminal {
                *is_over = true;
                return Go::Stop;
            }
            Go::On
        });
        run.flush(steps);
        self.note_framing();
        let read = result?;
        if self.is_over {
            behind_the_end(&chunk, read, steps);
        }
        Ok(())
    }

    /// The upstream closed cleanly: gives out a last event that only lacks its blank line.
    pub fn end(&mut self, steps: &mut Vec<Step>) {
        if self.is_over {
            return;
        }
        if let Some(frame) = self.splitter.finish() {
            // An event that was cut in the middle is not made to look whole.
            if is_whole(&frame.raw) {
                self.summary.repairs.ending += 1;
                let raw = with_blank_line(&frame.raw);
                let seen = self.watch.see(&raw, data_of(&raw), &mut self.summary);
                self.is_over = seen.kind == StepKind::Terminal;
                let bytes = seen.rewritten.unwrap_or(raw);
                if !bytes.is_empty() {
                    steps.push(seen.kind.step(bytes));
                }
            }
        }
        self.note_framing();
        if self.is_over {
            return;
        }
        let last = match &self.watch {
            WireWatch::Chat(chat) => chat.end(&mut self.summary),
            WireWatch::Responses(_) if self.ends_with_connection => {
                let failure = self.summary.pending_error.take();
                self.summary
                    .end_with(failure.map_or(Terminal::Completed, Terminal::Failed));
                Some(Bytes::new())
            }
            WireWatch::Responses(_) => None,
        };
        if let Some(last) = last {
            self.is_over = true;
            steps.push(Step::Terminal(last));
        }
    }

    /// Whether only the connection ends this stream, so that nothing of ours belongs into it.
    pub const fn ends_with_connection(&self) -> bool {
        self.ends_with_connection
    }

    /// What is known so far.
    pub const fn summary(&self) -> &ReplySummary {
        &self.summary
    }

    /// Bytes held for an event that is not complete.
    pub fn buffered(&self) -> usize {
        self.splitter.buffered()
    }

    fn note_framing(&mut self) {
        let framing = self.splitter.repairs();
        self.summary.repairs.bom = framing.bom;
        self.summary.repairs.lone_cr = framing.lone_cr;
        self.summary.repairs.bad_utf8 = framing.bad_utf8;
    }
}

impl WireWatch {
    fn see(
        &mut self,
        raw: &[u8],
        data: Option<Cow<'_, [u8]>>,
        summary: &mut ReplySummary,
    ) -> Observation {
        let Some(data) = data else {
            return Observation::unchanged(StepKind::so_far(summary));
        };
        summary.events += 1;
        match self {
            Self::Responses(watch) => watch.see(raw, &data, summary),
            Self::Chat(watch) => watch.see(raw, &data, summary),
        }
    }
}

/// Neighbouring events of one kind inside a chunk, sent as one piece.
struct Run<'a> {
    chunk: &'a Bytes,
    span: Option<(StepKind, Range<usize>)>,
}

impl Run<'_> {
    fn extend(&mut self, kind: StepKind, range: Range<usize>, steps: &mut Vec<Step>) {
        if let Some((present, span)) = &mut self.span
            && *present == kind
            && span.end == range.start
        {
            span.end = range.end;
            return;
        }
        self.flush(steps);
        self.span = Some((kind, range));
    }

    fn interrupt(&mut self, kind: StepKind, bytes: Bytes, steps: &mut Vec<Step>) {
        self.flush(steps);
        // An event that is left out leaves nothing.
        if !bytes.is_empty() {
            steps.push(kind.step(bytes));
        }
    }

    fn flush(&mut self, steps: &mut Vec<Step>) {
        if let Some((kind, span)) = self.span.take() {
            steps.push(kind.step(self.chunk.slice(span)));
        }
    }
}

/// What an upstream says behind its terminal event: `[DONE]`, a comment, an empty line.
fn behind_the_end(chunk: &Bytes, from: usize, steps: &mut Vec<Step>) {
    if from < chunk.len() {
        steps.push(Step::Terminal(chunk.slice(from..)));
    }
}

/// Whether an unfinished event holds all of its data, and any.
fn is_whole(raw: &[u8]) -> bool {
    data_of(raw).is_some_and(|data| {
        data.trim_ascii() == b"[DONE]"
            || serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok()
    })
}

fn with_blank_line(raw: &Bytes) -> Bytes {
    let mut whole = raw.to_vec();
    if !whole.ends_with(b"\n") {
        whole.push(b'\n');
    }
    whole.push(b'\n');
    Bytes::from(whole)
}

#[cfg(test)]
mod tests;
