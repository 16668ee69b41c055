//! What a usage report asks for and what it answers.

use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::filter::Filters;

gateway_wire::words! {
    /// What usage can be grouped by.
    pub enum GroupBy {
        /// The served model.
        Model = "model",
        /// The auth route.
        Route = "route",
        /// The gateway key.
        Key = "key",
        /// The team.
        Team = "team",
        /// Codex's session.
        Session = "session",
        /// Codex's turn.
        Turn = "turn",
        /// The user's turn that a turn serves, with all its subagents.
        RootTurn = "root_turn",
        /// The repository that the client says it works on.
        Repo = "repo",
        /// The kind of request.
        Kind = "kind",
        /// The endpoint.
        Endpoint = "endpoint",
        /// What became of the model.
        Decision = "decision",
        /// The upstream.
        Upstream = "upstream",
        /// The day on which the request arrived, in the operator's time zone.
        Day = "day",
    }
}

/// What to sum up.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// Grouped by these, in this order; empty: one total only.
    pub by: Vec<GroupBy>,
    /// Requests that arrived at or after this moment.
    pub since: Option<Timestamp>,
    /// Requests that arrived before this moment.
    pub until: Option<Timestamp>,
    /// Only these.
    pub filters: Filters,
}

/// The sums of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageSums {
    /// Exchanges, whatever became of them.
    pub requests: i64,
    /// Cached and cache-write ones included.
    pub input_tokens: i64,
    /// Read from the cache.
    pub cached_input_tokens: i64,
    /// Written to the cache.
    pub cache_write_tokens: i64,
    /// Reasoning included.
    pub output_tokens: i64,
    /// Spent on reasoning.
    pub reasoning_tokens: i64,
    /// USD × 10⁻⁹ that an API bill will show.
    pub cost_nanos_metered: i64,
    /// USD × 10⁻⁹ that plan usage would have cost at API prices. Not to be added to the other.
    pub cost_nanos_plan: i64,
    /// Requests whose tokens are known and have no price.
    pub unpriced_requests: i64,
    /// Requests whose tokens or rates are estimates.
    pub estimated_requests: i64,
    /// Requests that an upstream answered, or may have, and of whose tokens and cost nothing is
    /// known.
    pub unknown_requests: i64,
}

impl UsageSums {
    /// Adds the sums of another group. Saturates: a wrapped sum would look small.
    pub fn add(&mut self, other: &Self) {
        let add = |total: &mut i64, part: i64| *total = total.saturating_add(part);
        add(&mut self.requests, other.requests);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.cached_input_tokens, other.cached_input_tokens);
        add(&mut self.cache_write_tokens, other.cache_write_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
        add(&mut self.cost_nanos_metered, other.cost_nanos_metered);
        add(&mut self.cost_nanos_plan, other.cost_nanos_plan);
        add(&mut self.unpriced_requests, other.unpriced_requests);
        add(&mut self.estimated_requests, other.estimated_requests);
        add(&mut self.unknown_requests, other.unknown_requests);
    }
}

/// One group of a report. In JSON its keys stand beside its sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageRow {
    /// What the group has in common, in the order asked for; `None` where the entries name nothing.
    #[serde(flatten, serialize_with = "as_map")]
    #[schema(value_type = UsageKeys)]
    pub keys: Vec<(GroupBy, Option<String>)>,
    /// What the key is called, when grouped by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// Whose the key is, when grouped by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_owner: Option<String>,
    /// Its sums.
    #[serde(flatten)]
    pub sums: UsageSums,
}

/// The schema of a row's keys: each word that was asked for, with a text or null.
struct UsageKeys;

impl PartialSchema for UsageKeys {
    fn schema() -> gateway_wire::words::Schema {
        let key = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .build();
        let words = GroupBy::WORDS.iter();
        let keys = words.fold(ObjectBuilder::new(), |keys, word| {
            keys.property(*word, key.clone())
        });
        keys.into()
    }
}

impl ToSchema for UsageKeys {}

fn as_map<S: Serializer>(
    keys: &[(GroupBy, Option<String>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(keys.len()))?;
    for (by, value) in keys {
        map.serialize_entry(by.as_str(), value)?;
    }
    map.end()
}

/// The answer to a [`UsageQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageReport {
    /// Sorted by their keys. Empty when nothing was grouped by.
    pub rows: Vec<UsageRow>,
    /// The sum of everything.
    pub total: UsageSums,
}
