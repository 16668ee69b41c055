//! Both directions of one socket: messages are read while others are written, so that a client that
//! leaves, or interrupts, is heard in the middle of an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::message_socket::{Incoming, MessageReader, MessageWriter, SocketEnd};

/// Messages that wait to be looked at. When full, nothing more is read, and the client has to wait.
const INBOUND: usize = 4;

/// The client cannot be reached any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// What was read.
#[derive(Debug)]
pub(super) enum Inbound {
    Text(Bytes),
    Binary,
    /// Nothing more comes: a message was too large, or the protocol was broken.
    Unusable(SocketEnd),
}

/// Reads messages until there are no more.
pub(super) struct Reading {
    reader: MessageReader,
    inbound: mpsc::Sender<Inbound>,
    signs: Arc<AtomicBool>,
    gone: CancellationToken,
}

/// The side of the session.
pub(super) struct SocketIo {
    writer: MessageWriter,
    pub(super) inbound: mpsc::Receiver<Inbound>,
    signs: Arc<AtomicBool>,
    pub(super) gone: CancellationToken,
}

/// Divides a socket.
pub(super) fn split(writer: MessageWriter, reader: MessageReader) -> (SocketIo, Reading) {
    let (sender, inbound) = mpsc::channel(INBOUND);
    let signs = Arc::new(AtomicBool::new(true));
    let gone = CancellationToken::new();
    let reading = Reading {
        reader,
        inbound: sender,
        signs: Arc::clone(&signs),
        gone: gone.clone(),
    };
    let io = SocketIo {
        writer,
        inbound,
        signs,
        gone,
    };
    (io, reading)
}

impl Reading {
    /// Reads to the end, then says that the client has gone.
    pub(super) async fn run(mut self) {
        loop {
            let next = self.reader.next().await;
            self.signs.store(true, Ordering::Relaxed);
            let inbound = match next {
                Ok(Incoming::Text(text)) => Inbound::Text(text),
                Ok(Incoming::Binary) => Inbound::Binary,
                Ok(Incoming::Sign) => continue,
                Err(SocketEnd::Closed(_) | SocketEnd::Gone) => break,
                Err(end @ (SocketEnd::TooLarge | SocketEnd::Invalid(..))) => {
                    // The session still says why it closes.
                    drop(self.inbound.send(Inbound::Unusable(end)).await);
                    return;
                }
            };
            if self.inbound.send(inbound).await.is_err() {
                break;
            }
        }
        self.gone.cancel();
    }
}

impl SocketIo {
    /// Whether anything came since this was last asked.
    pub(super) fn has_signs(&self) -> bool {
        self.signs.swap(false, Ordering::Relaxed)
    }

    /// Writes messages at once.
    pub(super) async fn send(
        &mut self,
        texts: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), Gone> {
        let writer = &mut self.writer;
        let sending = async {
            for text in texts {
                writer.feed(text).await?;
            }
            writer.flush().await
        };
        tokio::select! {
            biased;
            sent = sending => sent.map_err(|_| Gone),
            () = self.gone.cancelled() => Err(Gone),
        }
    }

    pub(super) async fn ping(&mut self) -> Result<(), Gone> {
        tokio::select! {
            biased;
            sent = self.writer.ping() => sent.map_err(|_| Gone),
            () = self.gone.cancelled() => Err(Gone),
        }
    }

    /// Closes with a reason, if the client still takes it.
    pub(super) async fn close(&mut self, code: u16, reason: &str) {
        let closing = async {
            let _closed = self.writer.close(code, reason).await.is_ok();
            // What the client still sends is read, so that the connection does not end in a reset
            // that takes the reason with it.
            while self.inbound.recv().await.is_some() {}
        };
        drop(tokio::time::timeout(CLOSE_TIMEOUT, closing).await);
    }
}

/// How long a client may take to close its side. Codex takes none, and answers nothing.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(500);
