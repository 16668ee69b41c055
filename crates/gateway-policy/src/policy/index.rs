//! Finds the rules that can be about a request without asking each of them. Order is kept: the
//! first match wins.
//!
//! Every condition that compares words is a set of rules per word, so that a decision is a few
//! look-ups and a few `and`s, whatever the number of rules. What is found this way is still asked:
//! globs and clients are not decided here.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model_id::{ModelId, ModelPattern};
use crate::request::PolicyRequest;
use crate::rule::{Action, Mask, Rule};

/// A set of rules, by position.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl Set {
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn of(count: usize, has: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::none(count);
        (0..count)
            .filter(|at| has(*at))
            .for_each(|at| set.insert(at));
        set
    }

    fn insert(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn keep(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(word, other)| *word &= other);
    }

    fn add(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(word, other)| *word |= other);
    }
}

/// Rules by the words of one condition.
#[derive(Debug, Clone)]
struct ByWord {
    /// Rules without the condition.
    open: Set,
    /// Rules that name this word.
    named: HashMap<String, Set>,
    /// Whether words are compared without case.
    folds: bool,
}

impl ByWord {
    fn new(rules: &[Rule], folds: bool, words: impl Fn(&Rule) -> Option<&Vec<String>>) -> Self {
        let is_open = |at: usize| rules.get(at).is_some_and(|rule| words(rule).is_none());
        let mut index = Self {
            open: Set::of(rules.len(), is_open),
            named: HashMap::new(),
            folds,
        };
        for (at, rule) in rules.iter().enumerate() {
            for word in words(rule).into_iter().flatten() {
                let word = index.compared(word).into_owned();
                index
                    .named
                    .entry(word)
                    .or_insert_with(|| Set::none(rules.len()))
                    .insert(at);
            }
        }
        index
    }

    fn compared<'w>(&self, word: &'w str) -> Cow<'w, str> {
        if self.folds {
            folded(word)
        } else {
            Cow::Borrowed(word)
        }
    }

    /// Takes out the rules that name other words.
    fn narrow(&self, set: &mut Set, word: Option<&str>) {
        if self.named.is_empty() {
            return;
        }
        match word.and_then(|word| self.named.get(&*self.compared(word))) {
            None => set.keep(&self.open),
            Some(named) => {
                let mut wanted = self.open.clone();
                wanted.add(named);
                set.keep(&wanted);
            }
        }
    }
}

fn folded(word: &str) -> Cow<'_, str> {
    if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(word.to_ascii_lowercase())
    } else {
        Cow::Borrowed(word)
    }
}

/// Rules by what the patterns of one condition begin with.
#[derive(Debug, Clone)]
struct ByPattern {
    /// Rules that may be about anything.
    open: Set,
    exact: HashMap<String, Set>,
    /// For each length that occurs, rules by the literal beginning of that length.
    prefixes: Vec<(usize, HashMap<String, Set>)>,
}

impl ByPattern {
    fn new(rules: &[Rule], patterns: impl Fn(&Rule) -> Option<&Vec<ModelPattern>>) -> Self {
        let count = rules.len();
        let mut index = Self {
            open: Set::none(count),
            exact: HashMap::new(),
            prefixes: Vec::new(),
        };
        for (at, rule) in rules.iter().enumerate() {
            let Some(patterns) = patterns(rule) else {
                index.open.insert(at);
                continue;
            };
            for pattern in patterns {
                let set = match (pattern.exact(), pattern.literal_prefix()) {
                    (Some(id), _) => index
                        .exact
                        .entry(id.to_owned())
                        .or_insert_with(|| Set::none(count)),
                    (None, "") => &mut index.open,
                    (None, prefix) => index.with_prefix(prefix, count),
                };
                set.insert(at);
            }
        }
        index
    }

    fn with_prefix(&mut self, prefix: &str, count: usize) -> &mut Set {
        let known = self
            .prefixes
            .iter()
            .position(|(length, _)| *length == prefix.len());
        let at = known.unwrap_or(self.prefixes.len());
        if known.is_none() {
            self.prefixes.push((prefix.len(), HashMap::new()));
        }
        match self.prefixes.get_mut(at) {
            Some((_, sets)) => sets
                .entry(prefix.to_owned())
                .or_insert_with(|| Set::none(count)),
            None => &mut self.open,
        }
    }

