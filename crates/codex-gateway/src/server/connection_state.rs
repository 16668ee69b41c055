//! What a connection's socket has to know of the requests that come over it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::server::lingering;
use crate::tasks::Tasks;

/// Shared by a socket and by what is served over it. Only HTTP/1 goes by it, which has one request
/// at a time.
#[derive(Debug)]
pub struct ConnectionState {
    tasks: Tasks,
    is_busy: AtomicBool,
    is_unread: AtomicBool,
    /// Another protocol is spoken from now on, which has times of its own.
    is_upgraded: AtomicBool,
}

impl ConnectionState {
    /// A new connection. `tasks` discard what is left unread of an HTTP/2 request.
    pub fn new(tasks: Tasks) -> Self {
        Self {
            tasks,
            is_busy: AtomicBool::default(),
            is_unread: AtomicBool::default(),
            is_upgraded: AtomicBool::default(),
        }
    }

    /// A request has come. Its body has to be read through what is returned.
    pub fn begin<B: Incoming>(
        self: &Arc<Self>,
        request: Request<B>,
    ) -> Request<WatchedRequestBody<B>> {
        self.is_busy.store(true, Ordering::Relaxed);
        self.is_unread.store(false, Ordering::Relaxed);
        let is_http2 = request.version() == Version::HTTP_2;
        request.map(|body| WatchedRequestBody {
            body: Some(body),
            state: Arc::clone(self),
            has_ended: false,
            is_http2,
        })
    }

    /// The head of the response is ready. Its body has to be sent through what is returned.
    pub fn track<B>(self: &Arc<Self>, response: Response<B>) -> Response<WatchedResponseBody<B>> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.is_upgraded.store(true, Ordering::Relaxed);
        }
        response.map(|body| WatchedResponseBody {
            body,
            state: Arc::clone(self),
        })
    }

    /// Whether a request has come whose response has not ended, or the connection is no longer one
    /// of requests.
    pub fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed) || self.is_upgraded.load(Ordering::Relaxed)
    }

    /// Whether the last request was not read to its end, so that the client may still be sending
    /// it.
    pub fn is_unread(&self) -> bool {
        self.is_unread.load(Ordering::Relaxed)
    }
}

/// A body as the HTTP library hands it over.
pub trait Incoming: Body<Data = Bytes> + Unpin + Send + 'static {}

impl<B: Body<Data = Bytes> + Unpin + Send + 'static> Incoming for B {}

/// The body of a request. Notes whether it was read to its end.
///
/// Dropped before that, it tells the socket. With HTTP/2, a task reads on for a while: a stream that
/// is reset under a client that still sends can take the response with it.
pub struct WatchedRequestBody<B: Incoming> {
    body: Option<B>,
    state: Arc<ConnectionState>,
    has_ended: bool,
    is_http2: bool,
}

impl<B: Incoming> Body for WatchedRequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        self.has_ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B: Incoming> Drop for WatchedRequestBody<B> {
    fn drop(&mut self) {
        if self.has_ended || self.is_end_stream() {
            return;
        }
        self.state.is_unread.store(true, Ordering::Relaxed);
        if let Some(body) = self.body.take().filter(|_| self.is_http2) {
            let discarding = tokio::time::timeout(lingering::MAX_TIME, discard(body));
            let tasks = &self.state.tasks;
            tasks.spawn_connection(async { drop(discarding.await) });
        }
    }
}

async fn discard<B: Incoming>(mut body: B) {
    let mut bytes_left = lingering::MAX_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let count = frame.data_ref().map_or(0, Bytes::len);
        let Some(left) = bytes_left.checked_sub(count) else {
            return;
        };
        bytes_left = left;
    }
}

/// The body of a response. Notes when it has ended.
pub struct WatchedResponseBody<B> {
    body: B,
    state: Arc<ConnectionState>,
}

impl<B: Body + Unpin> Body for WatchedResponseBody<B> {
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

impl<B> Drop for WatchedResponseBody<B> {
    fn drop(&mut self) {
        self.state.is_busy.store(false, Ordering::Relaxed);
    }
}
