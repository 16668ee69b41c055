//! Who can reach the gateway and as what: addresses, and gateway keys off loopback. Opens no
//! socket.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::ops::Range;

use gateway_policy::problem::Problem;

/// The port that is suggested where one is missing, and the default of `listen`.
pub(super) const DEFAULT_PORT: u16 = 8787;

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
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(RequireKeyVisitor)
    }
}

/// Where an address is written: in the file, or on the command line.
#[derive(Debug, Clone)]
pub enum WrittenIn {
    File(Range<usize>),
    /// The flag's name.
    Flag(&'static str),
    /// Nowhere: it is the default.
    Default,
}

impl WrittenIn {
    fn problem(&self, message: String) -> Problem {
        match self {
            Self::File(span) => Problem::error(span.clone(), message),
            Self::Flag(flag) => Problem::error(None, format!("{flag}: {message}")),
            Self::Default => Problem::error(None, message),
        }
    }
}

/// Loopback needs no key; elsewhere only holders of gateway keys are served, unless the
/// configuration says explicitly that no key is needed.
pub fn share_keys(
    listen: SocketAddr,
    written_in: &WrittenIn,
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
        let message = format!(
            "`{listen}` is reachable from other machines, and no gateway key could be checked there"
        );
        problems.push(
            written_in.problem(message).with_hint(
                "set `routes.gateway_key` to an upstream with its own credential, listen on \
             127.0.0.1, or set `require_gateway_key = false` if everyone who can reach this \
             address may use it"
                    .to_owned(),
            ),
        );
    }
    ShareKeys {
        is_key_required,
        is_open: is_loopback && !is_key_required,
    }
}

/// An address and a port; a name is looked up once. `None` after a problem was reported.
pub(super) fn address(
    text: &str,
    written_in: &WrittenIn,
    problems: &mut Vec<Problem>,
) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    if found.is_none() {
        let is_name = text
            .rsplit_once(':')
            .is_some_and(|(name, port)| is_host_name(name) && port.parse::<u16>().is_ok());
        let message = if is_name {
            format!("the name in `{text}` cannot be resolved")
        } else {
            format!("`{text}` is not a valid listen address")
        };
        let hint = nearest_address(text).map_or_else(
            || "write an address and a port, such as `127.0.0.1:8787` or `[::1]:8787`".to_owned(),
            |address| format!("did you mean `{address}`?"),
        );
        problems.push(written_in.problem(message).with_hint(hint));
    }
    found
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What was probably meant: a URL, an address without a port, or a port alone.
fn nearest_address(text: &str) -> Option<SocketAddr> {
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let rest = rest.split('/').next().unwrap_or_default();
    let port = rest.strip_prefix(':').unwrap_or(rest);
    if let Ok(port) = port.parse::<u16>() {
        return Some(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    let address = rest.parse().ok();
    address.or_else(|| {
        let ip = rest.trim_matches(['[', ']']).parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(ip, DEFAULT_PORT))
    })
}
