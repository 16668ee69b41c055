//! From an [`Ask`] to a [`Decision`]. `explain` takes the same walk and keeps what it saw.

use std::sync::Arc;

use super::Policy;
use super::index::Shortlist;
use crate::ModelId;
use crate::ask::{Ask, Memory, NoMemory, Refusal};
use crate::catalog::Standing;
use crate::explain::{Candidate, Skip, Walk};
use crate::plan::{Attempt, Because, Decision, MAX_HOPS, Plan, Rejection};
use crate::rule::{Action, Rule};
use crate::upstream::Upstream;

/// Most models that a rejection names.
const MAX_ALLOWED: usize = 6;

/// A request, with the rules that can be about it.
struct Question<'a> {
    ask: &'a Ask<'a>,
    memory: &'a dyn Memory,
    list: Shortlist,
}

/// Whether the walk is for a real request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is about to be sent.
    Request,
    /// Somebody only wants to know.
    Question,
}

impl Policy {
    /// What becomes of a request.
    ///
    /// The first rule that matches decides. After a rewrite, and for each fallback, the rules are
    /// asked again about the final model, without rewrites. Then memory: a session stays where it
    /// is; a model known to refuse is passed over when its chain offers another.
    pub fn decide(&self, ask: &Ask<'_>, memory: &dyn Memory) -> Decision {
        self.walk(ask, memory, Purpose::Request).decision
    }

