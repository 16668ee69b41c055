//! What every stream machine says about the stream it watches: steps for the client and a summary
//! for the ledger. Decides nothing.

use bytes::Bytes;

use crate::hosted_tools::{HostedTool, HostedToolUse};
use crate::stored_items::StoredItems;
use crate::usage::{UsageObject, UsageReading};

mod failure;

pub use failure::StreamFailure;

/// One thing to do with bytes for the client. Neighbouring bytes of one kind are joined; order is
/// the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing generated yet (created, in progress, queued, keepalive, rate limits, metadata,
    /// comments): may be held back while a fallback is possible.
    Preamble(Bytes),
    /// Real output: from here on the exchange is committed.
    Output(Bytes),
    /// The terminal event, and what the upstream says behind it: released only after the ledger
    /// took the entry. No other kind follows. Empty where the stream has ended without one and
    /// needs none.
    Terminal(Bytes),
}

impl Step {
    /// The bytes, whatever their kind.
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Preamble(bytes) | Self::Output(bytes) | Self::Terminal(bytes) => bytes,
        }
    }

    /// The same, for keeps.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Preamble(bytes) | Self::Output(bytes) | Self::Terminal(bytes) => bytes,
        }
    }
}

/// What bytes are to the client: the variants of [`Step`] without their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StepKind {
    #[default]
    Preamble,
    Output,
    Terminal,
}

impl StepKind {
    /// The kind of bytes that generate nothing: they belong to what was there before them.
    pub(crate) const fn so_far(summary: &ReplySummary) -> Self {
        if summary.has_output {
            Self::Output
        } else {
            Self::Preamble
        }
    }

    pub(crate) const fn step(self, bytes: Bytes) -> Step {
        match self {
            Self::Preamble => Step::Preamble(bytes),
            Self::Output => Step::Output(bytes),
            Self::Terminal => Step::Terminal(bytes),
        }
    }
}

/// How an answer ended, in the upstream's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminal {
    /// The answer is whole.
    Completed,
    /// The answer was cut short by the upstream (`max_output_tokens`, `content_filter`, `length`,
    /// …).
    Incomplete {
        /// The reason as sent.
        reason: Option<String>,
    },
    /// The upstream gave up.
    Failed(StreamFailure),
}

/// What is known about an answer so far, a stream or a whole one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplySummary {
    /// Tokens, from the event that carries them.
    pub usage: UsageReading,
    /// An upstream's own figure for the cost, USD × 10⁻⁹.
    pub provider_cost_nanos: Option<i64>,
    /// The upstream's id of the response or completion.
    pub response_id: Option<String>,
    /// The model as the upstream names it in the body.
    pub model: Option<String>,
    /// The service tier that was served.
    pub service_tier: Option<String>,
    /// How it ended. `None`: no terminal event so far, an answer still in progress (`background`), or
    /// not an answer.
    pub terminal: Option<Terminal>,
    /// An `error` event that no terminal event followed.
    pub pending_error: Option<StreamFailure>,
    /// Events with data.
    pub events: u64,
    /// Characters of generated text, for estimates: those seen in deltas; of a whole answer without
    /// usable counts, the size of its body.
    pub output_chars: u64,
    /// Whether anything was generated.
    pub has_output: bool,
    /// What had to be put right.
    pub repairs: Repairs,
    /// Tools that the upstream ran itself.
    pub hosted_tools: HostedToolUse,
    /// What the upstream may keep of the answer.
    pub stored: StoredItems,
    /// Raw JSON data of plan-limit events, the last one of each limit; at most [`MAX_PLAN_LIMITS`].
    pub plan_limits: Vec<Bytes>,
}

impl ReplySummary {
    /// Takes over one of the `usage` objects of the answer.
    pub(crate) fn note_usage(&mut self, read: &UsageObject) {
        self.usage = self.usage.followed_by(read.usage);
        self.hosted_tools
            .raise(HostedTool::WebSearch, read.web_searches);
        let is_news = read.cost_nanos.is_some_and(|nanos| nanos > 0);
        if is_news || self.provider_cost_nanos.is_none() {
            self.provider_cost_nanos = read.cost_nanos;
        }
    }

    /// Takes the bytes of a whole answer as its text where it has no counts: the frame around the
    /// text is small.
    pub(crate) fn note_size(&mut self, bytes: usize) {
        let is_counted = matches!(self.usage, UsageReading::Reported(usage) if !usage.is_zero());
        if self.has_output && !is_counted {
            self.output_chars = bytes as u64;
        }
    }

    /// How the answer ended. Counts that are all zero say nothing about an answer with output.
    pub(crate) fn end_with(&mut self, terminal: Terminal) {
        self.terminal = Some(terminal);
        self.pending_error = None;
        let is_empty = matches!(self.usage, UsageReading::Reported(usage) if usage.is_zero());
        if is_empty && self.has_output {
            self.usage = UsageReading::Missing;
        }
    }
}

/// Most plan limits that are kept of one stream.
pub const MAX_PLAN_LIMITS: usize = 16;

/// Counts of what had to be put right, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// A byte order mark at the start of the stream, dropped.
    pub bom: u32,
    /// Events with carriage returns alone as line ends, rewritten to line feeds.
    pub lone_cr: u32,
    /// Events with invalid UTF-8, replaced by U+FFFD.
    pub bad_utf8: u32,
    /// Usage objects Codex would not have been able to read.
    pub usage: u32,
    /// Terminal events without a usable `response.id`.
    pub response_id: u32,
    /// A last event or a `[DONE]` that was missing its end, or missing.
    pub ending: u32,
}

impl Repairs {
    /// Whether nothing was repaired: the client got exactly the upstream's bytes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
