//! Framing of server-sent events: where each event ends, whatever pieces the stream arrives in.
//!
//! Repairs what breaks strict readers (a byte order mark, lone carriage returns, invalid UTF-8) and
//! touches nothing else. Knows nothing about what events say, but for [`event_type`].

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use crate::json::span;
use crate::stream::Repairs;

mod done;
mod fields;

pub(crate) use done::is_done_marker;
pub use fields::looks_like_sse;
pub(crate) use fields::{data_of, event_name, replace_data};

/// An event outgrew the limit. Everything before it was handed out; the splitter takes nothing
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub struct EventTooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

/// One event: its lines and the blank line that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes after repair; identical to the upstream's when nothing was wrong.
    pub raw: Bytes,
    /// Whether anything was put right.
    pub is_repaired: bool,
}

impl Frame {
    /// The data payload, lines joined by `\n`. `None` for an event without data, such as a comment.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        data_of(&self.raw)
    }

    /// The last `event:` field.
    pub fn event_name(&self) -> Option<&str> {
        event_name(&self.raw)
    }
}

/// Splits a byte stream into events in whatever pieces it arrives. No copy where an event lies
/// within one chunk.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one place in the stream"
)]
pub struct Splitter {
    max_event: usize,
    /// The event begun in earlier chunks.
    held: BytesMut,
    /// Whether the line being read is empty so far.
    at_line_start: bool,
    /// `held` ends with a carriage return that may be half of a CRLF.
    is_cr_open: bool,
    /// The event has a lone carriage return.
    has_lone_cr: bool,
    /// An event ended in a carriage return at the end of a chunk: a line feed that follows belongs
    /// to it.
    skip_line_feed: bool,
    start: Start,
    /// The next event counts as repaired.
    is_bom_dropped: bool,
    is_broken: bool,
    /// The data of the event being read, as far as it lies in the present chunk.
    data: DataSpan,
    repairs: Repairs,
}

/// Where an event's data stands in the chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataSpan {
    /// No data line so far.
    None,
    /// One data line: its value.
    One(Range<usize>),
    /// Several lines, to be joined.
    Many,
}

/// The first bytes of a stream may be a byte order mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// So many bytes of it were seen.
    Bom(usize),
    Passed,
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// An event where it was found.
pub(crate) enum SplitEvent<'a> {
    /// In the chunk, unchanged.
    InChunk {
        range: Range<usize>,
        raw: &'a [u8],
        data: Option<Cow<'a, [u8]>>,
    },
    /// Joined from several chunks or repaired.
    Owned(Frame),
}

/// Whether to go on splitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    Stop,
}

/// How far an event reaches into a chunk.
enum EventEnd {
    /// It ends before this offset.
    At(usize),
    /// It goes on in the next chunk.
    Open,
}

