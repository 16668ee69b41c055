//! What is checked of every request before anything else: header sizes, framing, Host, Origin.
//! Knows nothing about callers or models.

use http::{HeaderMap, HeaderValue, Uri, header};
use percent_encoding::percent_decode_str;

use crate::error::{ErrorCode, GatewayError};

/// Most header bytes a request may carry, names and values.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Most header fields a request may carry.
pub const MAX_HEADER_FIELDS: usize = 128;
/// Longest request target in bytes.
pub const MAX_URI_BYTES: usize = 16 * 1024;

/// The names a request may be addressed to.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl AllowedHosts {
    /// `hosts`: names besides loopback. `origins`: browser origins besides the gateway's own.
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        Self {
            hosts: hosts
                .iter()
                .map(|host| normalise_host(host).to_ascii_lowercase())
                .collect(),
            origins: origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    /// The first configured name, if there is one.
    pub fn first(&self) -> Option<&str> {
        self.hosts.first().map(String::as_str)
    }

    /// The origin of the request if the configuration lists it, as the request writes it.
    pub fn listed_origin<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        self.origins.contains(&text).then_some(origin)
    }

    /// Checks sizes, the path, framing, Host and Origin, in this order.
    ///
    /// # Errors
    /// `headers_too_large`, `invalid_request`, `host_not_allowed` or `origin_not_allowed`.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), GatewayError> {
        check_sizes(uri, headers)?;
        check_path(uri.path())?;
        check_framing(headers)?;
        let host = self.check_host(uri, headers)?;
        self.check_origin(&host, headers)
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, GatewayError> {
        let refused = |shown: &str| {
            GatewayError::new(
                ErrorCode::HostNotAllowed,
                format!(
                    "host `{shown}` is not served here; use a loopback name or an IP address, or \
                     add the name to `hosts` in the [server] section of the gateway's \
                     configuration"
                ),
            )
        };
        let mut values = headers.get_all(header::HOST).iter();
        let authority = match (values.next(), uri.authority()) {
            // HTTP/2 carries the name in the request target only.
            (None, Some(authority)) => authority.as_str().to_owned(),
            (Some(value), _) => value
                .to_str()
                .map_err(|_| refused("(unreadable)"))?
                .to_owned(),
            (None, None) => return Err(refused("(missing)")),
        };
        if values.next().is_some() {
            return Err(refused("(given twice)"));
        }
        // An absolute request target names a host as well, and takes precedence over the header.
        let target = uri.authority().map(http::uri::Authority::as_str);
        for named in target.into_iter().chain([authority.as_str()]) {
            if !self.is_allowed(named) {
                return Err(refused(&shown(named)));
            }
        }
        Ok(authority.to_ascii_lowercase())
    }

    fn is_allowed(&self, authority: &str) -> bool {
        let name = normalise_host(authority).to_ascii_lowercase();
        // DNS rebinding needs a name; an IP literal is what the user typed.
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<std::net::IpAddr>().is_ok()
            || self.hosts.contains(&name)
    }

    fn check_origin(&self, host: &str, headers: &HeaderMap) -> Result<(), GatewayError> {
        let refused = || {
            GatewayError::new(
                ErrorCode::OriginNotAllowed,
                "a web page of another origin may not call this gateway; call it from a program \
                 or from the gateway's own pages, or add the origin to `origins` in the [server] \
                 section of the gateway's configuration",
            )
        };
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().map_err(|_| refused())?.to_ascii_lowercase();
            let is_own = origin.split_once("://").is_some_and(|(scheme, authority)| {
                matches!(scheme, "http" | "https") && authority == host
            });
            if !is_own && !self.origins.contains(&origin) {
                return Err(refused());
            }
            // A listed origin is by definition cross-site.
            if self.origins.contains(&origin) {
                return Ok(());
            }
        }
        match headers.get("sec-fetch-site") {
            Some(site) if site.as_bytes().eq_ignore_ascii_case(b"cross-site") => Err(refused()),
            Some(_) | None => Ok(()),
        }
    }
}

fn check_sizes(uri: &Uri, headers: &HeaderMap) -> Result<(), GatewayError> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > MAX_HEADER_BYTES || headers.len() > MAX_HEADER_FIELDS {
        return Err(GatewayError::new(
            ErrorCode::HeadersTooLarge,
            format!(
                "the request has {} header fields in {bytes} bytes; the maximum is \
                 {MAX_HEADER_FIELDS} fields in {MAX_HEADER_BYTES} bytes",
                headers.len()
            ),
        ));
    }
    if uri
        .path_and_query()
        .is_some_and(|target| target.as_str().len() > MAX_URI_BYTES)
    {
        return Err(GatewayError::new(
            ErrorCode::HeadersTooLarge,
            format!("the request target is longer than {MAX_URI_BYTES} bytes"),
        ));
    }
    Ok(())
}

/// Refuses framing that two parties could read in two ways. The library refuses most of it, and
/// drops a length beside chunks.
fn check_framing(headers: &HeaderMap) -> Result<(), GatewayError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_plain = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if is_plain && codings.next().is_none() {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::InvalidRequest,
        "`transfer-encoding` may only be `chunked`, once; use `content-encoding` for a compressed \
         body",
    ))
}

