//! How a translated answer ends: exactly one terminal event, whatever the upstream did.

use super::super::compaction;
use super::super::failure::own_failure;
use super::super::loss_kind::LossKind;
use super::super::reasoning::ReasoningBlob;
use super::super::reply_settings::ReplyPurpose;
use super::{ChatToResponses, response};
use crate::dialect::{Finish, MissingFinish, ReasoningEcho, finish_of};
use crate::json::write::JsonWriter;
use crate::stream::StepKind;
use crate::stream::{StreamFailure, Terminal};

/// How it ended, for the client.
enum Ending {
    Completed,
    /// The output limit was reached.
    Cut,
    Failed(StreamFailure),
}

impl ChatToResponses {
    /// The upstream closed the stream.
    pub(crate) fn end(&mut self) {
        if !self.is_over {
            self.conclude();
        }
    }

    /// Ends every item and the answer.
    pub(super) fn conclude(&mut self) {
        self.is_over = true;
        self.start();
        let rest = self.think.finish();
        if !rest.reasoning.is_empty() {
            self.think_aloud(&rest.reasoning);
        }
        self.visible(&rest.text, "");
        let finish = self.finish.as_deref().map(finish_of);
        let ending = self.ending(finish);
        if matches!(ending, Ending::Failed(_)) {
            self.finish_with(ending);
            return;
        }
        if self.plan.purpose == ReplyPurpose::Turn {
            if self.next_index == 0 && self.calls.list.is_empty() {
                self.flush_space();
            }
            let status = if matches!(ending, Ending::Cut) {
                "incomplete"
            } else {
                "completed"
            };
            self.close_open(status);
            self.close_calls(matches!(ending, Ending::Cut));
        } else {
            self.summary_item();
        }
        self.finish_with(ending);
    }

    /// An answer of nothing but white space is still the answer.
    fn flush_space(&mut self) {
        let space = std::mem::take(&mut self.pending_space);
        if !space.is_empty() {
            let place = self.place("msg");
            let mut open = super::OpenItem::message(place, &mut self.emit);
            open.delta(&mut self.emit, &space, "");
            self.open = Some(open);
        }
    }

    fn ending(&mut self, finish: Option<Finish>) -> Ending {
        if let Some(failure) = self.failure.take() {
            self.summary.pending_error = None;
            return Ending::Failed(failure);
        }
        let has_named_call = self.calls.list.iter().any(|call| !call.name.is_empty());
        match finish {
            None => match self.plan.dialect.missing_finish {
                MissingFinish::Failed => Ending::Failed(own_failure(
                    "upstream_truncated",
                    "the upstream closed the stream before the answer was complete",
                )),
                MissingFinish::Completed => self.whole_or_empty(Ending::Completed),
            },
            Some(Finish::Broken) => {
                let word = self.finish.as_deref().unwrap_or_default();
                Ending::Failed(own_failure(
                    "server_error",
                    format!("the upstream broke off with finish reason `{word}`"),
                ))
            }
            Some(Finish::Filtered) => Ending::Failed(own_failure(
                "invalid_prompt",
                "the upstream's content filter stopped this answer",
            )),
            Some(Finish::ToolCalls) if !has_named_call => Ending::Failed(own_failure(
                "server_error",
                "the upstream announced a tool call and sent none",
            )),
            Some(Finish::Stop | Finish::ToolCalls) => self.whole_or_empty(Ending::Completed),
            Some(Finish::Length) => self.whole_or_empty(Ending::Cut),
        }
    }

    /// A summary must say something, and being cut short does not make it worthless.
    fn whole_or_empty(&self, ending: Ending) -> Ending {
        if self.plan.purpose == ReplyPurpose::Turn {
            return ending;
        }
        if self.note.trim().is_empty() {
            return Ending::Failed(own_failure(
                "server_error",
                "the upstream wrote no summary of the conversation",
            ));
        }
        Ending::Completed
    }