    pub(crate) fn walk(&self, ask: &Ask<'_>, memory: &dyn Memory, purpose: Purpose) -> Walk<'_> {
        let question = self.question(ask, memory);
        let first = self.asked_rule(&question, ask.model);
        let mut walk = Walk::new(first);
        let mut model = ask.model.clone();
        let mut target = self.route_upstream(ask.route);
        match first.map(|rule| &rule.action) {
            None | Some(Action::Allow) => {}
            Some(Action::Reject(reason)) => {
                walk.decision = self.reject(&question, first, &model, reason);
                return walk;
            }
            Some(Action::Send(name)) => {
                target = self.upstream(name.as_str());
                walk.is_sent = true;
            }
            Some(Action::Rewrite(to)) => {
                model = to.clone();
                let second = self.final_rule(&question, &model);
                walk.second_rule = second;
                match second.map(|rule| &rule.action) {
                    Some(Action::Reject(reason)) => {
                        walk.decision = self.reject(&question, second, &model, reason);
                        return walk;
                    }
                    Some(Action::Send(name)) => {
                        target = self.upstream(name.as_str());
                        walk.is_sent = true;
                    }
                    None | Some(Action::Allow | Action::Rewrite(_)) => {}
                }
            }
        }
        let Some(upstream) = target else {
            walk.decision = Decision::Unrouted(ask.route);
            return walk;
        };
        let chosen = first.is_some_and(|rule| rule.action != Action::Allow);
        let because = if chosen {
            Because::Rule
        } else {
            Because::Asked
        };
        let head = self.attempt(ask, upstream, model, because);
        walk.candidates = self.candidates(&question, &head);
        let (first, rest) = remember(ask, memory, purpose, &head, &mut walk.candidates);
        walk.decision = Decision::Forward(Plan {
            first,
            rest,
            rule: walk.first_rule.map(|rule| rule.reference.clone()),
            asked: ask.model.clone(),
            head,
            is_sent: walk.is_sent,
            encrypted: self.encrypted,
            catalog: Arc::clone(&self.catalog),
        });
        walk
    }

    fn question<'a>(&self, ask: &'a Ask<'a>, memory: &'a dyn Memory) -> Question<'a> {
        Question {
            ask,
            memory,
            list: self.index.shortlist(ask),
        }
    }

    /// The first rule that is about the request, were `model` what it asks for.
    fn asked_rule(&self, question: &Question<'_>, model: &ModelId) -> Option<&Rule> {
        let mut rules = self
            .index
            .asked(&question.list, model)
            .filter_map(|at| self.rules.get(at));
        rules.find(|rule| rule.is_about(question.ask, model))
    }

    /// The first rule that is about the model that would really be asked. Rewrites are passed over,
    /// so that one rewrite is all there ever is.
    fn final_rule(&self, question: &Question<'_>, model: &ModelId) -> Option<&Rule> {
        let mut rules = self
            .index
            .finals(&question.list, model)
            .filter_map(|at| self.rules.get(at));
        rules.find(|rule| rule.is_about(question.ask, model))
    }

    /// Where the final model would go, or the rule that refuses it.
    pub(crate) fn final_target(
        &self,
        ask: &Ask<'_>,
        model: &ModelId,
    ) -> Result<&Arc<Upstream>, Skip> {
        self.target(&self.question(ask, &NoMemory), model)
    }

    fn target(&self, question: &Question<'_>, model: &ModelId) -> Result<&Arc<Upstream>, Skip> {
        let rule = self.final_rule(question, model);
        let target = match rule.map(|rule| &rule.action) {
            Some(Action::Reject(_)) => None,
            Some(Action::Send(name)) => return self.upstream(name.as_str()).ok_or(Skip::Unrouted),
            None | Some(Action::Allow | Action::Rewrite(_)) => {
                Some(self.route_upstream(question.ask.route))
            }
        };
        match (target, rule) {
            (Some(target), _) => target.ok_or(Skip::Unrouted),
            (None, Some(rule)) => Err(Skip::Rejected(rule.reference.clone())),
            (None, None) => Err(Skip::Unrouted),
        }
    }

    fn attempt(
        &self,
        ask: &Ask<'_>,
        upstream: &Arc<Upstream>,
        model: ModelId,
        because: Because,
    ) -> Attempt {
        let card = self.catalog.card(&model);
        let responses_only = card.is_some_and(crate::catalog::ModelCard::is_responses_only);
        let wire = upstream.choose_wire(ask.endpoint.wire(), responses_only);
        Attempt {
            upstream: Arc::clone(upstream),
            model,
            because,
            wire,
            is_probe: false,
        }
    }

    /// The models behind `head`, each with the reason why it is passed over, if it is.
    fn candidates(&self, question: &Question<'_>, head: &Attempt) -> Vec<Candidate> {
        let Some(chain) = self.chains.get(&head.model) else {
            return Vec::new();
        };
        let judge = |model: &ModelId| {
            let target = self.target(question, model)?;
            // The caller's credential is meant for the route's own upstream; a hop hands it to
            // nobody else.
            let elsewhere = target.name != head.upstream.name;
            let home = self.route_upstream(question.ask.route);
            if elsewhere
                && target.credential.is_callers()
                && home.is_none_or(|home| home.origin() != target.origin())
            {
                return Err(Skip::ForeignCredential(target.name.clone()));
            }
            Ok(self.attempt(question.ask, target, model.clone(), Because::Fallback))
        };
        chain
            .expanded
            .iter()
            .map(|model| Candidate {
                model: model.clone(),
                fate: judge(model),
            })
            .collect()
    }

    fn reject(
        &self,
        question: &Question<'_>,
        rule: Option<&Rule>,
        model: &ModelId,
        reason: &str,
    ) -> Decision {
        let route = question.ask.route;
        let Some(rule) = rule else {
            return Decision::Unrouted(route);
        };
        Decision::Reject(Rejection {
            rule: rule.reference.clone(),
            reason: reason.to_owned(),
            model: model.clone(),
            route,
            allowed: self.allowed(question, rule),
        })
    }

    /// Models that this request could name and get served: those the rule names first, then the
    /// catalogue's and the rules'.
    fn allowed(&self, question: &Question<'_>, rule: &Rule) -> Vec<ModelId> {
        let mut known: Vec<(Option<Standing>, u32, &ModelId)> = self
            .catalog
            .cards()
            .iter()
            .filter(|card| card.usable_on(question.ask.route) != Some(false))
            .filter(|card| card.picker.current() != Some(&crate::catalog::Picker::Hide))
            .map(|card| {
                let priority = card.priority.current().copied().unwrap_or(u32::MAX);
                (card.standing.current().copied(), priority, &card.id)
            })
            .collect();
        known.sort_by_key(|(standing, priority, _)| (*standing, *priority));
        let own = self.named_by_rules();
        let mut allowed: Vec<ModelId> = Vec::new();
        let all = rule
            .instead
            .iter()
            .chain(&own)
            .chain(known.into_iter().map(|(_, _, model)| model));
        for model in all {
            if allowed.len() == MAX_ALLOWED {
                break;
            }
            if !allowed.contains(model) && self.serves(question, model) {
                allowed.push(model.clone());
            }
        }
        allowed
    }

    /// Ids that the operator's rules let through, send or rewrite by name.
    pub(crate) fn named_by_rules(&self) -> Vec<ModelId> {
        self.rules
            .iter()
            .filter(|rule| {
                !rule.reference.is_built_in() && !matches!(rule.action, Action::Reject(_))
            })
            .flat_map(|rule| rule.models.iter().flatten())
            .filter(|pattern| pattern.is_exact())
            .filter_map(|pattern| ModelId::new(pattern.as_str()).ok())
            .collect()
    }

    /// Whether the rules would let this request through, were it for `model`, and nobody refused it
    /// lately.
    fn serves(&self, question: &Question<'_>, model: &ModelId) -> bool {
        let home = self.route_upstream(question.ask.route);
        let (target, model) = match self.asked_rule(question, model).map(|rule| &rule.action) {
            Some(Action::Reject(_)) => (None, model),
            Some(Action::Rewrite(to)) => (self.target(question, to).ok(), to),
            Some(Action::Send(name)) => (self.upstream(name.as_str()), model),
            None | Some(Action::Allow) => (home, model),
        };
        target
            .is_some_and(|target| question.memory.refused(&target.name, model) != Refusal::Refused)
    }
}

