//! Watches a Responses stream: which events are output, which one ends it, what it says about
//! tokens and errors.

use std::ops::Range;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::delta::string_chars;
use super::edit::{HeaderEdits, apply};
use super::observation::Observation;
use crate::json::span::{self, Members};
use crate::splice::Edit;
use crate::sse::{event_name, event_type_bytes, replace_data};
use crate::stream::{MAX_PLAN_LIMITS, ReplySummary, StepKind, StreamFailure, Terminal};
use crate::synthesize::UNNAMED_RESPONSE;
use crate::usage::{read_usage, repair_usage};

/// Longest plan-limit event that is kept, in bytes.
const MAX_PLAN_LIMIT: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct ResponsesWatch {
    edits: HeaderEdits,
}

/// How a stream may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TerminalEvent {
    Completed,
    Incomplete,
    Failed,
}

impl ResponsesWatch {
    pub(super) fn new(edits: HeaderEdits) -> Self {
        Self { edits }
    }

    pub(super) fn see(&self, raw: &[u8], data: &[u8], summary: &mut ReplySummary) -> Observation {
        let mut edits = if self.edits.may_touch(data) {
            self.edits.edits(data)
        } else {
            Vec::new()
        };
        let name = event_type_bytes(data);
        let kind = Self::classify(name.as_deref(), raw, data, summary, &mut edits);
        let rewritten = (!edits.is_empty()).then(|| replace_data(raw, &apply(data, edits)));
        Observation { kind, rewritten }
    }

    fn classify(
        name: Option<&[u8]>,
        raw: &[u8],
        data: &[u8],
        summary: &mut ReplySummary,
        edits: &mut Vec<Edit>,
    ) -> StepKind {
        // Nearly all events are these.
        if name.is_some_and(|name| name.starts_with(b"response.") && name.ends_with(b".delta")) {
            summary.has_output = true;
            summary.output_chars += string_chars(data);
            return StepKind::Output;
        }
        match name {
            Some(b"response.created") => read_head(data, summary),
            Some(b"response.completed") => {
                return end(data, TerminalEvent::Completed, summary, edits);
            }
            Some(b"response.incomplete") => {
                return end(data, TerminalEvent::Incomplete, summary, edits);
            }
            Some(b"response.failed") => return end(data, TerminalEvent::Failed, summary, edits),
            Some(b"codex.rate_limits") => keep_plan_limit(data, summary),
            Some(b"response.in_progress" | b"response.queued" | b"response.metadata") => {}
            // Keep-alives and what Codex's own backend says of the connection have other names.
            Some(name) if name.starts_with(b"response.") => {
                summary.has_output = true;
                if name == b"response.output_item.done" {
                    read_item(data, summary);
                } else if name.ends_with(b".completed") {
                    read_side_usage(data, summary);
                }
            }
            _ => {
                if name.is_some_and(|name| name.ends_with(b".completed")) {
                    read_side_usage(data, summary);
                }
                let name = event_name(raw);
                if let Some(failure) = StreamFailure::in_event(data, name) {
                    summary.pending_error = Some(failure);
                }
            }
        }
        StepKind::so_far(summary)
    }
}

/// Counts the calls of tools that the upstream runs itself.
fn read_item(data: &[u8], summary: &mut ReplySummary) {
    if let Some(item) = span::member(data, 0, "item").and_then(|item| data.get(item)) {
        summary.hosted_tools.note_item(item);
        summary.stored.note_item(item);
    }
}

/// Streams of other services, such as images, say their tokens beside the type of their last event.
fn read_side_usage(data: &[u8], summary: &mut ReplySummary) {
    if let Some(usage) = span::member(data, 0, "usage") {
        summary.note_usage(&read_usage(data.get(usage).unwrap_or_default()));
    }
}

/// Reads id, model and tier of the response object inside the first event.
fn read_head(data: &[u8], summary: &mut ReplySummary) {
    let Some(response) = span::find(data, 0, "response") else {
        return;
    };
    for member in Members::new(data, response) {
        let key = span::string_at(data, &member.key);
        note(key.as_deref(), data, &member.value, summary);
        // Instructions and tools may follow, echoed at length.
        if summary.response_id.is_some()
            && summary.model.is_some()
            && summary.service_tier.is_some()
        {
            return;
        }
    }
}

