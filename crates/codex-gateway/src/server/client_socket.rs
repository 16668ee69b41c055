//! The socket of a client, with what the HTTP library lacks: time limits for the first bytes, for
//! the head of a request and for writes, a close that lets a client finish its request, and a body
//! for the library's own refusals. Knows nothing of what is served.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::connection_state::ConnectionState;
use crate::server::deadline::Deadline;
use crate::server::lingering::Lingering;
use crate::server::protocol::{PREFACE, Protocol};
use crate::server::protocol_error;

/// How long a client may take to send the head of a request, since its first byte. The library has
/// one time limit for this and for the pause between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that takes nothing of its response for this long has stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// A client's socket.
pub struct ClientSocket<S> {
    socket: S,
    state: Arc<ConnectionState>,
    is_http1: bool,
    /// Runs until so many bytes have arrived.
    first_bytes: Deadline,
    first_bytes_left: usize,
    /// Runs while the head of a request arrives.
    head: Deadline,
    /// Runs while a write waits.
    write: Deadline,
    write_timeout: Duration,
    lingering: Option<Lingering>,
    /// Whether the client has sent something since the last write.
    has_received: bool,
    /// What is left of a refusal that is sent in place of the library's.
    refusal: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientSocket<S> {
    /// Wraps a socket. The requests that come over it are tracked in `state`.
    pub fn new(socket: S, state: Arc<ConnectionState>, protocol: Protocol) -> Self {
        Self {
            socket,
            state,
            is_http1: protocol == Protocol::Http1,
            first_bytes: Deadline::default(),
            first_bytes_left: 0,
            head: Deadline::default(),
            write: Deadline::default(),
            write_timeout: WRITE_TIMEOUT,
            lingering: None,
            has_received: false,
            refusal: Bytes::new(),
        }
    }

    /// Ends the connection when too few bytes for a protocol to begin arrive within `timeout`.
    #[must_use]
    pub fn with_first_bytes_timeout(mut self, timeout: Duration) -> Self {
        self.first_bytes.start(timeout);
        self.first_bytes_left = PREFACE.len();
        self
    }

    /// Ends a write that waits for too long, and lets one that progresses go on.
    fn limited<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let result = write(Pin::new(&mut self.socket), context);
        if result.is_ready() {
            self.write.clear();
            return result;
        }
        self.write.start(self.write_timeout);
        self.write.check(context)?;
        Poll::Pending
    }

    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let refusal = self.refusal.clone();
            let write = |socket: Pin<&mut S>, context: &mut Context<'_>| {
                socket.poll_write(context, &refusal)
            };
            let count = ready!(self.limited(context, write))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a refusal with a body in place of the library's; `None` when `bytes` are something
    /// else.
    fn replace(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<io::Result<usize>> {
        // While a response is being sent, `bytes` are part of it, whatever they look like.
        let status = bare_refusal(bytes).filter(|_| self.has_received && !self.state.is_busy())?;
        self.refusal = protocol_error::response(status);
        match self.poll_refusal(context) {
            Poll::Ready(Err(error)) => Some(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Some(Ok(bytes.len())),
        }
    }

    fn note_written(&mut self) {
        self.has_received = false;
        self.head.clear();
    }
}

/// The status of a response that the HTTP library made by itself. All others carry a request id.
fn bare_refusal(bytes: &[u8]) -> Option<u16> {
    const MAX_LENGTH: usize = 256;
    let is_head = bytes.len() <= MAX_LENGTH && bytes.ends_with(b"\r\n\r\n");
    let head = std::str::from_utf8(bytes).ok().filter(|_| is_head)?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| head.strip_prefix("HTTP/1.0 "))?
        .get(..3)?
        .parse()
        .ok()?;
    let is_bare = matches!(status, 400 | 414 | 431) && !head.contains("\r\nx-request-id:");
    is_bare.then_some(status)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let is_busy = this.state.is_busy();
        if !is_busy {
            this.head.check(context)?;
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.socket).poll_read(context, buffer);
        if result.is_pending() {
            this.first_bytes.check(context)?;
        }
        ready!(result)?;
        let count = buffer.filled().len() - before;
        if count == 0 {
            return Poll::Ready(Ok(()));
        }
        this.first_bytes_left = this.first_bytes_left.saturating_sub(count);
        if this.first_bytes_left == 0 {
            this.first_bytes.clear();
        }
        this.has_received = true;
        if is_busy {
            this.head.clear();
        } else if this.is_http1 {
            this.head.start(HEAD_TIMEOUT);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_refusal(context))?;
        if let [piece] = pieces
            && let Some(replaced) = this.replace(context, piece)
        {
            return Poll::Ready(replaced);
        }
        let count = ready!(this.limited(context, |socket, context| {
            socket.poll_write_vectored(context, pieces)
        }))?;
        this.note_written();
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// Closes this side, then lets a client that still writes finish.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(this.poll_refusal(context))?;
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
        }
        let is_unread = this.state.is_unread();
        let lingering = this.lingering.get_or_insert_default();
        lingering.poll(context, &mut this.socket, is_unread).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::tasks::Tasks;

    fn client_socket(socket: TcpStream) -> ClientSocket<TcpStream> {
        let state = Arc::new(ConnectionState::new(Tasks::default()));
        ClientSocket::new(socket, state, Protocol::Http1)
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[test]
    fn only_what_the_library_says_by_itself_is_replaced() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_refusal(bare), Some(431));
        for other in [
            "HTTP/1.1 431 X\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nhi",
            "4\r\nHTTP\r\n\r\n",
            "",
        ] {
            assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_client_that_begins_and_stalls_is_disconnected() {
        let short = Duration::from_millis(100);
        let (mut client, server) = pair().await;
        client.write_all(b"PRI * HT").await.unwrap();
        let mut server = client_socket(server).with_first_bytes_timeout(short);
        let mut seen = Vec::new();
        let error = server.read_to_end(&mut seen).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (mut client, server) = pair().await;
        client.write_all(PREFACE).await.unwrap();
        let mut server = client_socket(server).with_first_bytes_timeout(short);
        let mut seen = vec![0; PREFACE.len()];
        server.read_exact(&mut seen).await.unwrap();
        tokio::time::sleep(short * 3 / 2).await;
        client.write_all(b"later").await.unwrap();
        let mut seen = [0; 5];
        server.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"later");
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_is_disconnected() {
        let (_client, server) = pair().await;
        let mut socket = client_socket(server);
        socket.write_timeout = Duration::from_millis(100);
        let result = socket.write_all(&vec![0; 64 << 20]).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
