//! What is on this machine: the data directory, the port, the proxies of the environment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::network::NETWORK;
use super::report::Check;
use crate::config::{self, Settings};
use crate::data_dir;

/// The variables by which programs are told of a proxy.
const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What stands where the configuration listens.
pub(super) enum Gateway {
    /// A gateway, with its metrics where they are open.
    Running {
        url: String,
        metrics: Option<String>,
    },
    /// Nothing, and the port is free.
    Free(SocketAddr),
    /// Something else, or a port that cannot be used.
    Taken(SocketAddr, String),
}

impl Gateway {
    /// As a check.
    pub(super) fn check(&self) -> Check {
        match self {
            Self::Running { url, .. } => Check::ok("port", format!("a gateway serves on {url}")),
            Self::Free(address) => Check::warning(
                "port",
                format!("nothing listens on {address}; the port is free, and no gateway runs"),
                "`codex-gateway serve` starts it",
            ),
            Self::Taken(address, why) => Check::failed(
                "port",
                format!("{address} cannot be used: {why}"),
                "end the other program, or set another `listen` (and run `setup codex` again)",
            ),
        }
    }
}

/// Looks who is there.
pub(super) async fn gateway(settings: &Settings) -> Gateway {
    let listen = settings.admin.listen.unwrap_or(settings.server.listen);
    let scheme = match settings.server.tls {
        Some(_) => "https",
        None => "http",
    };
    let url = format!("{scheme}://{}", reachable(listen));
    // Any certificate will do: it is for the name by which clients call the gateway.
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .timeout(NETWORK)
        .build();
    let Ok(client) = client else {
        return Gateway::Taken(listen, "no HTTP client can be built".to_owned());
    };
    match client.get(format!("{url}/healthz")).send().await {
        Ok(answer) if answer.headers().contains_key("x-request-id") => {
            let metrics = client.get(format!("{url}/metrics")).send().await.ok();
            let metrics = match metrics.filter(|answer| answer.status().is_success()) {
                Some(answer) => answer.text().await.ok(),
                None => None,
            };
            Gateway::Running { url, metrics }
        }
        Ok(_) => Gateway::Taken(listen, "another program answers there".to_owned()),
        Err(_) => match tokio::net::TcpListener::bind(listen).await {
            Ok(_) => Gateway::Free(listen),
            Err(error) => Gateway::Taken(listen, error.to_string()),
        },
    }
}

/// An address that a listener on `address` can be reached by from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Entries that wait to be written, and log lines that were lost.
pub(super) fn backlog(gateway: &Gateway) -> Check {
    let Gateway::Running {
        metrics: Some(metrics),
        ..
    } = gateway
    else {
        return Check::skipped("ledger_lag", "no running gateway with open metrics");
    };
    let value = |name: &str| {
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let waiting = value("codex_gateway_ledger_queue_depth");
    if waiting > 0.0 {
        return Check::warning(
            "ledger_lag",
            format!("{waiting} ledger entries are not durable yet"),
            "look again in a few seconds; if it grows, the store is down or too slow",
        );
    }
    let lost = value("codex_gateway_log_lines_dropped_total");
    if lost > 0.0 {
        return Check::warning(
            "ledger_lag",
            format!("no entry waits, but {lost} log lines could not be written"),
            "make room where the log goes",
        );
    }
    Check::ok("ledger_lag", "no entry waits to be written")
}

/// The data directory and its rights.
pub(super) fn data_dir(path: &Path) -> Check {
    let shown = path.display();
    let owner_only = format!("`chmod -R go-rwx {shown}` keeps others out");
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Check::ok(
            "data_dir",
            format!("{shown} does not exist yet; the first start makes it"),
        ),
        Err(error) => Check::failed(
            "data_dir",
            format!("{shown} cannot be used: {error}"),
            "run this command as the user that the gateway runs as, or name another --data-dir",
        ),
        Ok(dir) if !dir.is_dir() => Check::failed(
            "data_dir",
            format!("{shown} is not a directory"),
            "name another --data-dir",
        ),
        Ok(dir) if is_open_to_others(&dir) => Check::warning(
            "data_dir",
            format!("other users may change the files of {shown}"),
            owner_only,
        ),
        Ok(_) => match data_dir::is_served(path) {
            Ok(true) => Check::ok("data_dir", format!("{shown}, in use by a running gateway")),
            Ok(false) => Check::ok("data_dir", format!("{shown}, not in use")),
            Err(error) => Check::failed(
                "data_dir",
                format!("the files of {shown} cannot be read: {error}"),
                "run this command as the user that the gateway runs as",
            ),
        },
    }
}

#[cfg(unix)]
fn is_open_to_others(dir: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    dir.permissions().mode() & 0o022 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// Proxies of the environment: Codex and the gateway both follow them, also on the way to loopback.
pub(super) fn proxies() -> Check {
    let set: Vec<&str> = PROXIES
        .into_iter()
        .filter(|name| config::environment(name).is_some())
        .collect();
    if set.is_empty() {
        return Check::ok("proxies", "none in the environment");
    }
    let without = config::environment("NO_PROXY").or_else(|| config::environment("no_proxy"));
    let is_direct = |name: &str| {
        let list = without.as_deref().unwrap_or_default();
        list.split(',')
            .any(|entry| matches!(entry.trim(), "*") || entry.trim() == name)
    };
    let names = set.join(", ");
    if is_direct("127.0.0.1") {
        return Check::ok(
            "proxies",
            format!("{names}; 127.0.0.1 is exempt (NO_PROXY)"),
        );
    }
    Check::warning(
        "proxies",
        format!(
            "{names} is set, and 127.0.0.1 is not exempt: Codex may ask the proxy for the gateway"
        ),
        "set NO_PROXY=127.0.0.1,localhost where Codex runs",
    )
}
