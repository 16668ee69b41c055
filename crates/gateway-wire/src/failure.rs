//! Why an upstream said no. Names the reason; never decides what to do about it.
//!
//! The order of the questions matters: what must never lead to another model (limits, policy,
//! credentials) is asked first, structured codes come before sentences, and a sentence counts only
//! when it is the whole message and names the id that was sent. The sentences and codes themselves
//! are data, in `failure/table.rs`.
//!
//! To add a sentence: 1. add a row there, 2. add a fixture under `tests/fixtures/failure/`.

mod kind;
mod sentence;
mod table;
#[cfg(test)]
mod tests;

use crate::error_envelope::ErrorEnvelope;
use sentence::QuotedModel;

pub use kind::{Failure, SendState};

/// What is known about a refusal.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The HTTP status; `None` for a WebSocket frame.
    pub status: Option<u16>,
    /// The body of the answer, or the JSON data of the first failing event of a stream.
    pub body: &'a [u8],
    /// Whether `body` is only the beginning. Then nothing is sent again because of it.
    pub truncated: bool,
    /// Whether `body` is an event of a stream that began well (status 200).
    pub in_stream: bool,
    /// The model id exactly as this attempt sent it.
    pub sent_model: &'a str,
    /// What the operator knows about this upstream.
    pub patterns: &'a [OperatorPattern],
}

/// An operator's own reading of an error: every given condition must hold.
///
/// Limits, policy refusals and refused credentials are recognised before any pattern is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorPattern {
    /// HTTP statuses; empty means any, which for [`Failure::UnsupportedModel`] is 400, 403, 404,
    /// 422 or a stream's event.
    pub statuses: Vec<u16>,
    /// Structured codes or types; empty means any.
    pub codes: Vec<String>,
    /// The whole message, case-insensitive, `*` for any text; `None` means any.
    pub message: Option<String>,
    /// What such an answer means.
    pub verdict: Failure,
}

/// The reason, and the two texts that identify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why the upstream said no.
    pub failure: Failure,
    /// The structured code, else the type, as the upstream wrote it.
    pub code: Option<String>,
    /// The upstream's message, at most [`MAX_MESSAGE`] bytes.
    pub message: Option<String>,
}

/// Longest kept message in bytes.
pub const MAX_MESSAGE: usize = 2048;

/// Statuses with which an upstream may refuse a model in words.
const REFUSING: [u16; 4] = [400, 403, 404, 422];

/// Reads a refusal.
///
/// ```
/// use gateway_wire::failure::{Evidence, Failure, classify};
/// let body = br#"{"detail":"The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."}"#;
/// let evidence = Evidence { status: Some(400), body, truncated: false, in_stream: false, sent_model: "gpt-5.5", patterns: &[] };
/// assert_eq!(classify(&evidence).failure, Failure::UnsupportedModel);
/// ```
pub fn classify(evidence: &Evidence<'_>) -> Verdict {
    let envelope = ErrorEnvelope::read(evidence.body);
    let mut failure = Classifier::new(evidence, &envelope).failure();
    if evidence.truncated && failure.authorises_another_attempt() {
        failure = Failure::Unclassified;
    }
    let ErrorEnvelope {
        code,
        kind,
        message,
        ..
    } = envelope;
    Verdict {
        failure,
        code: code.or(kind),
        message: message.map(shortened),
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE)
            .rev()
            .find(|at| message.is_char_boundary(*at))
            .unwrap_or(0);
        message.truncate(end);
    }
    message
}

/// One refusal with everything the questions below ask about.
struct Classifier<'a> {
    evidence: &'a Evidence<'a>,
    envelope: &'a ErrorEnvelope,
    /// The status that counts: that of the answer, else the one written inside; `None` inside a
    /// stream without one.
    status: Option<u16>,
    /// The message in one line, white space collapsed.
    line: String,
}

impl<'a> Classifier<'a> {
    fn new(evidence: &'a Evidence<'a>, envelope: &'a ErrorEnvelope) -> Self {
        // A stream that began with 200 fails with the status its event names, if it names one.
        let outer = evidence.status.filter(|status| *status >= 400);
        let status = outer.or(envelope.status.filter(|status| *status >= 400));
        let line = sentence::normalised(envelope.message.as_deref().unwrap_or_default());
        Self {
            evidence,
            envelope,
            status,
            line,
        }
    }

    fn failure(&self) -> Failure {
        None.or_else(|| self.never())
            .or_else(|| self.operator())
            .or_else(|| self.mistaken_id())
            .or_else(|| self.about_something_else())
            .or_else(|| self.busy())
            .or_else(|| self.unsupported())
            .unwrap_or_else(|| self.by_status())
    }

    /// Limits, policy and credentials: nothing may be tried elsewhere because of them.
    fn never(&self) -> Option<Failure> {
        let by_code = table::lookup(table::NEVER, &self.envelope.codes());
        let by_words = table::NEVER_PHRASES
            .iter()
            .find(|row| self.line_contains(row.phrase))
            .map(|row| row.verdict);
        let by_status = match self.status {
            Some(401 | 407) => Some(Failure::Auth),
            Some(402) => Some(Failure::UsageLimit),
            Some(429) => Some(Failure::RateLimited),
            Some(_) | None => None,
        };
        by_code.or(by_words).or(by_status)
    }

