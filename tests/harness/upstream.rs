//! The scripted upstream: plays a model service on loopback, on both wires, well or badly, exactly
//! as a script says.
//!
//! It speaks HTTP/1.1 by hand (`http1.rs`): a server library would not let a test cut chunks at any
//! byte, reset a connection in mid-stream, send interim answers, or see headers in their order. It
//! never leaves loopback.

pub mod answer;
mod control;
mod model;
mod play;
mod record;
pub mod script;

pub use answer::{Ending, ModelAnswer, Output, Usage, Wire};
pub use record::{AnswerEnd, Recorded, Served};
pub use script::{
    Chunking, FixedResponse, Matcher, Payload, ReplyFraming, ReplyHead, Respond, Rule, Script, Step,
};

use crate::http1::{BodyReader, Framing, Head, Reader};
use crate::{TEST_TIMEOUT, codec};
use answer::Ask;
use bytes::Bytes;
use play::{After, play};
use record::millis;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A running upstream; dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    behind_gateway: AtomicBool,
}

impl Upstream {
    /// Listens on a free loopback port and answers as the default model.
    pub async fn start() -> Self {
        Self::with(Script::default()).await
    }

    pub async fn with(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        Self::on(listener, script)
    }

    /// Starts on a listener of the caller's.
    pub fn on(listener: TcpListener, script: Script) -> Self {
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let shared = Arc::new(Shared::new());
        shared.set_script(script);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
            behind_gateway: AtomicBool::new(false),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on only a gateway talks to this upstream: at its end, what must hold for each
    /// request is checked.
    pub fn expect_gateway(&self) {
        self.behind_gateway.store(true, Ordering::Relaxed);
    }

    /// What goes into an upstream's `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Takes effect with the next request; `nth` counts anew.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// Forgets the requests and the tally; the script stays.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests()
    }

    /// The model requests so far: POST to one of the two wires.
    pub fn model_requests(&self) -> Vec<Recorded> {
        self.requests()
            .into_iter()
            .filter(|request| wire_of(&request.method, request.path()).is_some())
            .collect()
    }

    /// The only request so far; panics when there is none or another.
    pub fn only_request(&self) -> Recorded {
        let mut requests = self.requests();
        let targets: Vec<&str> = requests
            .iter()
            .map(|request| request.target.as_str())
            .collect();
        assert_eq!(
            targets.len(),
            1,
            "expected one request upstream, saw {targets:?}"
        );
        requests.remove(0)
    }

    pub fn served(&self) -> Vec<Served> {
        self.shared.served()
    }

    /// Waits until what the upstream saw fulfils a condition; panics when it does not come true.
    pub async fn wait_until(
        &self,
        what: &str,
        mut condition: impl FnMut(&[Recorded]) -> bool,
    ) -> Vec<Recorded> {
        let mut changes = self.shared.changes.subscribe();
        let waiting = async {
            loop {
                let requests = self.requests();
                if condition(&requests) {
                    return requests;
                }
                changes.changed().await.expect("the upstream lives");
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, waiting)
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "the upstream never saw this: {what}; it saw {:#?}",
                    self.requests()
                )
            })
    }

    /// Waits until every answer has ended one way or another.
    pub async fn wait_until_idle(&self) -> Vec<Recorded> {
        self.wait_until("all answers ended", |requests| {
            requests.iter().all(|request| request.outcome.is_some())
        })
        .await
    }

    /// Runs until the process ends.
    pub async fn run(mut self) {
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
        if self.behind_gateway.load(Ordering::Relaxed) && !std::thread::panicking() {
            self.requests()
                .iter()
                .for_each(Recorded::assert_sent_by_gateway);
        }
    }
}

/// A loopback address on which nobody listens.
pub async fn refused_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a loopback port is free");
    listener
        .local_addr()
        .expect("a bound listener has an address")
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
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
    fn new() -> Self {
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

    fn set_script(&self, script: Script) {
        let mut state = self.state();
        state.fitted = vec![0; script.rules.len()];
        state.script = script;
    }

    fn reset(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.served.clear();
        state.fitted.fill(0);
    }

    fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    fn served(&self) -> Vec<Served> {
        self.state().served.clone()
    }

    fn connection(&self) -> usize {
        let mut state = self.state();
        state.connections += 1;
        state.connections
    }

    /// Records a request and says what to do about it.
    fn take_in(&self, head: &Head, raw: Bytes, connection: usize) -> (usize, Vec<Step>) {
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

    fn note_served(&self, number: usize, usage: Option<Usage>) {
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

    fn note_outcome(&self, number: usize, outcome: AnswerEnd) {
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

fn wire_of(method: &str, path: &str) -> Option<Wire> {
    match (method, path) {
        ("POST", path) if path.ends_with("/responses") => Some(Wire::Responses),
        ("POST", path) if path.ends_with("/chat/completions") => Some(Wire::Chat),
        _ => None,
    }
}

fn plain_steps(plain: &FixedResponse) -> Vec<Step> {
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

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                // Out of descriptors, most likely: let connections end, then go on.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// One connection, request after request. A malformed request ends it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let connection = shared.connection();
    let (read, mut writer) = stream.into_split();
    let mut reader = Reader::new(read);
    while let Ok(Some(head)) = reader.head().await {
        if head.field("expect").is_some()
            && writer
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .is_err()
        {
            return;
        }
        let Ok(framing) = Framing::of_request(&head) else {
            return;
        };
        let Ok(raw) = BodyReader::new(framing).all(&mut reader).await else {
            return;
        };
        let path = head.word(1).split('?').next().unwrap_or_default();
        let after = if path.starts_with(control::PREFIX) {
            let steps = plain_steps(&control::answer(&shared, head.word(0), path, &raw));
            play(&steps, &mut reader, &mut writer, |_| {}).await.after
        } else {
            let (number, steps) = shared.take_in(&head, Bytes::from(raw), connection);
            let played = play(&steps, &mut reader, &mut writer, |usage| {
                shared.note_served(number, usage);
            })
            .await;
            shared.note_outcome(number, played.outcome);
            played.after
        };
        let closing = head
            .field("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        match after {
            After::NextRequest if !closing => {}
            After::NextRequest | After::Close => return,
            After::Reset => {
                // Without lingering, and without the orderly FIN that dropping the write half would
                // send first.
                let _ = writer.as_ref().set_zero_linger();
                writer.forget();
                return;
            }
        }
    }
}
