//! `codex-gateway health`: asks the gateway that runs with this configuration whether it is ready,
//! for health checks of containers and services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::output::{print_error, print_out};
use crate::cli::{probe, settings};
use crate::config::{Overrides, Settings};

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: ready. 1: not ready or not reached. 64: the configuration \
                        has errors.\n\nExample:\n  codex-gateway health --live"
)]
pub(super) struct HealthArgs {
    /// Ask whether the process runs (`/healthz`), not whether it can serve (`/readyz`).
    #[arg(long)]
    live: bool,
    /// The address given to `serve --listen`, if one was.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Seconds to wait for the answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

/// Asks and says so.
pub(super) fn run(overrides: &Overrides, args: &HealthArgs) -> ExitCode {
    let overrides = Overrides {
        listen: args.listen.clone(),
        ..overrides.clone()
    };
    // The answer needs no credential, and a health check may run without the server's secrets.
    let settings = match settings::load_for_store(&overrides) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let url = url(&settings, args.live);
    match probe::get(&url, Duration::from_secs(args.timeout)) {
        Ok(answer) => {
            print_out(&format!("{url}: {answer}"));
            ExitCode::SUCCESS
        }
        Err(why) => {
            print_error(&format!("error: {url}: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Where the gateway answers. The listener for administration, if there is one, stays open to the
/// end of a shutdown.
fn url(settings: &Settings, is_liveness: bool) -> String {
    let listen = settings.admin.listen.unwrap_or(settings.server.listen);
    let scheme = match settings.server.tls {
        Some(_) => "https",
        None => "http",
    };
    let path = if is_liveness { "/healthz" } else { "/readyz" };
    format!("{scheme}://{}{path}", reachable(listen))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:8787", "127.0.0.1:8787"),
            ("[::]:443", "[::1]:443"),
            ("10.1.2.3:80", "10.1.2.3:80"),
            ("127.0.0.2:1", "127.0.0.2:1"),
        ] {
            let listen: SocketAddr = listen.parse().unwrap();
            assert_eq!(reachable(listen).to_string(), expected);
        }
    }
}
