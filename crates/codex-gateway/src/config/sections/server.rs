//! `[server]`: where to listen, who may call, sizes and times.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use gateway_policy::problem::Problem;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::access::client_address::TrustedProxies;
use crate::access::request_guard::AllowedHosts;
use crate::config::key::{Key, next_start};
use crate::config::network::{self, RequireKey, WrittenIn};
use crate::config::source::Context;
use crate::config::values;
use crate::tls::{self, TlsFiles};

/// Default of `listen`: reachable from this machine only.
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(
    Ipv4Addr::LOCALHOST,
    network::DEFAULT_PORT,
));
/// Default of `require_gateway_key`.
pub const REQUIRE_GATEWAY_KEY: RequireKey = RequireKey::Auto;
/// Default of `max_request_body`, in bytes.
pub const MAX_REQUEST_BODY: usize = 64 << 20;
/// Default of `max_event`, in bytes.
pub const MAX_EVENT: usize = 64 << 20;
/// Default of `max_concurrent`, in exchanges.
pub const MAX_CONCURRENT: usize = 1024;
/// Default of `websocket`: off until upstreams are spoken to over WebSocket as well.
pub const WEBSOCKET: bool = false;
/// Default of `max_websockets`.
pub const MAX_WEBSOCKETS: usize = 4096;
/// Default of `max_websockets_per_caller`: Codex opens one for each thread and subagent.
pub const MAX_WEBSOCKETS_PER_CALLER: usize = 256;
/// Default of `shutdown_grace`.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(120);
/// Default of `on_disconnect`.
pub const ON_DISCONNECT: OnDisconnect = OnDisconnect::Cancel;
/// Default of `drain_timeout`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Default of `hold_timeout`.
pub const HOLD_TIMEOUT: Duration = Duration::from_secs(3);
/// Default of `hold_bytes`, in bytes.
pub const HOLD_BYTES: usize = 256 << 10;

/// When a change of each key takes effect.
pub const KEYS: &[Key<ServerSettings>] = &[
    next_start!(listen),
    Key::now("hosts"),
    Key::now("origins"),
    Key::now("require_gateway_key"),
    Key::now("max_request_body"),
    Key::now("max_event"),
    Key::now("max_concurrent"),
    Key::now("websocket"),
    Key::now("max_websockets"),
    Key::now("max_websockets_per_caller"),
    Key::now("shutdown_grace"),
    Key::now("on_disconnect"),
    Key::now("drain_timeout"),
    Key::now("hold_timeout"),
    Key::now("hold_bytes"),
    Key::now("trusted_proxies"),
    // Whether TLS is served at all; other files are taken over while it is.
    Key::next_start(
        "tls",
        |running, wanted| running.tls.is_some() != wanted.tls.is_some(),
        |running, new| {
            if running.tls.is_some() != new.tls.is_some() {
                new.tls.clone_from(&running.tls);
            }
        },
    ),
    Key::now("tls.cert"),
    Key::now("tls.key"),
];

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSpec {
    pub listen: Option<Spanned<String>>,
    pub hosts: Vec<Spanned<String>>,
    pub origins: Vec<Spanned<String>>,
    pub require_gateway_key: Option<Spanned<RequireKey>>,
    pub max_request_body: Option<Spanned<String>>,
    pub max_event: Option<Spanned<String>>,
    pub max_concurrent: Option<Spanned<usize>>,
    pub websocket: Option<Spanned<bool>>,
    pub max_websockets: Option<Spanned<usize>>,
    pub max_websockets_per_caller: Option<Spanned<usize>>,
    pub shutdown_grace: Option<Spanned<String>>,
    pub on_disconnect: Option<Spanned<OnDisconnect>>,
    pub drain_timeout: Option<Spanned<String>>,
    pub hold_timeout: Option<Spanned<String>>,
    pub hold_bytes: Option<Spanned<String>>,
    pub trusted_proxies: Vec<Spanned<String>>,
    pub tls: Option<Spanned<TlsSpec>>,
}

