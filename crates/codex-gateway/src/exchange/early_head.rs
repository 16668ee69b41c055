//! The head of a stream whose upstream keeps the client waiting: it leaves before the upstream has answered, so that
//! neither the client nor a proxy between gives up. From then on the answer's status and headers stand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gateway_wire::stream::ReplySummary;
use gateway_wire::{WireApi, synthesize};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::mpsc;

use crate::exchange::client_response::{BodySender, ResponseSender};
use crate::exchange::head;
use crate::exchange::pump::KEEPALIVE_COMMENT;
use crate::record::Exchange;

/// The side of the attempts: asks for the head to be sent, once.
pub struct EarlyHead {
    starts: mpsc::Sender<EarlyStart>,
    is_out: AtomicBool,
    /// Whether the client has a head of its own already, as on a socket.
    is_unneeded: bool,
}

/// A head that is to leave now.
pub struct EarlyStart {
    pub head: Response,
    /// How long the client may wait for a sign of life from then on.
    pub pause: Duration,
}

impl EarlyHead {
    /// The side of the attempts, and the receiver of the head.
    pub fn channel() -> (Self, mpsc::Receiver<EarlyStart>) {
        let (starts, receiver) = mpsc::channel(1);
        let early = Self {
            starts,
            is_out: AtomicBool::new(false),
            is_unneeded: false,
        };
        (early, receiver)
    }

    /// The same for a client that is kept waiting in another way.
    #[must_use]
    pub fn unneeded_if(self, is_unneeded: bool) -> Self {
        Self {
            is_unneeded,
            ..self
        }
    }

    /// Whether the client has the head: no other model or upstream may be asked, since the head says which one was.
    pub fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    /// Waits for `answer`; the client gets the head when that takes longer than `pause`.
    pub async fn unless_within<T>(
        &self,
        pause: Option<Duration>,
        exchange: &Exchange,
        answer: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(answer);
        if let Some(pause) = pause.filter(|_| !self.is_unneeded && !self.is_out()) {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = tokio::time::sleep(pause) => self.send(exchange, pause),
            }
        }
        answer.await
    }

    fn send(&self, exchange: &Exchange, pause: Duration) {
        let mut head = Response::new(Body::empty());
        set_event_stream(head.headers_mut());
        head::describe(head.headers_mut(), exchange, &[]);
        self.is_out.store(true, Ordering::Relaxed);
        // Nobody receives it when the client has gone.
        drop(self.starts.try_send(EarlyStart { head, pause }));
    }
}

/// Says that a body is a stream of events.
pub fn set_event_stream(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
}

/// The way to the client: nothing was sent yet, or the head of a stream was.
pub enum ClientSide {
    Unsent(ResponseSender),
    Begun(BodySender),
}

impl ClientSide {
    /// Sends the head of a stream; a second one is left out.
    #[must_use]
    pub fn begin(self, head: Response) -> Self {
        match self {
            Self::Unsent(sender) => Self::Begun(sender.open(head)),
            Self::Begun(body) => Self::Begun(body),
        }
    }

    /// Resolves when the client has gone. After the head it gets a keepalive in every `pause`.
    pub async fn gone(&mut self, pause: Option<Duration>, keepalive: &Bytes) {
        match (self, pause) {
            (Self::Unsent(sender), _) => sender.client_gone().await,
            (Self::Begun(body), None) => body.client_gone().await,
            (Self::Begun(body), Some(pause)) => loop {
                tokio::select! {
                    () = body.client_gone() => return,
                    () = tokio::time::sleep(pause) => {
                        if body.send(keepalive.clone()).await.is_err() {
                            return;
                        }
                    }
                }
            },
        }
    }
}

/// What keeps a client waiting before the first event: Codex counts only events, and the other client libraries accept
/// none before it.
pub fn first_keepalive(wire: WireApi, takes_events: bool) -> Bytes {
    if takes_events {
        synthesize::keepalive(wire, &ReplySummary::default())
    } else {
        Bytes::from_static(KEEPALIVE_COMMENT)
    }
}
