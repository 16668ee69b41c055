//! The list of models that an upstream has.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gateway_policy::{AuthRoute, Upstream, UpstreamName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::exchange::forwarding::{BodyWire, Forwarding};
use crate::exchange::proxy::Proxy;
use crate::identity::client::wants_codex_catalog;
use crate::model_visibility::Viewer;
use crate::upstream::client::{CallTimes, PrefixEnd, UploadBody, UpstreamRequest, read_prefix};
use crate::upstream::headers::toward_client;
use crate::upstream::reflection::{hide_in_body, hide_in_headers};
use crate::upstream::response_decoding::{Encoding, decoded};
use crate::upstream::segmented_body::SegmentedBody;

/// Codex waits five seconds for its catalogue; an upstream that is slower is no help.
const UPSTREAM_TIME: Duration = Duration::from_secs(4);
/// Largest catalogue that is passed on.
const MAX_CATALOG: usize = 16 << 20;

/// An upstream's answer when it is asked for its models.
pub(super) struct UpstreamList {
    pub(super) upstream: UpstreamName,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl UpstreamList {
    /// Byte for byte.
    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = toward_client(&self.headers);
        if let Ok(upstream) = HeaderValue::from_str(self.upstream.as_str()) {
            response
                .headers_mut()
                .insert("x-gateway-upstream", upstream);
        }
        response
    }
}

/// The upstream's own answer; `None` when it has none.
pub(super) async fn ask(
    proxy: &Proxy,
    viewer: &Viewer<'_>,
    request: Forwarding<'_>,
    upstream: &Upstream,
) -> Option<UpstreamList> {
    let settings = request.settings;
    let caller = request.caller;
    let has_own = settings.credentials.contains_key(upstream.name.as_str());
    let is_open = settings.share.is_open && caller.is_local;
    if has_own && caller.route != AuthRoute::GatewayKey && !is_open {
        return None;
    }
    // A permit like any other call's. Without one the gateway answers by itself: a refusal makes
    // Codex ask again and again.
    let _permit = proxy
        .concurrency
        .try_acquire(settings.server.max_concurrent)?;
    let call = UpstreamRequest {
        method: Method::GET,
        url: request.url(upstream),
        headers: headers(proxy, viewer, request, upstream),
        body: UploadBody::Whole(SegmentedBody::default()),
    };
    let times = CallTimes {
        connect: upstream.connect_timeout.min(UPSTREAM_TIME),
        headers: UPSTREAM_TIME,
    };
    let mut reply = proxy.upstream.send(call, times, 0).await.ok()?;
    let secrets = request.secrets_of(upstream);
    hide_in_headers(&mut reply.headers, secrets);
    let is_answer = reply.status.is_success() || reply.status == StatusCode::NOT_MODIFIED;
    // A refused credential is the caller's to see; an upstream without such a list is not.
    if !is_answer && !matches!(reply.status.as_u16(), 401 | 403) {
        return None;
    }
    let Encoding::Plain(body) = decoded(&reply.headers, reply.body) else {
        return None;
    };
    let mut body = hide_in_body(body, secrets);
    let (pieces, end) = read_prefix(&mut body, MAX_CATALOG, UPSTREAM_TIME).await;
    if end != PrefixEnd::Whole {
        return None;
    }
    Some(UpstreamList {
        upstream: upstream.name.clone(),
        status: reply.status,
        headers: reply.headers,
        body: Bytes::from(pieces.concat()),
    })
}

/// The client's headers; its etag only where an upstream that says "not modified" is right: it sends
/// nothing then to hide entries in.
fn headers(
    proxy: &Proxy,
    viewer: &Viewer<'_>,
    request: Forwarding<'_>,
    upstream: &Upstream,
) -> HeaderMap {
    let parts = request.parts;
    let is_catalog = request.caller.route == AuthRoute::Chatgpt && wants_codex_catalog(&parts.uri);
    let is_comparable = |tag: &&HeaderValue| {
        !is_catalog || viewer.gets_unchanged(&proxy.catalogs, &upstream.name, tag)
    };
    let mut out = request.headers(upstream, BodyWire::Clients);
    out.remove(header::IF_NONE_MATCH);
    let tag = parts.headers.get(header::IF_NONE_MATCH);
    if let Some(tag) = tag.filter(is_comparable) {
        out.insert(header::IF_NONE_MATCH, tag.clone());
    }
    out
}
