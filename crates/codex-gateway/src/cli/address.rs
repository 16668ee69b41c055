//! How programs and people on this machine reach the gateway that a configuration describes.

use std::net::SocketAddr;

use crate::config::Settings;

/// The address of a listener as a URL without a path.
pub(super) fn url(settings: &Settings, address: SocketAddr) -> String {
    let scheme = match settings.server.tls {
        Some(_) => "https",
        None => "http",
    };
    let port = address.port();
    match settings.server.hosts.first() {
        // A certificate is for a name, and others than loopback addresses are what a person off
        // this machine opens.
        Some(name) if settings.server.tls.is_some() || !address.ip().is_loopback() => {
            format!("{scheme}://{name}:{port}")
        }
        _ if address.ip().is_unspecified() => format!("{scheme}://127.0.0.1:{port}"),
        _ => format!("{scheme}://{address}"),
    }
}

/// The base URL that clients are given.
pub(super) fn base_url(settings: &Settings) -> String {
    format!("{}/v1", url(settings, settings.server.listen))
}
