//! Sends one request to one upstream. Callers know [`UpstreamClient::send`] and [`Reply`], not the
//! library behind them.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use gateway_policy::Upstream;
use gateway_wire::failure::SendState;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};

use crate::bounded_map::BoundedMap;
use crate::request_body::{TailRefused, Upload};
use crate::upstream::failure::{TransportFailure, TransportKind};
use crate::upstream::segmented_body::SegmentedBody;

/// What is to be sent.
pub struct UpstreamRequest {
    pub method: Method,
    /// Absolute, query included.
    pub url: String,
    pub headers: HeaderMap,
    pub body: UploadBody,
}

/// The body of a request toward an upstream.
pub enum UploadBody {
    /// All of it is in memory.
    Whole(SegmentedBody),
    /// Still arriving from the client.
    Streamed(Upload),
}

/// The library requires bodies that are `Sync`; a lock that is never contended makes any body so.
struct Shareable(Mutex<Upload>);

impl http_body::Body for Shareable {
    type Data = Bytes;
    type Error = TailRefused;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TailRefused>>> {
        let upload = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(upload).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .size_hint()
    }
}

impl Default for CallTimes {
    fn default() -> Self {
        Self {
            connect: gateway_policy::upstream::CONNECT_TIMEOUT,
            headers: gateway_policy::upstream::HEADERS_TIMEOUT,
        }
    }
}

impl From<&Upstream> for CallTimes {
    fn from(upstream: &Upstream) -> Self {
        Self {
            connect: upstream.connect_timeout,
            headers: upstream.headers_timeout,
        }
    }
}

/// An upstream's response; the body arrives in pieces.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: ReplyBody,
}

/// The bytes of a response, as they arrive.
pub struct ReplyBody(Mutex<SyncStream>);

/// The lock is never contended: it only makes the stream `Sync`.
type SyncStream = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

impl ReplyBody {
    /// The next piece; `None` at a clean end; `Err` when the connection broke.
    ///
    /// Dropping this closes the upstream's stream.
    pub async fn next(&mut self) -> Option<Result<Bytes, String>> {
        self.0
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
            .await
    }

    /// Wraps another source, for decoded bodies.
    pub fn from_stream(stream: impl Stream<Item = Result<Bytes, String>> + Send + 'static) -> Self {
        Self(Mutex::new(Box::pin(stream)))
    }
}

/// Sends requests; holds the connection pools.
///
/// The library knows one time to connect per pool, so upstreams with the same time share one.
pub struct UpstreamClient {
    pools: BoundedMap<CallTimes, ClientPair>,
}

#[derive(Clone)]
struct ClientPair {
    outside: reqwest::Client,
    loopback: reqwest::Client,
}

/// Times of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallTimes {
    /// For the connection.
    pub connect: Duration,
    /// For the head of the response, since the request was sent. The upstream may not pause for
    /// longer in taking the request either.
    pub headers: Duration,
}

/// Before the first repeated attempt to connect; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long an idle connection is kept. Below the 60 s after which common load balancers drop
/// theirs.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// Most header fields of a response. The library's own bound is a hundred, and Codex reads open
/// families of them.
const MAX_HEAD_FIELDS: usize = 512;
/// Most pools: reloads with ever new times do not make ever more.
const MAX_POOLS: usize = 64;

impl UpstreamClient {
    /// Builds the first pool.
    ///
    /// # Errors
    /// When the TLS roots of the system cannot be loaded.
    pub fn new(times: CallTimes) -> Result<Self, reqwest::Error> {
        let pools = BoundedMap::new(MAX_POOLS);
        pools.insert(times, ClientPair::new(times)?);
        Ok(Self { pools })
    }

    /// The pool for these times, built when it is first needed.
    fn pool(&self, times: CallTimes) -> Result<ClientPair, reqwest::Error> {
        if let Some(pool) = self.pools.get(&times) {
            return Ok(pool);
        }
        self.pools.update(times, |slot| match slot {
            Some(pool) => Ok(pool.clone()),
            None => Ok(slot.insert(ClientPair::new(times)?).clone()),
        })
    }

    /// Sends the request and waits for the head of the answer.
    ///
    /// A connection that could not be made is tried again `retries` times; nothing else is, since
    /// it may have been billed. Dropping the future closes the connection, so that the upstream can
    /// stop.
    ///
    /// # Errors
    /// [`TransportFailure`] when no head arrives.
    pub async fn send(
        &self,
        request: UpstreamRequest,
        times: CallTimes,
        retries: u32,
    ) -> Result<Reply, TransportFailure> {
        let UpstreamRequest {
            method,
            url,
            headers,
            body,
        } = request;
        let mut pause = FIRST_PAUSE;
        if let UploadBody::Whole(whole) = &body {
            for _ in 0..retries {
                let again = UpstreamRequest {
                    method: method.clone(),
                    url: url.clone(),
                    headers: headers.clone(),
                    body: UploadBody::Whole(whole.clone()),
                };
                match self.once(again, times).await {
                    Err(failure) if failure.send_state == SendState::NotSent => {
                        tokio::time::sleep(pause).await;
                        pause *= 2;
                    }
                    result => return result,
                }
            }
        }
        self.once(
            UpstreamRequest {
                method,
                url,
                headers,
                body,
            },
            times,
        )
        .await
    }

