//! One fixture: a client's request, its upstream's answer, and what translation makes of both.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use gateway_wire::dialect::DialectOverrides;
use gateway_wire::stream::{ReplySummary, Step};
use gateway_wire::translate::{
    Loss, ReasoningBlob, ReasoningLookup, ReplyPurpose, ReplySettings, StreamCollector,
    StreamTranslator, TranslateError, TranslatedRequest, TranslationContext, chat_to_responses,
    json_as_stream, reply_json, responses_to_chat,
};
use gateway_wire::{Dialect, WireApi};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    pub(crate) client: WireApi,
    #[serde(default = "openai")]
    pub(crate) dialect: String,
    #[serde(default)]
    pub(crate) overrides: Value,
    #[serde(default)]
    pub(crate) strict: bool,
    #[serde(default)]
    pub(crate) compact: bool,
    /// Call id to reasoning text, or to the fields of a blob.
    #[serde(default)]
    pub(crate) reasoning: HashMap<String, Value>,
    pub(crate) request: Value,
    /// The upstream's events; strings are sent as they are.
    #[serde(default)]
    pub(crate) stream: Option<Vec<Value>>,
    /// The upstream's plain answer.
    #[serde(default)]
    pub(crate) json: Option<Value>,
}

fn openai() -> String {
    "openai".to_owned()
}

/// Reasoning of a fixture.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) HashMap<String, Arc<ReasoningBlob>>);

impl ReasoningLookup for Kept {
    fn find(&self, call_id: &str) -> Option<Arc<ReasoningBlob>> {
        self.0.get(call_id).cloned()
    }
}

impl Fixture {
    pub(crate) fn dialect(&self) -> Dialect {
        let base = *Dialect::named(&self.dialect).expect("a known dialect");
        if self.overrides.is_null() {
            return base;
        }
        base.with(&serde_json::from_value::<DialectOverrides>(self.overrides.clone()).unwrap())
    }

