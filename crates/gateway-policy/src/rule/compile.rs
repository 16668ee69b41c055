//! From `[[rules]]` to a [`Rule`], collecting every problem on the way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;
use serde_spanned::Spanned;

use super::{Action, ActionSpec, Mask, MatchSpec, Rule, RuleOrigin, RuleRef, RuleSpec};
use crate::auth_route::AuthRoute;
use crate::degrees::EFFORTS;
use crate::model_id::{ModelId, ModelPattern};
use crate::problem::{Problem, did_you_mean, one_of};
use crate::string_list::StringList;
use crate::upstream::{Upstream, UpstreamName};

/// Longest rule name in bytes: it travels in a header.
const MAX_NAME: usize = 100;

/// The names a rule may mention.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) upstreams: &'a BTreeMap<UpstreamName, Arc<Upstream>>,
}

/// Where a rule comes from, and what only a rule from there has.
pub(crate) enum Origin {
    Operator(Range<usize>),
    BuiltIn {
        source: Arc<str>,
        date: Arc<str>,
        instead: Vec<ModelId>,
    },
}

impl RuleSpec {
    pub(crate) fn compile(
        &self,
        origin: Origin,
        names: Names<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<Rule> {
        let before = problems.len();
        self.check_name(problems);
        let when = &self.when;
        let action = self.compile_action(names, problems);
        let (origin, instead, action_span) = match origin {
            Origin::Operator(span) => (
                RuleOrigin::Operator { span },
                Vec::new(),
                Some(self.then.span()),
            ),
            Origin::BuiltIn {
                source,
                date,
                instead,
            } => (RuleOrigin::BuiltIn { source, date }, instead, None),
        };
        let rule = Rule {
            reference: RuleRef {
                name: Arc::from(self.name.get_ref().as_str()),
                origin,
            },
            routes: mask(
                when.route.as_ref(),
                "route",
                &AuthRoute::ALL.map(AuthRoute::as_str),
                problems,
            ),
            endpoints: mask(
                when.endpoint.as_ref(),
                "endpoint",
                &WireApi::ALL.map(WireApi::as_str),
                problems,
            ),
            kinds: mask(
                when.kind.as_ref(),
                "kind",
                &RequestKind::ALL.map(RequestKind::as_str),
                problems,
            ),
            models: patterns(when.model.as_ref(), problems),
            efforts: compile_efforts(when, problems),
            plans: texts(when.plan.as_ref()),
            teams: texts(when.team.as_ref()),
            keys: texts(when.key.as_ref()),
            clients: patterns(when.client.as_ref(), problems),
            action: action?,
            instead,
            action_span,
        };
        let is_sound = problems
            .iter()
            .skip(before)
            .all(|problem| !problem.is_error());
        is_sound.then_some(rule)
    }

    fn check_name(&self, problems: &mut Vec<Problem>) {
        let name = self.name.get_ref();
        let wrong = if name.trim().is_empty() {
            "a rule needs a name: it stands in headers, logs and messages"
        } else if name.len() > MAX_NAME {
            "this rule's name is longer than 100 bytes"
        } else if name.chars().any(char::is_control) {
            "this rule's name contains a control character"
        } else {
            return;
        };
        problems.push(Problem::error(self.name.span(), wrong));
    }

    fn compile_action(&self, names: Names<'_>, problems: &mut Vec<Problem>) -> Option<Action> {
        match self.then.get_ref() {
            ActionSpec::Allow => Some(Action::Allow),
            ActionSpec::Rewrite(model) => match ModelId::new(model.get_ref()) {
                Ok(id) if !model.get_ref().contains(['*', '?']) => Some(Action::Rewrite(id)),
                Ok(_) => {
                    problems.push(Problem::error(
                        model.span(),
                        "a rewrite names one model, not a pattern",
                    ));
                    None
                }
                Err(error) => {
                    problems.push(Problem::error(model.span(), error.to_string()));
                    None
                }
            },
            ActionSpec::Reject(reason) => {
                if reason.get_ref().trim().is_empty() {
                    problems.push(
                        Problem::error(reason.span(), "a rejection needs a reason")
                            .with_hint("the user sees it in place of an answer".to_owned()),
                    );
                }
                Some(Action::Reject(Arc::from(reason.get_ref().as_str())))
            }
            ActionSpec::Send(upstream) => {
                let found = names.upstreams.get_key_value(upstream.get_ref().as_str());
                if found.is_none() {
                    problems.push(unknown_upstream(upstream, names));
                }
                found.map(|(name, _)| Action::Send(name.clone()))
            }
        }
    }
}

/// An upstream that nobody configured.
pub(crate) fn unknown_upstream(name: &Spanned<String>, names: Names<'_>) -> Problem {
    let known = names.upstreams.keys().map(UpstreamName::as_str);
    Problem::error(
        name.span(),
        format!("unknown upstream `{}`", name.get_ref()),
    )
    .with_hint(did_you_mean(name.get_ref(), known))
}

/// The words of a closed list, which is given in the order of the enum.
fn mask(
    words: Option<&StringList>,
    what: &str,
    known: &[&'static str],
    problems: &mut Vec<Problem>,
) -> Mask {
    let Some(words) = words else { return Mask::ALL };
    let mut mask = Mask::NONE;
    for word in words.iter() {
        match known.iter().position(|known| known == word.get_ref()) {
            Some(index) => mask = mask.with(index),
            None => problems.push(
                Problem::error(word.span(), format!("unknown {what} `{}`", word.get_ref()))
                    .with_hint(one_of(word.get_ref(), known.iter().copied())),
            ),
        }
    }
    mask
}

fn patterns(words: Option<&StringList>, problems: &mut Vec<Problem>) -> Option<Vec<ModelPattern>> {
    let words = words?;
    let mut patterns = Vec::new();
    for word in words.iter() {
        match ModelPattern::new(word.get_ref()) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => problems.push(
                Problem::error(word.span(), format!("`{}` is no pattern: {}", word.get_ref(), error.kind()))
                    .with_hint("`*` stands for any text, `?` for one character; `\\` before one takes it literally".to_owned()),
            ),
        }
    }
    Some(patterns)
}

fn compile_efforts(when: &MatchSpec, problems: &mut Vec<Problem>) -> Option<Vec<String>> {
    for word in when.effort.iter().flat_map(StringList::iter) {
        let folded = word.get_ref().to_ascii_lowercase();
        // Efforts are the client's words and may grow, so an unknown one is only suspicious.
        if !EFFORTS.contains(&folded.as_str()) {
            problems.push(
                Problem::warning(
                    word.span(),
                    format!("no known client sends the effort `{}`", word.get_ref()),
                )
                .with_hint(one_of(&folded, EFFORTS)),
            );
        }
    }
    texts(when.effort.as_ref())
}

fn texts(words: Option<&StringList>) -> Option<Vec<String>> {
    Some(words?.iter().map(|word| word.get_ref().clone()).collect())
}
