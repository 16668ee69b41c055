//! What a connection's socket has to know of the requests that come over it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::tasks::Tasks;

/// Shared by a socket and by what is served over it. Of HTTP/2, with its many requests at a time,
/// only the unread body counts.
#[derive(Debug)]
pub struct Talk {
    tasks: Tasks,
    answering: AtomicBool,
    busy: AtomicBool,
    whole: AtomicBool,
    interim: AtomicBool,
    unread: AtomicBool,
    closing: AtomicBool,
}

/// How long a client that still writes its request is listened to after the answer was sent, all in
/// all.
pub(super) const LINGER: Duration = Duration::from_secs(3);
/// Most bytes that are thrown away so.
pub(super) const LINGER_BYTES: usize = 128 << 20;

impl Talk {
    /// A new connection. `tasks` read on where a stream of HTTP/2 was left unread.
    pub fn new(tasks: Tasks) -> Self {
        Self {
            tasks,
            answering: AtomicBool::default(),
            busy: AtomicBool::default(),
            whole: AtomicBool::default(),
            interim: AtomicBool::default(),
            unread: AtomicBool::default(),
            closing: AtomicBool::default(),
        }
    }

    /// A request has come. Its body has to be read through what comes back.
    pub fn begin<B: Payload>(self: &Arc<Self>, request: Request<B>) -> Request<Heard<B>> {
        self.answering.store(true, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        // An interim answer is unknown to HTTP/1.0.
        let has_interim = request.version() == Version::HTTP_11;
        self.interim.store(has_interim, Ordering::Relaxed);
        let is_whole = request.body().is_end_stream();
        self.whole.store(is_whole, Ordering::Relaxed);
        let is_stream = request.version() == Version::HTTP_2;
        request.map(|body| Heard {
            body: Some(body),
            talk: Arc::clone(self),
            is_over: false,
            is_stream,
        })
    }

    /// The head of the answer is ready.
    pub fn answered<B>(self: &Arc<Self>, mut response: Response<B>) -> Response<Told<B>> {
        self.answering.store(false, Ordering::Relaxed);
        self.interim.store(false, Ordering::Relaxed);
        if self.closing.load(Ordering::Relaxed) {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Told {
            body,
            talk: Arc::clone(self),
        })
    }

    /// Whether a request has come whose answer has not ended.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// No further request can come.
    pub(super) fn close_after(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether an interim answer may be sent now.
    pub(super) fn may_be_asked(&self) -> bool {
        self.interim.load(Ordering::Relaxed)
    }

    /// Whether a request has come whose answer has not begun.
    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// Whether all of the last request was read.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// Whether a request was left unread, so that the client may still be writing it.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Nobody is there to go on writing.
    pub(super) fn is_gone(&self) {
        self.unread.store(false, Ordering::Relaxed);
    }
}

/// What the body of a request is to us.
pub trait Payload: Body<Data = Bytes> + Unpin + Send + 'static {}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Payload for B {}

/// The body of a request. Notes whether it was read to its end.
///
/// Dropped before that, it tells the socket, or, with HTTP/2, has a task read on for a while: a
/// stream that is reset under a client that still writes can take the answer with it.
pub struct Heard<B: Payload> {
    body: Option<B>,
    talk: Arc<Talk>,
    is_over: bool,
    is_stream: bool,
}

impl<B: Payload> Body for Heard<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        let is_end = body.is_end_stream();
        self.is_over |= !matches!(frame, Some(Ok(_)));
        if matches!(frame, None | Some(Ok(_))) && (self.is_over || is_end) {
            self.talk.whole.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B: Payload> Drop for Heard<B> {
    fn drop(&mut self) {
        if self.is_over || self.is_end_stream() {
            return;
        }
        self.talk.unread.store(true, Ordering::Relaxed);
        if let Some(body) = self.body.take().filter(|_| self.is_stream) {
            let reading = tokio::time::timeout(LINGER, throw_away(body));
            self.talk
                .tasks
                .spawn_connection(async { drop(reading.await) });
        }
    }
}

/// The body of an answer. Notes when it has ended.
pub struct Told<B> {
    body: B,
    talk: Arc<Talk>,
}

impl<B: Body + Unpin> Body for Told<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Told<B> {
    fn drop(&mut self) {
        self.talk.busy.store(false, Ordering::Relaxed);
    }
}

async fn throw_away<B: Payload>(mut body: B) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if bytes > left {
            return;
        }
        left -= bytes;
    }
}
