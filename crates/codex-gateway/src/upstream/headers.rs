//! Which headers are forwarded in each direction, by deny-list, and the one function that turns a
//! credential into a header.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Marks a request that this gateway forwarded, with the instance's id, so that a loop is seen.
pub const LOOP_HEADER: &str = "codex-gateway-loop";

/// Marks a Responses-Lite request.
pub const LITE_HEADER: &str = "x-openai-internal-codex-responses-lite";

/// Headers that belong to one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of a request that never reach an upstream, besides the hop-by-hop ones.
const NEVER_UPSTREAM: [&str; 18] = [
    "host",
    "cookie",
    "content-length",
    "content-encoding",
    "accept-encoding",
    "expect",
    "forwarded",
    "via",
    "x-real-ip",
    "origin",
    "referer",
    "http2-settings",
    "codex-gateway-loop",
    "x-client-ip",
    "cookie2",
    "true-client-ip",
    "cf-connecting-ip",
    "x-original-host",
];

/// Headers of a response that never reach a client, besides the hop-by-hop ones.
const NEVER_CLIENT: [&str; 12] = [
    "set-cookie",
    "set-cookie2",
    "cookie",
    "host",
    "via",
    "forwarded",
    "x-real-ip",
    "alt-svc",
    "codex-gateway-loop",
    "strict-transport-security",
    "content-length",
    "content-encoding",
];

fn is_hop_by_hop(name: &HeaderName, named_by_connection: &[String]) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
        || named_by_connection
            .iter()
            .any(|listed| listed == name.as_str())
}

/// The names that the `connection` header declares to be hop-by-hop.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The headers of a client's request that reach the upstream. Credentials are not decided here: see
/// [`apply_credential`].
pub fn toward_upstream(client: &HeaderMap, instance: &str) -> HeaderMap {
    let listed = named_by_connection(client);
    let mut headers = HeaderMap::with_capacity(client.len() + 2);
    for (name, value) in client {
        let text = name.as_str();
        let stays = is_hop_by_hop(name, &listed)
            || NEVER_UPSTREAM.contains(&text)
            || text.starts_with("x-gateway-")
            || text.starts_with("x-forwarded-")
            || text.starts_with("sec-fetch-")
            || text.starts_with("sec-websocket-")
            || is_own_key(value);
        if !stays {
            headers.append(name.clone(), value.clone());
        }
    }
    // Codex cannot read a compressed stream, and would send the request five more times.
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    if let Ok(value) = HeaderValue::from_str(instance) {
        headers.append(HeaderName::from_static(LOOP_HEADER), value);
    }
    let earlier = client.get_all(LOOP_HEADER).iter();
    for earlier in earlier
        .filter(|value| is_instance(value))
        .take(MAX_GATEWAYS)
    {
        headers.append(HeaderName::from_static(LOOP_HEADER), earlier.clone());
    }
    headers
}

/// Most gateways behind one another whose marks are passed on.
const MAX_GATEWAYS: usize = 8;

/// Whether a mark can be a gateway's: the id of an instance.
fn is_instance(value: &HeaderValue) -> bool {
    let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    value.len() <= 64 && value.as_bytes().iter().all(is_id)
}

/// A key that this gateway issued is not forwarded, whatever header it is in.
fn is_own_key(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes().trim_ascii();
    let token = bytes
        .rsplit(u8::is_ascii_whitespace)
        .next()
        .unwrap_or(bytes);
    token.starts_with(b"cgw_")
}

/// Whether this instance has already forwarded the request.
pub fn is_loop(client: &HeaderMap, instance: &str) -> bool {
    client
        .get_all(LOOP_HEADER)
        .iter()
        .any(|value| value.as_bytes() == instance.as_bytes())
}

