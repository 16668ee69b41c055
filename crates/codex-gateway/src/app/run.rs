//! A process from its first request to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::server::{self, Listener};

/// How long streams that had to be cut may take to be settled.
const SETTLE_GRACE: Duration = Duration::from_secs(5);

impl App {
    /// Serves until [`Self::stop`], then takes the process down in order.
    pub async fn run(&self, mut listeners: Vec<Listener>) {
        self.follow();
        // The first one closes when the process is to stop. What is apart from it stays open to the
        // end: whoever asks there whether the gateway is ready shall hear that it is not.
        for apart in listeners.split_off(1) {
            let tasks = self.tasks.clone();
            self.tasks.spawn_background("administration", async move {
                server::serve(apart, &tasks, CancellationToken::new()).await;
            });
        }
        let stop = self.tasks.draining();
        let served = listeners
            .into_iter()
            .map(|listener| server::serve(listener, &self.tasks, stop.clone()));
        let served = futures_util::future::join_all(served);
        tokio::pin!(served);
        let out_of_time = async {
            stop.cancelled().await;
            tokio::time::sleep(self.grace()).await;
        };
        tokio::select! {
            _ = &mut served => {}
            () = out_of_time => self.shutdown.cancel(),
            () = self.shutdown.cancelled() => {}
        }
        self.close().await;
    }

    /// Stops accepting and lets streams finish; asked again, cuts them and still settles them.
    pub fn stop(&self) {
        let stop = self.tasks.draining();
        if stop.is_cancelled() {
            tracing::warn!("stopping now; running streams are ended and recorded");
            self.shutdown.cancel();
        } else {
            tracing::info!("stopping: the listener is closed, running streams may finish");
            stop.cancel();
        }
    }

    /// Starts what follows changes from outside: of keys, of the admin token, of the certificate.
    fn follow(&self) {
        let keys = Arc::clone(&self.keys);
        self.tasks.spawn_background("keys", async move {
            keys.follow().await;
        });
        let (admin, config) = (Arc::clone(&self.admin), self.config.clone());
        self.tasks.spawn_background("admin token", async move {
            admin.follow(&config).await;
        });
        if let Some(tls) = self.tls.clone() {
            let (config, metrics) = (self.config.clone(), Arc::clone(&self.metrics));
            self.tasks.spawn_background("certificate", async move {
                let files = || config.load().settings.server.tls.clone();
                tls.follow(files, |expires_at| metrics.observe_certificate(expires_at))
                    .await;
            });
        }
    }

    /// What is still running gets to settle, whatever happens to its connection; then the
    /// background work, the store and the traces end.
    async fn close(&self) {
        let wait = if self.shutdown.is_cancelled() {
            SETTLE_GRACE
        } else {
            self.grace()
        };
        if tokio::time::timeout(wait, self.tasks.drained())
            .await
            .is_err()
        {
            self.shutdown.cancel();
            drop(tokio::time::timeout(SETTLE_GRACE, self.tasks.drained()).await);
        }
        self.tasks.stop().await;
        self.ledger.close().await;
        self.tasks.ended().await;
        let traces = Arc::clone(&self.traces);
        drop(tokio::task::spawn_blocking(move || traces.finish()).await);
        tracing::info!("stopped");
    }

    /// How long running streams may take, by the configuration that is in force when the process
    /// stops.
    fn grace(&self) -> Duration {
        self.config.load().settings.server.shutdown_grace
    }
}
