//! What the connections of a scripted upstream share: the script, and what was asked and served.

use super::answer::{Ask, Usage, Wire};
use super::model;
use super::record::{AnswerEnd, Recorded, Served, millis};
use super::script::{
    Chunking, FixedResponse, Matcher, Payload, ReplyFraming, ReplyHead, Respond, Script, Step,
};
use crate::codec;
use crate::http1::Head;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::watch;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changes: watch::Sender<u64>,
    started: Instant,
}

#[derive(Debug, Default)]
struct State {
    script: Script,
    /// How many requests each rule has fitted so far, its `nth` aside.
    fitted: Vec<usize>,
    requests: Vec<Recorded>,
    served: Vec<Served>,
    numbered: usize,
    connections: usize,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            started: Instant::now(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no connection panics while it holds the state")
    }

    fn note_change(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(super) fn set_script(&self, script: Script) {
        let mut state = self.state();
        state.fitted = vec![0; script.rules.len()];
        state.script = script;
    }

    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.served.clear();
        state.fitted.fill(0);
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    pub(super) fn served(&self) -> Vec<Served> {
        self.state().served.clone()
    }

    pub(super) fn connection(&self) -> usize {
        let mut state = self.state();
        state.connections += 1;
        state.connections
    }

    /// Records a request and says what to do about it.
    pub(super) fn take_in(&self, head: &Head, raw: Bytes, connection: usize) -> (usize, Vec<Step>) {
        let decoded = match head.field("content-encoding") {
            None => Ok(raw.clone()),
            Some(encodings) => codec::decode(encodings, &raw)
                .map(Bytes::from)
                .map_err(|error| error.to_string()),
        };
        let mut state = self.state();
        state.numbered += 1;
        let mut request = Recorded {
            number: state.numbered,
            connection,
            at: self.started.elapsed(),
            method: head.word(0).to_owned(),
            target: head.word(1).to_owned(),
            fields: head.fields.clone(),
            raw,
            decoded,
            outcome: None,
        };
        let body: Value = request
            .decoded
            .as_ref()
            .ok()
            .and_then(|body| serde_json::from_slice(body).ok())
            .unwrap_or_default();
        let steps = state.steps_for(&request, &body);
        if let Some(wire) = wire_of(&request.method, request.path()) {
            let model = body["model"].as_str().unwrap_or_default().to_owned();
            let path = request.path().to_owned();
            state.served.push(Served {
                number: request.number,
                path,
                wire,
                model,
                completed: false,
                usage: None,
            });
        }
        let number = request.number;
        if state.script.forget_bodies {
            request.raw = Bytes::new();
            request.decoded = Ok(Bytes::new());
        }
        state.requests.push(request);
        drop(state);
        self.note_change();
        (number, steps)
    }

    pub(super) fn note_served(&self, number: usize, usage: Option<Usage>) {
        if let Some(served) = self
            .state()
            .served
            .iter_mut()
            .rev()
            .find(|served| served.number == number)
        {
            served.completed = true;
            served.usage = usage;
        }
    }

    pub(super) fn note_outcome(&self, number: usize, outcome: AnswerEnd) {
        let now = self.started.elapsed();
        if let Some(request) = self
            .state()
            .requests
            .iter_mut()
            .rev()
            .find(|request| request.number == number)
        {
            request.outcome = Some((outcome, now));
        }
        self.note_change();
    }
}

impl State {
    fn steps_for(&mut self, request: &Recorded, body: &Value) -> Vec<Step> {
        let mut then = Respond::Model;
        for (rule, fitted) in self.script.rules.iter().zip(&mut self.fitted) {
            if !fits(&rule.when, request, body) {
                continue;
            }
            *fitted += 1;
            if rule.when.nth.is_none_or(|nth| nth == *fitted) {
                then = rule.then.clone();
                break;
            }
        }
        let ask = wire_of(&request.method, request.path()).map(|wire| Ask {
            wire,
            model: body["model"].as_str().unwrap_or("gpt-5.5"),
            stream: body["stream"] == true,
            include_usage: body["stream_options"]["include_usage"] == true,
            number: self.served.len() + 1,
        });
        match (then, ask) {
            (Respond::Steps(steps), _) => steps,
            (Respond::FixedResponse(plain), _) => plain_steps(&plain),
            (Respond::ModelAnswer(answer), Some(ask)) => answer.steps(&ask),
            (Respond::Model, Some(ask)) => {
                let length = request.decoded.as_ref().map_or(0, Bytes::len);
                model::answer(&self.script.model, &ask, body, length).steps(&ask)
            }
            (Respond::Echo, _) => plain_steps(&echo(request, body)),
            (Respond::Model | Respond::ModelAnswer(_), None) => plain_steps(&model::other(
                request.path(),
                &request.target,
                request.wants_upgrade(),
            )),
        }
    }
}

fn fits(when: &Matcher, request: &Recorded, body: &Value) -> bool {
    when.method
        .as_ref()
        .is_none_or(|method| *method == request.method)
        && when
            .path
            .as_ref()
            .is_none_or(|path| request.path().ends_with(path.as_str()))
        && when
            .model
            .as_ref()
            .is_none_or(|model| body["model"] == model.as_str())
        && when
            .headers
            .iter()
            .all(|(name, value)| request.header(name) == Some(value))
        && when.body_contains.as_ref().is_none_or(|text| {
            request
                .decoded
                .as_ref()
                .is_ok_and(|body| String::from_utf8_lossy(body).contains(text.as_str()))
        })
}

pub(super) fn wire_of(method: &str, path: &str) -> Option<Wire> {
    match (method, path) {
        ("POST", path) if path.ends_with("/responses") => Some(Wire::Responses),
        ("POST", path) if path.ends_with("/chat/completions") => Some(Wire::Chat),
        _ => None,
    }
}

pub(super) fn plain_steps(plain: &FixedResponse) -> Vec<Step> {
    let body = plain.body.bytes();
    let head = ReplyHead {
        status: plain.status,
        headers: plain.headers.clone(),
        framing: ReplyFraming::AsHeaders,
    }
    .header("content-length", &body.len().to_string());
    let body = Payload::bytes_of(&body);
    vec![
        Step::Head(head),
        Step::Send {
            body,
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
        Step::End,
    ]
}

fn echo(request: &Recorded, body: &Value) -> FixedResponse {
    let text = request
        .decoded
        .as_ref()
        .ok()
        .map(|body| String::from_utf8_lossy(body).into_owned());
    FixedResponse::json(
        200,
        json!({"method": request.method, "target": request.target, "json": body, "text": text, "at_ms": millis(request.at)}),
    )
}