/// A path is appended to an upstream's base URL, so it must not climb out of it: nothing checks it
/// again by then.
fn check_path(path: &str) -> Result<(), GatewayError> {
    let decoded = percent_decoded(path);
    let climbs = decoded
        .split(['/', '\\'])
        .any(|segment| matches!(segment, "." | ".."));
    if climbs || decoded.contains(['\\', '\0']) {
        return Err(GatewayError::new(
            ErrorCode::InvalidRequest,
            "the path contains `.`, `..` or a backslash; send it without them",
        ));
    }
    Ok(())
}

/// Undoes `%XX` until nothing changes, so that a path cannot be hidden by encoding it twice.
fn percent_decoded(path: &str) -> String {
    let mut text = path.to_owned();
    while text.contains('%') {
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text || decoded.len() >= text.len() {
            return decoded;
        }
        text = decoded;
    }
    text
}

/// `name:port`, `[::1]:port` or `name.` → the bare name.
fn normalise_host(authority: &str) -> &str {
    let name = if let Some(rest) = authority.strip_prefix('[') {
        match rest.split_once(']') {
            Some((address, after)) if is_port_or_nothing(after) => address,
            Some(_) | None => authority,
        }
    } else {
        match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => authority,
        }
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn is_port_or_nothing(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A name from the network, shortened and cleaned for a message.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && *c != '`')
        .take(80)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, more: &[(&'static str, &str)]) -> Result<(), ErrorCode> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, host.parse().unwrap());
        }
        for (name, value) in more {
            headers.insert(*name, value.parse().unwrap());
        }
        AllowedHosts::new(
            &["Gateway.Example".to_owned()],
            &["https://tool.example".to_owned()],
        )
        .check(&Uri::from_static("/v1/responses"), &headers)
        .map_err(|error| error.code)
    }

    #[test]
    fn loopback_names_ip_literals_and_listed_names_are_served() {
        for host in [
            "localhost",
            "LOCALHOST:8787",
            "127.0.0.1:8787",
            "[::1]:8787",
            "192.168.1.4",
            "gateway.example:443",
            "localhost.",
        ] {
            assert_eq!(check(Some(host), &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8787",
            "",
            "gateway.example.evil",
            "[::1].evil.example",
            "[127.0.0.1]evil",
        ] {
            assert_eq!(
                check(Some(host), &[]),
                Err(ErrorCode::HostNotAllowed),
                "{host}"
            );
        }
        assert_eq!(check(None, &[]), Err(ErrorCode::HostNotAllowed));
    }

    #[test]
    fn the_host_of_an_absolute_target_counts_too() {
        let hosts = AllowedHosts::default();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost".parse().unwrap());
        for (target, expected) in [
            ("http://127.0.0.1:8787/healthz", Ok(())),
            (
                "http://evil.example/healthz",
                Err(ErrorCode::HostNotAllowed),
            ),
        ] {
            let checked = hosts.check(&Uri::from_static(target), &headers);
            assert_eq!(checked.map_err(|error| error.code), expected, "{target}");
        }
    }

    #[test]
    fn a_body_has_one_framing() {
        for (codings, expected) in [
            (&["Chunked"][..], Ok(())),
            (&["gzip, chunked"][..], Err(ErrorCode::InvalidRequest)),
            (&["chunked", "chunked"][..], Err(ErrorCode::InvalidRequest)),
        ] {
            let mut headers = HeaderMap::new();
            for coding in codings {
                headers.append(header::TRANSFER_ENCODING, coding.parse().unwrap());
            }
            let checked = check_framing(&headers).map_err(|error| error.code);
            assert_eq!(checked, expected, "{codings:?}");
        }
    }

    #[test]
    fn only_own_and_listed_origins_are_served() {
        let host = Some("localhost:8787");
        assert_eq!(check(host, &[("origin", "http://localhost:8787")]), Ok(()));
        assert_eq!(
            check(
                host,
                &[
                    ("origin", "https://tool.example"),
                    ("sec-fetch-site", "cross-site")
                ]
            ),
            Ok(())
        );
        for origin in [
            "http://evil.example",
            "null",
            "http://localhost:3000",
            "https://localhost:8787.evil.example",
        ] {
            assert_eq!(
                check(host, &[("origin", origin)]),
                Err(ErrorCode::OriginNotAllowed),
                "{origin}"
            );
        }
        assert_eq!(
            check(host, &[("sec-fetch-site", "cross-site")]),
            Err(ErrorCode::OriginNotAllowed)
        );
        assert_eq!(check(host, &[("sec-fetch-site", "same-origin")]), Ok(()));
    }

    #[test]
    fn a_path_cannot_climb() {
        for path in [
            "/v1/responses/..\\files",
            "/v1/responses/%2e%2e/input_items",
            "/v1/responses/%252e%252e/x",
            "/v1/memories/../responses",
            "/v1/responses/..%2ffiles",
            "/v1/responses/..%5cfiles",
            "/v1/./responses",
        ] {
            assert_eq!(
                check_path(path).unwrap_err().code,
                ErrorCode::InvalidRequest,
                "{path}"
            );
        }
        for path in [
            "/v1/responses/resp_1..2",
            "/v1/models/vendor/model:tag",
            "/v1/models/gpt-5.4%2Fmedium",
            "/100%",
        ] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        let big = "x".repeat(MAX_HEADER_BYTES);
        assert_eq!(
            check(Some("localhost"), &[("x-big", &big)]),
            Err(ErrorCode::HeadersTooLarge)
        );
    }
}
