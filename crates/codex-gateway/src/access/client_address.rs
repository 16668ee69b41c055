//! Where a request comes from: the peer of the socket or, behind a reverse proxy that the operator
//! trusts, the address that the proxy names. Does not identify callers; only says whether a request
//! is local, and under which address failures and changes are recorded.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Reverse proxies whose forwarding headers are trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// The other end of the connection that a request came on; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub address: SocketAddr,
    pub is_tls: bool,
}

/// Where a request comes from, as far as the network tells; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr {
    /// `None` for a request that did not come over a socket.
    pub address: Option<IpAddr>,
    /// From this machine, and through no proxy that says otherwise.
    pub is_local: bool,
    /// The client's side of the connection is TLS.
    pub is_secure: bool,
}

/// What proxies add to requests, besides `x-forwarded-*`.
const FORWARDING: [&str; 6] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

impl TrustedProxies {
    /// Trusts these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Parses `10.0.0.0/8` or a single address.
    pub fn network(text: &str) -> Option<IpNet> {
        text.parse()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from. Without a `peer`, it did not come over a socket.
    pub fn client_addr(&self, peer: Option<&Peer>, headers: &HeaderMap) -> ClientAddr {
        let Some(peer) = peer else {
            return ClientAddr {
                address: None,
                is_local: !is_forwarded(headers),
                is_secure: false,
            };
        };
        let near = peer.address.ip().to_canonical();
        if !is_forwarded(headers) {
            return ClientAddr {
                address: Some(near),
                is_local: near.is_loopback(),
                is_secure: peer.is_tls,
            };
        }
        if !self.contain(near) {
            // A proxy that is not trusted: nothing shows that the client behind it is local.
            return ClientAddr {
                address: Some(near),
                is_local: false,
                is_secure: peer.is_tls,
            };
        }
        let far = self.forwarded_client(headers);
        ClientAddr {
            address: Some(far.unwrap_or(near)),
            // A proxy elsewhere has a loopback of its own.
            is_local: near.is_loopback() && far.is_some_and(|far| far.is_loopback()),
            is_secure: proto(headers)
                .map_or(peer.is_tls, |proto| proto.eq_ignore_ascii_case("https")),
        }
    }

    /// The client that the forwarding headers name. `None` when they are not credible: a proxy
    /// appends to one of the two and passes the other on as the client wrote it, so two that differ
    /// prove nothing.
    fn forwarded_client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let standard: Vec<_> = values(headers, "forwarded")
            .map(|element| parameter(element, "for"))
            .collect();
        let usual: Vec<_> = values(headers, "x-forwarded-for").map(Some).collect();
        match (standard.is_empty(), usual.is_empty()) {
            (true, true) => None,
            (false, true) => self.nearest_untrusted(&standard),
            (true, false) => self.nearest_untrusted(&usual),
            (false, false) => self
                .nearest_untrusted(&standard)
                .filter(|client| self.nearest_untrusted(&usual) == Some(*client)),
        }
    }

    /// The nearest address that is not a trusted proxy, from right to left.
    fn nearest_untrusted(&self, chain: &[Option<&str>]) -> Option<IpAddr> {
        let mut nearest = None;
        for hop in chain.iter().rev() {
            // Everything to the left of an unreadable hop was written by an unknown party.
            let hop = address((*hop)?)?;
            nearest = Some(hop);
            if !self.contain(hop) {
                break;
            }
        }
        nearest
    }
}

/// Whether a request says that it passed through a proxy.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name: &HeaderName| {
        FORWARDING.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-")
    })
}

/// The elements of a list, over all fields of a name. A field that is not text counts as
/// one unreadable element.
fn values<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
}

/// A parameter of one element of `forwarded`, without its quotes.
fn parameter<'e>(element: &'e str, name: &str) -> Option<&'e str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let found = match bare {
        Some((inside, _)) => inside.parse().ok(),
        None => text.parse().ok().or_else(|| {
            let (host, port) = text.rsplit_once(':')?;
            port.parse::<u16>().ok()?;
            host.parse().ok()
        }),
    };
    found.map(|address: IpAddr| address.to_canonical())
}

