//! Accepts connections, drains them at the end. Knows nothing of what is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::client_socket::{ClientSocket, Talk};
use crate::http::unreadable;
use crate::socket::{self, Protocol, WriteIdle};
use crate::tasks::Tasks;

/// How long a client may take to send the head of a request. Without a timer hyper waits for ever.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for the head of a request. Above what the guard accepts, so that the refusal is a readable one.
const HEAD_BUFFER: u32 = 256 * 1024;
const HEAD_FIELDS: usize = 512;

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 10_000;
/// A client that takes nothing of its answer for this long has stopped reading.
const WRITE_IDLE: Duration = Duration::from_secs(120);

/// Where a request came from; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Serves `router` until `stop` is cancelled, then closes the listener and lets connections finish.
///
/// The listener is closed at once: Codex waits for a refused connection without limit, but gives up on errors.
pub async fn serve(listener: TcpListener, router: Router, tasks: &Tasks, stop: CancellationToken) {
    let graceful = Arc::new(GracefulShutdown::new());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let permit = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((listener.accept().await, permit))
            } => accepted,
            () = stop.cancelled() => break,
        };
        let Some((accepted, permit)) = accepted else {
            break;
        };
        match accepted {
            Ok((socket, peer)) => {
                accept(
                    socket,
                    peer,
                    router.clone(),
                    tasks,
                    &graceful,
                    permit,
                    stop.clone(),
                );
            }
            Err(error) => {
                // Out of file descriptors, most likely; a pause lets some close.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if let Some(graceful) = Arc::into_inner(graceful) {
        graceful.shutdown().await;
    }
}

fn accept(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    tasks: &Tasks,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let talk = Arc::new(Talk::default());
    let (asked, told) = (Arc::clone(&talk), Arc::clone(&talk));
    let service = router
        .map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            asked.begin(request).map(Body::new)
        })
        .map_response(move |response| told.answered(response));
    let watcher = graceful.watcher();
    tasks.spawn_connection(async move {
        let protocol = tokio::select! {
            protocol = socket::protocol(&socket, HEAD_TIMEOUT) => protocol,
            () = stop.cancelled() => None,
        };
        let is_bare = matches!(protocol, Some(Protocol::Http1));
        let builder = match protocol {
            Some(Protocol::Http1) => builder().http1_only(),
            Some(Protocol::Http2) => builder().http2_only(),
            None => return,
        };
        let socket = WriteIdle::new(socket, WRITE_IDLE);
        let socket = TokioIo::new(ClientSocket::new(socket, talk, unreadable::answer, is_bare));
        let connection = builder.serve_connection(socket, TowerToHyperService::new(service));
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = %error, "connection ended early");
        }
        drop(permit);
    });
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_BUFFER as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BUFFER)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}
