//! Waits until a person or the system asks the process to end.

/// Returns at Ctrl-C, and on Unix at SIGTERM and SIGHUP too.
pub(super) async fn received() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::hangup()];
        let signals: Vec<_> = kinds
            .into_iter()
            .filter_map(|kind| signal(kind).ok())
            .collect();
        let waits = signals.into_iter().map(|mut signal| {
            Box::pin(async move {
                signal.recv().await;
            })
        });
        let any = futures_util::future::select_all(waits);
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = any => {}
        }
    }
    #[cfg(not(unix))]
    drop(tokio::signal::ctrl_c().await);
}
