//! What the upstream answers, as data: the same in a test and in a JSON file for `provider-sim`.
//!
//! A script is a list of rules; the first whose `when` fits a request answers it with `then`.
//! Requests that no rule fits get the default model (`model.rs`). To add a way of answering: a
//! variant of `Step`, and its arm in `play.rs`.

use super::answer::{ModelAnswer, Usage};
use crate::codec;
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The whole behaviour of an upstream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    pub rules: Vec<Rule>,
    /// How the default model answers.
    pub model: ModelSettings,
    /// Drops the bodies of recorded requests: for load runs, which would fill the memory.
    pub forget_bodies: bool,
}

impl Script {
    /// A script with one rule for every request of a model endpoint.
    pub fn always(then: Respond) -> Self {
        Self::default().rule(
            Matcher {
                method: Some("POST".to_owned()),
                ..Matcher::default()
            },
            then,
        )
    }

    /// A script that gives every model request this answer.
    pub fn answer(answer: ModelAnswer) -> Self {
        Self::always(Respond::ModelAnswer(Box::new(answer)))
    }

    /// A script that does these steps for every model request.
    pub fn steps(steps: Vec<Step>) -> Self {
        Self::always(Respond::Steps(steps))
    }

    #[must_use]
    pub fn rule(mut self, when: Matcher, then: Respond) -> Self {
        self.rules.push(Rule { when, then });
        self
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub when: Matcher,
    pub then: Respond,
}

/// Everything named must fit; an empty `when` fits every request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matcher {
    pub method: Option<String>,
    /// The end of the path, query left out: `/responses` fits `/v1/responses` and
    /// `/backend-api/codex/responses`.
    pub path: Option<String>,
    /// The `model` of the decoded JSON body.
    pub model: Option<String>,
    /// The how-many-th request (from 1) that fits everything else of this rule.
    pub nth: Option<usize>,
    /// Header fields that must have exactly this value.
    pub headers: BTreeMap<String, String>,
    /// Text somewhere in the decoded body.
    pub body_contains: Option<String>,
}

