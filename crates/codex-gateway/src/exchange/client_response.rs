//! The response to the client: its head once, then the bytes of its body, until either side ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Pieces between the pump and the connection, and their bytes. When full, the pump waits and so
/// the upstream is slowed down.
const PIECES_IN_FLIGHT: usize = 16;
const BYTES_IN_FLIGHT: u32 = 256 * 1024;
/// A client that takes nothing for this long has stopped reading.
const WRITE_IDLE: Duration = Duration::from_secs(120);

/// Sends the head of the response, once.
pub struct ResponseSender {
    head: oneshot::Sender<Response>,
    shutdown: CancellationToken,
}

impl ResponseSender {
    /// A sender, and the receiver of its response. After `shutdown`, nothing waits for a slow client.
    pub fn channel(shutdown: CancellationToken) -> (Self, oneshot::Receiver<Response>) {
        let (head, receiver) = oneshot::channel();
        (Self { head, shutdown }, receiver)
    }

    /// Resolves when the client has gone before there was an answer.
    pub async fn client_gone(&mut self) {
        self.head.closed().await;
    }

    /// Sends a whole answer. A client that has gone does not get it, which is not an error.
    pub fn send(self, response: Response) {
        drop(self.head.send(response));
    }

    /// Sends the head; returns the sender of the body.
    pub fn open(self, head: Response) -> BodySender {
        let shutdown = self.shutdown.clone();
        let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        let room = Arc::new(Semaphore::new(BYTES_IN_FLIGHT as usize));
        self.send(head.map(|_| Body::new(ChannelBody(receiver))));
        BodySender {
            pieces: sender,
            room,
            shutdown,
        }
    }
}

/// A piece on its way, and the room it takes there.
struct Piece {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Piece {
    const fn new(bytes: Bytes, room: OwnedSemaphorePermit) -> Self {
        Self { bytes, _room: room }
    }
}

/// Sends the body to the client.
#[derive(Clone)]
pub struct BodySender {
    pieces: mpsc::Sender<Result<Piece, Broken>>,
    room: Arc<Semaphore>,
    /// Cancelled when nothing may wait for a client any more.
    shutdown: CancellationToken,
}

/// The answer cannot be finished; the connection is closed so that the client notices.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut off")]
pub struct Broken;

/// The client is not there any more.
#[derive(Debug)]
pub struct ClientGone;

impl BodySender {
    /// Passes a piece on; waits while the client is slow.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn send(&self, piece: Bytes) -> Result<(), ClientGone> {
        if piece.is_empty() {
            return Ok(());
        }
        // A piece larger than all the room goes alone.
        let bytes =
            u32::try_from(piece.len()).map_or(BYTES_IN_FLIGHT, |len| len.min(BYTES_IN_FLIGHT));
        let room = Arc::clone(&self.room);
        if let Ok(permit) = self.pieces.try_reserve()
            && let Ok(room) = Arc::clone(&room).try_acquire_many_owned(bytes)
        {
            permit.send(Ok(Piece::new(piece, room)));
            return Ok(());
        }
        let sending = async {
            let room = room.acquire_many_owned(bytes).await;
            let piece = Piece::new(piece, room.map_err(|_| ClientGone)?);
            self.pieces.send(Ok(piece)).await.map_err(|_| ClientGone)
        };
        tokio::select! {
            biased;
            sent = sending => sent,
            () = self.pieces.closed() => Err(ClientGone),
            () = tokio::time::sleep(WRITE_IDLE) => Err(ClientGone),
            () = self.shutdown.cancelled() => Err(ClientGone),
        }
    }

    /// Breaks the connection.
    pub async fn break_off(&self) {
        // The client has gone already when this fails.
        tokio::select! {
            sent = self.pieces.send_timeout(Err(Broken), WRITE_IDLE) => drop(sent),
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Resolves when the client has gone.
    pub async fn client_gone(&self) {
        self.pieces.closed().await;
    }
}

struct ChannelBody(mpsc::Receiver<Result<Piece, Broken>>);

impl http_body::Body for ChannelBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(|piece| Frame::data(piece.bytes))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_client_is_bounded_in_bytes() {
        const PIECE: usize = 100 * 1024;
        let (sender, response) = ResponseSender::channel(CancellationToken::new());
        let sender = sender.open(Response::default());
        let mut body = response.await.unwrap().into_body();
        let piece = || Bytes::from(vec![b'x'; PIECE]);
        let mut sent = 0;
        while tokio::time::timeout(Duration::from_millis(20), sender.send(piece()))
            .await
            .is_ok()
        {
            sent += PIECE;
        }
        assert_eq!(sent, 2 * PIECE);
        // One that is larger than all the room waits for all of it, and then goes.
        let large = Bytes::from(vec![b'y'; 1 << 20]);
        let taking = async {
            for size in [PIECE, PIECE, 1 << 20] {
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap().len(), size);
            }
        };
        let (sent, ()) = tokio::join!(sender.send(large), taking);
        assert!(sent.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_waiting() {
        let (sender, response) = ResponseSender::channel(CancellationToken::new());
        let sender = sender.open(Response::default());
        let body = response.await.unwrap().into_body();
        let piece = Bytes::from(vec![b'x'; 300 * 1024]);
        sender.send(piece.clone()).await.unwrap();
        let (sent, ()) = tokio::join!(sender.send(piece), async { drop(body) });
        assert!(sent.is_err());
    }
}