    fn operator(&self) -> Option<Failure> {
        self.evidence
            .patterns
            .iter()
            .find(|pattern| self.satisfies(pattern))
            .map(|pattern| pattern.verdict)
    }

    fn satisfies(&self, pattern: &OperatorPattern) -> bool {
        let status = if !pattern.statuses.is_empty() {
            self.status
                .is_some_and(|status| pattern.statuses.contains(&status))
        } else if pattern.verdict == Failure::UnsupportedModel {
            self.can_refuse_in_words()
        } else {
            true
        };
        let code = pattern.codes.is_empty()
            || self.envelope.codes().iter().any(|code| {
                pattern
                    .codes
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(code))
            });
        let message = pattern
            .message
            .as_deref()
            .is_none_or(|glob| sentence::glob_matches(&sentence::normalised(glob), &self.line));
        status && code && message
    }

    /// A refusal that names another id than the one sent proves that the request was not what we
    /// meant.
    fn mistaken_id(&self) -> Option<Failure> {
        let quoted = self.quoted(table::UNSUPPORTED)?;
        (quoted == QuotedModel::Other).then_some(Failure::OurMistake)
    }

    /// Refusals that mention a model and mean something else: the client's version, the shape, the
    /// endpoint, the length.
    fn about_something_else(&self) -> Option<Failure> {
        let by_code = table::lookup(table::SOMETHING_ELSE, &self.envelope.codes());
        let by_words = table::SOMETHING_ELSE_SENTENCES
            .iter()
            .find(|row| sentence::quoted(row.text, &self.line, self.evidence.sent_model).is_some());
        let found = by_code.or(by_words.map(|row| row.verdict))?;
        let needs_model = matches!(found, Failure::LiteHeaderRefused | Failure::WrongEndpoint);
        let other = by_words.and_then(|row| row.param);
        let is_about_it = self.param_is_model_or_absent()
            || (other.is_some() && other == self.envelope.param.as_deref());
        (!needs_model || is_about_it).then_some(found)
    }

    fn busy(&self) -> Option<Failure> {
        let by_code = table::lookup(table::BUSY, &self.envelope.codes());
        let by_words = table::BUSY_PHRASES
            .iter()
            .find(|row| self.line_contains(row.phrase))
            .map(|row| row.verdict);
        let by_status = match self.status {
            Some(503 | 529) => Some(Failure::Overloaded),
            Some(_) | None => None,
        };
        by_code.or(by_words).or(by_status)
    }

    fn unsupported(&self) -> Option<Failure> {
        if !self.param_is_model_or_absent() {
            return None;
        }
        let client_error = self
            .status
            .is_none_or(|status| (400..500).contains(&status));
        let by_code = self.is_a_failure() && client_error && self.has_unsupported_code();
        let by_words = self.can_refuse_in_words()
            && self.quoted(table::UNSUPPORTED) == Some(QuotedModel::Sent);
        (by_code || by_words).then_some(Failure::UnsupportedModel)
    }

    fn has_unsupported_code(&self) -> bool {
        let codes = self.envelope.codes();
        table::UNSUPPORTED_CODES.iter().any(|row| {
            let param = !row.param_must_name_model || self.envelope.param.is_some();
            let words = row.message.is_none_or(|text| self.says(text));
            param && words && codes.iter().any(|code| code.eq_ignore_ascii_case(row.code))
        })
    }

    fn says(&self, text: &str) -> bool {
        sentence::quoted(text, &self.line, self.evidence.sent_model).is_some()
    }

    fn by_status(&self) -> Failure {
        let explained = !self.line.is_empty() || !self.envelope.codes().is_empty();
        match self.status {
            Some(403) => Failure::Auth,
            Some(400 | 413 | 415 | 422) if explained => Failure::BadRequest,
            Some(500..=599) => Failure::ServerError,
            Some(_) | None if !self.is_a_failure() => Failure::Unclassified,
            Some(_) | None => table::lookup(table::LAST_RESORT, &self.envelope.codes())
                .unwrap_or(Failure::Unclassified),
        }
    }

    /// Whether the upstream failed at all: a body alone says nothing while the status says that all
    /// is well.
    fn is_a_failure(&self) -> bool {
        self.status.is_some() || self.evidence.in_stream
    }

    /// What the first matching sentence says about the id.
    fn quoted(&self, sentences: &[table::Sentence]) -> Option<QuotedModel> {
        sentences
            .iter()
            .find_map(|row| sentence::quoted(row.text, &self.line, self.evidence.sent_model))
    }

    fn can_refuse_in_words(&self) -> bool {
        match self.status {
            Some(status) => REFUSING.contains(&status),
            None => self.evidence.in_stream,
        }
    }

    fn param_is_model_or_absent(&self) -> bool {
        self.envelope
            .param
            .as_deref()
            .is_none_or(|param| param.eq_ignore_ascii_case("model"))
    }

    fn line_contains(&self, phrase: &str) -> bool {
        self.line.contains(phrase)
    }
}
