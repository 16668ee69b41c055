//! A plain answer of which only the beginning is here.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::exchange::client_response::BodySender;
use crate::upstream::client::ReplyBody;

/// Bytes of a plain answer that are kept for reading its usage.
const MAX_KEPT: usize = 32 << 20;

/// A plain answer of which only the beginning is here.
pub(super) struct LargeBody {
    pub(super) pieces: Vec<Bytes>,
    pub(super) rest: ReplyBody,
    /// Longest silence while the rest arrives.
    pub(super) idle: Duration,
}

/// How it ended.
pub(super) enum LargeEnd {
    /// All of it came: here it is, unless it is larger than what is kept.
    Whole(Option<Vec<Bytes>>),
    /// It broke off or fell silent.
    Truncated,
    ClientGone,
    /// The process had to go.
    Stopped,
}

impl LargeBody {
    /// Passes pieces on as they come, one behind. Answers how it ended, and with what has not been
    /// sent.
    pub(super) async fn pass_on(
        mut self,
        body: &BodySender,
        shutdown: &CancellationToken,
    ) -> (LargeEnd, Vec<Bytes>) {
        let mut kept = self.pieces.clone();
        let mut kept_bytes: usize = kept.iter().map(Bytes::len).sum();
        let mut waiting = self.pieces;
        loop {
            for piece in waiting.drain(..waiting.len().saturating_sub(1)) {
                if body.send(piece).await.is_err() {
                    return (LargeEnd::ClientGone, Vec::new());
                }
            }
            let next = tokio::select! {
                next = tokio::time::timeout(self.idle, self.rest.next()) => next,
                () = body.client_gone() => return (LargeEnd::ClientGone, Vec::new()),
                () = shutdown.cancelled() => return (LargeEnd::Stopped, Vec::new()),
            };
            match next {
                Ok(Some(Ok(piece))) => {
                    kept_bytes += piece.len();
                    if kept_bytes <= MAX_KEPT {
                        kept.push(piece.clone());
                    }
                    waiting.push(piece);
                }
                Ok(Some(Err(_))) | Err(_) => return (LargeEnd::Truncated, waiting),
                Ok(None) => {
                    let kept = (kept_bytes <= MAX_KEPT).then_some(kept);
                    return (LargeEnd::Whole(kept), waiting);
                }
            }
        }
    }
}
