//! Serves one accepted connection: finds out its protocol and hands it to the HTTP library.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::access::client_address::Peer;
use crate::server::client_socket::ClientSocket;
use crate::server::connection_state::ConnectionState;
use crate::server::protocol::{self, Protocol};
use crate::tasks::Tasks;

/// How long a client may take to send its first bytes, and for a TLS handshake.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request: longer than clients keep theirs (90 s is
/// common), so that none writes a request into a connection that is being closed. A head that has
/// begun has less: see [`ClientSocket`].
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Most bytes and fields in the head of a request. More than the request guard accepts, so that
/// most refusals are its own.
const MAX_HEAD_BYTES: u32 = 256 * 1024;
const MAX_HEAD_FIELDS: usize = 512;

/// An accepted connection and what it is served with.
pub(super) struct ClientConnection {
    pub(super) peer: Peer,
    pub(super) router: Router,
    pub(super) watcher: Watcher,
    pub(super) tasks: Tasks,
}

impl ClientConnection {
    pub(super) async fn serve_plain(self, stream: TcpStream, stop: CancellationToken) {
        let protocol = tokio::select! {
            protocol = protocol::detect(&stream, FIRST_BYTES_TIMEOUT) => protocol,
            () = stop.cancelled() => None,
        };
        if let Some(protocol) = protocol {
            self.serve(stream, protocol, None).await;
        }
    }

    pub(super) async fn serve_tls(
        self,
        stream: TcpStream,
        tls: &TlsAcceptor,
        stop: CancellationToken,
    ) {
        let handshake = tokio::select! {
            done = tokio::time::timeout(FIRST_BYTES_TIMEOUT, tls.accept(stream)) => done,
            () = stop.cancelled() => return,
        };
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            Some(_) | None => Protocol::Http1,
        };
        // The handshake says which protocol it is, so nothing has waited for its first bytes.
        self.serve(stream, protocol, Some(FIRST_BYTES_TIMEOUT))
            .await;
    }

    async fn serve<S>(self, socket: S, protocol: Protocol, first_bytes_timeout: Option<Duration>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            peer,
            router,
            watcher,
            tasks,
        } = self;
        let state = Arc::new(ConnectionState::new(tasks));
        let (on_request, on_response) = (Arc::clone(&state), Arc::clone(&state));
        let service = router
            .map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(peer);
                on_request.begin(request).map(Body::new)
            })
            .map_response(move |response| on_response.track(response));
        let builder = match protocol {
            Protocol::Http1 => builder().http1_only(),
            Protocol::Http2 => builder().http2_only(),
        };
        let mut socket = ClientSocket::new(socket, state, protocol);
        if let Some(timeout) = first_bytes_timeout {
            socket = socket.with_first_bytes_timeout(timeout);
        }
        let service = TowerToHyperService::new(service);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = %error, "connection ended early");
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_headers(MAX_HEAD_FIELDS)
        .max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD_BYTES)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}
