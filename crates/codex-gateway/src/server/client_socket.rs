//! The socket of a client, with the manners that the HTTP library lacks: an answer that leaves
//! before the client has written all of its request still reaches it, a client that closed only its
//! own side is answered, and the library's bare refusals get words. Knows nothing of what is
//! served.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

mod connection_state;

pub use connection_state::{Heard, Talk, Told};
use connection_state::{LINGER, LINGER_BYTES};

/// What to say in the place of a bare refusal with this status: a whole answer, head and body.
pub type Words = fn(u16) -> Bytes;

/// How long a client that still writes its request is listened to after the answer was sent, since
/// it was last heard.
const LINGER_QUIET: Duration = Duration::from_millis(500);
/// Asks a client whose side is closed whether it is still there: a closed socket answers any byte
/// with a reset, and an interim answer is what every client of HTTP/1.1 overlooks.
const ARE_YOU_THERE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Until the first look at a client whose side is closed; by then it is known what its request was.
/// Each look takes twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// A request that is not whole by then was cut off.
const WHOLE_WITHIN: Duration = Duration::from_millis(100);

/// How a client speaks over a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// HTTP/1.1 on TCP itself, where one direction can end without the other.
    Bare,
    /// HTTP/1.1 by TLS, where an end is the end of both.
    Encrypted,
    /// HTTP/2: heads and ends are the library's business.
    Streams,
}

/// How long a client may take to send the head of a request, since its first byte. The library has
/// one time for this and for the pause between two requests.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// A client's socket.
pub struct ClientSocket<S> {
    socket: S,
    talk: Arc<Talk>,
    words: Words,
    manner: Manner,
    hearing: Hearing,
    /// Set while the head of a request arrives.
    head: Option<Pin<Box<Sleep>>>,
    leaving: Option<Leaving>,
    /// Whether the client said something since it was last told something.
    has_asked: bool,
    /// Whether the library may have more to write of what it has begun: something was written, and
    /// not flushed yet.
    is_writing: bool,
    /// What is left of an answer that is sent in the place of the library's.
    instead: Bytes,
}

enum Hearing {
    /// As the library expects it.
    Open,
    /// An end is the end of both directions.
    Strict,
    /// The client closed its side, and its request may stand.
    Closed {
        since: Instant,
        look: Pin<Box<Sleep>>,
        pause: Duration,
        is_asked: bool,
    },
}

