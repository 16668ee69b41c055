//! Who can reach the gateway and as what: addresses, keys off loopback, certificates, trusted
//! proxies. Opens no socket.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use gateway_policy::problem::Problem;
use serde_spanned::Spanned;

use crate::access::client_address::TrustedProxies;
use crate::config::file::{AutoOrBool, ConfigFile, ServerSpec};
use crate::config::{Overrides, ShareKeys};
use crate::tls::{self, TlsFiles};

pub(super) fn listen(
    server: &ServerSpec,
    overrides: &Overrides,
    problems: &mut Vec<Problem>,
) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8787));
    let (text, span) = match (&overrides.listen, &server.listen) {
        (Some(text), _) => (text.clone(), None),
        (None, Some(spec)) => (spec.get_ref().clone(), Some(spec.span())),
        (None, None) => return default,
    };
    address(&text).unwrap_or_else(|| {
        problems.push(no_address(span, &text));
        default
    })
}

/// Loopback needs no key; elsewhere holders of gateway keys only, unless somebody wrote down that
/// it shall be open.
pub(super) fn share_keys(
    file: &ConfigFile,
    listen: SocketAddr,
    problems: &mut Vec<Problem>,
) -> ShareKeys {
    let is_loopback = listen.ip().is_loopback();
    let wish = file
        .server
        .require_gateway_key
        .as_ref()
        .map_or(AutoOrBool::Auto, |spec| *spec.get_ref());
    let is_key_required = match wish {
        AutoOrBool::Auto => !is_loopback,
        AutoOrBool::Fixed(is_required) => is_required,
    };
    let is_written_down = wish == AutoOrBool::Fixed(false);
    if !is_loopback && !is_written_down && file.routes.gateway_key.is_none() {
        problems.push(
            Problem::error(
                file.server.listen.as_ref().map(Spanned::span),
                format!("`{listen}` is reachable from other machines, and no gateway key could be checked there"),
            )
            .with_hint(
                "set `routes.gateway_key` to an upstream that has a credential of its own, listen on 127.0.0.1, or write \
                 `require_gateway_key = false` if everybody who reaches this address may use it"
                    .to_owned(),
            ),
        );
    }
    ShareKeys {
        is_key_required,
        is_open: is_loopback && !is_key_required,
    }
}

/// Where `/api`, `/dashboard` and `/metrics` are served, when not beside everything else.
pub(super) fn admin_listen(
    file: &ConfigFile,
    main: SocketAddr,
    problems: &mut Vec<Problem>,
) -> Option<SocketAddr> {
    let spec = file.admin.listen.as_ref()?;
    let Some(address) = address(spec.get_ref()) else {
        problems.push(no_address(Some(spec.span()), spec.get_ref()));
        return None;
    };
    if address == main && address.port() != 0 {
        problems.push(
            Problem::error(
                spec.span(),
                format!("`{address}` is the main listener's own address"),
            )
            .with_hint(
                "give it another port, or leave it out to serve everything on one address"
                    .to_owned(),
            ),
        );
    }
    Some(address)
}

/// Reads the certificate once, so that a bad one is found before the start.
pub(super) fn tls(
    server: &ServerSpec,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<TlsFiles> {
    let spec = server.tls.as_ref()?;
    let (Some(cert), Some(key)) = (&spec.get_ref().cert, &spec.get_ref().key) else {
        problems.push(
            Problem::error(spec.span(), "TLS needs both `cert` and `key`").with_hint(
                "PEM files: `cert` with the chain, the server's own certificate first, and `key` with its private key".to_owned(),
            ),
        );
        return None;
    };
    let files = TlsFiles {
        cert: base.join(cert.get_ref()),
        key: base.join(key.get_ref()),
    };
    if let Err(problem) = tls::read(&files) {
        let span = match problem {
            tls::TlsError::Cert { .. } => cert.span(),
            tls::TlsError::Key { .. } | tls::TlsError::Pair { .. } => key.span(),
        };
        problems.push(Problem::error(span, problem.to_string()).with_hint(
            "PEM files that this user can read, as `certbot` or `openssl` write them".to_owned(),
        ));
    }
    Some(files)
}

/// Networks in CIDR notation, or single addresses.
pub(super) fn trusted_proxies(server: &ServerSpec, problems: &mut Vec<Problem>) -> TrustedProxies {
    let mut networks = Vec::new();
    for spec in &server.trusted_proxies {
        match TrustedProxies::network(spec.get_ref()) {
            Some(network) => networks.push(network),
            None => problems.push(
                Problem::error(spec.span(), format!("`{}` is no network", spec.get_ref()))
                    .with_hint("such as `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`".to_owned()),
            ),
        }
    }
    TrustedProxies::new(networks)
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| {
        text.to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
    })
}

fn no_address(span: Option<std::ops::Range<usize>>, text: &str) -> Problem {
    Problem::error(span, format!("`{text}` is no address to listen on"))
        .with_hint("an address and a port, such as `127.0.0.1:8787` or `[::1]:8787`".to_owned())
}
