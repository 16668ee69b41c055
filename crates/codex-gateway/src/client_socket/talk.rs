//! What a connection's socket has to know of the requests that come over it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};

/// Shared by a socket and by what is served over it. Of HTTP/2, with its many requests at a time, only the unread body counts.
#[derive(Debug, Default)]
pub struct Talk {
    answering: AtomicBool,
    whole: AtomicBool,
    interim: AtomicBool,
    unread: AtomicBool,
    closing: AtomicBool,
}

impl Talk {
    /// A request has come. Its body has to be read through what comes back.
    pub fn begin<B: Body>(self: &Arc<Self>, request: Request<B>) -> Request<Heard<B>> {
        self.answering.store(true, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        // An interim answer is unknown to HTTP/1.0.
        let has_interim = request.version() == Version::HTTP_11;
        self.interim.store(has_interim, Ordering::Relaxed);
        let is_whole = request.body().is_end_stream();
        self.whole.store(is_whole, Ordering::Relaxed);
        request.map(|body| Heard {
            body,
            talk: Arc::clone(self),
            is_over: false,
        })
    }

    /// The head of the answer is ready.
    pub fn answered<B>(&self, mut response: Response<B>) -> Response<B> {
        self.answering.store(false, Ordering::Relaxed);
        self.interim.store(false, Ordering::Relaxed);
        if self.closing.load(Ordering::Relaxed) {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
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

/// The body of a request. Notes whether it was read to its end.
pub struct Heard<B: Body> {
    body: B,
    talk: Arc<Talk>,
    is_over: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Heard<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.is_over |= !matches!(frame, Some(Ok(_)));
        if matches!(frame, None | Some(Ok(_))) && (self.is_over || self.body.is_end_stream()) {
            self.talk.whole.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Heard<B> {
    fn drop(&mut self) {
        if !self.is_over && !self.body.is_end_stream() {
            self.talk.unread.store(true, Ordering::Relaxed);
        }
    }
}
