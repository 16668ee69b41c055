//! One accepted socket: which protocol it speaks, and an end for clients that stop reading. Knows
//! nothing of what is served.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// What a client begins with that speaks HTTP/2 without TLS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two looks at a preface that has only begun to arrive.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them. `None` when they do not come in time: a socket
/// that says nothing is no client.
pub async fn protocol(socket: &TcpStream, patience: Duration) -> Option<Protocol> {
    let looking = async {
        let mut seen = [0u8; PREFACE.len()];
        loop {
            let count = socket.peek(&mut seen).await.ok()?;
            let begun = seen.get(..count)?;
            if count == 0 {
                return None;
            }
            if !PREFACE.starts_with(begun) {
                return Some(Protocol::Http1);
            }
            if count == PREFACE.len() {
                return Some(Protocol::Http2);
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(patience, looking).await.ok().flatten()
}

/// A socket whose writes have a deadline: a client that takes nothing for that long has stopped
/// reading.
pub struct WriteIdle<S> {
    socket: S,
    patience: Duration,
    /// Set while a write waits.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteIdle<S> {
    /// Wraps a socket.
    pub fn new(socket: S, patience: Duration) -> Self {
        Self {
            socket,
            patience,
            alarm: None,
        }
    }

    /// Lets a write that goes on go on, and ends one that waits for too long.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.alarm = None;
            return result;
        }
        let until = Instant::now() + self.patience;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        match alarm.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteIdle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteIdle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watched(context, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.watched(context, result)
    }
}

/// A socket that must say enough for a protocol to begin: after a TLS handshake nobody else sees to
/// that.
pub struct FirstBytes<S> {
    socket: S,
    /// Bytes that are still to come, and until when.
    awaited: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> FirstBytes<S> {
    /// Wraps a socket.
    pub fn new(socket: S, patience: Duration) -> Self {
        Self {
            socket,
            awaited: Some((PREFACE.len(), Box::pin(sleep(patience)))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(context, buffer);
        let Some((left, alarm)) = &mut self.awaited else {
            return result;
        };
        *left = left.saturating_sub(buffer.filled().len() - before);
        if *left == 0 {
            self.awaited = None;
            return result;
        }
        if result.is_pending() && alarm.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_client_that_begins_and_stalls_has_an_end() {
        use tokio::io::AsyncReadExt as _;

        let (mut client, server) = pair().await;
        client.write_all(b"PRI * HT").await.unwrap();
        let mut server = FirstBytes::new(server, Duration::from_millis(100));
        let mut seen = Vec::new();
        let error = server.read_to_end(&mut seen).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (mut client, server) = pair().await;
        client.write_all(PREFACE).await.unwrap();
        let mut server = FirstBytes::new(server, Duration::from_millis(100));
        let mut seen = vec![0; PREFACE.len()];
        server.read_exact(&mut seen).await.unwrap();
        sleep(Duration::from_millis(150)).await;
        client.write_all(b"later").await.unwrap();
        let mut seen = [0; 5];
        server.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"later");
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_protocol() {
        let short = Duration::from_millis(100);
        for (bytes, expected) in [
            (b"GET / HTTP/1.1\r\n".as_slice(), Some(Protocol::Http1)),
            (b"POST".as_slice(), Some(Protocol::Http1)),
            (PREFACE, Some(Protocol::Http2)),
            (b"PRI * HT".as_slice(), None),
            (b"".as_slice(), None),
        ] {
            let (mut client, server) = pair().await;
            client.write_all(bytes).await.unwrap();
            assert_eq!(protocol(&server, short).await, expected, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_is_given_up() {
        let (_client, server) = pair().await;
        let mut socket = WriteIdle::new(server, Duration::from_millis(100));
        let result = socket.write_all(&vec![0; 64 << 20]).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
