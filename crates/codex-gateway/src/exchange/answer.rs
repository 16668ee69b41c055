//! The way back to the client: the head of the answer once, then bytes, until one side is done.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Pieces between the pump and the connection. When full, the pump waits and so the upstream is slowed down.
const PIECES_IN_FLIGHT: usize = 16;
/// A client that takes nothing for this long has stopped reading.
const WRITE_IDLE: Duration = Duration::from_secs(120);

/// Where the answer's head goes, once.
pub struct Answer {
    head: oneshot::Sender<Response>,
    deadline: CancellationToken,
}

impl Answer {
    /// An answer, and the place to wait for it. After `deadline` nothing waits for a slow client.
    pub fn channel(deadline: CancellationToken) -> (Self, oneshot::Receiver<Response>) {
        let (head, receiver) = oneshot::channel();
        (Self { head, deadline }, receiver)
    }

    /// Resolves when the client has gone before there was an answer.
    pub async fn client_gone(&mut self) {
        self.head.closed().await;
    }

    /// Sends a whole answer. A client that has gone does not get it, and nobody minds.
    pub fn send(self, response: Response) {
        drop(self.head.send(response));
    }

    /// Sends the head and gives back the way for the body.
    pub fn open(self, head: http::response::Builder) -> Outlet {
        let deadline = self.deadline.clone();
        let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        let body = Body::new(OutletBody(receiver));
        if let Ok(response) = head.body(body) {
            self.send(response);
        }
        Outlet {
            pieces: sender,
            deadline,
        }
    }
}

/// The body's way to the client.
#[derive(Clone)]
pub struct Outlet {
    pieces: mpsc::Sender<Result<Bytes, Broken>>,
    /// Cancelled when nothing may wait for a client any more.
    deadline: CancellationToken,
}

/// The answer cannot be finished; the connection is closed so that the client notices.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct Broken;

/// The client is not there any more.
#[derive(Debug)]
pub struct ClientGone;

impl Outlet {
    /// Passes a piece on; waits while the client is slow.
    pub async fn send(&self, piece: Bytes) -> Result<(), ClientGone> {
        if piece.is_empty() {
            return Ok(());
        }
        match self.pieces.try_send(Ok(piece)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ClientGone),
            Err(mpsc::error::TrySendError::Full(piece)) => {
                tokio::select! {
                    sent = self.pieces.send_timeout(piece, WRITE_IDLE) => sent.map_err(|_| ClientGone),
                    () = self.deadline.cancelled() => Err(ClientGone),
                }
            }
        }
    }

    /// Breaks the connection.
    pub async fn break_off(&self) {
        // The client has gone already when this fails.
        tokio::select! {
            sent = self.pieces.send_timeout(Err(Broken), WRITE_IDLE) => drop(sent),
            () = self.deadline.cancelled() => {}
        }
    }

    /// Resolves when the client has gone.
    pub async fn client_gone(&self) {
        self.pieces.closed().await;
    }
}

struct OutletBody(mpsc::Receiver<Result<Bytes, Broken>>);

impl http_body::Body for OutletBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
