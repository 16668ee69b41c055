//! A streamed body on its way to the upstream: checked while it passes. Decides nothing about where
//! it goes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::error::GatewayError;
use crate::request_body::decode;
use crate::request_body::fault::{broken, invalid, stalled};
use crate::request_body::tail_state::TailState;

/// A streamed body toward the upstream. A second `model`, broken JSON or too many bytes end it
/// before the upstream has all of it.
pub struct Upload {
    /// What was read before, until it is sent.
    pub(super) head: Option<Bytes>,
    pub(super) rest: Body,
    /// Rings when the client has sent nothing for too long. Set only while it is waited for: an
    /// upstream that takes nothing for longer than that is no fault of the client.
    pub(super) alarm: Option<Pin<Box<tokio::time::Sleep>>>,
    pub(super) patience: std::time::Duration,
    /// Notified when the last byte has gone, or none will.
    pub(super) over: Arc<tokio::sync::Notify>,
    pub(super) seen: usize,
    pub(super) max: usize,
    pub(super) length: Option<u64>,
    pub(super) state: TailState,
}

/// The rest of the body was refused; the watch knows why.
#[derive(Debug, thiserror::Error)]
#[error("the request body was refused during upload")]
pub struct TailRefused;

impl Drop for Upload {
    fn drop(&mut self) {
        self.over.notify_one();
    }
}

impl Upload {
    /// Resolves when the upload is over: before that, silence of the upstream says nothing about
    /// it.
    pub fn over(&self) -> Arc<tokio::sync::Notify> {
        Arc::clone(&self.over)
    }

    fn refuse(&self, refusal: GatewayError) -> TailRefused {
        self.state.lock().refusal.get_or_insert(refusal);
        TailRefused
    }

    fn check(&mut self, piece: &[u8]) -> Result<(), TailRefused> {
        self.seen += piece.len();
        if self.seen > self.max {
            return Err(self.refuse(decode::too_large(self.max)));
        }
        let result = {
            let mut state = self.state.lock();
            state.seen = self.seen;
            state
                .scanner
                .as_mut()
                .map_or(Ok(()), |scanner| scanner.push(piece))
        };
        result.map_err(|error| self.refuse(invalid(&error)))
    }

    fn finish(&mut self) -> Result<(), TailRefused> {
        let scanner = self.state.lock().scanner.take();
        let Some(scanner) = scanner else {
            return Ok(());
        };
        match scanner.finish() {
            Ok(head) => {
                self.state.lock().head = head;
                Ok(())
            }
            Err(error) => Err(self.refuse(invalid(&error))),
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = TailRefused;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TailRefused>>> {
        if let Some(piece) = self.head.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.rest).poll_frame(context) else {
            let patience = self.patience;
            let alarm = self
                .alarm
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            ready!(alarm.as_mut().poll(context));
            return Poll::Ready(Some(Err(self.refuse(stalled()))));
        };
        self.alarm = None;
        Poll::Ready(match frame {
            None => match self.finish() {
                Ok(()) => None,
                Err(refused) => Some(Err(refused)),
            },
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => Some(match self.check(&piece) {
                    Ok(()) if self.rest.is_end_stream() => {
                        self.finish().map(|()| Frame::data(piece))
                    }
                    Ok(()) => Ok(Frame::data(piece)),
                    Err(refused) => Err(refused),
                }),
                Err(_) => Some(Ok(Frame::data(Bytes::new()))),
            },
            Some(Err(error)) => Some(Err(self.refuse(broken(&error)))),
        })
    }

    fn size_hint(&self) -> SizeHint {
        let sent_ahead: u64 = self.head.as_ref().map_or(0, |head| head.len() as u64);
        match (self.length, self.rest.size_hint().exact()) {
            (Some(_), Some(rest)) => SizeHint::with_exact(sent_ahead + rest),
            (_, _) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_body::{ReadLimits, Tail, read};
    use futures_util::StreamExt as _;
    use http_body_util::BodyExt as _;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_millis(200);

    /// An upload whose client sends more than is read ahead at once, and what the channel gives
    /// after it.
    async fn upload() -> (Upload, tokio::sync::mpsc::Sender<Bytes>) {
        let (client, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(1);
        let first = format!(r#"{{"model":"m","input":"{}"#, "x".repeat(100_000));
        client.send(Bytes::from(first)).await.unwrap();
        let pieces = futures_util::stream::poll_fn(move |context| pieces.poll_recv(context));
        let body = Body::from_stream(pieces.map(Ok::<_, std::io::Error>));
        let limits = ReadLimits {
            max: 1 << 20,
            is_whole_needed: false,
        };
        let Ok(request) = read(body, Vec::new(), limits).await else {
            panic!("it is readable");
        };
        let Tail::Streamed(tail) = request.tail else {
            panic!("it is streamed");
        };
        let (mut upload, _) = tail.into_upload();
        upload.patience = PATIENCE;
        (upload, client)
    }

    #[tokio::test]
    async fn only_the_time_that_the_client_is_waited_for_counts() {
        let (mut upload, client) = upload().await;
        assert!(upload.frame().await.unwrap().is_ok());
        // The upstream takes nothing for a long time, then takes more than is here yet.
        tokio::time::sleep(PATIENCE * 2).await;
        let later = async {
            tokio::time::sleep(PATIENCE / 4).await;
            client.send(Bytes::from_static(b"\"}")).await.unwrap();
            client
        };
        let (frame, client) = tokio::join!(upload.frame(), later);
        assert!(frame.unwrap().is_ok());
        assert!(upload.frame().await.unwrap().is_err(), "it stalls");
        drop(client);
    }
}