/// Applies what is known of the session and of refusals.
fn remember(
    ask: &Ask<'_>,
    memory: &dyn Memory,
    purpose: Purpose,
    head: &Attempt,
    candidates: &mut [Candidate],
) -> (Attempt, Vec<Attempt>) {
    let sticky = memory.sticky(&head.model);
    let stays = |attempt: &Attempt| {
        sticky.as_ref().is_some_and(|sticky| {
            attempt.model == sticky.model && attempt.upstream.name == sticky.upstream
        })
    };
    // A session stays where it is even if somebody else learned a refusal since.
    let place = candidates
        .iter()
        .position(|candidate| candidate.fate.as_ref().is_ok_and(&stays));
    if let Some(place) = place {
        let (before, rest) = candidates.split_at_mut(place + 1);
        let stuck = before
            .last()
            .and_then(|candidate| candidate.fate.as_ref().ok())
            .cloned();
        for candidate in before {
            candidate.fate = candidate.fate.clone().and(Err(Skip::SessionMovedOn));
        }
        if let Some(stuck) = stuck {
            let first = Attempt {
                because: Because::Sticky,
                ..stuck
            };
            return (first, followers(ask, memory, rest));
        }
    }
    if stays(head) || ask.has_previous_response {
        return (head.clone(), followers(ask, memory, candidates));
    }
    match memory.refused(&head.upstream.name, &head.model) {
        Refusal::Unknown => return (head.clone(), followers(ask, memory, candidates)),
        Refusal::Probe if claims(memory, purpose, head) => {
            let probe = Attempt {
                is_probe: true,
                ..head.clone()
            };
            return (probe, followers(ask, memory, candidates));
        }
        Refusal::Probe | Refusal::Refused => {}
    }
    for place in 0..candidates.len() {
        let (before, rest) = candidates.split_at_mut(place + 1);
        let Some(candidate) = before.last_mut() else {
            break;
        };
        let Ok(attempt) = &candidate.fate else {
            continue;
        };
        let is_probe = match memory.refused(&attempt.upstream.name, &attempt.model) {
            Refusal::Unknown => false,
            Refusal::Probe if claims(memory, purpose, attempt) => true,
            Refusal::Probe | Refusal::Refused => {
                candidate.fate = Err(Skip::Learned);
                continue;
            }
        };
        let first = Attempt {
            because: Because::Learned,
            is_probe,
            ..attempt.clone()
        };
        return (first, followers(ask, memory, rest));
    }
    // Everything is known to refuse: the upstream says so itself, and its answer is the true one.
    (head.clone(), Vec::new())
}

fn claims(memory: &dyn Memory, purpose: Purpose, attempt: &Attempt) -> bool {
    purpose == Purpose::Question || memory.claim_probe(&attempt.upstream.name, &attempt.model)
}

/// The attempts that may follow, marking the candidates that may not.
fn followers(ask: &Ask<'_>, memory: &dyn Memory, candidates: &mut [Candidate]) -> Vec<Attempt> {
    let mut rest: Vec<Attempt> = Vec::new();
    for candidate in candidates {
        let Ok(attempt) = &mut candidate.fate else {
            continue;
        };
        let skip = if ask.has_previous_response {
            Skip::PreviousResponse
        } else if rest.len() == MAX_HOPS {
            Skip::TooManyHops
        } else {
            match memory.refused(&attempt.upstream.name, &attempt.model) {
                Refusal::Refused => Skip::Learned,
                Refusal::Unknown | Refusal::Probe => {
                    rest.push(attempt.clone());
                    continue;
                }
            }
        };
        candidate.fate = Err(skip);
    }
    rest
}