    async fn once(
        &self,
        request: UpstreamRequest,
        times: CallTimes,
    ) -> Result<Reply, TransportFailure> {
        let headers_timeout = times.headers;
        let pool = self.pool(times).map_err(|error| failure(&error))?;
        let client = if is_loopback(&request.url) {
            pool.loopback
        } else {
            pool.outside
        };
        let over = match &request.body {
            UploadBody::Whole(_) => None,
            UploadBody::Streamed(upload) => Some(upload.over()),
        };
        let sending = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(match request.body {
                UploadBody::Whole(whole) => reqwest::Body::wrap(whole),
                UploadBody::Streamed(upload) => reqwest::Body::wrap(Shareable(Mutex::new(upload))),
            })
            .send();
        tokio::pin!(sending);
        // Time that the client takes to upload does not count against the upstream.
        let early = match over {
            None => None,
            Some(over) => tokio::select! {
                result = &mut sending => Some(result),
                () = over.notified() => None,
            },
        };
        let result = match early {
            Some(result) => Ok(result),
            None => tokio::time::timeout(headers_timeout, sending).await,
        };
        let response = match result {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(&error)),
            Err(_) => {
                return Err(TransportFailure {
                    kind: TransportKind::HeadersTimeout,
                    send_state: SendState::Ambiguous,
                    detail: format!("no response within {} s", headers_timeout.as_secs_f32()),
                });
            }
        };
        let status = response.status();
        let headers = response.headers().clone();
        let body = response
            .bytes_stream()
            .map(|piece| piece.map_err(|error| detail(&error)));
        Ok(Reply {
            status,
            headers,
            body: ReplyBody::from_stream(body),
        })
    }
}

impl ClientPair {
    fn new(times: CallTimes) -> Result<Self, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                // A redirect would carry the credential to a place that is not configured.
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(times.connect)
                // A server that works on one request at a time takes nothing of the next until it
                // is done. The library's 30 s would call that a broken connection, long before
                // `headers_timeout`.
                .tcp_user_timeout(times.headers)
                .pool_idle_timeout(POOL_IDLE)
                .tcp_nodelay(true)
                .tcp_keepalive(Duration::from_secs(60))
                .http1_max_headers(MAX_HEAD_FIELDS)
                .http2_adaptive_window(true)
                .referer(false)
        };
        Ok(Self {
            outside: builder().build()?,
            // Proxies of the environment are for the world outside.
            loopback: builder().no_proxy().build()?,
        })
    }
}

fn failure(error: &reqwest::Error) -> TransportFailure {
    if error.is_connect() {
        return TransportFailure {
            kind: TransportKind::Connect,
            send_state: SendState::NotSent,
            detail: detail(error),
        };
    }
    TransportFailure {
        kind: if is_not_http(error) {
            TransportKind::NotHttp
        } else {
            TransportKind::Reset
        },
        send_state: SendState::Ambiguous,
        detail: detail(error),
    }
}

fn is_not_http(error: &reqwest::Error) -> bool {
    let first: Option<&dyn std::error::Error> = Some(error);
    std::iter::successors(first, |cause| cause.source())
        .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse)
}

/// The innermost cause: the outer layers only repeat the URL.
fn detail(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn is_loopback(url: &str) -> bool {
    let host = url
        .parse::<http::Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned))
        .unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Reads at most `limit` bytes of a body within `time`. The second value says whether that was all
/// of it.
pub async fn read_prefix(
    body: &mut ReplyBody,
    limit: usize,
    time: Duration,
) -> (Vec<Bytes>, PrefixEnd) {
    let mut pieces = Vec::new();
    let mut total = 0;
    let reading = async {
        while total < limit {
            match body.next().await {
                Some(Ok(piece)) => {
                    total += piece.len();
                    pieces.push(piece);
                }
                Some(Err(detail)) => return PrefixEnd::Broken(detail),
                None => return PrefixEnd::Whole,
            }
        }
        PrefixEnd::More
    };
    let end = tokio::time::timeout(time, reading)
        .await
        .unwrap_or(PrefixEnd::More);
    (pieces, end)
}

/// Reads up to `limit` bytes of a body that may pause for `idle` at most. The flag says whether
/// more follows.
///
/// # Errors
/// [`Unread::Silent`] when it paused for longer, [`Unread::Broken`] when the connection broke.
pub async fn read_patiently(
    body: &mut ReplyBody,
    limit: usize,
    idle: Duration,
) -> Result<(Vec<Bytes>, bool), Unread> {
    let mut pieces = Vec::new();
    let mut total = 0;
    while total < limit {
        match tokio::time::timeout(idle, body.next()).await {
            Ok(Some(Ok(piece))) => {
                total += piece.len();
                pieces.push(piece);
            }
            Ok(Some(Err(detail))) => return Err(Unread::Broken(detail)),
            Ok(None) => return Ok((pieces, false)),
            Err(_) => return Err(Unread::Silent),
        }
    }
    Ok((pieces, true))
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    Silent,
    Broken(String),
}

/// How reading a prefix ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixEnd {
    /// The body ended cleanly: the prefix is all of it.
    Whole,
    /// The limit or the deadline was reached first.
    More,
    /// The connection broke.
    Broken(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_upstreams_are_told_from_others() {
        assert!(is_loopback("http://127.0.0.1:1/v1"));
        assert!(is_loopback("http://[::1]:1/v1"));
        assert!(is_loopback("http://localhost/v1"));
        assert!(!is_loopback("https://localhost.example/v1"));
        assert!(!is_loopback("https://api.example/v1"));
    }
}
