//! Who can reach the gateway and as what: addresses, and gateway keys off loopback. Opens no
//! socket.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::Range;

use gateway_policy::problem::Problem;

/// Who may use an upstream's own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareKeys {
    /// Every proxied request needs a valid gateway key.
    pub is_key_required: bool,
    /// Callers without a gateway key may use upstreams that have a credential of their own.
    pub is_open: bool,
}

/// `require_gateway_key`: `"auto"`, `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequireKey {
    /// Only when listening off loopback.
    Auto,
    Fixed(bool),
}

impl<'de> serde::Deserialize<'de> for RequireKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RequireKeyVisitor;
        impl serde::de::Visitor<'_> for RequireKeyVisitor {
            type Value = RequireKey;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"auto\", true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<RequireKey, E> {
                Ok(RequireKey::Fixed(value))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<RequireKey, E> {
                match word {
                    "auto" => Ok(RequireKey::Auto),
                    other => Err(E::unknown_variant(other, &["auto"])),
                }
            }
        }
        deserializer.deserialize_any(RequireKeyVisitor)
    }
}

/// Loopback needs no key; elsewhere only holders of gateway keys are served, unless the
/// configuration says explicitly that no key is needed.
pub fn share_keys(
    listen: SocketAddr,
    listen_span: Option<Range<usize>>,
    require: RequireKey,
    has_gateway_key_route: bool,
    problems: &mut Vec<Problem>,
) -> ShareKeys {
    let is_loopback = listen.ip().is_loopback();
    let is_key_required = match require {
        RequireKey::Auto => !is_loopback,
        RequireKey::Fixed(is_required) => is_required,
    };
    let is_open_by_choice = require == RequireKey::Fixed(false);
    if !is_loopback && !is_open_by_choice && !has_gateway_key_route {
        problems.push(
            Problem::error(
                listen_span,
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

/// An address and a port; a name is looked up once.
pub(super) fn address(
    text: &str,
    span: Option<Range<usize>>,
    problems: &mut Vec<Problem>,
) -> Option<SocketAddr> {
    let address = text.parse().ok().or_else(|| {
        text.to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
    });
    if address.is_none() {
        problems.push(
            Problem::error(span, format!("`{text}` is no address to listen on")).with_hint(
                "an address and a port, such as `127.0.0.1:8787` or `[::1]:8787`".to_owned(),
            ),
        );
    }
    address
}
