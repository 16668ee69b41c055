//! What is recorded of one exchange. The names of the fields are a public contract; nothing here
//! computes a cost.

use gateway_policy::{AuthRoute, Billing};
use gateway_wire::{SendState, Usage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// How an exchange ended.
    Outcome {
        /// The upstream finished its answer.
        Completed = "completed",
        /// The upstream, or the gateway, said no or broke off with an error.
        Failed = "failed",
        /// A rule, a limit or a check refused it; nothing was sent.
        Rejected = "rejected",
        /// The client left before the end.
        ClientGone = "client_gone",
        /// The upstream's stream ended without its terminal event.
        UpstreamTruncated = "upstream_truncated",
        /// The gateway itself stopped; the entry was made from the intent.
        Interrupted = "interrupted",
    }
}

words! {
    /// Where the token counts come from.
    UsageSource {
        /// The upstream reported them.
        Reported = "reported",
        /// The gateway estimated them.
        Estimated = "estimated",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

words! {
    /// Where the cost comes from.
    CostSource {
        /// Usage times the price table.
        Calculated = "calculated",
        /// The upstream's answer names it.
        ProviderReported = "provider_reported",
        /// There is no price, or no usage to price.
        Unpriced = "unpriced",
    }
}

words! {
    /// What became of the model that was asked for.
    ModelDecision {
        /// Served as asked.
        Passed = "passed",
        /// Sent to another upstream by a rule.
        Sent = "sent",
        /// Changed by a rule.
        Rewritten = "rewritten",
        /// Changed after the upstream refused it, now or earlier.
        FellBack = "fell-back",
        /// Refused.
        Rejected = "rejected",
    }
}

/// The id of an exchange: a UUID in its usual form, version 7 so that ids sort by time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct EntryId(String);

/// The text is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct EntryIdError;

impl EntryId {
    /// A new id for an exchange that starts now.
    pub fn at(now: Timestamp) -> Self {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
        Self(uuid::Uuid::new_v7(time).to_string())
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, EntryIdError> {
        uuid::Uuid::try_parse(text)
            .map(|id| Self(id.to_string()))
            .map_err(|_| EntryIdError)
    }

    /// The id in lower case with hyphens.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EntryId {
    type Error = EntryIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one running gateway and its data directory; it stays the same across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(String);

impl InstanceId {
    /// Takes any text; replicas on one store need different ones.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One call to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The model that was asked for there.
    pub model: String,
    /// The upstream's name.
    pub upstream: String,
    /// Its status, where there was one.
    pub status: Option<u16>,
    /// The class of its failure, where it failed.
    pub failure: Option<String>,
    /// Whether it may have acted.
    pub sent: SendState,
}

/// What is written before a request goes upstream, so that a crash leaves a trace of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The id that the settled entry will have.
    pub id: EntryId,
    /// When the request arrived.
    pub started_at: Timestamp,
    /// How the caller is authenticated.
    pub route: AuthRoute,
    /// Whom the usage is booked on.
    pub caller: Option<String>,
    /// The gateway key's id.
    pub key: Option<String>,
    /// The team's name.
    pub team: Option<String>,
    /// Codex's session.
    pub session_id: Option<String>,
    /// Codex's thread.
    pub thread_id: Option<String>,
    /// Codex's turn.
    pub turn_id: Option<String>,
    /// Turn, subagent, review, compaction, memory.
    pub request_kind: Option<String>,
    /// Which endpoint was called.
    pub endpoint: String,
    /// Where it goes.
    pub upstream: Option<String>,
    /// The model asked for.
    pub model_requested: Option<String>,
    /// The model that is sent.
    pub model_served: Option<String>,
    /// What became of the model.
    pub decision: ModelDecision,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Upstream calls so far.
    pub attempts: Vec<AttemptRecord>,
    /// The service tier asked for.
    pub service_tier_requested: Option<String>,
    /// Which kind of money.
    pub billing: Billing,
}

/// The durable record of one exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "EntryJson", into = "EntryJson")]
pub struct LedgerEntry {
    /// Chosen before the exchange began; writing it twice is one row.
    pub id: EntryId,
    /// When the request arrived.
    pub started_at: Timestamp,
    /// When the exchange was settled.
    pub finished_at: Timestamp,
    /// How the caller is authenticated.
    pub route: AuthRoute,
    /// Whom the usage is booked on.
    pub caller: Option<String>,
    /// The gateway key's id.
    pub key: Option<String>,
    /// The team's name.
    pub team: Option<String>,
    /// Codex's session.
    pub session_id: Option<String>,
    /// Codex's thread.
    pub thread_id: Option<String>,
    /// Codex's turn.
    pub turn_id: Option<String>,
    /// Turn, subagent, review, compaction, memory.
    pub request_kind: Option<String>,
    /// Which endpoint was called.
    pub endpoint: String,
    /// Where it went.
    pub upstream: Option<String>,
    /// The model asked for.
    pub model_requested: Option<String>,
    /// The model that answered.
    pub model_served: Option<String>,
    /// What became of the model.
    pub decision: ModelDecision,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Each upstream call, in order.
    pub attempts: Vec<AttemptRecord>,
    /// The status the client got.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the counts come from.
    pub usage_source: UsageSource,
    /// The counts; `None`: unknown.
    pub usage: Option<Usage>,
    /// The service tier asked for.
    pub service_tier_requested: Option<String>,
    /// The service tier that served.
    pub service_tier: Option<String>,
    /// The price table that priced it.
    pub price_version: Option<String>,
    /// Where the cost comes from.
    pub cost_source: CostSource,
    /// USD × 10⁻⁹; `None`: unpriced.
    pub cost_nanos: Option<i64>,
    /// Whether a stand-in rate was used since the table has none for exactly this case.
    pub cost_estimated: bool,
    /// Which kind of money.
    pub billing: Billing,
    /// Milliseconds to the first token.
    pub ttft_ms: Option<u64>,
    /// Milliseconds from arrival to the end.
    pub duration_ms: u64,
    /// The upstream's id of its answer.
    pub upstream_response_id: Option<String>,
    /// The gateway that wrote it.
    pub instance: InstanceId,
    /// Set on a correcting entry only: the entry whose cost this one changes by `cost_nanos`. It
    /// counts as no request.
    pub corrects: Option<EntryId>,
}

/// Endpoints whose answers cost nothing of their own: tokens counted in advance, stored answers
/// read again.
const FREE_ENDPOINTS: [&str; 2] = ["input_tokens", "stored_response"];

impl LedgerEntry {
    /// Whether its tokens are known and have no price. What was never used up is not missing a
    /// price.
    pub const fn is_unpriced(&self) -> bool {
        self.corrects.is_none() && self.usage.is_some() && self.cost_nanos.is_none()
    }

    /// Whether an upstream did, or may have done, work of which neither tokens nor cost are known.
    /// An upstream that refused did none.
    pub fn is_unknown(&self) -> bool {
        let is_blank = self.corrects.is_none() && self.usage.is_none() && self.cost_nanos.is_none();
        let may_have_worked = self.outcome == Outcome::Interrupted
            || self.attempts.iter().any(|attempt| match attempt.status {
                Some(status) => status < 400,
                None => attempt.sent == SendState::Ambiguous,
            });
        is_blank
            && self.outcome != Outcome::Rejected
            && may_have_worked
            && !FREE_ENDPOINTS.contains(&self.endpoint.as_str())
    }

    /// What an intent becomes when nobody settles it: interrupted, with unknown usage and no cost.
    /// Also a start for callers that fill in the rest.
    pub fn interrupted(intent: Intent, finished_at: Timestamp, instance: InstanceId) -> Self {
        let elapsed = finished_at
            .as_millisecond()
            .saturating_sub(intent.started_at.as_millisecond());
        Self {
            id: intent.id,
            started_at: intent.started_at,
            finished_at,
            route: intent.route,
            caller: intent.caller,
            key: intent.key,
            team: intent.team,
            session_id: intent.session_id,
            thread_id: intent.thread_id,
            turn_id: intent.turn_id,
            request_kind: intent.request_kind,
            endpoint: intent.endpoint,
            upstream: intent.upstream,
            model_requested: intent.model_requested,
            model_served: intent.model_served,
            decision: intent.decision,
            rule: intent.rule,
            attempts: intent.attempts,
            status: None,
            outcome: Outcome::Interrupted,
            usage_source: UsageSource::Unknown,
            usage: None,
            service_tier_requested: intent.service_tier_requested,
            service_tier: None,
            price_version: None,
            cost_source: CostSource::Unpriced,
            cost_nanos: None,
            cost_estimated: false,
            billing: intent.billing,
            ttft_ms: None,
            // A clock set back between the two must not make a negative duration.
            duration_ms: u64::try_from(elapsed).unwrap_or(0),
            upstream_response_id: None,
            instance,
            corrects: None,
        }
    }
}

/// The entry as JSON spells it: token counts side by side with the rest.
#[derive(Serialize, Deserialize)]
struct EntryJson {
    id: EntryId,
    started_at: Timestamp,
    finished_at: Timestamp,
    route: AuthRoute,
    caller: Option<String>,
    key: Option<String>,
    team: Option<String>,
    session_id: Option<String>,
    thread_id: Option<String>,
    turn_id: Option<String>,
    request_kind: Option<String>,
    endpoint: String,
    upstream: Option<String>,
    model_requested: Option<String>,
    model_served: Option<String>,
    decision: ModelDecision,
    rule: Option<String>,
    attempts: Vec<AttemptRecord>,
    status: Option<u16>,
    outcome: Outcome,
    usage_source: UsageSource,
    input_tokens: Option<u64>,
    cached_input_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    service_tier_requested: Option<String>,
    service_tier: Option<String>,
    price_version: Option<String>,
    cost_source: CostSource,
    cost_nanos: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cost_estimated: bool,
    billing: Billing,
    ttft_ms: Option<u64>,
    duration_ms: u64,
    upstream_response_id: Option<String>,
    instance: InstanceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    corrects: Option<EntryId>,
}

/// Counts that contradict each other cannot come from [`Usage`]; they read back as unknown.
pub(crate) fn usage_from(counts: [Option<u64>; 5]) -> Option<Usage> {
    let [input, cached, write, output, reasoning] = counts;
    Usage::new(
        input?,
        cached.unwrap_or(0),
        write.unwrap_or(0),
        output?,
        reasoning.unwrap_or(0),
    )
    .ok()
}

impl From<EntryJson> for LedgerEntry {
    fn from(json: EntryJson) -> Self {
        let usage = usage_from([
            json.input_tokens,
            json.cached_input_tokens,
            json.cache_write_tokens,
            json.output_tokens,
            json.reasoning_tokens,
        ]);
        Self {
            id: json.id,
            started_at: json.started_at,
            finished_at: json.finished_at,
            route: json.route,
            caller: json.caller,
            key: json.key,
            team: json.team,
            session_id: json.session_id,
            thread_id: json.thread_id,
            turn_id: json.turn_id,
            request_kind: json.request_kind,
            endpoint: json.endpoint,
            upstream: json.upstream,
            model_requested: json.model_requested,
            model_served: json.model_served,
            decision: json.decision,
            rule: json.rule,
            attempts: json.attempts,
            status: json.status,
            outcome: json.outcome,
            usage_source: json.usage_source,
            usage,
            service_tier_requested: json.service_tier_requested,
            service_tier: json.service_tier,
            price_version: json.price_version,
            cost_source: json.cost_source,
            cost_nanos: json.cost_nanos,
            cost_estimated: json.cost_estimated,
            billing: json.billing,
            ttft_ms: json.ttft_ms,
            duration_ms: json.duration_ms,
            upstream_response_id: json.upstream_response_id,
            instance: json.instance,
            corrects: json.corrects,
        }
    }
}

impl From<LedgerEntry> for EntryJson {
    fn from(entry: LedgerEntry) -> Self {
        let usage = entry.usage;
        Self {
            id: entry.id,
            started_at: entry.started_at,
            finished_at: entry.finished_at,
            route: entry.route,
            caller: entry.caller,
            key: entry.key,
            team: entry.team,
            session_id: entry.session_id,
            thread_id: entry.thread_id,
            turn_id: entry.turn_id,
            request_kind: entry.request_kind,
            endpoint: entry.endpoint,
            upstream: entry.upstream,
            model_requested: entry.model_requested,
            model_served: entry.model_served,
            decision: entry.decision,
            rule: entry.rule,
            attempts: entry.attempts,
            status: entry.status,
            outcome: entry.outcome,
            usage_source: entry.usage_source,
            input_tokens: usage.map(Usage::input),
            cached_input_tokens: usage.map(Usage::cached_input),
            cache_write_tokens: usage.map(Usage::cache_write),
            output_tokens: usage.map(Usage::output),
            reasoning_tokens: usage.map(Usage::reasoning),
            service_tier_requested: entry.service_tier_requested,
            service_tier: entry.service_tier,
            price_version: entry.price_version,
            cost_source: entry.cost_source,
            cost_nanos: entry.cost_nanos,
            cost_estimated: entry.cost_estimated,
            billing: entry.billing,
            ttft_ms: entry.ttft_ms,
            duration_ms: entry.duration_ms,
            upstream_response_id: entry.upstream_response_id,
            instance: entry.instance,
            corrects: entry.corrects,
        }
    }
}