/// The headers of an upstream's response that reach the client. `content-length` and `content-encoding` are the
/// caller's business: they describe bytes that may have been changed.
pub fn toward_client(upstream: &HeaderMap) -> HeaderMap {
    let listed = named_by_connection(upstream);
    let mut headers = HeaderMap::with_capacity(upstream.len() + 8);
    for (name, value) in upstream {
        let text = name.as_str();
        let stays = is_hop_by_hop(name, &listed)
            || NEVER_CLIENT.contains(&text)
            || text.starts_with("x-gateway-")
            || text.starts_with("x-forwarded-")
            || text.starts_with("access-control-");
        if !stays {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Headers that carry a caller's own credential or name the caller's own account.
pub const CALLER_CREDENTIAL: [&str; 6] = [
    "authorization",
    "api-key",
    "x-api-key",
    "chatgpt-account-id",
    "openai-organization",
    "openai-project",
];

/// Headers in which Codex names itself, its session and its turn. They mean nothing to another
/// service, and tell it more than it needs.
const CLIENT_IDENTITY: [&str; 10] = [
    "originator",
    "version",
    "session-id",
    "session_id",
    "thread-id",
    "thread_id",
    "conversation-id",
    "conversation_id",
    "x-client-request-id",
    "openai-beta",
];
/// The same, by their beginning.
const CLIENT_IDENTITY_PREFIXES: [&str; 4] = ["x-codex-", "x-openai-", "x-oai-", "x-responsesapi-"];

/// The headers that a caller may send beside a credential that is not the caller's own: what
/// describes the body and the wanted answer, and the trace that the call is a part of.
const KNOWN: [&str; 8] = [
    "accept",
    "accept-encoding",
    "content-type",
    "user-agent",
    "traceparent",
    "tracestate",
    LITE_HEADER,
    LOOP_HEADER,
];
/// Words in names of headers that hold a credential or change what a request is. None of the
/// headers in which Codex names itself has them.
const DANGEROUS: [&str; 7] = [
    "auth", "cookie", "key", "override", "secret", "rewrite", "original",
];

/// Leaves only headers whose meaning is known beside a credential that is not the caller's own:
/// another could carry a second credential, choose another method or path at a proxy behind the
/// upstream, or make the upstream repeat the answer to another caller's request (`idempotency-key`).
/// `own` is the header of the gateway's credential.
pub fn keep_known_headers(headers: &mut HeaderMap, own: Option<&HeaderName>) {
    let is_known = |name: &HeaderName| {
        let text = name.as_str();
        let is_identity =
            is_client_identity(text) && !DANGEROUS.iter().any(|word| text.contains(word));
        Some(name) == own || KNOWN.contains(&text) || is_identity
    };
    let unknown: Vec<HeaderName> = headers
        .keys()
        .filter(|name| !is_known(name))
        .cloned()
        .collect();
    for name in unknown {
        headers.remove(name);
    }
}

fn is_client_identity(name: &str) -> bool {
    CLIENT_IDENTITY.contains(&name)
        || CLIENT_IDENTITY_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Removes what a client says about itself to its own service. `LITE_HEADER` stays: it describes
/// the body.
pub fn remove_client_identity(headers: &mut HeaderMap) {
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name != LITE_HEADER && is_client_identity(name)
        })
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}

/// The credential that one attempt sends.
pub enum AttemptCredential<'a> {
    /// The caller's own headers cross unchanged.
    Caller,
    /// The caller's credential is removed and nothing is put in its place.
    None,
    /// The caller's credential is removed and the upstream's own is sent in this header.
    Own {
        header: &'a HeaderName,
        value: &'a HeaderValue,
    },
}

/// The one place where a credential becomes a header.
pub fn apply_credential(headers: &mut HeaderMap, credential: &AttemptCredential<'_>) {
    let own = match credential {
        AttemptCredential::Caller => return,
        AttemptCredential::None => None,
        AttemptCredential::Own { header, value } => Some((*header, *value)),
    };
    for name in CALLER_CREDENTIAL {
        headers.remove(name);
    }
    if let Some((name, value)) = own {
        let mut value = value.clone();
        value.set_sensitive(true);
        headers.insert(name.clone(), value);
    }
}

/// Whether a body is said to be a stream of events.
pub fn content_type_is_events(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("text/event-stream")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_codex_sends_crosses_and_what_is_ours_or_the_connections_does_not() {
        let client = map(&[
            ("session-id", "s"),
            ("x-codex-turn-state", "t"),
            ("x-codex-whatever-comes-next", "u"),
            ("originator", "codex_exec"),
            ("chatgpt-account-id", "a"),
            ("authorization", "Bearer x"),
            ("host", "localhost"),
            ("connection", "keep-alive, x-private"),
            ("x-private", "p"),
            ("x-gateway-key", "cgw_1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("cookie", "c"),
            ("content-length", "3"),
            ("accept-encoding", "gzip"),
        ]);
        let out = toward_upstream(&client, "me");
        let mut names: Vec<_> = out.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept-encoding",
                "authorization",
                "chatgpt-account-id",
                "codex-gateway-loop",
                "originator",
                "session-id",
                "x-codex-turn-state",
                "x-codex-whatever-comes-next"
            ]
        );
        assert_eq!(out.get("accept-encoding").unwrap(), "identity");
        assert!(is_loop(&out, "me"));
        assert!(!is_loop(&client, "me"));
    }

    #[test]
    fn another_party_learns_nothing_of_the_session() {
        let mut headers = map(&[
            ("originator", "codex_exec"),
            ("version", "0.169.0"),
            ("session-id", "s"),
            ("thread-id", "t"),
            ("conversation_id", "c"),
            ("x-codex-turn-metadata", "{}"),
            ("x-openai-subagent", "review"),
            (LITE_HEADER, "true"),
            ("content-type", "application/json"),
            ("user-agent", "codex_exec/0.169.0"),
        ]);
        remove_client_identity(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "user-agent", LITE_HEADER]);
    }

    #[test]
    fn an_own_credential_replaces_every_trace_of_the_callers() {
        let mut headers = map(&[
            ("authorization", "Bearer caller"),
            ("api-key", "caller"),
            ("chatgpt-account-id", "caller"),
            ("openai-organization", "caller"),
            ("session-id", "s"),
        ]);
        let value = HeaderValue::from_static("Bearer own");
        apply_credential(
            &mut headers,
            &AttemptCredential::Own {
                header: &header::AUTHORIZATION,
                value: &value,
            },
        );
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get("authorization").unwrap(), "Bearer own");
        apply_credential(&mut headers, &AttemptCredential::None);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn an_issued_key_stays_here_in_whatever_header_it_came() {
        let mut client = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer cgw_1"),
            ("x-api-key", "cgw_1"),
            ("x-goog-api-key", "cgw_1"),
            ("openai-api-key", "Bearer cgw_1"),
            ("originator", "codex_cgw"),
        ] {
            client.append(name, HeaderValue::from_static(value));
        }
        let sent = toward_upstream(&client, "here");
        assert!(
            sent.values()
                .all(|value| !value.as_bytes().ends_with(b"cgw_1"))
        );
        assert_eq!(sent.get("originator").unwrap(), "codex_cgw");
    }

    #[test]
    fn cookies_and_foreign_gateway_headers_stay_behind() {
        let out = toward_client(&map(&[
            ("set-cookie", "a=b"),
            ("x-gateway-route", "forged"),
            ("x-codex-primary-used-percent", "3"),
            ("x-anything-limit-name", "n"),
            ("transfer-encoding", "chunked"),
            ("openai-model", "m"),
        ]));
        let mut names: Vec<_> = out.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "openai-model",
                "x-anything-limit-name",
                "x-codex-primary-used-percent"
            ]
        );
    }
}