impl Matcher {
    pub fn path(path: &str) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::default()
        }
    }

    pub fn model(model: &str) -> Self {
        Self {
            model: Some(model.to_owned()),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn nth(mut self, nth: usize) -> Self {
        self.nth = Some(nth);
        self
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Respond {
    /// The default model.
    Model,
    /// An answer in the wire that the request speaks, streamed or whole as it asks.
    ModelAnswer(Box<ModelAnswer>),
    /// A status, headers and a body whose length is told.
    FixedResponse(FixedResponse),
    /// A JSON description of the request.
    Echo,
    /// Exactly these things, one after another, then the connection goes on or closes as framing
    /// demands.
    Steps(Vec<Step>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedResponse {
    pub status: u16,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub body: Payload,
}

impl FixedResponse {
    pub fn json(status: u16, body: Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self {
            status,
            headers,
            body: Payload::Json(body),
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One thing the upstream does on the connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// An interim answer such as 103.
    Interim {
        status: u16,
        headers: Vec<(String, String)>,
    },
    /// The head of the answer.
    Head(ReplyHead),
    /// A piece of the body, in the framing of the head; each cut is a write of its own.
    Send {
        body: Payload,
        #[serde(default)]
        cuts: Chunking,
        /// Between two writes.
        #[serde(default)]
        delay_ms: u64,
    },
    /// Bytes straight onto the connection, outside any framing.
    Raw(Payload),
    WaitMs(u64),
    /// Notes that a complete answer with this usage was written so far. What a ledger is compared
    /// with.
    Served(Option<Usage>),
    /// Ends the body as its framing wants. Said or not, it happens after the last step.
    End,
    /// Closes with a TCP reset.
    Reset,
    /// Closes both directions without ending the body.
    Close,
    /// Closes the sending direction without ending the body and reads on until the peer goes.
    HalfClose,
    /// Nothing more until the peer goes away.
    Stall,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyHead {
    pub status: u16,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub framing: ReplyFraming,
}

impl ReplyHead {
    /// 200 and `text/event-stream`, chunked.
    pub fn event_stream() -> Self {
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        Self {
            status: 200,
            headers,
            framing: ReplyFraming::Chunked,
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyFraming {
    #[default]
    Chunked,
    /// Until the connection closes.
    UntilClose,
    /// A content-length is among the headers.
    AsHeaders,
}

/// Bytes, in whatever form is the easiest to write down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    Text(String),
    Base64(String),
    Json(Value),
    /// Server-sent events; a JSON object's `type` becomes the `event:` line, other values are sent
    /// as `data:` alone.
    Events(Vec<Value>),
    Repeat {
        text: String,
        times: usize,
    },
    /// Compressed, without saying so: the header is the head's business.
    Gzip(Box<Payload>),
    Join(Vec<Payload>),
}

impl Default for Payload {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Payload {
    pub fn bytes_of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(base64::engine::general_purpose::STANDARD.encode(bytes)),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Base64(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .expect("the script's base64 is valid"),
            Self::Json(value) => value.to_string().into_bytes(),
            Self::Events(events) => events
                .iter()
                .flat_map(|event| sse_frame(event).into_bytes())
                .collect(),
            Self::Repeat { text, times } => text.repeat(*times).into_bytes(),
            Self::Gzip(inner) => {
                codec::encode("gzip", &inner.bytes()).expect("writing to memory does not fail")
            }
            Self::Join(parts) => parts.iter().flat_map(Self::bytes).collect(),
        }
    }
}

/// One event as the real services write it: a named event's data starts with its `type`.
pub fn sse_frame(event: &Value) -> String {
    match event {
        Value::String(text) => format!("data: {text}\n\n"),
        Value::Object(fields) if fields.get("type").is_some_and(Value::is_string) => {
            let mut rest = fields.clone();
            let kind = rest.remove("type").unwrap_or_default();
            let name = kind.as_str().unwrap_or_default();
            let rest = Value::Object(rest).to_string();
            let comma = if rest == "{}" { "" } else { "," };
            format!(
                "event: {name}\ndata: {{\"type\":{kind}{comma}{}\n\n",
                &rest[1..]
            )
        }
        other => format!("data: {other}\n\n"),
    }
}

/// Where a body is cut into writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chunking {
    /// One write.
    #[default]
    Whole,
    /// After each blank line.
    Events,
    /// After each so many bytes.
    Each(usize),
    /// Before these positions.
    At(Vec<usize>),
}

impl Chunking {
    pub fn pieces<'a>(&self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        match self {
            Self::Whole => vec![bytes],
            Self::Each(size) => bytes.chunks((*size).max(1)).collect(),
            Self::Events => {
                let ends = bytes
                    .windows(2)
                    .enumerate()
                    .filter(|(_, pair)| pair == b"\n\n")
                    .map(|(at, _)| at + 2);
                cut(bytes, ends)
            }
            Self::At(positions) => cut(bytes, positions.iter().copied()),
        }
    }
}

fn cut(bytes: &[u8], positions: impl Iterator<Item = usize>) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for to in positions.chain([bytes.len()]) {
        if to > from && to <= bytes.len() {
            pieces.push(&bytes[from..to]);
            from = to;
        }
    }
    pieces
}

/// How the default model speaks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    pub text: String,
    /// A prompt with this word is answered with a tool call first, where the request offers a tool
    /// for commands.
    pub tool_word: String,
    pub tool_command: String,
    /// The text is sent so many times over, a delta each.
    pub deltas: usize,
    pub delay_ms: u64,
    /// What each answer says it used; when absent, a figure that grows with the request.
    pub usage: Option<Usage>,
    /// Header fields of every answer.
    pub headers: Vec<(String, String)>,
    pub cuts: Chunking,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            text: "hello from the scripted upstream".to_owned(),
            tool_word: "SIMTOOL".to_owned(),
            tool_command: "echo tool-$((40+2))-ran".to_owned(),
            deltas: 1,
            delay_ms: 0,
            usage: None,
            headers: Vec::new(),
            cuts: Chunking::Events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_loses_no_byte() {
        let text = b"data: 1\n\ndata: 2\n\nrest";
        let all = [
            Chunking::Whole,
            Chunking::Events,
            Chunking::Each(1),
            Chunking::Each(0),
            Chunking::At(vec![3, 3, 9, 99]),
        ];
        let counts: Vec<usize> = all.iter().map(|cuts| cuts.pieces(text).len()).collect();
        assert_eq!(counts, [1, 3, text.len(), text.len(), 3]);
        assert!(all.iter().all(|cuts| cuts.pieces(text).concat() == text));
    }

    #[test]
    fn a_script_can_be_written_as_json() {
        let script: Script = serde_json::from_str(
            r#"{"rules": [{"when": {"path": "/responses", "nth": 2},
                "then": {"steps": [{"head": {"status": 200}}, {"send": {"body": {"text": "x"}, "cuts": {"each": 1}}}, "reset"]}}]}"#,
        )
        .unwrap();
        let Respond::Steps(steps) = &script.rules[0].then else {
            panic!("not steps")
        };
        assert_eq!(steps.last(), Some(&Step::Reset));
        assert!(serde_json::from_str::<Script>(r#"{"rule": []}"#).is_err());
    }
}
