//! What is recorded of one exchange. The names of the fields are a public contract; nothing here
//! computes a cost.

use std::collections::BTreeMap;

use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::{SendState, Usage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{EntryId, InstanceId};

gateway_wire::words! {
    /// How an exchange ended.
    pub enum Outcome {
        /// The upstream finished its answer.
        Completed = "completed",
        /// The upstream or the gateway refused it, or broke off with an error.
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

gateway_wire::words! {
    /// Where the token counts come from.
    pub enum UsageSource {
        /// The upstream reported them.
        Reported = "reported",
        /// The gateway estimated them.
        Estimated = "estimated",
        /// They are not known.
        Unknown = "unknown",
    }
}

gateway_wire::words! {
    /// Where the cost comes from.
    pub enum CostSource {
        /// Usage times the price table.
        Calculated = "calculated",
        /// The upstream's answer names it.
        ProviderReported = "provider_reported",
        /// There is no price, or no usage to price.
        Unpriced = "unpriced",
    }
}

/// One call to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// Whose usage it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attribution {
    /// How the caller is authenticated.
    pub route: AuthRoute,
    /// The caller's label.
    pub caller: Option<String>,
    /// The gateway key's id.
    pub key: Option<String>,
    /// The team's name.
    pub team: Option<String>,
}

/// What Codex says about the turn that a request belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TurnRecord {
    /// Codex's session.
    pub session_id: Option<String>,
    /// Codex's thread.
    pub thread_id: Option<String>,
    /// Codex's turn.
    pub turn_id: Option<String>,
    /// Turn, subagent, review, compaction, memory.
    pub request_kind: Option<String>,
    /// The repository that is worked on: host and path, or a digest of them.
    pub repo: Option<String>,
    /// The commit that its work tree is based on.
    pub commit: Option<String>,
    /// The user's turn that this one serves.
    pub root_turn: Option<String>,
    /// The thread that started this one.
    pub parent: Option<String>,
}

/// Where a request goes, and why. Changes when it falls back to another model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DispatchRecord {
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The model that is sent; in an entry, the one that answered.
    pub model_served: Option<String>,
    /// What became of the model that was asked for.
    pub decision: DecisionKind,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The upstream calls so far, in order.
    pub attempts: Vec<AttemptRecord>,
    /// Which kind of money pays for it.
    pub billing: Billing,
}

/// What is written before a request goes upstream, so that a crash leaves a trace of it.
///
/// ```
/// use gateway_ledger::{
///     Attribution, DispatchRecord, EntryId, InstanceId, Intent, LedgerEntry, Outcome, TurnRecord,
/// };
/// use gateway_policy::{AuthRoute, Billing, DecisionKind};
///
/// let at: jiff::Timestamp = "2026-11-20T12:00:00Z".parse()?;
/// let intent = Intent {
///     id: EntryId::at(at),
///     started_at: at,
///     attribution: Attribution {
///         route: AuthRoute::GatewayKey,
///         caller: Some("ci".to_owned()),
///         key: Some("key_0123456789ab".to_owned()),
///         team: None,
///     },
///     turn: TurnRecord::default(),
///     endpoint: "responses".to_owned(),
///     is_free: false,
///     model_requested: Some("gpt-5.5".to_owned()),
///     service_tier_requested: None,
///     dispatch: DispatchRecord {
///         upstream: Some("openai".to_owned()),
///         model_served: Some("gpt-5.5".to_owned()),
///         decision: DecisionKind::Passed,
///         rule: None,
///         attempts: Vec::new(),
///         billing: Billing::Metered,
///     },
/// };
/// // What becomes of it when the process dies before it is settled.
/// let entry = LedgerEntry::interrupted(intent, at, InstanceId::new("gateway-1"));
/// assert_eq!(entry.result.outcome, Outcome::Interrupted);
/// // In JSON all fields are side by side.
/// assert_eq!(serde_json::to_value(&entry)?["key"], "key_0123456789ab");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Intent {
    /// Identifies the exchange and its entry: writing it twice is one row.
    pub id: EntryId,
    /// When the request arrived.
    pub started_at: Timestamp,
    /// Whose usage it is.
    #[serde(flatten)]
    pub attribution: Attribution,
    /// The turn it belongs to.
    #[serde(flatten)]
    pub turn: TurnRecord,
    /// Which endpoint was called.
    pub endpoint: String,
    /// Whether the request uses up nothing of its own: tokens are counted in advance, or a stored
    /// answer is read again, which was recorded when it was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_free: bool,
    /// The model asked for.
    pub model_requested: Option<String>,
    /// The service tier asked for.
    pub service_tier_requested: Option<String>,
    /// Where it goes.
    #[serde(flatten)]
    pub dispatch: DispatchRecord,
}

/// What an exchange cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cost {
    /// The price table that priced it.
    pub price_version: Option<String>,
    /// Where the cost comes from.
    #[serde(rename = "cost_source")]
    pub source: CostSource,
    /// USD × 10⁻⁹; `None`: unpriced.
    #[serde(rename = "cost_nanos")]
    pub nanos: Option<i64>,
    /// Whether a substitute rate was used because the table has none for exactly this case.
    #[serde(
        rename = "cost_estimated",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_estimated: bool,
}

