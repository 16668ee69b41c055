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
mod state;

pub use answer::{Ending, ModelAnswer, Output, Usage, Wire};
pub use record::{AnswerEnd, Recorded, Served};
pub use script::{
    Chunking, FixedResponse, Matcher, Payload, ReplyFraming, ReplyHead, Respond, Rule, Script, Step,
};

use crate::TEST_TIMEOUT;
use crate::http1::{BodyReader, Framing, Reader};
use bytes::Bytes;
use play::{After, play};
use state::{Shared, plain_steps, wire_of};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
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
