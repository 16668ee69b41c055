//! How a translated answer ends: exactly one terminal event, whatever the upstream did.

use super::call_item::is_whole;
use super::response_object::{ResponseObject, write_output, write_usage};
use super::{ChatToResponses, Progress};
use crate::dialect::{Finish, MissingFinish, ReasoningEcho, finish_of};
use crate::json::write::JsonWriter;
use crate::stream::{StepKind, StreamFailure, Terminal};
use crate::translate::call_ids::MAX_RESPONSES_ID;
use crate::translate::compaction;
use crate::translate::failure::{broken_call, own_failure, truncated};
use crate::translate::loss_kind::LossKind;
use crate::translate::reasoning::ReasoningBlob;
use crate::translate::reply_settings::ReplyPurpose;

/// How it ended, for the client.
enum Conclusion {
    Completed,
    /// Cut short; why, in the words of the Responses wire.
    Incomplete(&'static str),
    Failed(StreamFailure),
}

impl ChatToResponses {
    /// The upstream closed the stream.
    pub(crate) fn end(&mut self) {
        if !self.is_over() {
            self.conclude();
        }
    }

    /// Ends every item and the answer.
    pub(super) fn conclude(&mut self) {
        self.start();
        self.progress = Progress::Over;
        self.flush_texts();
        self.calls.finish();
        let conclusion = self.conclusion();
        let status = match &conclusion {
            Conclusion::Failed(_) => {
                self.finish_with(&conclusion);
                return;
            }
            Conclusion::Incomplete(_) => "incomplete",
            Conclusion::Completed => "completed",
        };
        if self.settings.purpose == ReplyPurpose::Turn {
            if self.output.is_empty() && self.calls.list.is_empty() {
                // An answer of nothing but white space is still the answer.
                let space = std::mem::take(&mut self.text.pending_space);
                if !space.is_empty() {
                    self.write_text(&space, "");
                }
            }
            let (output, mut context) = self.writer();
            output.finish(status, &mut context);
            self.settle_calls();
        } else {
            self.summary_item();
        }
        self.finish_with(&conclusion);
    }

    /// Hands out what was held back of the texts.
    fn flush_texts(&mut self) {
        let reasoning = self.reasoning.decoder.finish();
        self.think_aloud(reasoning);
        let text = self.text.decoder.finish();
        self.text(text, "");
        let rest = self.text.think_tags.finish();
        self.think_aloud(&rest.reasoning);
        self.visible(&rest.text, "");
    }

    fn conclusion(&mut self) -> Conclusion {
        if let Some(failure) = self.failure.take() {
            return Conclusion::Failed(failure);
        }
        let finish = self.finish.as_deref().map(finish_of);
        let has_named_call = self.calls.list.iter().any(|call| !call.name.is_empty());
        match finish {
            None => match self.settings.dialect.missing_finish {
                MissingFinish::Failed => Conclusion::Failed(truncated()),
                MissingFinish::Completed => self.completed(),
            },
            Some(Finish::Broken) => {
                let word = self.finish.as_deref().unwrap_or_default();
                Conclusion::Failed(own_failure(
                    "server_error",
                    format!("the upstream stopped with finish reason `{word}`"),
                ))
            }
            // Codex would send an incomplete answer again, up to five times.
            Some(Finish::Filtered) if self.settings.is_codex => Conclusion::Failed(own_failure(
                "invalid_prompt",
                "the upstream's content filter stopped this response",
            )),
            Some(Finish::Filtered) => self.cut_short("content_filter"),
            Some(Finish::ToolCalls) if !has_named_call => Conclusion::Failed(own_failure(
                "server_error",
                "the upstream announced a tool call but sent none",
            )),
            Some(Finish::Stop | Finish::ToolCalls) => self.completed(),
            Some(Finish::Length) => self.cut_short("max_output_tokens"),
        }
    }

    /// A complete answer has whole calls; a complete summary says something.
    fn completed(&self) -> Conclusion {
        if self.settings.purpose != ReplyPurpose::Turn {
            return self.summary_conclusion();
        }
        if self.has_broken_call() {
            return Conclusion::Failed(broken_call());
        }
        Conclusion::Completed
    }

    fn cut_short(&self, reason: &'static str) -> Conclusion {
        if self.settings.purpose != ReplyPurpose::Turn {
            return self.summary_conclusion();
        }
        Conclusion::Incomplete(reason)
    }

