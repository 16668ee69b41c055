//! What must be remembered of a request to translate its answer back. Holds no text of the
//! conversation but the parameters that the answer repeats.

use std::collections::HashSet;

use super::tool_map::ToolMap;
use crate::WireApi;
use crate::dialect::Dialect;

/// What the answer is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyPurpose {
    /// An ordinary answer.
    #[default]
    Turn,
    /// A `compaction_trigger` asked for a summary: the answer is one `compaction` item.
    CompactionItem,
    /// `POST /responses/compact` asked for it: the answer is a JSON object with `output`.
    CompactReply,
}

/// What must be remembered of a request to translate its answer back.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about a request"
)]
pub struct ReplySettings {
    pub(crate) client_wire: WireApi,
    pub(crate) model: String,
    pub(crate) client_streams: bool,
    pub(crate) upstream_streams: bool,
    pub(crate) wants_usage: bool,
    pub(crate) purpose: ReplyPurpose,
    pub(crate) tools: ToolMap,
    pub(crate) used_call_ids: HashSet<String>,
    pub(crate) seed: String,
    pub(crate) created_at: i64,
    /// When the answer is said to be completed, Unix seconds.
    pub(crate) completed_at: i64,
    pub(crate) dialect: Dialect,
    /// Members of the response object that repeat the request, for clients of the Responses wire.
    pub(crate) echo: String,
    /// Whether the client is Codex, which repeats a request whose answer is incomplete.
    pub(crate) is_codex: bool,
}

impl ReplySettings {
    /// The protocol of the client; the upstream speaks the other one.
    pub fn client_wire(&self) -> WireApi {
        self.client_wire
    }

    /// The protocol of the upstream.
    pub fn upstream_wire(&self) -> WireApi {
        match self.client_wire {
            WireApi::Responses => WireApi::Chat,
            WireApi::Chat => WireApi::Responses,
        }
    }

    /// Whether the client asked for a stream.
    pub fn client_streams(&self) -> bool {
        self.client_streams
    }

    /// Whether the upstream was asked for a stream. When the client was not, its answer goes
    /// through a `Collector` first.
    pub fn upstream_streams(&self) -> bool {
        self.upstream_streams
    }

    /// Whether the client wants its tokens told in the stream; always so on the Responses wire.
    pub fn wants_usage(&self) -> bool {
        self.wants_usage
    }

    /// What the answer is used for.
    pub fn purpose(&self) -> ReplyPurpose {
        self.purpose
    }

    /// Says when the answer was completed, Unix seconds; until then it is the time of the request.
    pub fn set_completed_at(&mut self, unix_seconds: i64) {
        self.completed_at = unix_seconds;
    }

    /// A stable id: `prefix` and what the request's own id gives.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.seed)
    }

    /// A stable id of the n-th thing of its kind.
    pub(crate) fn nth_id(&self, prefix: &str, n: usize) -> String {
        format!("{prefix}_{}_{n}", self.seed)
    }
}

/// The part of a request id that ids are made of: at most 40 characters that every wire takes.
pub(crate) fn seed_of(request_id: &str) -> String {
    request_id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(40)
        .collect()
}
