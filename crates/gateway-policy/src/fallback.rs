//! Fallback chains, and the pure arithmetic of what a process learns from refusals. Time is an
//! argument; nothing is stored.

pub mod learned;
pub mod sessions;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_spanned::Spanned;

use crate::attempt_plan::MAX_HOPS;
use crate::catalog::Catalog;
use crate::model_id::ModelId;
use crate::problem::Problem;

/// `[fallback]`: a refused model and what is tried in its place.
pub type FallbackSpec = BTreeMap<Spanned<String>, Vec<Spanned<String>>>;

/// Where a chain comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChainOrigin {
    Operator(std::ops::Range<usize>),
    BuiltIn {
        source: std::sync::Arc<str>,
        date: std::sync::Arc<str>,
    },
}

/// What is tried in place of one model.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// As configured.
    pub(crate) then: Vec<ModelId>,
    /// `then`, followed by the chain of its last entry, and so on; each model once.
    pub(crate) expanded: Vec<ModelId>,
    pub(crate) origin: ChainOrigin,
}

/// All chains by the refused model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chains {
    by_model: HashMap<ModelId, Chain>,
}

impl Chains {
    /// The operator's chains, and the catalogue's for models that the operator does not mention.
    pub(crate) fn compile(
        spec: &FallbackSpec,
        catalog: &Catalog,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut chains = Self::default();
        for built_in in catalog.chains() {
            let origin = ChainOrigin::BuiltIn {
                source: built_in.source.clone(),
                date: built_in.date.clone(),
            };
            let chain = Chain {
                then: built_in.then.clone(),
                expanded: Vec::new(),
                origin,
            };
            chains.by_model.insert(built_in.model.clone(), chain);
        }
        let mut mentioned = HashSet::new();
        for (model, targets) in spec {
            let Some(id) = name(model, problems) else {
                continue;
            };
            if !mentioned.insert(id.clone()) {
                problems.push(Problem::error(
                    model.span(),
                    format!("a second chain for `{id}`"),
                ));
            }
            let then = compile_targets(&id, targets, problems);
            let origin = ChainOrigin::Operator(model.span());
            chains.by_model.insert(
                id,
                Chain {
                    then,
                    expanded: Vec::new(),
                    origin,
                },
            );
        }
        chains.report_loops(problems);
        chains.expand();
        chains
    }

    pub(crate) fn get(&self, model: &ModelId) -> Option<&Chain> {
        self.by_model.get(model)
    }

    /// A loop would be cut short at run time, but it is never intended.
    fn report_loops(&self, problems: &mut Vec<Problem>) {
        let mut reported: HashSet<&ModelId> = HashSet::new();
        let mut starts: Vec<&ModelId> = self.by_model.keys().collect();
        starts.sort_by(|left, right| left.folded().cmp(right.folded()));
        for start in starts {
            if reported.contains(start) {
                continue;
            }
            let Some(path) = self.path_back(start) else {
                continue;
            };
            reported.extend(path.iter().copied());
            let words: Vec<&str> = path.iter().map(|model| model.as_str()).collect();
            let span = path
                .iter()
                .find_map(|model| match &self.by_model.get(*model)?.origin {
                    ChainOrigin::Operator(span) => Some(span.clone()),
                    ChainOrigin::BuiltIn { .. } => None,
                });
            let built_in = path.iter().find(|model| {
                self.by_model
                    .get(**model)
                    .is_some_and(|chain| matches!(chain.origin, ChainOrigin::BuiltIn { .. }))
            });
            problems.push(
                Problem::error(
                    span,
                    format!("fallback loop: {} -> {start}", words.join(" -> ")),
                )
                .with_hint(built_in.map(|model| {
                    format!("the chain of `{model}` is built in; `\"{model}\" = []` removes it")
                })),
            );
        }
    }

    /// A path from `start` back to itself, without the final `start`.
    fn path_back(&self, start: &ModelId) -> Option<Vec<&ModelId>> {
        let (start, _) = self.by_model.get_key_value(start)?;
        let mut from: HashMap<&ModelId, &ModelId> = HashMap::new();
        let mut open = vec![start];
        while let Some(model) = open.pop() {
            for target in self
                .by_model
                .get(model)
                .into_iter()
                .flat_map(|chain| &chain.then)
            {
                if target == start {
                    let mut path = vec![model];
                    while let Some(before) = path.last().and_then(|last| from.get(*last)).copied() {
                        path.push(before);
                    }
                    path.reverse();
                    return Some(path);
                }
                if !from.contains_key(target) {
                    from.insert(target, model);
                    open.push(target);
                }
            }
        }
        None
    }

    fn expand(&mut self) {
        let expanded: Vec<(ModelId, Vec<ModelId>)> = self
            .by_model
            .keys()
            .map(|model| (model.clone(), self.expansion(model)))
            .collect();
        for (model, list) in expanded {
            if let Some(chain) = self.by_model.get_mut(&model) {
                chain.expanded = list;
            }
        }
    }

    fn expansion(&self, model: &ModelId) -> Vec<ModelId> {
        let mut seen = HashSet::from([model]);
        let mut list: Vec<ModelId> = Vec::new();
        let mut at = Some(model);
        while let Some(chain) = at.and_then(|model| self.by_model.get(model)) {
            let known = list.len();
            list.extend(
                chain
                    .then
                    .iter()
                    .filter(|target| seen.insert(target))
                    .cloned(),
            );
            // Rules may remove candidates, so more than the allowed hops are kept, up to a bound.
            if list.len() == known || list.len() >= 4 * MAX_HOPS {
                break;
            }
            at = chain.then.last();
        }
        list
    }
}

fn name(text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<ModelId> {
    if text.get_ref().contains(['*', '?']) {
        problems.push(Problem::error(
            text.span(),
            "a chain must name models, not patterns",
        ));
        return None;
    }
    ModelId::new(text.get_ref())
        .map_err(|error| problems.push(Problem::error(text.span(), error.to_string())))
        .ok()
}

fn compile_targets(
    model: &ModelId,
    targets: &[Spanned<String>],
    problems: &mut Vec<Problem>,
) -> Vec<ModelId> {
    let mut then: Vec<ModelId> = Vec::new();
    for (position, target) in targets.iter().enumerate() {
        let Some(id) = name(target, problems) else {
            continue;
        };
        if position == MAX_HOPS {
            problems.push(Problem::warning(
                target.span(),
                format!(
                    "only {MAX_HOPS} models are tried after `{model}`; this one is used only \
                         if a rule removes an earlier one"
                ),
            ));
        }
        if then.contains(&id) {
            problems.push(Problem::warning(
                target.span(),
                format!("`{id}` is already in this chain"),
            ));
        } else {
            then.push(id);
        }
    }
    then
}