    fn close_calls(&mut self, is_cut: bool) {
        let shown = std::mem::take(&mut self.shown);
        for (at, slot) in shown.into_iter().enumerate() {
            let path = || format!("choices[0].message.tool_calls[{at}]");
            let (Some(call), Some(shown)) = (self.calls.list.get(at), slot) else {
                self.losses.keep(LossKind::UnnamedCall, path());
                continue;
            };
            if is_cut && !shown.is_complete(call) {
                self.losses.keep(LossKind::TruncatedCall, path());
                continue;
            }
            let blob = ReasoningBlob {
                text: (!self.reasoning.is_empty()).then(|| self.reasoning.clone()),
                details: (!self.details.is_empty())
                    .then(|| serde_json::Value::Array(self.details.clone()).to_string()),
                extra_content: call.extra_content.clone(),
                items: Vec::new(),
            };
            let blob = keep_for(
                self.plan.dialect.echo_reasoning,
                self.plan.dialect.echo_extra_content,
                blob,
            );
            let call_id = shown.call_id.clone();
            let (place, item) = shown.close(&mut self.emit, call);
            self.output.push((place.index, item));
            if !blob.is_empty() {
                self.kept.push((call_id, blob));
            }
        }
    }

    /// The note as the one compaction item.
    fn summary_item(&mut self) {
        let place = self.place("cmp");
        let content = compaction::wrap(self.note.trim());
        let write = |json: &mut JsonWriter, content: &str| {
            json.begin_object()
                .field_str("type", "compaction")
                .field_str("id", &place.id);
            json.field_str("encrypted_content", content).end_object();
        };
        place.added(&mut self.emit, |json| write(json, ""));
        let item = place.done(&mut self.emit, |json| write(json, &content));
        self.output.push((place.index, item));
    }

    fn finish_with(&mut self, ending: Ending) {
        self.output.sort_by_key(|(index, _)| *index);
        let output: Vec<Vec<u8>> = std::mem::take(&mut self.output)
            .into_iter()
            .map(|(_, item)| item)
            .collect();
        let mut response = response(&self.plan, &self.summary, "completed");
        let name = match &ending {
            Ending::Completed => "response.completed",
            Ending::Cut => {
                response.status = "incomplete";
                response.incomplete = Some("max_output_tokens");
                "response.incomplete"
            }
            Ending::Failed(failure) => {
                response.status = "failed";
                response.error = Some(failure);
                "response.failed"
            }
        };
        let mut whole = JsonWriter::default();
        if self.plan.purpose == ReplyPurpose::CompactReply && matches!(ending, Ending::Completed) {
            whole
                .begin_object()
                .field_str("id", &self.plan.id("resp"))
                .field_str("object", "response.compaction");
            whole.field_raw("created_at", &self.plan.created_at.to_string());
            super::response::write_output(&mut whole, &output);
            super::response::write_usage(&mut whole, response.usage);
            whole.end_object();
        } else {
            response.write(&mut whole, &output);
        }
        self.emit.event(StepKind::Terminal, name, |json| {
            json.field_raw(
                "response",
                std::str::from_utf8(&whole.out).unwrap_or("null"),
            );
        });
        self.whole = whole.out;
        self.summary.terminal = Some(match ending {
            Ending::Completed => Terminal::Completed,
            Ending::Cut => Terminal::Incomplete {
                reason: self.finish.clone(),
            },
            Ending::Failed(failure) => Terminal::Failed(failure),
        });
    }
}

/// Of a blob only what this upstream wants back.
fn keep_for(echo: ReasoningEcho, echo_extra: bool, mut blob: ReasoningBlob) -> ReasoningBlob {
    match echo {
        ReasoningEcho::None => {
            blob.text = None;
            blob.details = None;
        }
        ReasoningEcho::ReasoningContent | ReasoningEcho::Reasoning => blob.details = None,
        ReasoningEcho::ReasoningDetails => blob.text = None,
    }
    if !echo_extra {
        blob.extra_content = None;
    }
    blob
}