/// `[server.tls]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSpec {
    pub cert: Option<Spanned<String>>,
    pub key: Option<Spanned<String>>,
}

/// What happens to the upstream's stream when the client leaves early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// Close it at once: the user pressed Esc and should not pay for output that is not read.
    Cancel,
    /// Read on, bounded, for exact usage.
    Drain,
}

/// The checked values.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// `hosts` and `origins`: who may call the gateway by which name.
    pub hosts: AllowedHosts,
    pub require_gateway_key: RequireKey,
    /// Most bytes of a request body, before and after decompression.
    pub max_request_body: usize,
    /// Most bytes of one event of a stream.
    pub max_event: usize,
    /// Most exchanges at a time.
    pub max_concurrent: usize,
    /// Whether Responses are served over WebSocket.
    pub websocket: bool,
    /// Most WebSockets at a time.
    pub max_websockets: usize,
    /// Most WebSockets of one caller.
    pub max_websockets_per_caller: usize,
    /// How long running streams may go on after SIGTERM.
    pub shutdown_grace: Duration,
    pub on_disconnect: OnDisconnect,
    /// Longest reading on after a client left.
    pub drain_timeout: Duration,
    /// How long the beginning of a stream is held back while a fallback is possible.
    pub hold_timeout: Duration,
    /// How many bytes of a stream are held back while a fallback is possible.
    pub hold_bytes: usize,
    /// Reverse proxies whose forwarding headers are trusted.
    pub trusted_proxies: TrustedProxies,
    /// The certificate to serve with.
    pub tls: Option<TlsFiles>,
}

/// Checks the table and fills in the defaults.
pub fn compile(
    spec: &ServerSpec,
    context: Context<'_>,
    problems: &mut Vec<Problem>,
) -> ServerSettings {
    ServerSettings {
        listen: listen(spec, context, problems),
        hosts: AllowedHosts::new(
            &checked(&spec.hosts, check_host, problems),
            &checked(&spec.origins, check_origin, problems),
        ),
        require_gateway_key: spec
            .require_gateway_key
            .as_ref()
            .map_or(REQUIRE_GATEWAY_KEY, |spec| *spec.get_ref()),
        max_request_body: values::size(spec.max_request_body.as_ref(), MAX_REQUEST_BODY, problems),
        max_event: values::size(spec.max_event.as_ref(), MAX_EVENT, problems),
        max_concurrent: count(spec.max_concurrent.as_ref(), MAX_CONCURRENT, problems),
        websocket: spec
            .websocket
            .as_ref()
            .map_or(WEBSOCKET, |spec| *spec.get_ref()),
        max_websockets: count(spec.max_websockets.as_ref(), MAX_WEBSOCKETS, problems),
        max_websockets_per_caller: count(
            spec.max_websockets_per_caller.as_ref(),
            MAX_WEBSOCKETS_PER_CALLER,
            problems,
        ),
        shutdown_grace: values::duration(spec.shutdown_grace.as_ref(), SHUTDOWN_GRACE, problems),
        on_disconnect: spec
            .on_disconnect
            .as_ref()
            .map_or(ON_DISCONNECT, |spec| *spec.get_ref()),
        drain_timeout: values::duration(spec.drain_timeout.as_ref(), DRAIN_TIMEOUT, problems),
        hold_timeout: values::duration(spec.hold_timeout.as_ref(), HOLD_TIMEOUT, problems),
        hold_bytes: values::size(spec.hold_bytes.as_ref(), HOLD_BYTES, problems),
        trusted_proxies: trusted_proxies(&spec.trusted_proxies, problems),
        tls: spec
            .tls
            .as_ref()
            .and_then(|spec| tls_files(spec, context.base, problems)),
    }
}

fn listen(spec: &ServerSpec, context: Context<'_>, problems: &mut Vec<Problem>) -> SocketAddr {
    let text = match (&context.overrides.listen, &spec.listen) {
        (Some(text), _) => text,
        (None, Some(spec)) => spec.get_ref(),
        (None, None) => return LISTEN,
    };
    network::address(text, &listen_written_in(spec, context), problems).unwrap_or(LISTEN)
}