impl Splitter {
    /// `max_event`: the largest event, in bytes, that is ever held.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            held: BytesMut::new(),
            at_line_start: true,
            is_cr_open: false,
            has_lone_cr: false,
            skip_line_feed: false,
            start: Start::Bom(0),
            is_bom_dropped: false,
            is_broken: false,
            data: DataSpan::None,
            repairs: Repairs::default(),
        }
    }

    /// Appends complete events to `out`.
    ///
    /// ```
    /// use gateway_wire::sse::Splitter;
    /// let mut splitter = Splitter::new(1024);
    /// let mut frames = Vec::new();
    /// splitter.push("data: {}\n\ndata: {\"a\"".into(), &mut frames)?;
    /// assert_eq!(frames.len(), 1);
    /// # Ok::<(), gateway_wire::sse::EventTooLarge>(())
    /// ```
    ///
    /// # Errors
    /// When an event is larger than the limit; nothing more is taken.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the chunk is handed over: events keep parts of it"
    )]
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), EventTooLarge> {
        let split = self.split(&chunk, |piece| {
            out.push(match piece {
                SplitEvent::InChunk { range, .. } => Frame {
                    raw: chunk.slice(range),
                    is_repaired: false,
                },
                SplitEvent::Owned(frame) => frame,
            });
            Go::On
        });
        split.map(drop)
    }

    /// The stream ended: what is left without its blank line. `None` when nothing but white space
    /// is left.
    pub fn finish(&mut self) -> Option<Frame> {
        if let Start::Bom(seen) = self.start {
            self.held
                .extend_from_slice(BOM.get(..seen).unwrap_or_default());
            self.start = Start::Passed;
        }
        let rest = std::mem::take(&mut self.held).freeze();
        self.has_lone_cr |= self.is_cr_open;
        self.is_cr_open = false;
        self.at_line_start = true;
        if rest.trim_ascii().is_empty() {
            self.has_lone_cr = false;
            return None;
        }
        Some(self.complete(rest))
    }

    /// Bytes held for an event that is not complete.
    pub fn buffered(&self) -> usize {
        self.held.len()
    }

    /// What had to be put right so far.
    pub fn repairs(&self) -> Repairs {
        self.repairs
    }

    /// Gives each complete event to `each`, until it says stop. Returns how much of the chunk was
    /// read by then.
    pub(crate) fn split(
        &mut self,
        chunk: &Bytes,
        mut each: impl FnMut(SplitEvent<'_>) -> Go,
    ) -> Result<usize, EventTooLarge> {
        if self.is_broken {
            return Err(self.fail());
        }
        let bytes: &[u8] = chunk;
        let mut from = self.skip_start(bytes);
        // Asked once for all events of the chunk: most chunks are ASCII.
        let is_ascii = bytes.is_ascii();
        loop {
            self.data = DataSpan::None;
            let end = self.find_end(bytes, from);
            let to = match end {
                EventEnd::At(to) => to,
                EventEnd::Open => bytes.len(),
            };
            let part = bytes.get(from..to).unwrap_or_default();
            if self.held.len() + part.len() > self.max_event {
                return Err(self.fail());
            }
            if matches!(end, EventEnd::Open) {
                self.held.extend_from_slice(part);
                return Ok(bytes.len());
            }
            let is_sound = self.held.is_empty()
                && !self.has_lone_cr
                && !self.is_bom_dropped
                && (is_ascii || std::str::from_utf8(part).is_ok());
            let go = if is_sound {
                let data = match &self.data {
                    DataSpan::None => None,
                    DataSpan::One(span) => bytes.get(span.clone()).map(Cow::Borrowed),
                    DataSpan::Many => data_of(part),
                };
                each(SplitEvent::InChunk {
                    range: from..to,
                    raw: part,
                    data,
                })
            } else {
                let raw = if self.held.is_empty() {
                    chunk.slice(from..to)
                } else {
                    self.held.extend_from_slice(part);
                    // The buffer goes with the event: one of megabytes must not stay for the rest
                    // of the stream.
                    std::mem::take(&mut self.held).freeze()
                };
                each(SplitEvent::Owned(self.complete(raw)))
            };
            from = to;
            if go == Go::Stop {
                return Ok(from);
            }
        }
    }

    /// Gives up the stream, and what is held of it.
    fn fail(&mut self) -> EventTooLarge {
        self.is_broken = true;
        self.held = BytesMut::new();
        EventTooLarge {
            limit: self.max_event,
        }
    }

    /// Passes a byte order mark, or the line feed that belongs to the event before; gives where the
    /// rest begins.
    fn skip_start(&mut self, bytes: &[u8]) -> usize {
        let mut from = 0;
        while let Start::Bom(seen) = self.start {
            let Some(byte) = bytes.get(from) else { break };
            if BOM.get(seen) == Some(byte) {
                from += 1;
                self.start = Start::Bom(seen + 1);
                if seen + 1 == BOM.len() {
                    self.start = Start::Passed;
                    self.repairs.bom += 1;
                    self.is_bom_dropped = true;
                }
            } else {
                // Not a mark after all. What earlier chunks had of it begins the first line; this
                // chunk is read from its start.
                let earlier = seen - from;
                self.held
                    .extend_from_slice(BOM.get(..earlier).unwrap_or_default());
                self.at_line_start = earlier == 0;
                self.start = Start::Passed;
                from = 0;
            }
        }
        from.max(self.skip_line_feed(bytes))
    }

    /// Passes the line feed that belongs to the event before; gives where the rest begins.
    pub(crate) fn skip_line_feed(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() || !std::mem::take(&mut self.skip_line_feed) {
            return 0;
        }
        usize::from(bytes.first() == Some(&b'\n'))
    }

    /// Reads lines from `at` until a blank one.
    fn find_end(&mut self, bytes: &[u8], mut at: usize) -> EventEnd {
        if self.is_cr_open && at < bytes.len() {
            self.is_cr_open = false;
            let was_blank = self.at_line_start;
            if bytes.get(at) == Some(&b'\n') {
                at += 1;
            } else {
                self.has_lone_cr = true;
            }
            self.at_line_start = true;
            if was_blank {
                return EventEnd::At(at);
            }
        }
        loop {
            let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else {
                return EventEnd::Open;
            };
            if self.at_line_start && rest.first() == Some(&b'\n') {
                return EventEnd::At(at + 1);
            }
            let Some(hit) = memchr2(b'\n', b'\r', rest) else {
                self.at_line_start = false;
                return EventEnd::Open;
            };
            let is_blank = self.at_line_start && hit == 0;
            if self.at_line_start {
                self.note_data(rest.get(..hit).unwrap_or_default(), at);
            }
            let mut next = at + hit + 1;
            if rest.get(hit) == Some(&b'\r') {
                match rest.get(hit + 1) {
                    Some(b'\n') => next += 1,
                    Some(_) => self.has_lone_cr = true,
                    // In an event with lone ones all line ends become line feeds, so it can go now:
                    // a line feed that still comes is a part of this line end.
                    None if is_blank && self.has_lone_cr => self.skip_line_feed = true,
                    None => {
                        self.is_cr_open = true;
                        self.at_line_start = is_blank;
                        return EventEnd::Open;
                    }
                }
            }
            self.at_line_start = true;
            if is_blank {
                return EventEnd::At(next);
            }
            at = next;
        }
    }

    /// Notes a line that is data. Only used for events that lie in one chunk, so lines that began
    /// earlier do not matter.
    fn note_data(&mut self, line: &[u8], at: usize) {
        let Some(value) = fields::data_value(line) else {
            return;
        };
        let end = at + line.len();
        self.data = match self.data {
            DataSpan::None => DataSpan::One(end - value.len()..end),
            DataSpan::One(_) | DataSpan::Many => DataSpan::Many,
        };
    }

    /// Repairs a whole event and resets what is known about the one being read.
    fn complete(&mut self, raw: Bytes) -> Frame {
        let mut frame = Frame {
            raw,
            is_repaired: std::mem::take(&mut self.is_bom_dropped),
        };
        if std::mem::take(&mut self.has_lone_cr) {
            self.repairs.lone_cr += 1;
            frame = Frame {
                raw: fields::with_line_feeds(&frame.raw),
                is_repaired: true,
            };
        }
        if let Cow::Owned(text) = String::from_utf8_lossy(&frame.raw) {
            self.repairs.bad_utf8 += 1;
            frame = Frame {
                raw: Bytes::from(text),
                is_repaired: true,
            };
        }
        frame
    }
}

/// The top-level string `"type"` in an event's JSON data without parsing the rest; O(1) when it
/// comes first.
pub fn event_type(data: &[u8]) -> Option<Cow<'_, str>> {
    match event_type_bytes(data)? {
        Cow::Borrowed(name) => std::str::from_utf8(name).ok().map(Cow::Borrowed),
        Cow::Owned(name) => String::from_utf8(name).ok().map(Cow::Owned),
    }
}

/// The same, for comparing only.
pub(crate) fn event_type_bytes(data: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some(rest) = data.strip_prefix(br#"{"type":""#) {
        let end = memchr2(b'"', b'\\', rest)?;
        if rest.get(end) == Some(&b'"') {
            return rest.get(..end).map(Cow::Borrowed);
        }
    }
    match span::string_at(data, &span::member(data, 0, "type")?)? {
        Cow::Borrowed(name) => Some(Cow::Borrowed(name.as_bytes())),
        Cow::Owned(name) => Some(Cow::Owned(name.into_bytes())),
    }
}

#[cfg(test)]
mod tests;
