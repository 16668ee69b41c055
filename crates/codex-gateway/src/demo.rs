//! A gateway with days of made-up traffic in a directory that goes with the process: for a look at
//! the dashboard, and to try commands and clients. Everything is written through the ledger's own
//! path; nothing leaves the machine.

mod dice;
mod history;
mod session;
mod story;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::config::{self, Overrides, Settings, Source, SourceMap};
use crate::data_dir;
use crate::sandbox::{self, TemporaryDir};
use crate::scripted_upstream::ScriptedUpstream;

const CONFIGURATION: &str = include_str!("demo/gateway.toml");
/// How long the sign-in link can be used.
const LINK: Duration = Duration::from_secs(600);

/// What a person is told.
#[derive(Debug)]
pub struct Invitation {
    /// How many exchanges were made up.
    pub exchanges: usize,
    /// The sign-in link of the dashboard.
    pub link: String,
    /// The base URL for clients.
    pub base_url: String,
    /// A gateway key that works.
    pub key: String,
}

/// Makes up the traffic, serves, and runs until `until` is over. Everything is removed afterwards.
///
/// # Errors
/// When the directory, the store or the address cannot be used.
pub async fn run(
    listen: SocketAddr,
    days: u32,
    tell: impl FnOnce(&Invitation, &Path),
    until: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // The only way to fail is that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = TemporaryDir::create("demo")?;
    let upstream = ScriptedUpstream::bind().await?;
    let (settings, places) = configuration(place.path(), &upstream, listen)?;
    let made = history::write(&settings, days).await?;
    let served = sandbox::serve_while(settings, places, Some(upstream), async |gateway| {
        let link = gateway.ledger.create_sign_in(LINK, "demo").await?;
        let base_url = gateway.base_url();
        let root = base_url.trim_end_matches("/v1");
        let invitation = Invitation {
            exchanges: made.exchanges,
            link: format!("{root}/dashboard#sign-in={}", link.reveal()),
            key: made.key,
            base_url,
        };
        tell(&invitation, place.path());
        until.await;
        anyhow::Ok(())
    });
    served.await?
}

fn configuration(
    dir: &Path,
    upstream: &ScriptedUpstream,
    listen: SocketAddr,
) -> anyhow::Result<(Settings, SourceMap)> {
    let credential = dir.join("credential");
    data_dir::replace(&credential, "codex-gateway-demonstration")?;
    let text = CONFIGURATION
        .replace("{upstream}", &upstream.base_url())
        .replace(
            "\"{credential}\"",
            &toml::Value::from(credential.display().to_string()).to_string(),
        );
    let file = dir.join("gateway.toml");
    std::fs::write(&file, &text)?;
    let source = Source {
        path: file.display().to_string(),
        text,
        file: Some(file),
    };
    let overrides = Overrides {
        data_dir: Some(dir.to_owned()),
        listen: Some(listen.to_string()),
        ..Overrides::default()
    };
    let loaded = config::check(source, &overrides);
    let places = SourceMap::new(&loaded.source);
    let report = loaded.report(false);
    let settings = loaded.settings.ok_or_else(|| anyhow::anyhow!("{report}"))?;
    Ok((settings, places))
}
