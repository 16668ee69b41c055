//! Writes Chat chunks.

use crate::json::raw::{Literal, push_string};
use crate::json::write::JsonWriter;
use crate::stream::StepKind;
use crate::translate::emit::Emitter;
use crate::translate::reply_settings::ReplySettings;
use crate::usage::Usage;

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    pub(crate) emit: Emitter,
    id: String,
    created_at: i64,
    wants_usage: bool,
    /// Every chunk up to its `choices`.
    head: Vec<u8>,
    has_role: bool,
}

impl ChunkWriter {
    pub(crate) fn new(plan: &ReplySettings) -> Self {
        Self::named(
            plan.id("chatcmpl"),
            plan.created_at,
            &plan.model,
            plan.wants_usage,
        )
    }

    pub(crate) fn named(id: String, created_at: i64, model: &str, wants_usage: bool) -> Self {
        let mut chunks = Self {
            emit: Emitter::new(false),
            id,
            created_at,
            wants_usage,
            head: Vec::new(),
            has_role: false,
        };
        chunks.name_model(model);
        chunks
    }

    /// Says which model answers, from now on.
    pub(crate) fn name_model(&mut self, model: &str) {
        self.head.clear();
        self.head.extend_from_slice(b"{\"id\":");
        push_string(&mut self.head, &self.id);
        self.head
            .extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        self.head
            .extend_from_slice(self.created_at.to_string().as_bytes());
        self.head.extend_from_slice(b",\"model\":");
        push_string(&mut self.head, model);
    }

    fn chunk(
        &mut self,
        kind: StepKind,
        finish: Option<&str>,
        logprobs: Option<&str>,
        delta: impl FnOnce(&mut JsonWriter),
    ) {
        let (head, wants_usage) = (&self.head, self.wants_usage);
        self.emit.data(kind, |json| {
            json.out.extend_from_slice(head);
            json.key("choices")
                .begin_array()
                .begin_object()
                .field_number("index", 0);
            json.key("delta").begin_object();
            delta(json);
            json.end_object().key("logprobs");
            match logprobs {
                Some(elements) => json
                    .begin_object()
                    .field_raw("content", elements)
                    .end_object(),
                None => json.raw("null"),
            };
            json.key("finish_reason");
            match finish {
                Some(reason) => json.string(reason),
                None => json.raw("null"),
            };
            json.end_object().end_array();
            if wants_usage {
                json.field_raw("usage", "null");
            }
            json.end_object();
        });
    }

    /// The first chunk, once.
    pub(crate) fn role(&mut self, kind: StepKind) {
        if !std::mem::replace(&mut self.has_role, true) {
            self.chunk(kind, None, None, |json| {
                json.field_str("role", "assistant").field_str("content", "");
            });
        }
    }

    /// A chunk that says nothing.
    pub(crate) fn keepalive(&mut self, kind: StepKind) {
        if self.has_role {
            self.chunk(kind, None, None, |_| {});
        } else {
            self.role(kind);
        }
    }

    /// A piece of text under its name; `logprobs` is a JSON array.
    pub(crate) fn text(&mut self, name: &str, text: &Literal<'_>, logprobs: Option<&str>) {
        self.role(StepKind::Output);
        self.chunk(StepKind::Output, None, logprobs, |json| {
            json.key(name).literal(text);
        });
    }

    /// The beginning of a call, with as much of its arguments as is there. Its id and name are never
    /// repeated: some clients join what they get of them.
    pub(crate) fn call(&mut self, head: &CallHead<'_>, arguments: &Literal<'_>) {
        self.role(StepKind::Output);
        let (kind, field) = call_fields(head.is_custom);
        self.chunk(StepKind::Output, None, None, |json| {
            json.key("tool_calls")
                .begin_array()
                .begin_object()
                .field_number("index", head.index as u64);
            json.field_str("id", head.id)
                .field_str("type", kind)
                .key(kind)
                .begin_object()
                .field_str("name", head.name);
            json.key(field)
                .literal(arguments)
                .end_object()
                .end_object()
                .end_array();
        });
    }

    /// A piece of a call's arguments.
    pub(crate) fn arguments(&mut self, index: usize, text: &Literal<'_>, is_custom: bool) {
        let (kind, name) = call_fields(is_custom);
        self.chunk(StepKind::Output, None, None, |json| {
            json.key("tool_calls")
                .begin_array()
                .begin_object()
                .field_number("index", index as u64);
            json.key(kind).begin_object().key(name).literal(text);
            json.end_object().end_object().end_array();
        });
    }

    /// The finish reason, the usage where it was asked for, and the end.
    /// `usage` is JSON.
    pub(crate) fn finish(&mut self, reason: &str, usage: &str, service_tier: Option<&str>) {
        self.role(StepKind::Terminal);
        self.chunk(StepKind::Terminal, Some(reason), None, |_| {});
        if self.wants_usage {
            let head = &self.head;
            self.emit.data(StepKind::Terminal, |json| {
                json.out.extend_from_slice(head);
                json.key("choices").begin_array().end_array();
                if let Some(tier) = service_tier {
                    json.field_str("service_tier", tier);
                }
                json.field_raw("usage", usage).end_object();
            });
        }
        self.emit.data(StepKind::Terminal, |json| {
            json.raw("[DONE]");
        });
    }
}

/// What a call begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallHead<'a> {
    /// Its place among the calls.
    pub(crate) index: usize,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) is_custom: bool,
}

/// The member of a call that holds its name, and the one in it that holds its arguments.
pub(crate) const fn call_fields(is_custom: bool) -> (&'static str, &'static str) {
    if is_custom {
        ("custom", "input")
    } else {
        ("function", "arguments")
    }
}

/// A usage object as Chat has it, or `null`.
pub(crate) fn usage_json(usage: Option<Usage>) -> String {
    let Some(usage) = usage else {
        return "null".to_owned();
    };
    let mut json = JsonWriter::default();
    json.begin_object()
        .field_number("prompt_tokens", usage.input())
        .field_number("completion_tokens", usage.output());
    json.field_number("total_tokens", usage.input().saturating_add(usage.output()));
    json.key("prompt_tokens_details")
        .begin_object()
        .field_number("cached_tokens", usage.cached_input())
        .field_number("cache_write_tokens", usage.cache_write())
        .end_object();
    json.key("completion_tokens_details")
        .begin_object()
        .field_number("reasoning_tokens", usage.reasoning())
        .end_object();
    json.end_object();
    String::from_utf8(json.out).unwrap_or_default()
}