    /// Rules that can be about a text, which is in lower case.
    fn about(&self, text: &str) -> Set {
        let mut set = self.open.clone();
        if let Some(named) = self.exact.get(text) {
            set.add(named);
        }
        for (length, sets) in &self.prefixes {
            if let Some(found) = text.get(..*length).and_then(|prefix| sets.get(prefix)) {
                set.add(found);
            }
        }
        set
    }
}

/// Rules by everything that is compared as words.
#[derive(Debug, Clone)]
pub(super) struct RuleIndex {
    routes: Vec<Set>,
    endpoints: Vec<Set>,
    kinds: Vec<Set>,
    efforts: ByWord,
    plans: ByWord,
    teams: ByWord,
    keys: ByWord,
    models: ByPattern,
    /// Absent when no rule is about clients.
    clients: Option<ByPattern>,
    /// Rules that do not rewrite.
    finals: Set,
}

/// Rules that can be about a request, whatever its model turns out to be.
#[derive(Debug, Clone)]
pub(super) struct Shortlist(Set);

impl RuleIndex {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let by_mask = |mask: fn(&Rule) -> Mask| -> Vec<Set> {
            let has =
                |bit: usize| move |at: usize| rules.get(at).is_some_and(|rule| mask(rule).has(bit));
            (0..8).map(|bit| Set::of(rules.len(), has(bit))).collect()
        };
        let keeps_model = |at: usize| {
            rules
                .get(at)
                .is_some_and(|rule| !matches!(rule.action, Action::Rewrite(_)))
        };
        Self {
            routes: by_mask(|rule| rule.routes),
            endpoints: by_mask(|rule| rule.endpoints),
            kinds: by_mask(|rule| rule.kinds),
            efforts: ByWord::new(rules, true, |rule| rule.efforts.as_ref()),
            plans: ByWord::new(rules, true, |rule| rule.plans.as_ref()),
            teams: ByWord::new(rules, false, |rule| rule.teams.as_ref()),
            keys: ByWord::new(rules, false, |rule| rule.keys.as_ref()),
            models: ByPattern::new(rules, |rule| rule.models.as_ref()),
            clients: rules
                .iter()
                .any(|rule| rule.clients.is_some())
                .then(|| ByPattern::new(rules, |rule| rule.clients.as_ref())),
            finals: Set::of(rules.len(), keeps_model),
        }
    }

    pub(super) fn shortlist(&self, request: &PolicyRequest<'_>) -> Shortlist {
        let mut set = self
            .routes
            .get(request.subject.route as usize)
            .cloned()
            .unwrap_or_else(|| Set::none(0));
        let masks = [
            self.endpoints.get(request.client_wire as usize),
            self.kinds.get(request.kind as usize),
        ];
        masks.into_iter().flatten().for_each(|mask| set.keep(mask));
        self.efforts.narrow(&mut set, request.effort);
        self.plans.narrow(&mut set, request.subject.plan);
        self.teams.narrow(&mut set, request.subject.team);
        self.keys.narrow(&mut set, request.subject.key);
        if let Some(clients) = &self.clients {
            // A request without a client fits no pattern; the empty text is only looked up.
            set.keep(&clients.about(&folded(request.subject.client.unwrap_or_default())));
        }
        Shortlist(set)
    }

    /// Positions of the rules on the list that can be about `model`, in order.
    pub(super) fn asked(
        &self,
        list: &Shortlist,
        model: &ModelId,
    ) -> impl Iterator<Item = usize> + use<> {
        let mut set = self.models.about(model.folded());
        set.keep(&list.0);
        positions(set)
    }

    /// The same without the rules that rewrite.
    pub(super) fn finals(
        &self,
        list: &Shortlist,
        model: &ModelId,
    ) -> impl Iterator<Item = usize> + use<> {
        let mut set = self.models.about(model.folded());
        set.keep(&list.0);
        set.keep(&self.finals);
        positions(set)
    }
}

fn positions(set: Set) -> impl Iterator<Item = usize> {
    set.0.into_iter().enumerate().flat_map(|(at, mut word)| {
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
            word &= word - 1;
            Some(at * 64 + bit)
        })
    })
}