/// Notes what a member of a response object says about it.
fn note(key: Option<&str>, data: &[u8], value: &Range<usize>, summary: &mut ReplySummary) {
    let field = match key {
        Some("id") => &mut summary.response_id,
        Some("model") => &mut summary.model,
        Some("service_tier") => &mut summary.service_tier,
        Some(_) | None => return,
    };
    if let Some(text) = span::label_at(data, value) {
        *field = Some(text);
    }
}

/// Reads the event that ends the stream, and collects the edits that repair it.
fn end(
    data: &[u8],
    ending: TerminalEvent,
    summary: &mut ReplySummary,
    edits: &mut Vec<Edit>,
) -> StepKind {
    // Codex skips an event it cannot parse, so such an event ends nothing.
    if serde_json::from_slice::<IgnoredAny>(data).is_err() {
        return StepKind::so_far(summary);
    }
    let known_id = summary.response_id.clone();
    let response = span::find(data, 0, "response").filter(|start| data.get(*start) == Some(&b'{'));
    if let Some(response) = response.and_then(|start| data.get(start..)) {
        summary.hosted_tools.note_response(response);
        summary.stored.note_response(response);
    }
    let mut reason = None;
    let mut has_id = false;
    let mut bad_id = None;
    for member in response.iter().flat_map(|start| Members::new(data, *start)) {
        let key = span::string_at(data, &member.key);
        note(key.as_deref(), data, &member.value, summary);
        let value = data.get(member.value.clone()).unwrap_or_default();
        match key.as_deref() {
            Some("id") if value.starts_with(b"\"") => has_id = true,
            Some("id") => bad_id = Some(member.value),
            Some("usage") => {
                summary.note_usage(&read_usage(value));
                if let Some(text) = repair_usage(value) {
                    summary.repairs.usage += 1;
                    edits.push(Edit {
                        span: member.value,
                        text: Bytes::from(text),
                    });
                }
            }
            Some("incomplete_details") => {
                reason = span::text_of(data, member.value.start, "reason");
            }
            Some(_) | None => {}
        }
    }
    if ending == TerminalEvent::Completed && !has_id {
        // Without an id Codex takes the answer for broken and buys it again.
        let id = span::quote(known_id.as_deref().unwrap_or(UNNAMED_RESPONSE));
        edits.extend(id_edit(data, response, bad_id, &id));
        summary.repairs.response_id += 1;
    }
    summary.end_with(match ending {
        TerminalEvent::Completed => Terminal::Completed,
        TerminalEvent::Incomplete => Terminal::Incomplete { reason },
        TerminalEvent::Failed => Terminal::Failed(StreamFailure::read(data)),
    });
    StepKind::Terminal
}

/// The edit that gives a completed response its id: over a value that is none, into the object, or
/// with a new object.
fn id_edit(
    data: &[u8],
    response: Option<usize>,
    bad_id: Option<Range<usize>>,
    id: &str,
) -> Option<Edit> {
    if let Some(span) = bad_id {
        return Some(Edit {
            span,
            text: Bytes::from(id.to_owned()),
        });
    }
    let Some(start) = response else {
        if let Some(span) = span::member(data, 0, "response") {
            return Some(Edit {
                span,
                text: Bytes::from(format!(r#"{{"id":{id}}}"#)),
            });
        }
        let end = Members::new(data, 0).last()?.value.end;
        return Some(Edit {
            span: end..end,
            text: Bytes::from(format!(r#","response":{{"id":{id}}}"#)),
        });
    };
    let comma = if Members::new(data, start).next().is_some() {
        ","
    } else {
        ""
    };
    Some(Edit {
        span: start + 1..start + 1,
        text: Bytes::from(format!(r#""id":{id}{comma}"#)),
    })
}

/// Keeps the last event of each limit.
fn keep_plan_limit(data: &[u8], summary: &mut ReplySummary) {
    if data.len() > MAX_PLAN_LIMIT {
        return;
    }
    let limit = limit_name(data);
    let kept = &mut summary.plan_limits;
    if let Some(old) = kept.iter_mut().find(|old| limit_name(old) == limit) {
        *old = Bytes::copy_from_slice(data);
    } else if kept.len() < MAX_PLAN_LIMITS {
        kept.push(Bytes::copy_from_slice(data));
    }
}

fn limit_name(data: &[u8]) -> Option<String> {
    ["metered_limit_name", "limit_name"]
        .iter()
        .find_map(|name| span::text_of(data, 0, name))
}
