//! How a translated answer ends: one finish reason and `[DONE]`, or one error.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::ResponsesToChat;
use crate::json::raw::{Fields, Literal, fields_of, is_json_object, text_of};
use crate::responses::Item;
use crate::stream::{MAX_PLAN_LIMITS, StepKind, StreamFailure, Terminal};
use crate::translate::chunk_writer::usage_json;
use crate::translate::failure::{broken_call, own_failure, unreadable, write_error};
use crate::usage::{UsageReading, read_usage};

impl ResponsesToChat {
    pub(super) fn usage(&mut self, response: Option<&RawValue>) {
        let Some(raw) = response else { return };
        let response = fields_of(raw).unwrap_or_default();
        if let Some(usage) = response.get("usage") {
            self.summary.note_usage(&read_usage(usage.get().as_bytes()));
        }
        self.summary
            .hosted_tools
            .note_response(raw.get().as_bytes());
    }

    /// The last event. `cut` is the finish reason of an answer that was cut short.
    pub(super) fn conclude(
        &mut self,
        response: Option<&RawValue>,
        cut: Option<&'static str>,
        data: &[u8],
    ) {
        self.head(response);
        self.usage(response);
        let fields = response.and_then(fields_of).unwrap_or_default();
        if fields.text("status").as_deref() == Some("failed") {
            self.fail(StreamFailure::read(data));
            return;
        }
        if !self.take_output(&fields) {
            self.failure = self.failure.take().or_else(|| unreadable(data, None));
        }
        let reason = fields
            .object("incomplete_details")
            .and_then(|details| details.text("reason"));
        let is_cut = cut.is_some() || reason.is_some();
        self.close_calls(is_cut);
        if let Some(failure) = self.failure.take() {
            self.fail(failure);
            return;
        }
        let finish = match (cut, reason.as_deref()) {
            (_, Some("content_filter")) => "content_filter",
            (Some(cut), _) => cut,
            (None, Some(_)) => "length",
            (None, None) if self.calls > 0 => "tool_calls",
            (None, None) => "stop",
        };
        self.summary.end_with(if is_cut {
            Terminal::Incomplete {
                reason: reason.map(std::borrow::Cow::into_owned),
            }
        } else {
            Terminal::Completed
        });
        let usage = match self.summary.usage {
            UsageReading::Reported(usage) => Some(usage),
            UsageReading::Missing | UsageReading::Refused(_) => None,
        };
        self.chunks.finish(
            finish,
            &usage_json(usage),
            self.summary.service_tier.as_deref(),
        );
        self.is_over = true;
    }

    /// Takes from the last response what no event before it said. False when an item of it cannot
    /// be read.
    fn take_output(&mut self, response: &Fields<'_>) -> bool {
        let output = response.array("output").unwrap_or_default();
        for (index, raw) in (0_u64..).zip(output) {
            let Some(item) = Item::read(raw) else {
                return false;
            };
            let id = item.id.and_then(text_of);
            let call_id = item.call_id.as_ref().map(|id| &*id.0);
            let place = self.items.place_in_response(index, id.as_deref(), call_id);
            if place.is_none() && item.kind() == "message" && self.items.has_unplaced_text() {
                continue;
            }
            if !self.finished_item(Some(place.unwrap_or(index)), raw) {
                return false;
            }
        }
        true
    }

    /// A call that may be made has all of its arguments.
    fn close_calls(&mut self, is_cut: bool) {
        if !is_cut && self.items.has_stray_arguments() {
            self.failure = Some(own_failure(
                "server_error",
                "the upstream sent arguments of a tool call that it never named",
            ));
            return;
        }
        for call in self.items.calls() {
            let arguments = call.arguments.as_str();
            let is_whole = call.is_custom || is_json_object(arguments);
            if !is_cut && !is_whole && !arguments.trim().is_empty() {
                self.failure = Some(broken_call());
                return;
            }
            if call.index.is_none() {
                let none = if call.is_custom || is_cut { "" } else { "{}" };
                call.announce(&mut self.calls, &mut self.chunks, &Literal::plain(none));
            }
        }
    }

    /// An error as the SDKs raise it. No `[DONE]` follows: a client that overlooks the error must
    /// not take the answer for whole.
    pub(crate) fn fail(&mut self, failure: StreamFailure) {
        self.chunks.emit.data(StepKind::Terminal, |json| {
            json.begin_object().key("error");
            write_error(json, &failure);
            json.end_object();
        });
        self.summary.end_with(Terminal::Failed(failure));
        self.is_over = true;
    }

    pub(super) fn plan_limit(&mut self, data: &[u8]) {
        let name = |data: &[u8]| {
            let fields: Fields<'_> = serde_json::from_slice(data).unwrap_or_default();
            fields
                .text("metered_limit_name")
                .or_else(|| fields.text("limit_name"))
                .map(std::borrow::Cow::into_owned)
        };
        let new = name(data);
        self.summary.plan_limits.retain(|old| name(old) != new);
        if self.summary.plan_limits.len() < MAX_PLAN_LIMITS {
            self.summary.plan_limits.push(Bytes::copy_from_slice(data));
        }
    }
}
