//! Accepts connections, plain or over TLS, and drains them at the end. Knows nothing of what is
//! served.

pub mod client_socket;
mod connection;
pub mod connection_state;
pub mod deadline;
pub mod lingering;
pub mod protocol;
pub mod protocol_error;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::client_address::Peer;
use crate::server::connection::ClientConnection;
use crate::tasks::Tasks;

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 10_000;
/// Pause after a failed accept. Most likely the process is out of file descriptors, and some are
/// closed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address, what is served on it, and whether over TLS.
pub struct Listener {
    pub socket: TcpListener,
    pub router: Router,
    pub tls: Option<TlsAcceptor>,
}

/// Serves a listener until `stop` is cancelled, then closes it and lets its connections finish.
///
/// The listener is closed at once: Codex waits for a refused connection without limit, but gives up
/// on errors.
pub async fn serve(listener: Listener, tasks: &Tasks, stop: CancellationToken) {
    let Listener {
        socket,
        router,
        tls,
    } = listener;
    let graceful = Arc::new(GracefulShutdown::new());
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
                Some((socket.accept().await, permit))
            } => accepted,
            () = stop.cancelled() => break,
        };
        let Some((accepted, permit)) = accepted else {
            break;
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let connection = ClientConnection {
            peer: Peer {
                address,
                is_tls: tls.is_some(),
            },
            router: router.clone(),
            watcher: graceful.watcher(),
            tasks: tasks.clone(),
        };
        let (tls, stop) = (tls.clone(), stop.clone());
        tasks.spawn_connection(async move {
            match tls {
                Some(tls) => connection.serve_tls(stream, &tls, stop).await,
                None => connection.serve_plain(stream, stop).await,
            }
            drop(permit);
        });
    }
    drop(socket);
    if let Some(graceful) = Arc::into_inner(graceful) {
        graceful.shutdown().await;
    }
}
