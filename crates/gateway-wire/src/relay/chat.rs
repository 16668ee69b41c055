//! Watches a Chat Completions stream. Only `[DONE]` ends it: usage comes after the finish reason.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::delta::read_delta;
use super::edit::{apply, removal};
use super::observation::Observation;
use crate::dialect::{Finish, finish_of};
use crate::json::span::{self, Elements, Members};
use crate::reply::is_cut;
use crate::splice::Edit;
use crate::sse::{event_name, is_done_marker, replace_data};
use crate::stream::{ReplySummary, StepKind, StreamFailure, Terminal};
use crate::synthesize::CHAT_DONE;
use crate::usage::{extension_usage, read_usage};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""usage""#));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""error""#));
static CHOICES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""choices""#));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""finish_reason""#));

#[derive(Debug)]
pub(super) struct ChatWatch {
    hides_usage: bool,
    /// Why the answer ended, once a chunk says so.
    finish_reason: Option<String>,
    has_head: bool,
}

impl ChatWatch {
    pub(super) const fn new(hides_usage: bool) -> Self {
        Self {
            hides_usage,
            finish_reason: None,
            has_head: false,
        }
    }

    pub(super) fn see(
        &mut self,
        raw: &[u8],
        data: &[u8],
        summary: &mut ReplySummary,
    ) -> Observation {
        let kind = self.read_chunk(raw, data, summary);
        let rewritten = if self.hides_usage && kind != StepKind::Terminal {
            without_usage(raw, data)
        } else {
            None
        };
        Observation { kind, rewritten }
    }

    /// Takes what the ledger needs.
    fn read_chunk(&mut self, raw: &[u8], data: &[u8], summary: &mut ReplySummary) -> StepKind {
        if is_done_marker(data) {
            self.conclude(summary);
            return StepKind::Terminal;
        }
        if !self.has_head || is_set(data, &USAGE) || is_set(data, &FINISH) {
            self.read(data, summary);
            if let Some(usage) = extension_usage(data) {
                read_tokens(data, usage, summary);
            }
        }
        if (is_set(data, &ERROR) || CHOICES.find(data).is_none() || raw.starts_with(b"event"))
            && let Some(failure) = StreamFailure::in_event(data, event_name(raw))
        {
            summary.pending_error = Some(failure);
        }
        let delta = read_delta(data);
        if delta.chars == 0 && !delta.has_call {
            return StepKind::so_far(summary);
        }
        summary.output_chars += delta.chars;
        summary.has_output = true;
        StepKind::Output
    }

    /// Reads one of the few chunks that say more than a delta.
    fn read(&mut self, data: &[u8], summary: &mut ReplySummary) {
        for member in Members::new(data, 0) {
            match span::string_at(data, &member.key).as_deref() {
                Some("id") => keep(&mut summary.response_id, data, &member.value),
                Some("model") => keep(&mut summary.model, data, &member.value),
                Some("service_tier") => keep(&mut summary.service_tier, data, &member.value),
                Some("usage") => read_tokens(data, member.value, summary),
                Some("choices") => {
                    for choice in Elements::new(data, member.value.start) {
                        let reason = span::text_of(data, choice.start, "finish_reason");
                        self.finish_reason = reason.or(self.finish_reason.take());
                        if span::is_set(data, choice.start, "error") {
                            let error = span::member(data, choice.start, "error");
                            let error = error.and_then(|span| data.get(span));
                            summary.pending_error = error.map(StreamFailure::read);
                        }
                        // Some upstreams put the usage here.
                        if let Some(usage) = span::member(data, choice.start, "usage") {
                            read_tokens(data, usage, summary);
                        }
                    }
                }
                Some(_) | None => {}
            }
        }
        self.has_head = summary.response_id.is_some() && summary.model.is_some();
    }

    /// The upstream closed without `[DONE]`. Gives the one that was missing when the answer had
    /// ended well; after an error nothing is added, for a client that overlooked the error would
    /// take it for success.
    pub(super) fn end(&self, summary: &mut ReplySummary) -> Option<Bytes> {
        if self.finish_reason.is_none() && summary.pending_error.is_none() {
            return None;
        }
        self.conclude(summary);
        if matches!(summary.terminal, Some(Terminal::Failed(_))) {
            return Some(Bytes::new());
        }
        summary.repairs.ending += 1;
        Some(Bytes::from_static(CHAT_DONE))
    }

    fn conclude(&self, summary: &mut ReplySummary) {
        let terminal = match (summary.pending_error.take(), self.finish_reason.as_deref()) {
            (Some(failure), _) => Terminal::Failed(failure),
            (None, Some(reason)) if is_cut(reason) => Terminal::Incomplete {
                reason: Some(reason.to_owned()),
            },
            (None, Some(reason)) if finish_of(reason) == Finish::Broken => {
                Terminal::Failed(StreamFailure {
                    code: Some(reason.to_owned()),
                    ..StreamFailure::default()
                })
            }
            (None, _) => Terminal::Completed,
        };
        summary.end_with(terminal);
    }
}

/// The last text that is one: some upstreams begin with empty ones.
fn keep(field: &mut Option<String>, data: &[u8], span: &Range<usize>) {
    if let Some(text) = span::label_at(data, span).filter(|text| !text.is_empty()) {
        *field = Some(text);
    }
}

fn read_tokens(data: &[u8], span: Range<usize>, summary: &mut ReplySummary) {
    summary.note_usage(&read_usage(data.get(span).unwrap_or_default()));
}

/// The event as an upstream sends it that was not asked for usage: without the chunk that carries
/// nothing else, and without the `"usage":null` of all others. `None` where nothing has to go.
///
/// Counts beside a choice stay: upstreams that put them there send them unasked.
fn without_usage(raw: &[u8], data: &[u8]) -> Option<Bytes> {
    USAGE.find(data)?;
    let usage = Members::new(data, 0)
        .find(|member| span::string_at(data, &member.key).is_some_and(|key| key == "usage"))?;
    if data.get(usage.value.clone()) == Some(b"null") {
        let edit = Edit {
            span: removal(data, 0, &usage),
            text: Bytes::new(),
        };
        return Some(replace_data(raw, &apply(data, vec![edit])));
    }
    let has_choice = span::find(data, 0, "choices")
        .is_some_and(|choices| Elements::new(data, choices).next().is_some());
    (!has_choice && !span::is_set(data, 0, "error")).then(Bytes::new)
}

/// Whether the member the finder looks for has a value other than null.
fn is_set(data: &[u8], finder: &Finder<'_>) -> bool {
    finder.find_iter(data).any(|at| {
        data.get(at + finder.needle().len()..)
            .and_then(|rest| rest.trim_ascii_start().strip_prefix(b":"))
            .map(<[u8]>::trim_ascii_start)
            .is_some_and(|value| !value.starts_with(b"null"))
    })
}