/// The protocol on the client's side, by the nearest proxy.
fn proto(headers: &HeaderMap) -> Option<&str> {
    values(headers, "x-forwarded-proto").last().or_else(|| {
        values(headers, "forwarded")
            .last()
            .and_then(|element| parameter(element, "proto"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(
            networks
                .iter()
                .map(|text| TrustedProxies::network(text).unwrap())
                .collect(),
        )
    }

    fn client_addr(
        networks: &[&str],
        peer: &str,
        fields: &[(&'static str, &str)],
    ) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let peer = Peer {
            address: peer.parse().unwrap(),
            is_tls: false,
        };
        let client = trusted(networks).client_addr(Some(&peer), &headers);
        (client.address.unwrap().to_string(), client.is_local)
    }

    #[test]
    fn nobody_is_believed_who_is_not_listed() {
        let forged = [("x-forwarded-for", "127.0.0.1")];
        for (peer, fields, expected) in [
            ("127.0.0.1:9", &[][..], ("127.0.0.1", true)),
            ("[::1]:9", &[], ("::1", true)),
            ("[::ffff:127.0.0.1]:9", &[], ("127.0.0.1", true)),
            ("192.0.2.1:9", &[], ("192.0.2.1", false)),
            ("192.0.2.1:9", &forged, ("192.0.2.1", false)),
            // A proxy on this machine that is not listed: its clients are not local.
            ("127.0.0.1:9", &forged, ("127.0.0.1", false)),
            ("127.0.0.1:9", &[("via", "1.1 proxy")], ("127.0.0.1", false)),
            (
                "127.0.0.1:9",
                &[("x-real-ip", "10.1.1.1")],
                ("127.0.0.1", false),
            ),
            (
                "127.0.0.1:9",
                &[("forwarded", "for=10.1.1.1")],
                ("127.0.0.1", false),
            ),
            (
                "127.0.0.1:9",
                &[("x-forwarded-proto", "https")],
                ("127.0.0.1", false),
            ),
        ] {
            let (address, is_local) = client_addr(&[], peer, fields);
            assert_eq!((address.as_str(), is_local), expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn a_trusted_chain_is_walked_from_right_to_left() {
        let listed = ["127.0.0.1", "10.0.0.0/8"];
        let near = "127.0.0.1:9";
        for (fields, expected) in [
            (
                &[("x-forwarded-for", "192.0.2.9")][..],
                ("192.0.2.9", false),
            ),
            (
                &[("x-forwarded-for", "192.0.2.9:4711")],
                ("192.0.2.9", false),
            ),
            // The client wrote the left part itself.
            (
                &[("x-forwarded-for", "127.0.0.1, 192.0.2.9")],
                ("192.0.2.9", false),
            ),
            (
                &[("x-forwarded-for", "192.0.2.9, 10.1.1.1")],
                ("192.0.2.9", false),
            ),
            (
                &[
                    ("x-forwarded-for", "1.1.1.1"),
                    ("x-forwarded-for", "192.0.2.9, 10.1.1.1"),
                ],
                ("192.0.2.9", false),
            ),
            (
                &[("forwarded", "for=\"[2001:db8::1]:80\";proto=https")],
                ("2001:db8::1", false),
            ),
            (
                &[("forwarded", "for=1.1.1.1, for=192.0.2.9")],
                ("192.0.2.9", false),
            ),
            (&[("x-forwarded-for", "127.0.0.1")], ("127.0.0.1", true)),
            // Not credible: nothing readable, no address, or two that differ.
            (
                &[("x-forwarded-for", "127.0.0.1, unknown")],
                ("127.0.0.1", false),
            ),
            (&[("forwarded", "for=_hidden")], ("127.0.0.1", false)),
            (&[("x-forwarded-proto", "https")], ("127.0.0.1", false)),
            (
                &[
                    ("forwarded", "for=127.0.0.1"),
                    ("x-forwarded-for", "192.0.2.9"),
                ],
                ("127.0.0.1", false),
            ),
        ] {
            let (address, is_local) = client_addr(&listed, near, fields);
            assert_eq!((address.as_str(), is_local), expected, "{fields:?}");
        }
        // A proxy on another machine has a loopback of its own.
        let (_, is_local) = client_addr(&listed, "10.0.0.7:9", &[("x-forwarded-for", "127.0.0.1")]);
        assert!(!is_local);
    }

    #[test]
    fn https_in_front_counts_when_a_trusted_proxy_says_so() {
        let secure = |networks: &[&str], is_tls: bool, proto: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(proto) = proto {
                headers.insert("x-forwarded-proto", proto.parse().unwrap());
            }
            let address = "127.0.0.1:9".parse().unwrap();
            let peer = Peer { address, is_tls };
            trusted(networks)
                .client_addr(Some(&peer), &headers)
                .is_secure
        };
        assert!(secure(&[], true, None));
        assert!(!secure(&[], false, None));
        assert!(!secure(&[], false, Some("https")));
        assert!(secure(&["127.0.0.1"], false, Some("https")));
        assert!(!secure(&["127.0.0.1"], false, Some("http")));
    }
}