    /// A summary must say something, and being cut short does not make it worthless.
    fn summary_conclusion(&self) -> Conclusion {
        if self.text.note.trim().is_empty() {
            return Conclusion::Failed(own_failure(
                "server_error",
                "the upstream wrote no summary of the conversation",
            ));
        }
        Conclusion::Completed
    }

    /// Whether a call that the upstream says is whole is not, or went on after it was ended.
    fn has_broken_call(&self) -> bool {
        let broken = self.calls.list.iter().any(|call| {
            !call.name.is_empty() && !is_whole(call, &self.settings.tools.tool_of(&call.name))
        });
        let went_on = self.ended.iter().any(|ended| {
            let call = self.calls.list.get(ended.at);
            call.is_some_and(|call| call.arguments.len() != ended.length)
        });
        broken || went_on
    }

    /// Notes what became of the calls, and what must be given back with those that were passed on.
    fn settle_calls(&mut self) {
        for (at, call) in self.calls.list.iter().enumerate() {
            let path = || format!("choices[0].message.tool_calls[{at}]");
            let Some(ended) = self.ended.iter().find(|ended| ended.at == at) else {
                self.losses.keep(LossKind::UnnamedCall, path());
                continue;
            };
            if !ended.is_complete {
                self.losses.keep(LossKind::TruncatedCall, path());
                continue;
            }
            let details = &self.reasoning.details;
            let blob = ReasoningBlob {
                text: (!self.reasoning.text.is_empty()).then(|| self.reasoning.text.clone()),
                details: (!details.is_empty())
                    .then(|| serde_json::Value::Array(details.clone()).to_string()),
                extra_content: call.extra_content.clone(),
                items: Vec::new(),
                upstream_id: call.id.clone().filter(|id| id.len() > MAX_RESPONSES_ID),
            };
            let dialect = &self.settings.dialect;
            let blob = keep_for(dialect.echo_reasoning, dialect.echo_extra_content, blob);
            if !blob.is_empty() {
                self.reasoning.kept.push((ended.call_id.clone(), blob));
            }
        }
    }

    /// The note as the one compaction item.
    fn summary_item(&mut self) {
        let content = compaction::wrap(self.text.note.trim());
        let write = |json: &mut JsonWriter, id: &str, content: &str| {
            json.begin_object()
                .field_str("type", "compaction")
                .field_str("id", id);
            json.field_str("encrypted_content", content).end_object();
        };
        self.output.whole_item(
            "cmp",
            &self.settings,
            |json, id| write(json, id, ""),
            |json, id| write(json, id, &content),
        );
    }

    fn finish_with(&mut self, conclusion: &Conclusion) {
        let terminal = match conclusion {
            Conclusion::Completed => Terminal::Completed,
            Conclusion::Incomplete(_) => Terminal::Incomplete {
                reason: self.finish.clone(),
            },
            Conclusion::Failed(failure) => Terminal::Failed(failure.clone()),
        };
        self.summary.end_with(terminal);
        let output = self.output.take_finished();
        let mut response = ResponseObject::new(&self.settings, &self.summary, "completed");
        let name = match conclusion {
            Conclusion::Completed => "response.completed",
            Conclusion::Incomplete(reason) => {
                response.status = "incomplete";
                response.incomplete = Some(reason);
                "response.incomplete"
            }
            Conclusion::Failed(failure) => {
                response.status = "failed";
                response.error = Some(failure);
                "response.failed"
            }
        };
        let mut whole = JsonWriter::default();
        let is_compaction = self.settings.purpose == ReplyPurpose::CompactReply;
        if is_compaction && matches!(conclusion, Conclusion::Completed) {
            whole
                .begin_object()
                .field_str("id", &self.settings.id("resp"))
                .field_str("object", "response.compaction");
            whole.field_raw("created_at", &self.settings.created_at.to_string());
            write_output(&mut whole, &output);
            write_usage(&mut whole, response.usage);
            whole.end_object();
        } else {
            response.write(&mut whole, &output);
        }
        self.output.emit.event(StepKind::Terminal, name, |json| {
            json.field_raw(
                "response",
                std::str::from_utf8(&whole.out).unwrap_or("null"),
            );
        });
        self.whole = whole.out;
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
