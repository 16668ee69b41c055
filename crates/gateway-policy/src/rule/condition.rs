//! The conditions of a rule: what `when = { … }` says and what it compiles to. The attributes, and
//! how the values of each are written, are in `request.rs`; only the model is special here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_spanned::Spanned;

use crate::model_id::ModelId;
use crate::model_pattern::ModelPattern;
use crate::problem::{Problem, one_of};
use crate::request::{Attribute, Syntax};
use crate::string_list::StringList;

/// `when = { … }`: every given condition must hold; a list holds when one of its words does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConditionsSpec(BTreeMap<Attribute, StringList>);

/// A key of `when`, so that an unknown one is reported at its own place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct AttributeKey(Attribute);

impl<'de> Deserialize<'de> for AttributeKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = AttributeKey;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a condition")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<AttributeKey, E> {
                Attribute::parse(word)
                    .map(AttributeKey)
                    .ok_or_else(|| E::unknown_field(word, Attribute::WORDS))
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for ConditionsSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = BTreeMap::<AttributeKey, StringList>::deserialize(deserializer)?;
        Ok(Self(
            given.into_iter().map(|(key, list)| (key.0, list)).collect(),
        ))
    }
}

impl ConditionsSpec {
    /// Checks everything; the result is usable only if no error was added.
    pub(crate) fn compile(&self, problems: &mut Vec<Problem>) -> Conditions {
        let mut conditions = Conditions::default();
        for (&attribute, list) in &self.0 {
            if attribute == Attribute::Model {
                conditions.models = Some(globs(list, problems));
                continue;
            }
            conditions.others.push(Condition {
                attribute,
                values: Values::compile(attribute, list, problems),
            });
        }
        conditions
    }
}

fn texts(list: &StringList) -> Vec<String> {
    list.iter().map(|word| word.get_ref().clone()).collect()
}