/// Where the address to listen on comes from.
pub fn listen_written_in(spec: &ServerSpec, context: Context<'_>) -> WrittenIn {
    match (&context.overrides.listen, &spec.listen) {
        (Some(_), _) => WrittenIn::Flag("--listen"),
        (None, Some(spec)) => WrittenIn::File(spec.span()),
        (None, None) => WrittenIn::Default,
    }
}

fn count(spec: Option<&Spanned<usize>>, default: usize, problems: &mut Vec<Problem>) -> usize {
    let Some(spec) = spec else {
        return default;
    };
    if *spec.get_ref() == 0 {
        problems.push(
            Problem::error(spec.span(), "0 would refuse every request")
                .with_hint(format!("the default is {default}")),
        );
    }
    *spec.get_ref()
}

/// The texts of a list; what `check` says against one is reported with its hint.
fn checked(
    specs: &[Spanned<String>],
    check: fn(&str) -> Result<(), (String, String)>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    for spec in specs {
        if let Err((message, hint)) = check(spec.get_ref()) {
            problems.push(Problem::error(spec.span(), message).with_hint(hint));
        }
    }
    specs.iter().map(|spec| spec.get_ref().clone()).collect()
}

/// A name as a Host header carries it; a port behind it is ignored.
fn check_host(text: &str) -> Result<(), (String, String)> {
    if text.contains('*') {
        return Err((
            format!("`{text}` is not a host name: `hosts` does not support wildcards"),
            "list every name; loopback names and IP addresses are always accepted".to_owned(),
        ));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte));
    if is_name && scheme.is_empty() && path.is_empty() && !rest.ends_with('/') {
        return Ok(());
    }
    if text.is_empty() {
        let hint = "use a name such as `gateway.example`, or remove the entry";
        return Err(("a host name must not be empty".to_owned(), hint.to_owned()));
    }
    let hint = if is_name {
        format!("write the name alone: `{name}`")
    } else {
        "write one name per entry, such as `gateway.example`".to_owned()
    };
    Err((format!("`{text}` is not a host name"), hint))
}

/// An origin as an Origin header carries it.
fn check_origin(text: &str) -> Result<(), (String, String)> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.trim_end_matches('/');
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '*', '?', '#', ' ', ','])
    });
    if is_origin {
        return Ok(());
    }
    Err((
        format!("`{text}` is not an origin"),
        "write scheme and host, and the port if there is one, such as `https://tool.example`"
            .to_owned(),
    ))
}

/// Reads the certificate once, so that a bad one is found before the start.
fn tls_files(
    spec: &Spanned<TlsSpec>,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<TlsFiles> {
    let (Some(cert), Some(key)) = (&spec.get_ref().cert, &spec.get_ref().key) else {
        problems.push(
            Problem::error(spec.span(), "TLS needs both `cert` and `key`").with_hint(
                "PEM files: `cert` with the chain, server certificate first, and `key` with its \
                 private key"
                    .to_owned(),
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
        problems.push(
            Problem::error(span, problem.to_string()).with_hint(
                "use PEM files that this user can read, as written by `certbot` or `openssl`"
                    .to_owned(),
            ),
        );
    }
    Some(files)
}

/// Networks in CIDR notation, or single addresses.
fn trusted_proxies(specs: &[Spanned<String>], problems: &mut Vec<Problem>) -> TrustedProxies {
    let mut networks = Vec::new();
    for spec in specs {
        match TrustedProxies::network(spec.get_ref()) {
            Some(network) => networks.push(network),
            None => problems.push(
                Problem::error(
                    spec.span(),
                    format!("`{}` is not a valid network", spec.get_ref()),
                )
                .with_hint("such as `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`".to_owned()),
            ),
        }
    }
    TrustedProxies::new(networks)
}
