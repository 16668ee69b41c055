//! From the data file to a [`Catalog`]. Collects every problem; invents no fact.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gateway_wire::WireApi;
use serde::Deserialize;
use serde_spanned::Spanned;

use super::{
    BuiltInChain, BuiltInRule, Catalog, Fact, ModelCard, Picker, PrintedPrice, Said, Source,
    Standing, Statement,
};
use crate::problem::{Problem, one_of};
use crate::rule::RuleSpec;
use crate::{AuthRoute, ModelId};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogSpec {
    #[serde(default)]
    sources: BTreeMap<Spanned<String>, SourceSpec>,
    #[serde(default, rename = "model")]
    models: Vec<ModelSpec>,
    #[serde(default, rename = "rule")]
    rules: Vec<BuiltInRuleSpec>,
    #[serde(default, rename = "fallback")]
    chains: Vec<ChainSpec>,
    #[serde(default, rename = "fact")]
    facts: Vec<FactSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceSpec {
    title: String,
    date: Spanned<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelSpec {
    id: Spanned<String>,
    #[serde(default)]
    says: Vec<Says>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltInRuleSpec {
    source: Spanned<String>,
    #[serde(default)]
    instead: Vec<Spanned<String>>,
    rule: RuleSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainSpec {
    source: Spanned<String>,
    model: Spanned<String>,
    then: Vec<Spanned<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FactSpec {
    source: Spanned<String>,
    text: String,
    consequence: String,
}

/// `[[model.says]]`: what one source says about one model. Everything but the source may be left
/// out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are those of ModelCard, which documents them"
)]
pub struct Says {
    pub source: Spanned<String>,
    pub name: Option<String>,
    pub about: Option<String>,
    pub capability: Option<u8>,
    pub speed: Option<u8>,
    pub cli: Option<bool>,
    pub app: Option<bool>,
    pub cloud: Option<bool>,
    pub credits: Option<bool>,
    pub api: Option<bool>,
    pub plans: Option<Vec<String>>,
    #[serde(default)]
    pub routes: BTreeMap<AuthRoute, bool>,
    pub standing: Option<Standing>,
    pub successor: Option<ModelId>,
    pub floating: Option<bool>,
    pub endpoints: Option<Vec<WireApi>>,
    pub context: Option<u64>,
    pub max_context: Option<u64>,
    pub lite: Option<bool>,
    pub tool_mode: Option<String>,
    pub efforts: Option<Vec<String>>,
    pub default_effort: Option<String>,
    pub verbosities: Option<Vec<String>>,
    pub images: Option<bool>,
    pub picker: Option<Picker>,
    pub priority: Option<u32>,
    pub retires: Option<String>,
    pub price: Option<PrintedPrice>,
    pub remark: Option<String>,
}

/// One file's statements, kept so that another file can be laid over them.
#[derive(Debug, Clone)]
pub(super) struct Part {
    models: Vec<ModelSpec>,
    /// Source and date by the short name used in this file.
    sources: HashMap<String, Arc<Source>>,
}

impl Catalog {
    /// Reads a data file.
    pub fn read(text: &str) -> Result<Self, Vec<Problem>> {
        Self::default().overlay(text)
    }

    /// Lays an operator's file over this catalogue: its statements win, its rules come first, its
    /// chains replace ours.
    pub fn overlay(&self, text: &str) -> Result<Self, Vec<Problem>> {
        let spec: CatalogSpec = toml::from_str(text)
            .map_err(|error| vec![Problem::error(error.span(), error.message().to_owned())])?;
        let mut problems = Vec::new();
        let mut next = self.clone();
        let sources = next.add_sources(&spec, &mut problems);
        let reader = Reader { sources: &sources };
        let rules: Vec<BuiltInRule> = spec
            .rules
            .iter()
            .filter_map(|rule| reader.rule(rule, &mut problems))
            .collect();
        next.rules.splice(0..0, rules);
        for chain in &spec.chains {
            if let Some(chain) = reader.chain(chain, &mut problems) {
                next.chains.retain(|known| known.model != chain.model);
                next.chains.push(chain);
            }
        }
        for fact in &spec.facts {
            if let Some(source) = reader.source(&fact.source, &mut problems) {
                next.facts.push(Fact {
                    text: fact.text.clone(),
                    consequence: fact.consequence.clone(),
                    source: Arc::clone(&source.id),
                    date: Arc::clone(&source.date),
                });
            }
        }
        for model in &spec.models {
            reader.check_model(model, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        next.parts.push(Part {
            models: spec.models,
            sources,
        });
        next.build_cards();
        Ok(next)
    }

    fn add_sources(
        &mut self,
        spec: &CatalogSpec,
        problems: &mut Vec<Problem>,
    ) -> HashMap<String, Arc<Source>> {
        for (id, source) in &spec.sources {
            if !is_date(source.date.get_ref()) {
                problems.push(
                    Problem::error(
                        source.date.span(),
                        format!("`{}` is no date", source.date.get_ref()),
                    )
                    .with_hint("`YYYY`, `YYYY-MM` or `YYYY-MM-DD`".to_owned()),
                );
            }
            self.sources
                .retain(|known| &*known.id != id.get_ref().as_str());
            self.sources.push(Source {
                id: Arc::from(id.get_ref().as_str()),
                title: source.title.clone(),
                date: Arc::from(source.date.get_ref().as_str()),
            });
        }
        self.sources
            .iter()
            .map(|source| (source.id.to_string(), Arc::new(source.clone())))
            .collect()
    }

    /// Collects the statements of all parts. Within a part the date decides, then the order; a
    /// later part beats an earlier.
    fn build_cards(&mut self) {
        self.cards.clear();
        self.by_id.clear();
        for part in &self.parts {
            for model in &part.models {
                let Ok(id) = ModelId::new(model.id.get_ref()) else {
                    continue;
                };
                if !self.by_id.contains_key(id.folded()) {
                    self.by_id.insert(Arc::from(id.folded()), self.cards.len());
                    self.cards.push(ModelCard::silent(id));
                }
            }
        }
        for part in &self.parts {
            let mut said: Vec<(&Arc<Source>, &ModelSpec, &Says)> = part
                .models
                .iter()
                .flat_map(|model| model.says.iter().map(move |says| (model, says)))
                .filter_map(|(model, says)| {
                    part.sources
                        .get(says.source.get_ref())
                        .map(|source| (source, model, says))
                })
                .collect();
            said.sort_by(|left, right| left.0.date.cmp(&right.0.date));
            for (source, model, says) in said {
                let at = self
                    .by_id
                    .get(model.id.get_ref().to_ascii_lowercase().as_str());
                if let Some(card) = at.and_then(|at| self.cards.get_mut(*at)) {
                    card.hear(source, says);
                }
            }
        }
    }
}

struct Reader<'a> {
    sources: &'a HashMap<String, Arc<Source>>,
}

impl Reader<'_> {
    fn source(&self, name: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<&Arc<Source>> {
        let found = self.sources.get(name.get_ref());
        if found.is_none() {
            problems.push(
                Problem::error(name.span(), format!("unknown source `{}`", name.get_ref()))
                    .with_hint(one_of(
                        name.get_ref(),
                        self.sources.keys().map(String::as_str),
                    )),
            );
        }
        found
    }

    fn check_model(&self, model: &ModelSpec, problems: &mut Vec<Problem>) {
        read_id(&model.id, problems);
        for says in &model.says {
            self.source(&says.source, problems);
            for (what, level) in [("capability", says.capability), ("speed", says.speed)] {
                if level.is_some_and(|level| !(1..=5).contains(&level)) {
                    problems.push(Problem::error(
                        says.source.span(),
                        format!("{what} goes from 1 to 5"),
                    ));
                }
            }
        }
    }

    fn rule(&self, spec: &BuiltInRuleSpec, problems: &mut Vec<Problem>) -> Option<BuiltInRule> {
        let instead = spec
            .instead
            .iter()
            .filter_map(|id| read_id(id, problems))
            .collect();
        let source = self.source(&spec.source, problems)?;
        Some(BuiltInRule {
            spec: spec.rule.clone(),
            source: Arc::clone(&source.id),
            date: Arc::clone(&source.date),
            instead,
        })
    }

    fn chain(&self, spec: &ChainSpec, problems: &mut Vec<Problem>) -> Option<BuiltInChain> {
        let then = spec
            .then
            .iter()
            .filter_map(|id| read_id(id, problems))
            .collect();
        let model = read_id(&spec.model, problems);
        let source = self.source(&spec.source, problems)?;
        Some(BuiltInChain {
            model: model?,
            then,
            source: Arc::clone(&source.id),
            date: Arc::clone(&source.date),
        })
    }
}

fn read_id(text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<ModelId> {
    ModelId::new(text.get_ref())
        .map_err(|error| problems.push(Problem::error(text.span(), error.to_string())))
        .ok()
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str, count: usize| {
        part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match parts.as_slice() {
        [year] => digits(year, 4),
        [year, month] => digits(year, 4) && digits(month, 2),
        [year, month, day] => digits(year, 4) && digits(month, 2) && digits(day, 2),
        _ => false,
    }
}

impl<T: Clone> Said<T> {
    /// The newest statement goes first.
    fn hear(&mut self, source: &Source, value: Option<&T>) {
        if let Some(value) = value {
            let statement = Statement {
                value: value.clone(),
                source: Arc::clone(&source.id),
                date: Arc::clone(&source.date),
            };
            self.0.insert(0, statement);
        }
    }
}

impl ModelCard {
    fn silent(id: ModelId) -> Self {
        Self {
            id,
            name: Said::default(),
            about: Said::default(),
            capability: Said::default(),
            speed: Said::default(),
            cli: Said::default(),
            app: Said::default(),
            cloud: Said::default(),
            credits: Said::default(),
            api: Said::default(),
            plans: Said::default(),
            routes: BTreeMap::new(),
            standing: Said::default(),
            successor: Said::default(),
            floating: Said::default(),
            endpoints: Said::default(),
            context: Said::default(),
            max_context: Said::default(),
            lite: Said::default(),
            tool_mode: Said::default(),
            efforts: Said::default(),
            default_effort: Said::default(),
            verbosities: Said::default(),
            images: Said::default(),
            picker: Said::default(),
            priority: Said::default(),
            retires: Said::default(),
            prices: Said::default(),
            remarks: Said::default(),
        }
    }

    fn hear(&mut self, source: &Source, says: &Says) {
        self.name.hear(source, says.name.as_ref());
        self.about.hear(source, says.about.as_ref());
        self.capability.hear(source, says.capability.as_ref());
        self.speed.hear(source, says.speed.as_ref());
        self.cli.hear(source, says.cli.as_ref());
        self.app.hear(source, says.app.as_ref());
        self.cloud.hear(source, says.cloud.as_ref());
        self.credits.hear(source, says.credits.as_ref());
        self.api.hear(source, says.api.as_ref());
        self.plans.hear(source, says.plans.as_ref());
        for (route, usable) in &says.routes {
            self.routes
                .entry(*route)
                .or_default()
                .hear(source, Some(usable));
        }
        self.standing.hear(source, says.standing.as_ref());
        self.successor.hear(source, says.successor.as_ref());
        self.floating.hear(source, says.floating.as_ref());
        self.endpoints.hear(source, says.endpoints.as_ref());
        self.context.hear(source, says.context.as_ref());
        self.max_context.hear(source, says.max_context.as_ref());
        self.lite.hear(source, says.lite.as_ref());
        self.tool_mode.hear(source, says.tool_mode.as_ref());
        self.efforts.hear(source, says.efforts.as_ref());
        self.default_effort
            .hear(source, says.default_effort.as_ref());
        self.verbosities.hear(source, says.verbosities.as_ref());
        self.images.hear(source, says.images.as_ref());
        self.picker.hear(source, says.picker.as_ref());
        self.priority.hear(source, says.priority.as_ref());
        self.retires.hear(source, says.retires.as_ref());
        self.prices.hear(source, says.price.as_ref());
        self.remarks.hear(source, says.remark.as_ref());
    }
}
