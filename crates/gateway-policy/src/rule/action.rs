//! What a rule does with a request: what `then` says and what it compiles to. Where a request goes
//! by an action is decided in `policy/decide.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_spanned::Spanned;

use crate::model_id::ModelId;
use crate::problem::Problem;
use crate::upstream::{Upstream, UpstreamName, unknown_upstream};

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

impl Action {
    /// What it does with a model, such as `sends it to azure`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Allow => "allows it".to_owned(),
            Self::Rewrite(model) => format!("rewrites it to {model}"),
            Self::Reject(reason) => format!("rejects it: {reason}"),
            Self::Send(upstream) => format!("sends it to {upstream}"),
        }
    }
}

impl ActionSpec {
    pub(crate) fn compile(
        &self,
        upstreams: &BTreeMap<UpstreamName, Arc<Upstream>>,
        problems: &mut Vec<Problem>,
    ) -> Option<Action> {
        match self {
            Self::Allow => Some(Action::Allow),
            Self::Rewrite(model) => rewrite_target(model, problems).map(Action::Rewrite),
            Self::Reject(reason) => {
                if reason.get_ref().trim().is_empty() {
                    problems.push(
                        Problem::error(reason.span(), "a rejection needs a reason")
                            .with_hint("the user sees it instead of a response".to_owned()),
                    );
                }
                Some(Action::Reject(Arc::from(reason.get_ref().as_str())))
            }
            Self::Send(upstream) => {
                let found = upstreams.get_key_value(upstream.get_ref().as_str());
                if found.is_none() {
                    problems.push(unknown_upstream(upstream, upstreams.keys()));
                }
                found.map(|(name, _)| Action::Send(name.clone()))
            }
        }
    }
}

fn rewrite_target(model: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<ModelId> {
    let text = model.get_ref();
    let wrong = match ModelId::new(text) {
        Ok(id) if !text.contains(['*', '?']) => return Some(id),
        Ok(_) => "a rewrite must name one model, not a pattern".to_owned(),
        Err(error) => error.to_string(),
    };
    problems.push(Problem::error(model.span(), wrong));
    None
}
