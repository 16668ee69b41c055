//! What the attempts of one exchange use, and none of which they change.

use gateway_policy::Upstream;
use http::HeaderMap;

use crate::clock::Clock;
use crate::config::active::ActiveConfig;
use crate::exchange::forwarding::Forwarding;
use crate::exchange::limiter::Limiter;
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
    pub upstream: &'a UpstreamClient,
    pub learned: &'a Learned,
    pub catalogs: &'a SeenCatalogs,
    pub reasoning: &'a ReasoningMemory,
    pub limiter: &'a Limiter,
    pub recorder: &'a Recorder,
    pub metrics: &'a Metrics,
    pub clock: &'a Clock,
    pub config: &'a ActiveConfig,
    pub grant: &'a Grant,
    pub request: Forwarding<'a>,
}

impl Attempts<'_> {
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
