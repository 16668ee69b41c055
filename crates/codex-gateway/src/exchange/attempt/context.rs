//! What the attempts of one exchange use, and none of which they change.

use std::time::Duration;

use gateway_policy::Upstream;
use http::HeaderMap;

use crate::clock::Clock;
use crate::config::active::ActiveConfig;
use crate::exchange::early_head::EarlyHead;
use crate::exchange::forwarding::Forwarding;
use crate::exchange::head::wants_stream;
use crate::exchange::limiter::Limiter;
use crate::exchange::proxy::Proxy;
use crate::identity::grant::Grant;
use crate::learned::Learned;
use crate::metrics::Metrics;
use crate::model_visibility::{AnswerTag, ETAG_HEADER, SeenCatalogs, Viewer};
use crate::reasoning::ReasoningMemory;
use crate::record::Exchange;
use crate::recorder::Recorder;
use crate::upstream::client::UpstreamClient;

/// Makes the attempts of one exchange.
#[derive(Clone, Copy)]
pub struct Attempts<'a> {
    pub(super) upstream: &'a UpstreamClient,
    pub(super) learned: &'a Learned,
    pub(super) catalogs: &'a SeenCatalogs,
    pub(super) reasoning: &'a ReasoningMemory,
    pub(super) limiter: &'a Limiter,
    pub(super) recorder: &'a Recorder,
    pub(super) metrics: &'a Metrics,
    pub(super) clock: &'a Clock,
    pub(super) config: &'a ActiveConfig,
    pub(super) grant: &'a Grant,
    pub(super) request: Forwarding<'a>,
    pub(super) early: &'a EarlyHead,
}

impl<'a> Attempts<'a> {
    /// The attempts of a request that is forwarded under a pinned configuration and grant.
    pub fn new(
        proxy: &'a Proxy,
        config: &'a ActiveConfig,
        grant: &'a Grant,
        request: Forwarding<'a>,
        early: &'a EarlyHead,
    ) -> Self {
        Self {
            upstream: &proxy.upstream,
            learned: &proxy.learned,
            catalogs: &proxy.catalogs,
            reasoning: &proxy.reasoning,
            limiter: &proxy.limiter,
            recorder: &proxy.recorder,
            metrics: &proxy.metrics,
            clock: &proxy.clock,
            config,
            grant,
            request,
            early,
        }
    }

    /// How long the client may wait for an answer's head: for ever where it wants no stream.
    pub(super) fn patience(self, exchange: &Exchange, upstream: &Upstream) -> Option<Duration> {
        let headers = &self.request.parts.headers;
        let streams = exchange.request.is_stream || wants_stream(exchange, headers);
        upstream
            .keepalive
            .filter(|_| streams && exchange.arrival.endpoint.has_terminal_event())
    }

    /// What an answer with these headers says about the model catalogue, by what is known now.
    pub(super) fn answer_tag(
        self,
        exchange: &Exchange,
        upstream: &Upstream,
        headers: &HeaderMap,
    ) -> AnswerTag {
        let caller = self.request.caller;
        let viewer = Viewer {
            config: self.config,
            caller,
            client: exchange.request.client.as_deref(),
            memory: &self.learned.view(caller, None),
        };
        let sent = headers.get(ETAG_HEADER);
        viewer.answer_tag(self.catalogs, &upstream.name, sent)
    }
}
