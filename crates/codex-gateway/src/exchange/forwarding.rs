//! What a request to an upstream takes over from the client's: its headers, with the right
//! credential, and its URL.

use gateway_ledger::InstanceId;
use gateway_policy::{AuthRoute, Upstream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::config::Settings;
use crate::identity::caller::{Caller, foreign_credentials};
use crate::identity::client;
use crate::secret::reflected::ReflectedSecrets;
use crate::upstream::headers::{
    AttemptCredential, LITE_HEADER, apply_credential, keep_known_headers, remove_client_identity,
    toward_upstream,
};

/// Whether a body is in the client's protocol or was translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyWire {
    Clients,
    Other,
}

/// A client's request that is to be forwarded.
#[derive(Clone, Copy)]
pub struct Forwarding<'a> {
    pub parts: &'a Parts,
    pub caller: &'a Caller,
    pub settings: &'a Settings,
    /// Marks forwarded requests, so that one that comes back is known.
    pub instance: &'a InstanceId,
}

impl<'a> Forwarding<'a> {
    /// Whether the client names itself as Codex does.
    pub fn is_codex(self) -> bool {
        client::names_itself(&self.parts.headers)
    }

    /// The client's headers, with the credential of this upstream. What Codex says about itself
    /// goes only where the caller's own credential goes, unless the operator wrote
    /// `forward_client_headers`.
    pub fn headers(self, upstream: &Upstream, body: BodyWire) -> HeaderMap {
        let mut headers = toward_upstream(&self.parts.headers, self.instance.as_str());
        for name in foreign_credentials(self.caller.route) {
            headers.remove(*name);
        }
        let credential = self.credential(upstream);
        apply_credential(&mut headers, &credential);
        if !matches!(credential, AttemptCredential::Caller) {
            keep_known_headers(&mut headers, self.own_header(upstream));
        }
        if self.hides_client(upstream) {
            remove_client_identity(&mut headers);
        }
        if body == BodyWire::Other {
            headers.remove(LITE_HEADER);
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        for (name, value) in &upstream.http_headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::from_str(value),
            ) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Whether this upstream is another party than the one that the client speaks to: what the
    /// client says about itself and its machine is not for it.
    pub fn hides_client(self, upstream: &Upstream) -> bool {
        let is_first_party = matches!(self.credential(upstream), AttemptCredential::Caller);
        !upstream.forward_client_headers.unwrap_or(is_first_party)
    }

    /// The header of the gateway's credential for an upstream.
    fn own_header(&self, upstream: &Upstream) -> Option<&HeaderName> {
        let own = self.settings.credentials.get(upstream.name.as_str())?;
        Some(&own.header)
    }

    /// What of the gateway's credential for an upstream its answers may not repeat.
    pub fn secrets_of(self, upstream: &Upstream) -> Option<&'a ReflectedSecrets> {
        let own = self.settings.credentials.get(upstream.name.as_str())?;
        Some(&own.reflected)
    }

    fn credential(&self, upstream: &Upstream) -> AttemptCredential<'_> {
        if let Some(own) = self.settings.credentials.get(upstream.name.as_str()) {
            return AttemptCredential::Own {
                header: &own.header,
                value: &own.value,
            };
        }
        let route = self.caller.route;
        let of_route = self.settings.policy.route_upstream(route);
        let is_of_route = of_route.is_some_and(|of_route| of_route.name == upstream.name);
        // A caller's credential is for the upstream of the caller's route and for no other.
        if upstream.credential.is_callers() && is_of_route && route != AuthRoute::GatewayKey {
            AttemptCredential::Caller
        } else {
            AttemptCredential::None
        }
    }

    /// The upstream's base, the client's path below `/v1`, the client's query, the upstream's
    /// query.
    pub fn url(self, upstream: &Upstream) -> String {
        let path = self.parts.uri.path();
        let path = path
            .strip_prefix("/v1")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(path);
        self.url_of(upstream, path)
    }

    /// The same with another path: that of the upstream's own protocol.
    pub fn url_of(self, upstream: &Upstream, path: &str) -> String {
        let mut url = format!("{}{path}", upstream.base_url);
        let mut separator = if upstream.base_url.contains('?') {
            '&'
        } else {
            '?'
        };
        let is_callers = matches!(self.credential(upstream), AttemptCredential::Caller);
        let query = self.parts.uri.query().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if is_callers || is_known_parameter(pair) {
                url.push(separator);
                url.push_str(pair);
                separator = '&';
            }
        }
        for (name, value) in &upstream.query_params {
            url.push(separator);
            url.push_str(&encoded(name));
            url.push('=');
            url.push_str(&encoded(value));
            separator = '&';
        }
        url
    }
}

/// The query parameters that a caller may choose beside a credential that is not the caller's own:
/// those that say which part of an answer is wanted. Others, such as an `api-version`, are the
/// operator's, in `query_params`.
const KNOWN_PARAMETERS: [&str; 10] = [
    "after",
    "before",
    "client_version",
    "include",
    "include[]",
    "include_obfuscation",
    "limit",
    "order",
    "starting_after",
    "stream",
];

/// Whether a caller may send `name=value` to the operator's upstreams. Some servers take `;` for `&`.
fn is_known_parameter(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    let name = percent_decode_str(name).decode_utf8_lossy();
    KNOWN_PARAMETERS.contains(&&*name) && !pair.contains(';')
}

/// Percent-encodes what may not stand in a query.
fn encoded(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b':')
        .remove(b'/')
        .remove(b'@');
    utf8_percent_encode(text, RESERVED).to_string()
}
