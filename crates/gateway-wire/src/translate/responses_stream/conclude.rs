//! How a translated answer ends: one finish reason and `[DONE]`, or one error.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::ResponsesToChat;
use crate::json::raw::{Fields, fields_of};
use crate::stream::StepKind;
use crate::stream::{MAX_PLAN_LIMITS, StreamFailure, Terminal};
use crate::translate::chunk_writer::usage_json;
use crate::translate::failure::{read_event, write_error};
use crate::usage::UsageReading;
use crate::usage::read_usage;

impl ResponsesToChat {
    pub(super) fn usage(&mut self, response: Option<&RawValue>) {
        if let Some(usage) = response
            .and_then(fields_of)
            .and_then(|response| response.get("usage"))
        {
            let reading = read_usage(usage.get().as_bytes());
            self.summary.usage = reading.usage;
            self.summary.provider_cost_nanos = reading.cost_nanos;
        }
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
            self.fail(read_event(&fields, data));
            return;
        }
        if !self.summary.has_output {
            for (index, item) in fields
                .array("output")
                .unwrap_or_default()
                .into_iter()
                .enumerate()
            {
                self.done(Some(index as u64), item);
            }
        }
        let reason = fields
            .object("incomplete_details")
            .and_then(|details| details.text("reason"));
        let finish = match (cut, reason.as_deref()) {
            (_, Some("content_filter")) => "content_filter",
            (Some(cut), _) => cut,
            (None, Some(_)) => "length",
            (None, None) if self.calls > 0 => "tool_calls",
            (None, None) => "stop",
        };
        let usage = match self.summary.usage {
            UsageReading::Reported(usage) => Some(usage),
            UsageReading::Missing | UsageReading::Refused(_) => None,
        };
        self.chunks.finish(
            finish,
            &usage_json(usage),
            self.summary.service_tier.as_deref(),
        );
        self.summary.terminal = Some(if cut.is_some() || reason.is_some() {
            Terminal::Incomplete {
                reason: reason.map(std::borrow::Cow::into_owned),
            }
        } else {
            Terminal::Completed
        });
        self.summary.pending_error = None;
        self.is_over = true;
    }

    /// An error as the SDKs raise it. No `[DONE]` follows: a client that overlooks the error must
    /// not take the answer for whole.
    pub(crate) fn fail(&mut self, failure: StreamFailure) {
        self.chunks.emit.data(StepKind::Terminal, |json| {
            json.begin_object().key("error");
            write_error(json, &failure);
            json.end_object();
        });
        self.summary.pending_error = None;
        self.summary.terminal = Some(Terminal::Failed(failure));
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
