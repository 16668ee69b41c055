//! One operator decision: what the TOML says and what it compiles to. Compares; never looks
//! anything up.

pub(crate) mod compile;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use crate::model_id::{ModelId, ModelPattern};
use crate::request::PolicyRequest;
use crate::string_list::StringList;
use crate::upstream::UpstreamName;

/// `[[rules]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// What the rule is called in headers, logs and messages; every name once.
    pub name: Spanned<String>,
    /// Which requests it is about; all without.
    #[serde(default)]
    pub when: MatchSpec,
    /// What happens to them.
    pub then: Spanned<ActionSpec>,
}

/// `when = { … }`: every given condition must hold; a list holds when one of its words does.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchSpec {
    /// Auth routes.
    pub route: Option<StringList>,
    /// Globs over model ids, case-insensitive.
    pub model: Option<StringList>,
    /// `responses`, `chat`.
    pub endpoint: Option<StringList>,
    /// Reasoning efforts.
    pub effort: Option<StringList>,
    /// Plans that tokens claim. Unverified: good for labels and rewrites, not for authorising
    /// anything.
    pub plan: Option<StringList>,
    /// Teams of gateway keys.
    pub team: Option<StringList>,
    /// Names of gateway keys.
    pub key: Option<StringList>,
    /// Kinds of request.
    pub kind: Option<StringList>,
    /// Globs over the client's `originator`, case-insensitive. Unverified, like `plan`.
    pub client: Option<StringList>,
}

/// `then = …`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionSpec {
    /// `"allow"`: passes, whatever later rules say.
    Allow,
    /// `{ rewrite = "model" }`.
    Rewrite(Spanned<String>),
    /// `{ reject = "why" }`.
    Reject(Spanned<String>),
    /// `{ send = "upstream" }`.
    Send(Spanned<String>),
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Passes, whatever later rules say.
    Allow,
    /// Another model; rules that allow, send or reject then look at that model.
    Rewrite(ModelId),
    /// A refusal, with its reason.
    Reject(Arc<str>),
    /// Another upstream.
    Send(UpstreamName),
}

/// Where a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "origin")]
pub enum RuleOrigin {
    /// The configuration file.
    Operator {
        /// Byte range of the rule in that file.
        span: Range<usize>,
    },
    /// The catalogue.
    BuiltIn {
        /// The short name of the source.
        source: Arc<str>,
        /// When that source said so.
        date: Arc<str>,
    },
}

/// A rule as it is named to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleRef {
    /// Its name.
    pub name: Arc<str>,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: RuleOrigin,
}

impl RuleRef {
    /// Whether it comes with the catalogue.
    pub fn is_built_in(&self) -> bool {
        matches!(self.origin, RuleOrigin::BuiltIn { .. })
    }
}

/// A small set of variants of one of our enums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask(u8);

impl Mask {
    pub(crate) const ALL: Self = Self(u8::MAX);
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn with(self, index: usize) -> Self {
        Self(self.0 | (1 << index))
    }

    pub(crate) const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    pub(crate) const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A compiled rule. An absent list of texts means any; an empty one means none.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) reference: RuleRef,
    pub(crate) routes: Mask,
    pub(crate) endpoints: Mask,
    pub(crate) kinds: Mask,
    pub(crate) models: Option<Vec<ModelPattern>>,
    pub(crate) efforts: Option<Vec<String>>,
    pub(crate) plans: Option<Vec<String>>,
    pub(crate) teams: Option<Vec<String>>,
    pub(crate) keys: Option<Vec<String>>,
    pub(crate) clients: Option<Vec<ModelPattern>>,
    pub(crate) action: Action,
    /// Models that a rejection names before all others.
    pub(crate) instead: Vec<ModelId>,
    /// The place of the action, for problems.
    pub(crate) action_span: Option<Range<usize>>,
}

impl Rule {
    /// Whether the rule is about this request, were it for `model`.
    pub(crate) fn is_about(&self, request: &PolicyRequest<'_>, model: &ModelId) -> bool {
        self.routes.has(request.subject.route as usize)
            && self.endpoints.has(request.client_wire as usize)
            && self.kinds.has(request.kind as usize)
            && self
                .models
                .as_ref()
                .is_none_or(|models| models.iter().any(|pattern| pattern.matches(model)))
            && holds(
                self.efforts.as_ref(),
                request.effort,
                str::eq_ignore_ascii_case,
            )
            && holds(
                self.plans.as_ref(),
                request.subject.plan,
                str::eq_ignore_ascii_case,
            )
            && holds(self.teams.as_ref(), request.subject.team, str::eq)
            && holds(self.keys.as_ref(), request.subject.key, str::eq)
            && self.is_about_client(request.subject.client)
    }

    /// Whether some condition is a list of nothing.
    pub(crate) fn has_empty_list(&self) -> bool {
        let texts = [&self.efforts, &self.plans, &self.teams, &self.keys];
        let patterns = [&self.models, &self.clients];
        texts
            .iter()
            .any(|list| list.as_ref().is_some_and(Vec::is_empty))
            || patterns
                .iter()
                .any(|list| list.as_ref().is_some_and(Vec::is_empty))
            || [self.routes, self.endpoints, self.kinds].contains(&Mask::NONE)
    }

    /// Whether every request that `other` is about is surely one that this rule is about.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.routes.covers(other.routes)
            && self.endpoints.covers(other.endpoints)
            && self.kinds.covers(other.kinds)
            && covers_patterns(self.models.as_ref(), other.models.as_ref())
            && covers_patterns(self.clients.as_ref(), other.clients.as_ref())
            && covers_texts(
                self.efforts.as_ref(),
                other.efforts.as_ref(),
                str::eq_ignore_ascii_case,
            )
            && covers_texts(
                self.plans.as_ref(),
                other.plans.as_ref(),
                str::eq_ignore_ascii_case,
            )
            && covers_texts(self.teams.as_ref(), other.teams.as_ref(), str::eq)
            && covers_texts(self.keys.as_ref(), other.keys.as_ref(), str::eq)
    }

    fn is_about_client(&self, client: Option<&str>) -> bool {
        let Some(patterns) = &self.clients else {
            return true;
        };
        let Some(client) = client else { return false };
        let folded = client.to_ascii_lowercase();
        patterns
            .iter()
            .any(|pattern| pattern.matches_folded(&folded))
    }
}

fn covers_patterns(wide: Option<&Vec<ModelPattern>>, narrow: Option<&Vec<ModelPattern>>) -> bool {
    let Some(wide) = wide else { return true };
    narrow.is_some_and(|narrow| {
        narrow
            .iter()
            .all(|inner| wide.iter().any(|outer| outer.covers(inner)))
    })
}

fn covers_texts(
    wide: Option<&Vec<String>>,
    narrow: Option<&Vec<String>>,
    same: fn(&str, &str) -> bool,
) -> bool {
    let Some(wide) = wide else { return true };
    narrow.is_some_and(|narrow| {
        narrow
            .iter()
            .all(|inner| wide.iter().any(|outer| same(outer, inner)))
    })
}

fn holds(wanted: Option<&Vec<String>>, found: Option<&str>, same: fn(&str, &str) -> bool) -> bool {
    let Some(wanted) = wanted else { return true };
    found.is_some_and(|found| wanted.iter().any(|word| same(word, found)))
}
