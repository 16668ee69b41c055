//! The end of a connection whose client may still be writing its request: what it writes is read
//! and discarded for a while. Closing the socket under it would reset the connection, and with it
//! the response that the client has not read yet.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Longest time all in all.
pub const MAX_TIME: Duration = Duration::from_secs(3);
/// Longest time since the client last sent something.
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// Most bytes that are discarded.
pub const MAX_BYTES: usize = 128 << 20;

/// A side of the connection is closed; the other is read until it ends.
pub struct Lingering {
    until: Instant,
    pause: Pin<Box<Sleep>>,
    bytes_left: usize,
    has_received: bool,
}

impl Default for Lingering {
    fn default() -> Self {
        Self {
            until: Instant::now() + MAX_TIME,
            pause: Box::pin(sleep(MAX_PAUSE)),
            bytes_left: MAX_BYTES,
            has_received: false,
        }
    }
}

impl Lingering {
    /// Ready when the socket may be closed. Without an unread request, a client that sends nothing
    /// is not waited for.
    pub fn poll<S: AsyncRead + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        socket: &mut S,
        is_request_unread: bool,
    ) -> Poll<()> {
        let mut discarded = [0u8; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut discarded);
            match Pin::new(&mut *socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.has_received = true;
                    self.bytes_left = self.bytes_left.saturating_sub(buffer.filled().len());
                    let pause = (Instant::now() + MAX_PAUSE).min(self.until);
                    self.pause.as_mut().reset(pause);
                    if self.bytes_left == 0 || Instant::now() >= self.until {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if !self.has_received && !is_request_unread => {
                    return Poll::Ready(());
                }
                Poll::Pending => return self.pause.as_mut().poll(context),
            }
        }
    }
}
