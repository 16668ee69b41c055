//! What a model says, independent of the wire, and how each wire writes it.

pub mod chat;
pub mod responses;

use super::script::{Chunking, ReplyHead, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One answer of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelAnswer {
    /// `resp_…` or `chatcmpl-…`; made up from the request's number when absent.
    pub id: Option<String>,
    /// The model in the body; the requested one when absent.
    pub model: Option<String>,
    pub output: Vec<Output>,
    pub usage: Option<Usage>,
    /// Written in place of `usage`, whatever it is: for usage that is wrong or has unknown parts.
    pub raw_usage: Option<Value>,
    pub service_tier: Option<String>,
    pub ending: Ending,
    pub headers: Vec<(String, String)>,
    pub cuts: Chunking,
    pub delay_ms: u64,
}

impl Default for ModelAnswer {
    fn default() -> Self {
        Self {
            id: None,
            model: None,
            output: Vec::new(),
            usage: Some(Usage::default()),
            raw_usage: None,
            service_tier: None,
            ending: Ending::Completed,
            headers: Vec::new(),
            cuts: Chunking::Events,
            delay_ms: 0,
        }
    }
}

impl ModelAnswer {
    pub fn text(text: &str) -> Self {
        Self::of(vec![Output::Text(text.to_owned())])
    }

    pub fn of(output: Vec<Output>) -> Self {
        Self {
            output,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    #[must_use]
    pub fn cuts(mut self, cuts: Chunking) -> Self {
        self.cuts = cuts;
        self
    }

    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn delay_ms(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    /// The answer as steps on the connection.
    pub fn steps(&self, ask: &Ask<'_>) -> Vec<Step> {
        if !ask.stream {
            let body = match ask.wire {
                Wire::Responses => responses::whole(self, ask),
                Wire::Chat => chat::whole(self, ask),
            };
            let mut head = ReplyHead::event_stream();
            head.headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            head.headers.extend(self.headers.iter().cloned());
            let body = super::script::Payload::Json(body);
            return vec![
                Step::Head(head),
                Step::Send {
                    body,
                    cuts: Chunking::Whole,
                    delay_ms: 0,
                },
                Step::Served(self.usage),
                Step::End,
            ];
        }
        let events = match ask.wire {
            Wire::Responses => responses::events(self, ask),
            Wire::Chat => chat::events(self, ask),
        };
        let mut head = ReplyHead::event_stream();
        head.headers.extend(self.headers.iter().cloned());
        let body = super::script::Payload::Events(events);
        let mut steps = vec![
            Step::Head(head),
            Step::Send {
                body,
                cuts: self.cuts.clone(),
                delay_ms: self.delay_ms,
            },
        ];
        if matches!(self.ending, Ending::Completed | Ending::Incomplete { .. }) {
            steps.push(Step::Served(self.usage));
        }
        steps.push(Step::End);
        steps
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    Responses,
    Chat,
}

/// What the request says that its answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub wire: Wire,
    pub model: &'a str,
    pub stream: bool,
    pub include_usage: bool,
    /// Which model request this is, from 1; part of ids.
    pub number: usize,
}

/// One thing a model says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// One message, in one delta.
    Text(String),
    /// One message in several deltas.
    Deltas(Vec<String>),
    Reasoning {
        summary: String,
        #[serde(default)]
        encrypted: Option<String>,
    },
    Call {
        name: String,
        #[serde(default)]
        namespace: Option<String>,
        arguments: String,
        call_id: String,
    },
    CustomCall {
        name: String,
        #[serde(default)]
        namespace: Option<String>,
        input: String,
        call_id: String,
    },
    /// A Responses item as it is; the Chat wire leaves it out.
    Item(Value),
    /// A Responses event as it is, between items; the Chat wire sends it as a chunk.
    Event(Value),
}

/// Tokens as billed. `cached` and `cache_write` are part of `input`, `reasoning` of `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    pub input: u64,
    #[serde(default)]
    pub cached: u64,
    #[serde(default)]
    pub cache_write: u64,
    pub output: u64,
    #[serde(default)]
    pub reasoning: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input: 100,
            cached: 10,
            cache_write: 0,
            output: 20,
            reasoning: 5,
        }
    }
}

/// How a stream stops.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Completed,
    Incomplete {
        reason: String,
    },
    Failed {
        code: Option<String>,
        message: String,
    },
    /// An `error` event and nothing after it.
    ErrorEvent {
        code: Option<String>,
        message: String,
    },
    /// No terminal event; the body still ends properly.
    Missing,
}