/// After the last byte to the client.
struct Leaving {
    until: Instant,
    quiet: Pin<Box<Sleep>>,
    left: usize,
    is_heard: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientSocket<S> {
    /// Wraps a socket.
    pub fn new(socket: S, talk: Arc<Talk>, words: Words, manner: Manner) -> Self {
        Self {
            socket,
            talk,
            words,
            manner,
            hearing: if manner == Manner::Bare {
                Hearing::Open
            } else {
                Hearing::Strict
            },
            head: None,
            leaving: None,
            has_asked: false,
            is_writing: false,
            instead: Bytes::new(),
        }
    }

    /// The client closed its side, or itself: the two look alike. Looks from time to time whether
    /// it takes anything, and tells the library of the end only when it does not.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Hearing::Closed {
                since,
                look,
                pause,
                is_asked,
            } = &mut self.hearing
            else {
                return Poll::Ready(Ok(()));
            };
            ready!(look.as_mut().poll(context));
            *pause = pause.saturating_mul(2).min(LONGEST_LOOK);
            look.as_mut().reset(Instant::now() + *pause);
            let is_late = since.elapsed() >= WHOLE_WITHIN;
            let asks = !*is_asked && !self.is_writing && self.talk.may_be_asked();
            *is_asked |= asks;
            let is_nothing_due =
                !self.talk.is_answering() && (self.has_asked || !self.talk.is_busy());
            if !self.talk.is_whole() && is_late || is_nothing_due {
                self.talk.is_gone();
                self.hearing = Hearing::Strict;
                return Poll::Ready(Ok(()));
            }
            if asks && self.instead.is_empty() {
                self.instead = Bytes::from_static(ARE_YOU_THERE);
            }
            // Writing nothing tells as well: a reset is an error of the socket.
            if let Poll::Ready(Err(error)) = self.poll_instead(context) {
                return Poll::Ready(Err(error));
            }
            if let Poll::Ready(Err(error)) = Pin::new(&mut self.socket).poll_write(context, &[]) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let count = ready!(Pin::new(&mut self.socket).poll_write(context, &self.instead))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self) {
        self.has_asked = false;
        self.head = None;
    }

    /// Puts words in the place of a bare refusal. `None` for everything else.
    fn replaced(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<io::Result<usize>> {
        // What comes while an answer is on its way is the answer's, whatever it looks like.
        let status = bare_refusal(bytes).filter(|_| self.has_asked && !self.talk.is_busy())?;
        self.instead = (self.words)(status);
        match self.poll_instead(context) {
            Poll::Ready(Err(error)) => Some(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Some(Ok(bytes.len())),
        }
    }
}

/// The status of an answer that the HTTP library made by itself. All others carry a request id.
fn bare_refusal(bytes: &[u8]) -> Option<u16> {
    const LONGEST: usize = 256;
    let is_head = bytes.len() <= LONGEST && bytes.ends_with(b"\r\n\r\n");
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
        if matches!(self.hearing, Hearing::Closed { .. }) {
            return self.poll_gone(context);
        }
        let is_busy = self.talk.is_busy();
        if let Some(head) = self.head.as_mut().filter(|_| !is_busy)
            && head.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.has_asked = true;
            if is_busy {
                self.head = None;
            } else if self.manner != Manner::Streams {
                self.head.get_or_insert_with(|| Box::pin(sleep(HEAD_TIME)));
            }
            return Poll::Ready(Ok(()));
        }
        // While an answer is on its way, this is a client that left. Between two, a request that
        // was sent together with the one before may have been read and not begun.
        let is_awaited = self.has_asked || self.talk.is_answering() || !is_busy;
        if !is_awaited || matches!(self.hearing, Hearing::Strict) {
            return Poll::Ready(Ok(()));
        }
        self.talk.close_after();
        self.hearing = Hearing::Closed {
            since: Instant::now(),
            look: Box::pin(sleep(FIRST_LOOK)),
            pause: FIRST_LOOK,
            is_asked: false,
        };
        self.poll_gone(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        if let Some(replaced) = self.replaced(context, bytes) {
            return Poll::Ready(replaced);
        }
        self.is_writing = true;
        let count = ready!(Pin::new(&mut self.socket).poll_write(context, bytes))?;
        self.wrote();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
        self.is_writing = false;
        Poll::Ready(Ok(()))
    }

    /// Closes this side, then lets a client that still writes finish: closing the socket under it
    /// would reset the connection, and with it the answer that the client has not read yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.leaving.is_none() {
            ready!(this.poll_instead(context))?;
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
            this.leaving = Some(Leaving {
                until: Instant::now() + LINGER,
                quiet: Box::pin(sleep(LINGER_QUIET)),
                left: LINGER_BYTES,
                is_heard: false,
            });
        }
        let Some(leaving) = &mut this.leaving else {
            return Poll::Ready(Ok(()));
        };
        let mut thrown_away = [0u8; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match Pin::new(&mut this.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    leaving.is_heard = true;
                    leaving.left = leaving.left.saturating_sub(buffer.filled().len());
                    let quiet = (Instant::now() + LINGER_QUIET).min(leaving.until);
                    leaving.quiet.as_mut().reset(quiet);
                    if leaving.left == 0 || Instant::now() >= leaving.until {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if !leaving.is_heard && !this.talk.is_unread() => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return leaving.quiet.as_mut().poll(context).map(Ok),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        if let [piece] = pieces
            && let Some(replaced) = self.replaced(context, piece)
        {
            return Poll::Ready(replaced);
        }
        self.is_writing = true;
        let count = ready!(Pin::new(&mut self.socket).poll_write_vectored(context, pieces))?;
        self.wrote();
        Poll::Ready(Ok(count))
    }
}

#[cfg(test)]
mod tests {
    use super::bare_refusal;

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
}