    fn kept(&self) -> Kept {
        let blob = |value: &Value| {
            let text = |name: &str| value[name].as_str().map(str::to_owned);
            let json = |name: &str| (!value[name].is_null()).then(|| value[name].to_string());
            Arc::new(ReasoningBlob {
                text: value.as_str().map(str::to_owned).or_else(|| text("text")),
                details: json("details"),
                extra_content: json("extra_content"),
                items: value["items"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(Value::to_string)
                    .collect(),
                upstream_id: text("upstream_id"),
            })
        };
        Kept(
            self.reasoning
                .iter()
                .map(|(id, value)| (id.clone(), blob(value)))
                .collect(),
        )
    }

    pub(crate) fn translate(&self) -> Result<TranslatedRequest, TranslateError> {
        let body = serde_json::to_vec(&self.request).unwrap();
        translate(
            self.client,
            &body,
            &self.dialect(),
            self.strict,
            self.compact,
            &self.kept(),
        )
    }

    /// The upstream's stream as bytes.
    pub(crate) fn stream_bytes(&self) -> Option<Vec<u8>> {
        let events = self.stream.as_ref()?;
        let mut out = String::new();
        for event in events {
            if let Some(text) = event.as_str() {
                let field = if text.starts_with(':') { "" } else { "data: " };
                write!(out, "{field}{text}\n\n").unwrap();
                continue;
            }
            if let Some(kind) = event["type"].as_str() {
                writeln!(out, "event: {kind}").unwrap();
            }
            write!(out, "data: {event}\n\n").unwrap();
        }
        Some(out.into_bytes())
    }
}

pub(crate) fn translate(
    client: WireApi,
    body: &[u8],
    dialect: &Dialect,
    strict: bool,
    compact: bool,
    kept: &dyn ReasoningLookup,
) -> Result<TranslatedRequest, TranslateError> {
    let settings = TranslationContext {
        model: "upstream-model",
        dialect,
        strict,
        request_id: "req-1",
        created_at: 1_700_000_000,
        is_codex: true,
        reasoning: kept,
        purpose: if compact {
            ReplyPurpose::CompactReply
        } else {
            ReplyPurpose::Turn
        },
    };
    match client {
        WireApi::Responses => responses_to_chat(body, &settings),
        WireApi::Chat => chat_to_responses(body, &settings),
    }
}

pub(crate) fn show_losses(losses: &[Loss]) -> String {
    losses.iter().fold(String::new(), |mut out, loss| {
        writeln!(out, "loss {} at {}", loss.kind.as_str(), loss.path).unwrap();
        out
    })
}

/// A body on several lines, or as it is when it is no JSON.
pub(crate) fn pretty(body: &[u8]) -> String {
    serde_json::from_slice::<Value>(body).map_or_else(
        |_| String::from_utf8_lossy(body).into_owned(),
        |value| format!("{value:#}"),
    )
}

/// A stream's steps joined by kind, and what else its translation says.
pub(crate) struct Streamed {
    pub(crate) steps: Vec<(&'static str, String)>,
    pub(crate) summary: ReplySummary,
    pub(crate) losses: Vec<Loss>,
    pub(crate) reasoning: Vec<(String, ReasoningBlob)>,
}

impl Streamed {
    pub(crate) fn text(&self) -> String {
        self.steps.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// The JSON data of all events; `[DONE]` as a string.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::from(data)))
            .collect()
    }
}

pub(crate) fn stream(plan: &ReplySettings, chunks: &[&[u8]]) -> Streamed {
    let mut machine = StreamTranslator::new(plan.clone(), 1 << 20);
    let mut steps = vec![];
    for chunk in chunks {
        machine
            .push(bytes::Bytes::copy_from_slice(chunk), &mut steps)
            .unwrap();
    }
    machine.end(&mut steps);
    let reasoning = machine.take_reasoning();
    Streamed {
        steps: join(&steps),
        summary: machine.summary().clone(),
        losses: machine.losses().to_vec(),
        reasoning,
    }
}

fn join(steps: &[Step]) -> Vec<(&'static str, String)> {
    let mut joined: Vec<(&'static str, String)> = vec![];
    for step in steps {
        let kind = match step {
            Step::Preamble(_) => "preamble",
            Step::Output(_) => "output",
            Step::Terminal(_) => "terminal",
        };
        let text = String::from_utf8(step.bytes().to_vec()).unwrap();
        match joined.last_mut() {
            Some((last, all)) if *last == kind => all.push_str(&text),
            _ => joined.push((kind, text)),
        }
    }
    joined
}

/// What the response object of a request without parameters says; one fixture shows it whole, in its
/// JSON answer.
const HEAD: &str = r#""object":"response","created_at":1700000000,"#;
const PARAMETERS: &str = r#""background":false,"frequency_penalty":0,"max_output_tokens":null,"max_tool_calls":null,"metadata":{},"parallel_tool_calls":true,"presence_penalty":0,"previous_response_id":null,"prompt_cache_key":null,"safety_identifier":null,"temperature":1,"tool_choice":"auto","top_logprobs":0,"top_p":1,"truncation":"disabled","user":null,"#;
const TEXT: &str = r#""reasoning":{"effort":null,"summary":null},"store":false,"text":{"format":{"type":"text"}},"#;

fn show_steps(steps: &[(&'static str, String)]) -> String {
    steps.iter().fold(String::new(), |mut out, (kind, text)| {
        let text = text
            .replace("\n\n", "\n")
            .replace(HEAD, "…")
            .replace(PARAMETERS, "…")
            .replace(TEXT, "…");
        writeln!(out, "-- {kind}\n{}", text.trim_end()).unwrap();
        out
    })
}

fn show_summary(summary: &ReplySummary) -> String {
    format!(
        "usage {:?}, cost {:?}, id {:?}, model {:?}, tier {:?}, chars {}, events {}\nterminal {:?}\n",
        summary.usage,
        summary.provider_cost_nanos,
        summary.response_id,
        summary.model,
        summary.service_tier,
        summary.output_chars,
        summary.events,
        summary.terminal,
    )
}

fn show_reasoning(reasoning: &[(String, ReasoningBlob)]) -> String {
    reasoning.iter().fold(String::new(), |mut out, (id, blob)| {
        writeln!(out, "keep {id}: {blob:?}").unwrap();
        out
    })
}

fn show_reply(plan: &ReplySettings, body: &[u8]) -> String {
    match reply_json(plan, body) {
        Ok(reply) => format!(
            "{}\n{}{}{}",
            pretty(&reply.body),
            show_losses(&reply.losses),
            show_summary(&reply.summary),
            show_reasoning(&reply.reasoning)
        ),
        Err(error) => format!("error: {error}\n"),
    }
}

/// Everything that translation makes of the upstream's answer.
pub(crate) fn show_answer(fixture: &Fixture, plan: &ReplySettings) -> String {
    let mut out = String::new();
    if let Some(bytes) = fixture.stream_bytes() {
        let streamed = stream(plan, &[&bytes]);
        write!(
            out,
            "== stream\n{}{}{}{}",
            show_steps(&streamed.steps),
            show_losses(&streamed.losses),
            show_summary(&streamed.summary),
            show_reasoning(&streamed.reasoning)
        )
        .unwrap();
        let mut collector = StreamCollector::new(plan.upstream_wire(), 1 << 20, 1 << 24);
        collector.push(bytes.into()).unwrap();
        let (whole, _) = collector.finish();
        match whole {
            Ok(whole) => write!(
                out,
                "== collected\n{}\n== its translation\n{}",
                pretty(&whole),
                show_reply(plan, &whole)
            )
            .unwrap(),
            Err(failure) => writeln!(
                out,
                "== collected\nfailure {:?} {:?}",
                failure.code, failure.message
            )
            .unwrap(),
        }
    }
    if let Some(json) = &fixture.json {
        let body = serde_json::to_vec(json).unwrap();
        write!(out, "== json\n{}", show_reply(plan, &body)).unwrap();
        if let Ok(reply) = reply_json(plan, &body) {
            let steps = json_as_stream(plan.client_wire(), &reply.body, true).unwrap();
            write!(out, "== told as a stream\n{}", show_steps(&join(&steps))).unwrap();
        }
    }
    out
}
