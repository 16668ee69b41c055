//! Accepts connections, plain or by TLS, and drains them at the end. Knows nothing of what is
//! served.

pub mod client_socket;
pub mod protocol_error;
pub mod socket;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::access::client_address::Peer;
use crate::server::client_socket::{ClientSocket, Manner, Talk};
use crate::server::socket::{FirstBytes, Protocol, WriteIdle};
use crate::tasks::Tasks;

/// How long a client may take to say anything.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request: longer than clients keep theirs (90 s is
/// common), so that none writes a request into a connection that is being closed. A head that has
/// begun has less: see [`ClientSocket`].
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Room for the head of a request. Above what the guard accepts, so that the refusal is a readable
/// one.
const HEAD_BUFFER: u32 = 256 * 1024;
const HEAD_FIELDS: usize = 512;

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 10_000;
/// A client that takes nothing of its answer for this long has stopped reading.
const WRITE_IDLE: Duration = Duration::from_secs(120);

/// A listener, what is served on it, and whether by TLS.
pub struct Door {
    pub listener: TcpListener,
    pub router: Router,
    pub tls: Option<TlsAcceptor>,
}

/// Serves a door until `stop` is cancelled, then closes the listener and lets connections finish.
///
/// The listener is closed at once: Codex waits for a refused connection without limit, but gives up
/// on errors.
pub async fn serve(door: Door, tasks: &Tasks, stop: CancellationToken) {
    let Door {
        listener,
        router,
        tls,
    } = door;
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
            Ok((socket, address)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                let peer = Peer {
                    address,
                    is_tls: tls.is_some(),
                };
                let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
                let service = Service {
                    peer,
                    router,
                    watcher: graceful.watcher(),
                    tasks: tasks.clone(),
                };
                tasks.spawn_connection(async move {
                    match tls {
                        Some(tls) => encrypted(socket, &tls, service, stop).await,
                        None => plain(socket, service, stop).await,
                    }
                    drop(permit);
                });
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

/// What one connection is served with.
struct Service {
    peer: Peer,
    router: Router,
    watcher: Watcher,
    tasks: Tasks,
}

async fn plain(socket: TcpStream, service: Service, stop: CancellationToken) {
    let protocol = tokio::select! {
        protocol = socket::protocol(&socket, HEAD_TIMEOUT) => protocol,
        () = stop.cancelled() => None,
    };
    if let Some(protocol) = protocol {
        connection(socket, protocol, service).await;
    }
}

/// A handshake has as long as the head of a request, and so has what follows it.
async fn encrypted(
    socket: TcpStream,
    tls: &TlsAcceptor,
    service: Service,
    stop: CancellationToken,
) {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(socket)) => shaken,
        () = stop.cancelled() => return,
    };
    let socket = match shaken {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let protocol = match socket.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        Some(_) | None => Protocol::Http1,
    };
    let socket = FirstBytes::new(socket, HEAD_TIMEOUT);
    connection(socket, protocol, service).await;
}

async fn connection<S>(socket: S, protocol: Protocol, service: Service)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Service {
        peer,
        router,
        watcher,
        tasks,
    } = service;
    let talk = Arc::new(Talk::new(tasks));
    let (asked, told) = (Arc::clone(&talk), Arc::clone(&talk));
    let service = router
        .map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            asked.begin(request).map(Body::new)
        })
        .map_response(move |response| told.answered(response));
    let manner = match protocol {
        Protocol::Http1 if peer.is_tls => Manner::Encrypted,
        Protocol::Http1 => Manner::Bare,
        Protocol::Http2 => Manner::Streams,
    };
    let builder = match protocol {
        Protocol::Http1 => builder().http1_only(),
        Protocol::Http2 => builder().http2_only(),
    };
    let socket = WriteIdle::new(socket, WRITE_IDLE);
    let socket = TokioIo::new(ClientSocket::new(
        socket,
        talk,
        protocol_error::answer,
        manner,
    ));
    let connection = builder.serve_connection(socket, TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error = %error, "connection ended early");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_BUFFER as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BUFFER)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}
