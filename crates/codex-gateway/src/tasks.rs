//! The only place that spawns tasks. A task has a name, an owner (the tracker) and an end.

#![expect(
    clippy::disallowed_methods,
    reason = "tasks are spawned here, so that they are spawned nowhere else"
)]

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Spawns and tracks the tasks of one process.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    exchanges: TaskTracker,
    connections: TaskTracker,
    background: TaskTracker,
    until_close: TaskTracker,
    draining: CancellationToken,
    stopping: CancellationToken,
}

impl Tasks {
    /// Runs an exchange to its end. Shutdown waits for these.
    pub fn spawn_exchange<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.exchanges.spawn(future.in_current_span());
    }

    /// Runs a housekeeping loop until [`Tasks::stop`]. Dropped wherever it awaits then.
    pub fn spawn_background<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stopping = self.stopping.clone();
        let span = tracing::debug_span!("background", task.name = name);
        self.background.spawn(
            async move {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = future => {}
                }
            }
            .instrument(span),
        );
    }

    /// Runs something that ends by itself once it is closed, after everything else: the ledger's
    /// writing.
    pub fn spawn_until_close<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.until_close.spawn(future);
    }

    /// Waits for the end of what runs until it is closed.
    pub async fn ended(&self) {
        self.until_close.close();
        self.until_close.wait().await;
    }

    /// Serves one connection. Shutdown asks it to finish, then waits.
    pub fn spawn_connection<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.connections.spawn(future);
    }

    /// Cancelled when the process stops accepting: what runs may finish, nothing new is begun.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Waits until every exchange has ended. Connections are not waited for: a client that never
    /// reads could keep one for ever.
    pub async fn drained(&self) {
        self.exchanges.close();
        self.exchanges.wait().await;
    }

    /// Ends the housekeeping loops and waits for them.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.background.close();
        self.background.wait().await;
    }
}

/// Runs a call on the runtime for a caller that may be on a thread of its own. The caller owns it:
/// it ends with its answer.
pub fn spawn_call<T, F>(runtime: &Handle, call: F) -> JoinHandle<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    runtime.spawn(call)
}

/// Most heavy work that runs at once: each can hold a whole decoded body.
static HEAVY: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(4);

/// Runs work on a thread for blocking work when `is_heavy`, otherwise here. `None` when the work
/// panicked.
pub async fn run_blocking<T, F>(is_heavy: bool, work: F) -> Option<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if !is_heavy {
        return Some(work());
    }
    let _permit = HEAVY.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}