fn check_known(
    attribute: Attribute,
    list: &StringList,
    known: &[&'static str],
    problems: &mut Vec<Problem>,
) {
    for word in list.iter() {
        let text = word.get_ref();
        if !known.contains(&text.as_str()) {
            problems.push(
                Problem::error(word.span(), format!("unknown {attribute} `{text}`"))
                    .with_hint(one_of(text, known.iter().copied())),
            );
        }
    }
}

/// These are the client's words and may grow, so an unknown one is only suspicious.
fn warn_unknown(
    attribute: Attribute,
    list: &StringList,
    known: &[&'static str],
    problems: &mut Vec<Problem>,
) {
    for word in list.iter().filter(|_| !known.is_empty()) {
        let folded = word.get_ref().to_ascii_lowercase();
        if !known.contains(&folded.as_str()) {
            problems.push(
                Problem::warning(
                    word.span(),
                    format!("no known client sends the {attribute} `{}`", word.get_ref()),
                )
                .with_hint(one_of(&folded, known.iter().copied())),
            );
        }
    }
}

fn globs(list: &StringList, problems: &mut Vec<Problem>) -> Vec<ModelPattern> {
    list.iter()
        .filter_map(|word| glob(word, problems))
        .collect()
}

fn glob(word: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<ModelPattern> {
    if is_like_regex(word.get_ref()) {
        problems.push(
            Problem::warning(
                word.span(),
                format!("`{}` looks like a regular expression, but patterns are globs", word.get_ref()),
            )
            .with_hint(
                "`*` matches any text and `?` one character; the whole id must match, ignoring case"
                    .to_owned(),
            ),
        );
    }
    ModelPattern::new(word.get_ref())
        .map_err(|error| {
            problems.push(
                Problem::error(
                    word.span(),
                    format!(
                        "`{}` is not a valid pattern: {}",
                        word.get_ref(),
                        error.kind()
                    ),
                )
                .with_hint(
                    "`*` matches any text, `?` one character; `\\` escapes one of them".to_owned(),
                ),
            );
        })
        .ok()
}

/// Whether a pattern has signs of a regular expression. `.*` behind a digit has none: `gpt-5.*` is a
/// good glob.
fn is_like_regex(text: &str) -> bool {
    let signs = ["^", "$", "(", "|", "]+", ".+", "\\.", "\\d", "\\w"];
    let is_behind_digit = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_some_and(|before| before.is_ascii_digit())
    };
    signs.iter().any(|sign| text.contains(sign))
        || text.match_indices(".*").any(|(at, _)| !is_behind_digit(at))
}

/// The conditions of one rule, which must all hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    /// Kept apart, because one request is looked at with several models.
    models: Option<Vec<ModelPattern>>,
    others: Vec<Condition>,
}

/// That an attribute has one of some values. Without any value it never holds.
#[derive(Debug, Clone)]
struct Condition {
    attribute: Attribute,
    values: Values,
}

impl Condition {
    /// A repository is named with its host or without: `acme/*` holds for `github.com/acme/shop`.
    fn holds(&self, said: Option<&str>) -> bool {
        let path = said
            .filter(|_| self.attribute == Attribute::Repo)
            .and_then(|repo| repo.split_once('/'))
            .map(|(_, path)| path);
        self.values.has(said) || path.is_some() && self.values.has(path)
    }
}

#[derive(Debug, Clone)]
enum Values {
    Exact(Vec<String>),
    AnyCase(Vec<String>),
    Globs(Vec<ModelPattern>),
}

impl Conditions {
    /// Whether the conditions on all attributes but the model hold, given what a request says of
    /// each attribute.
    pub(crate) fn matches_but_for_model<'r>(
        &self,
        said: impl Fn(Attribute) -> Option<&'r str>,
    ) -> bool {
        self.others
            .iter()
            .all(|condition| condition.holds(said(condition.attribute)))
    }

    /// Whether the condition on the model holds.
    pub(crate) fn matches_model(&self, model: &ModelId) -> bool {
        let Some(models) = &self.models else {
            return true;
        };
        models.iter().any(|pattern| pattern.matches(model))
    }

    /// The patterns of models; `None` for any model.
    pub(crate) fn models(&self) -> Option<&[ModelPattern]> {
        self.models.as_deref()
    }

    /// Every attribute with a condition, except the model.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.others.iter().map(|condition| condition.attribute)
    }

    /// Whether a request whose attribute has this value can match.
    pub(crate) fn allows(&self, attribute: Attribute, value: &str) -> bool {
        self.values(attribute)
            .is_none_or(|values| values.has(Some(value)))
    }

    /// A value that the attribute of a matching request may have: the first word of a closed list
    /// that is allowed, else the first that the condition names.
    pub(crate) fn example(&self, attribute: Attribute) -> Option<&str> {
        if let Syntax::OneOf(words) = attribute.syntax() {
            let mut words = words.iter().copied();
            return words.find(|word| self.allows(attribute, word));
        }
        match self.values(attribute)? {
            Values::Exact(texts) | Values::AnyCase(texts) => texts.first().map(String::as_str),
            Values::Globs(globs) => globs.first().map(ModelPattern::as_str),
        }
    }

    /// Whether some condition is an empty list.
    pub(crate) fn has_empty_list(&self) -> bool {
        self.models.as_ref().is_some_and(Vec::is_empty)
            || self
                .others
                .iter()
                .any(|condition| condition.values.is_empty())
    }

    /// Whether these conditions certainly hold for every request for which `other` holds.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let models = match (&self.models, &other.models) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => covers_globs(wide, narrow),
        };
        models
            && self.others.iter().all(|condition| {
                other
                    .values(condition.attribute)
                    .is_some_and(|narrow| condition.values.covers(narrow))
            })
    }

    fn values(&self, attribute: Attribute) -> Option<&Values> {
        self.others
            .iter()
            .find(|condition| condition.attribute == attribute)
            .map(|condition| &condition.values)
    }
}

impl Values {
    fn compile(attribute: Attribute, list: &StringList, problems: &mut Vec<Problem>) -> Self {
        match attribute.syntax() {
            Syntax::OneOf(known) => {
                check_known(attribute, list, known, problems);
                Self::Exact(texts(list))
            }
            Syntax::Word(known) => {
                warn_unknown(attribute, list, known, problems);
                Self::AnyCase(texts(list))
            }
            Syntax::Name => Self::Exact(texts(list)),
            Syntax::Glob => Self::Globs(globs(list, problems)),
        }
    }

    fn has(&self, found: Option<&str>) -> bool {
        let Some(found) = found else { return false };
        match self {
            Self::Exact(texts) => texts.iter().any(|text| text == found),
            Self::AnyCase(texts) => texts.iter().any(|text| text.eq_ignore_ascii_case(found)),
            Self::Globs(globs) => {
                let folded = folded(found);
                globs.iter().any(|glob| glob.matches_folded(&folded))
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Exact(texts) | Self::AnyCase(texts) => texts.is_empty(),
            Self::Globs(globs) => globs.is_empty(),
        }
    }

    fn covers(&self, narrow: &Self) -> bool {
        match (self, narrow) {
            (Self::Globs(wide), Self::Globs(narrow)) => covers_globs(wide, narrow),
            (_, Self::Exact(texts) | Self::AnyCase(texts)) => {
                texts.iter().all(|text| self.has(Some(text)))
            }
            (Self::Exact(_) | Self::AnyCase(_), Self::Globs(_)) => false,
        }
    }
}

fn covers_globs(wide: &[ModelPattern], narrow: &[ModelPattern]) -> bool {
    narrow
        .iter()
        .all(|inner| wide.iter().any(|outer| outer.covers(inner)))
}

fn folded(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}
