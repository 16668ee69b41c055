//! What is said about models, by whom and when. Later statements win, earlier ones stay visible.
//! Decides nothing.
//!
//! The statements live in a data file; an operator's file of the same form can be laid over it and
//! wins whatever its dates. To add a fact: add it to a `[[model.says]]` block with its source. To
//! add a kind of fact: add one field to [`Says`] and to [`ModelCard`], and the line that connects
//! them in `catalog/read.rs`.

mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gateway_wire::WireApi;
use serde::{Deserialize, Serialize};

use crate::rule::RuleSpec;
use crate::{AuthRoute, ModelId, ModelPattern};

pub use read::Says;

/// A document or file that says something about models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The short name used in the data file.
    pub id: Arc<str>,
    /// What it is.
    pub title: String,
    /// When it said so: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub date: Arc<str>,
}

/// One thing that one source says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement<T> {
    /// What it says.
    pub value: T,
    /// The short name of the source.
    pub source: Arc<str>,
    /// When it said so.
    pub date: Arc<str>,
}

/// Everything said about one thing, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Said<T>(Vec<Statement<T>>);

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Said<T> {
    /// What holds at present.
    pub fn current(&self) -> Option<&T> {
        self.latest().map(|statement| &statement.value)
    }

    /// The statement that holds at present.
    pub fn latest(&self) -> Option<&Statement<T>> {
        self.0.first()
    }

    /// All statements, the newest first.
    pub fn statements(&self) -> &[Statement<T>] {
        &self.0
    }

    /// Whether nobody says anything.
    pub fn is_silent(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the date and the short name of each statement's source.
    fn cite<'a>(&'a self, found: &mut Vec<(&'a str, &'a str)>) {
        let cited = self.0.iter();
        found.extend(cited.map(|statement| (&*statement.date, &*statement.source)));
    }
}

/// Where a model stands among its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// First choice of its source.
    Recommended,
    /// On offer, without a preference.
    Current,
    /// Still offered beside the recommended ones.
    Alternative,
    /// A preview, with limits.
    Preview,
    /// An older generation that is still offered.
    Older,
    /// Has a named successor.
    Succeeded,
    /// Kept for those who still use it.
    Legacy,
    /// Made for one purpose and not offered in pickers.
    Special,
}

impl Standing {
    /// The word of the data file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::Current => "current",
            Self::Alternative => "alternative",
            Self::Preview => "preview",
            Self::Older => "older",
            Self::Succeeded => "succeeded",
            Self::Legacy => "legacy",
            Self::Special => "special",
        }
    }
}

/// Whether the client's own catalogue lists a model in its picker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Picker {
    /// Listed.
    List,
    /// Usable, not listed.
    Hide,
}

/// A price that a document prints, in USD per million tokens, as printed. Never used for counting;
/// see the price table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedPrice {
    /// Input.
    pub input: String,
    /// Cached input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<String>,
    /// Output.
    pub output: String,
}

/// What is said about one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelCard {
    /// Its id.
    pub id: ModelId,
    /// Its name in pickers.
    pub name: Said<String>,
    /// What it is.
    pub about: Said<String>,
    /// Capability, 1 to 5.
    pub capability: Said<u8>,
    /// Speed, 1 to 5.
    pub speed: Said<u8>,
    /// Offered in the CLI and SDK.
    pub cli: Said<bool>,
    /// Offered in the app and the IDE extension.
    pub app: Said<bool>,
    /// Used by cloud tasks, which choose their own model.
    pub cloud: Said<bool>,
    /// Usable with ChatGPT credits.
    pub credits: Said<bool>,
    /// Usable with an API key.
    pub api: Said<bool>,
    /// ChatGPT plans that include it; silent means no statement. A claim about a plan never rejects
    /// anything.
    pub plans: Said<Vec<String>>,
    /// What a source says about one auth route.
    pub routes: BTreeMap<AuthRoute, Said<bool>>,
    /// Where it stands among its kind.
    pub standing: Said<Standing>,
    /// The model that follows it.
    pub successor: Said<ModelId>,
    /// Whether the id is an alias whose meaning moves.
    pub floating: Said<bool>,
    /// The endpoints on which it answers.
    pub endpoints: Said<Vec<WireApi>>,
    /// Context window in tokens, as used by default.
    pub context: Said<u64>,
    /// Largest context window in tokens that can be asked for.
    pub max_context: Said<u64>,
    /// Whether it is asked in the Responses-Lite shape.
    pub lite: Said<bool>,
    /// How the client offers its tools.
    pub tool_mode: Said<String>,
    /// Reasoning efforts it takes, the least first.
    pub efforts: Said<Vec<String>>,
    /// The effort used when none is asked for.
    pub default_effort: Said<String>,
    /// Text verbosities it takes.
    pub verbosities: Said<Vec<String>>,
    /// Whether it takes images.
    pub images: Said<bool>,
    /// Whether the client's own catalogue lists it.
    pub picker: Said<Picker>,
    /// Its place in the client's picker; the lowest is the default model.
    pub priority: Said<u32>,
    /// The day after which the API stops serving it.
    pub retires: Said<String>,
    /// Prices that documents print.
    pub prices: Said<PrintedPrice>,
    /// Anything else worth knowing.
    pub remarks: Said<String>,
}