impl Cost {
    /// Without a price, or without usage to price.
    pub const UNPRICED: Self = Self {
        price_version: None,
        source: CostSource::Unpriced,
        nanos: None,
        is_estimated: false,
    };
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryResult {
    /// When the exchange was settled.
    pub finished_at: Timestamp,
    /// The status the client got.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the counts come from.
    pub usage_source: UsageSource,
    /// The token counts; `None`: unknown.
    #[serde(flatten, with = "token_counts")]
    #[schema(value_type = token_counts::TokenCounts)]
    pub usage: Option<Usage>,
    /// What the upstream ran itself and bills by the call, by kind, such as `web_search`; images in
    /// tokens, too. Its cost is part of `cost_nanos`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tool_calls: BTreeMap<String, u64>,
    /// The service tier that served.
    pub service_tier: Option<String>,
    /// What it cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Milliseconds to the first token.
    pub ttft_ms: Option<u64>,
    /// Milliseconds from arrival to the end.
    pub duration_ms: u64,
    /// The upstream's id of its answer.
    pub upstream_response_id: Option<String>,
    /// The gateway that wrote it.
    pub instance: InstanceId,
    /// Set on a correcting entry only: the entry whose cost this one changes by its own. A
    /// correcting entry counts as no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<EntryId>,
}

/// The durable record of one exchange. In JSON all fields are side by side, whatever struct they
/// are in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerEntry {
    /// What was known when it was sent last.
    #[serde(flatten)]
    pub intent: Intent,
    /// How it ended.
    #[serde(flatten)]
    pub result: EntryResult,
}

impl LedgerEntry {
    /// The id of the exchange.
    pub const fn id(&self) -> &EntryId {
        &self.intent.id
    }

    /// Whether its tokens are known but have no price. An exchange that used nothing needs none.
    pub const fn is_unpriced(&self) -> bool {
        let result = &self.result;
        result.corrects.is_none() && result.usage.is_some() && result.cost.nanos.is_none()
    }

    /// Whether an upstream did, or may have done, work of which neither tokens nor cost are known.
    /// An upstream that refused did none.
    pub fn is_unknown(&self) -> bool {
        let (intent, result) = (&self.intent, &self.result);
        let is_blank =
            result.corrects.is_none() && result.usage.is_none() && result.cost.nanos.is_none();
        let mut attempts = intent.dispatch.attempts.iter();
        let may_have_worked = result.outcome == Outcome::Interrupted
            || attempts.any(|attempt| match attempt.status {
                Some(status) => status < 400,
                None => attempt.sent == SendState::Ambiguous,
            });
        is_blank && result.outcome != Outcome::Rejected && may_have_worked && !intent.is_free
    }

    /// What an intent becomes when it is never settled: interrupted, with unknown usage and no
    /// cost.
    pub fn interrupted(intent: Intent, finished_at: Timestamp, instance: InstanceId) -> Self {
        let elapsed = finished_at
            .as_millisecond()
            .saturating_sub(intent.started_at.as_millisecond());
        let result = EntryResult {
            finished_at,
            status: None,
            outcome: Outcome::Interrupted,
            usage_source: UsageSource::Unknown,
            usage: None,
            tool_calls: BTreeMap::new(),
            service_tier: None,
            cost: Cost::UNPRICED,
            ttft_ms: None,
            // A clock set back between the two must not make a negative duration.
            duration_ms: u64::try_from(elapsed).unwrap_or(0),
            upstream_response_id: None,
            instance,
            corrects: None,
        };
        Self { intent, result }
    }
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

/// Token counts as JSON has them: five fields beside the others, all absent or `null` when unknown.
mod token_counts {
    use gateway_wire::Usage;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use utoipa::ToSchema;

    #[derive(Serialize, Deserialize, ToSchema)]
    #[expect(clippy::struct_field_names, reason = "the names are the contract's")]
    pub(super) struct TokenCounts {
        input_tokens: Option<u64>,
        cached_input_tokens: Option<u64>,
        cache_write_tokens: Option<u64>,
        output_tokens: Option<u64>,
        reasoning_tokens: Option<u64>,
    }

    #[expect(
        clippy::ref_option,
        reason = "serde hands a field over by this reference"
    )]
    pub(super) fn serialize<S: Serializer>(
        usage: &Option<Usage>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let counts = TokenCounts {
            input_tokens: usage.map(Usage::input),
            cached_input_tokens: usage.map(Usage::cached_input),
            cache_write_tokens: usage.map(Usage::cache_write),
            output_tokens: usage.map(Usage::output),
            reasoning_tokens: usage.map(Usage::reasoning),
        };
        counts.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Usage>, D::Error> {
        let counts = TokenCounts::deserialize(deserializer)?;
        Ok(super::usage_from([
            counts.input_tokens,
            counts.cached_input_tokens,
            counts.cache_write_tokens,
            counts.output_tokens,
            counts.reasoning_tokens,
        ]))
    }
}
