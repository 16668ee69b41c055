//! From `[[rules]]` to a [`Rule`], collecting every problem on the way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Rule, RuleOrigin, RuleRef, RuleSpec};
use crate::model_id::ModelId;
use crate::problem::Problem;
use crate::upstream::{Upstream, UpstreamName};

/// Longest rule name in bytes: it travels in a header.
const MAX_NAME: usize = 100;

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
    /// The rule, unless it has an error.
    pub(crate) fn compile(
        &self,
        origin: Origin,
        upstreams: &BTreeMap<UpstreamName, Arc<Upstream>>,
        problems: &mut Vec<Problem>,
    ) -> Option<Rule> {
        let before = problems.len();
        self.check_name(problems);
        let action = self.then.get_ref().compile(upstreams, problems);
        let conditions = self.when.compile(problems);
        let (origin, instead, action_span) = match origin {
            Origin::Operator(span) => {
                let action_span = Some(self.then.span());
                (RuleOrigin::Operator { span }, Vec::new(), action_span)
            }
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
            conditions,
            action: action?,
            instead,
            action_span,
        };
        let is_sound = !problems.iter().skip(before).any(Problem::is_error);
        is_sound.then_some(rule)
    }

    fn check_name(&self, problems: &mut Vec<Problem>) {
        let name = self.name.get_ref();
        let wrong = if name.trim().is_empty() {
            "a rule needs a name: it appears in headers, logs and messages"
        } else if name.len() > MAX_NAME {
            "this rule's name is longer than 100 bytes"
        } else if name.chars().any(char::is_control) {
            "this rule's name contains a control character"
        } else {
            return;
        };
        problems.push(Problem::error(self.name.span(), wrong));
    }
}