impl ModelCard {
    /// Whether it answers on the Responses API only.
    pub fn is_responses_only(&self) -> bool {
        self.endpoints
            .current()
            .is_some_and(|endpoints| !endpoints.contains(&WireApi::Chat))
    }

    /// The most input tokens that any source grants, older ones included: too large a figure costs
    /// one refusal by the upstream, too small a one would keep work from going on.
    pub fn window(&self) -> Option<u64> {
        let said = self
            .max_context
            .statements()
            .iter()
            .chain(self.context.statements());
        said.map(|statement| statement.value).max()
    }

    /// Who says anything about it, the newest first.
    pub fn sources(&self) -> Vec<&str> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        self.name.cite(&mut found);
        self.about.cite(&mut found);
        self.cli.cite(&mut found);
        self.api.cite(&mut found);
        self.capability.cite(&mut found);
        self.standing.cite(&mut found);
        self.endpoints.cite(&mut found);
        self.context.cite(&mut found);
        self.efforts.cite(&mut found);
        self.verbosities.cite(&mut found);
        self.plans.cite(&mut found);
        self.prices.cite(&mut found);
        self.remarks.cite(&mut found);
        self.routes.values().for_each(|said| said.cite(&mut found));
        found.sort_by(|(a_date, a), (b_date, b)| b_date.cmp(a_date).then(a.cmp(b)));
        found.dedup();
        found.into_iter().map(|(_, source)| source).collect()
    }

    /// Whether it is asked as Responses-Lite. Only models whose source says so are: the shape is
    /// younger than most.
    pub fn is_lite(&self) -> bool {
        self.lite.current() == Some(&true)
    }

    /// What holds about this route: the route's own statement, else API access for the routes that
    /// use an API key.
    pub fn usable_on(&self, route: AuthRoute) -> Option<bool> {
        let said = self.routes.get(&route).and_then(Said::current).copied();
        match route {
            AuthRoute::ApiKey | AuthRoute::GatewayKey => {
                said.or_else(|| self.api.current().copied())
            }
            AuthRoute::Chatgpt => said.or_else(|| self.cli.current().copied()),
            AuthRoute::Anonymous => said,
        }
    }
}

/// A rule that comes with the catalogue, after the operator's.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltInRule {
    /// The rule as data.
    pub spec: RuleSpec,
    /// The short name of its source.
    pub source: Arc<str>,
    /// When that source said so.
    pub date: Arc<str>,
    /// Models to name in a rejection before all others.
    pub instead: Vec<ModelId>,
}

/// A fallback chain that comes with the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltInChain {
    /// The refused model.
    pub model: ModelId,
    /// What is tried, in order.
    pub then: Vec<ModelId>,
    /// The short name of its source.
    pub source: Arc<str>,
    /// When that source said so.
    pub date: Arc<str>,
}

/// A statement about no model in particular.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What is said.
    pub text: String,
    /// What the gateway does about it.
    pub consequence: String,
    /// The short name of the source.
    pub source: Arc<str>,
    /// When it said so.
    pub date: Arc<str>,
}

/// Everything the data files say.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    sources: Vec<Source>,
    cards: Vec<ModelCard>,
    by_id: HashMap<Arc<str>, usize>,
    rules: Vec<BuiltInRule>,
    chains: Vec<BuiltInChain>,
    facts: Vec<Fact>,
    /// What the text of this catalogue was made of, to lay another over it.
    parts: Vec<read::Part>,
}

impl Catalog {
    /// All sources, in the order of the data files.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// A source by its short name.
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.sources.iter().find(|source| &*source.id == id)
    }

    /// All cards, in the order of the data files.
    pub fn cards(&self) -> &[ModelCard] {
        &self.cards
    }

    /// What is said about a model.
    pub fn card(&self, model: &ModelId) -> Option<&ModelCard> {
        self.by_id
            .get(model.folded())
            .and_then(|at| self.cards.get(*at))
    }

    /// The cards that a pattern covers.
    pub fn covered<'a>(&'a self, pattern: &'a ModelPattern) -> impl Iterator<Item = &'a ModelCard> {
        self.cards.iter().filter(|card| pattern.matches(&card.id))
    }

    /// The rules that come after the operator's.
    pub fn rules(&self) -> &[BuiltInRule] {
        &self.rules
    }

    /// The chains that hold where the operator names none.
    pub fn chains(&self) -> &[BuiltInChain] {
        &self.chains
    }

    /// Statements about no model in particular.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }
}
