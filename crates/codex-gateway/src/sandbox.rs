//! A gateway inside this process, on a free port of loopback: with the user's rules and a scripted
//! upstream in place of the real ones, or as it is configured. It ends with what it was started
//! for.

mod configuration;
mod place;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRef as _;
use gateway_ledger::Ledger;
use tokio_util::sync::CancellationToken;

pub use configuration::rehearsal;
pub use place::TemporaryDir;

use crate::app::{App, Sockets};
use crate::clock::Clock;
use crate::config::active::ActiveConfig;
use crate::config::{Settings, SourceMap};
use crate::data_dir::DataDir;
use crate::scripted_upstream::ScriptedUpstream;

/// A gateway that serves.
pub struct Running {
    address: SocketAddr,
    pub ledger: Ledger,
    app: Arc<App>,
}

impl Running {
    /// The base URL for clients.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Stops accepting; what runs may finish. Asked again, cuts it.
    pub fn stop(&self) {
        self.app.stop();
    }
}

/// Serves, does the work, and stops again.
///
/// # Errors
/// When the gateway cannot be started.
pub async fn serve_while<T>(
    settings: Settings,
    places: SourceMap,
    upstream: Option<ScriptedUpstream>,
    work: impl AsyncFnOnce(&Running) -> T,
) -> anyhow::Result<T> {
    let config = ActiveConfig::new(settings, places).map_err(anyhow::Error::msg)?;
    let data_dir = DataDir::open(&config.settings.data_dir)?;
    let sockets = Sockets::bind(&config.settings).await?;
    let app = Arc::new(App::open(config, &data_dir, Clock::system()).await?);
    let ledger = Ledger::from_ref(app.state());
    let listeners = app.listeners(sockets);
    let Some(first) = listeners.first() else {
        anyhow::bail!("there is nothing to listen on");
    };
    let address = first.socket.local_addr()?;
    let running = Running {
        address,
        ledger,
        app: Arc::clone(&app),
    };
    let stop = CancellationToken::new();
    let serve_upstream = async {
        if let Some(upstream) = upstream {
            upstream.serve(app.tasks(), stop.clone()).await;
        }
    };
    let work = async {
        let answer = work(&running).await;
        app.stop();
        answer
    };
    let serve = async {
        let ((), answer) = tokio::join!(app.run(listeners), work);
        stop.cancel();
        answer
    };
    let (answer, ()) = tokio::join!(serve, serve_upstream);
    drop(data_dir);
    Ok(answer)
}
