//! What comes of one call: an answer that serves, a refusal, or nothing usable.

use std::time::Duration;

use gateway_policy::Upstream;
use gateway_wire::failure::{Evidence, Verdict, classify};
use gateway_wire::stream::StreamFailure;
use gateway_wire::translate::ReplySettings;
use http::StatusCode;

use crate::error::{ErrorCode, GatewayError};
use crate::exchange::reply::UpstreamReply;
use crate::record::Exchange;
use crate::secret::reflected::ReflectedSecrets;

/// What comes of one call.
pub(super) enum ReplyOutcome {
    /// The upstream serves.
    Served(UpstreamReply),
    /// The upstream refuses; `reply` is its answer, byte for byte.
    Refused {
        verdict: Verdict,
        reply: UpstreamReply,
    },
}

/// An upstream that began to answer and did not get to anything usable.
pub(super) struct UnusableReply {
    pub(super) code: ErrorCode,
    pub(super) detail: String,
}

/// How much of a stream is held back while a fallback is possible.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) time: Duration,
    pub(super) bytes: usize,
}

/// What a reply is read with.
#[derive(Clone, Copy)]
pub(super) struct ReplyContext<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) upstream: &'a Upstream,
    /// How the answer is translated; `None` where the upstream speaks the client's protocol.
    pub(super) translation: Option<&'a ReplySettings>,
    /// Whether the client of a Chat stream asked for its token counts.
    pub(super) wants_usage: bool,
    /// Whether the gateway asked for token counts that the client did not ask for.
    pub(super) hides_usage: bool,
    /// Whether what the upstream says of its model catalogue is true of this caller's.
    pub(super) passes_catalog: bool,
    /// What of the gateway's own credential the answer may not repeat.
    pub(super) secrets: Option<&'a ReflectedSecrets>,
    /// Most bytes of one event.
    pub(super) max_event: usize,
    /// Longest time to read on after the client left.
    pub(super) drain: Duration,
    /// How long the client may wait for the head; `None`: for ever.
    pub(super) patience: Option<Duration>,
}

impl ReplyContext<'_> {
    /// Whether events are to come.
    pub(super) fn expects_stream(self) -> bool {
        self.translation.map_or(
            self.exchange.request.is_stream,
            ReplySettings::upstream_streams,
        )
    }

    /// What a refusal with a status means.
    pub(super) fn classify(self, status: u16, body: &[u8], truncated: bool) -> Verdict {
        classify(&Evidence {
            status: Some(status),
            body,
            truncated,
            in_stream: false,
            sent_model: self.sent_model(),
            patterns: &self.upstream.patterns,
        })
    }

    /// What a failure inside a successful answer means.
    pub(super) fn classify_in_stream(self, failure: &StreamFailure) -> Verdict {
        classify(&Evidence {
            status: failure.status,
            body: &failure.raw,
            truncated: false,
            in_stream: true,
            sent_model: self.sent_model(),
            patterns: &self.upstream.patterns,
        })
    }

    fn sent_model(&self) -> &str {
        let model = self.exchange.model_served();
        model.map_or("", |model| model.as_str())
    }
}

impl UnusableReply {
    /// The answer broke off.
    pub(super) fn truncated(detail: &str) -> Self {
        Self {
            code: ErrorCode::UpstreamTruncated,
            detail: format!("closed the connection before its response was complete: {detail}"),
        }
    }

    /// The answer sends the client elsewhere, where its credential must not follow.
    pub(super) fn redirected(status: StatusCode) -> Self {
        let status = status.as_u16();
        Self {
            code: ErrorCode::UpstreamRedirected,
            detail: format!("responded with a redirect ({status}); correct its base_url"),
        }
    }

    /// The answer stopped arriving.
    pub(super) fn silent() -> Self {
        Self {
            code: ErrorCode::UpstreamTimeout,
            detail: "went silent in the middle of its response (`stream_idle_timeout`)".to_owned(),
        }
    }

    /// The error for the client.
    pub(super) fn into_error(self, upstream: &Upstream) -> GatewayError {
        GatewayError::new(
            self.code,
            format!("upstream `{}` {}", upstream.name, self.detail),
        )
        .after_dispatch()
    }
}
