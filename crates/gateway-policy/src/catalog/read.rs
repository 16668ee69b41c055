//! From the data file to a [`Catalog`]. Reports every problem at once; adds no fact of its own.

use std::collections::HashMap;
use std::sync::Arc;

use serde_spanned::Spanned;

use super::entry::{ModelEntry, SourceDocument, StatementSpec};
use super::spec::{BuiltInRuleSpec, CatalogToml, ChainSpec, ModelSpec, StatementLayer};
use super::{BuiltInChain, BuiltInRule, Catalog, GeneralStatement};
use crate::lenient_parse;
use crate::model_id::ModelId;
use crate::problem::{Problem, one_of};

impl Catalog {
    /// Reads a data file.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn read(text: &str) -> Result<Self, Vec<Problem>> {
        Self::default().overlay(text)
    }

    /// This catalogue with an operator's file over it: the file's statements win, its rules come
    /// first, its chains replace the ones here.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn overlay(&self, text: &str) -> Result<Self, Vec<Problem>> {
        let (spec, mut problems) = lenient_parse::parse::<CatalogToml>(text, |_, _| ());
        let Some(spec) = spec else {
            return Err(problems);
        };
        let mut next = self.clone();
        let sources = next.add_sources(&spec, &mut problems);
        let index = SourceIndex { sources: &sources };
        let rules: Vec<BuiltInRule> = spec
            .rules
            .iter()
            .filter_map(|rule| index.rule(rule, &mut problems))
            .collect();
        next.rules.splice(0..0, rules);
        for chain in &spec.chains {
            if let Some(chain) = index.chain(chain, &mut problems) {
                next.chains.retain(|known| known.model != chain.model);
                next.chains.push(chain);
            }
        }
        for fact in &spec.facts {
            if let Some(source) = index.source(&fact.source, &mut problems) {
                next.general.push(GeneralStatement {
                    text: fact.text.clone(),
                    consequence: fact.consequence.clone(),
                    source: Arc::clone(&source.id),
                    date: Arc::clone(&source.date),
                });
            }
        }
        for model in &spec.models {
            index.check_model(model, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        next.layers.push(StatementLayer {
            models: spec.models,
            sources,
        });
        next.build_entries();
        Ok(next)
    }

    fn add_sources(
        &mut self,
        spec: &CatalogToml,
        problems: &mut Vec<Problem>,
    ) -> HashMap<String, Arc<SourceDocument>> {
        for (id, source) in &spec.sources {
            if !is_date(source.date.get_ref()) {
                problems.push(
                    Problem::error(
                        source.date.span(),
                        format!("`{}` is not a valid date", source.date.get_ref()),
                    )
                    .with_hint("`YYYY`, `YYYY-MM` or `YYYY-MM-DD`".to_owned()),
                );
            }
            self.sources
                .retain(|known| &*known.id != id.get_ref().as_str());
            self.sources.push(SourceDocument {
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

    /// Collects the statements of all layers. Within a layer the date decides, then the order; a
    /// later layer beats an earlier one.
    fn build_entries(&mut self) {
        self.entries.clear();
        self.by_id.clear();
        for layer in &self.layers {
            for model in &layer.models {
                let Ok(id) = ModelId::new(model.id.get_ref()) else {
                    continue;
                };
                if !self.by_id.contains_key(id.folded()) {
                    self.by_id
                        .insert(Arc::from(id.folded()), self.entries.len());
                    self.entries.push(ModelEntry::new(id));
                }
            }
        }
        for layer in &self.layers {
            let mut said: Vec<(&Arc<SourceDocument>, &ModelSpec, &StatementSpec)> = layer
                .models
                .iter()
                .flat_map(|model| model.says.iter().map(move |says| (model, says)))
                .filter_map(|(model, says)| {
                    layer
                        .sources
                        .get(says.source.get_ref())
                        .map(|source| (source, model, says))
                })
                .collect();
            said.sort_by(|left, right| left.0.date.cmp(&right.0.date));
            for (source, model, says) in said {
                let at = self
                    .by_id
                    .get(model.id.get_ref().to_ascii_lowercase().as_str());
                if let Some(entry) = at.and_then(|at| self.entries.get_mut(*at)) {
                    entry.add(source, says);
                }
            }
        }
    }
}

struct SourceIndex<'a> {
    sources: &'a HashMap<String, Arc<SourceDocument>>,
}

impl SourceIndex<'_> {
    fn source(
        &self,
        name: &Spanned<String>,
        problems: &mut Vec<Problem>,
    ) -> Option<&Arc<SourceDocument>> {
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
                        format!("{what} must be from 1 to 5"),
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
