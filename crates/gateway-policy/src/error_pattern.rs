//! The operator's own classification of upstream errors. Compiles the patterns; gateway-wire applies
//! them.

use gateway_wire::{Failure, OperatorPattern};
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::problem::{Problem, one_of};
use crate::string_list::StringList;

/// `[[error_patterns]]`: an answer that matches every given condition means `verdict`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPatternSpec {
    /// The upstreams whose errors it matches; all when left out.
    pub upstream: Option<StringList>,
    /// HTTP statuses.
    #[serde(default)]
    pub status: Vec<Spanned<u16>>,
    /// Structured codes or types.
    pub code: Option<StringList>,
    /// The whole message, case-insensitive, `*` for any text.
    pub message: Option<Spanned<String>>,
    /// A failure's word, such as `unsupported_model`.
    pub verdict: Spanned<String>,
}

/// Statuses that mean a limit, a credential or overload, whatever the message says.
const NEVER_ABOUT_A_MODEL: [u16; 5] = [401, 402, 407, 408, 429];

/// Compiles one pattern, without the upstreams it is about.
pub(crate) fn compile(
    spec: &Spanned<ErrorPatternSpec>,
    problems: &mut Vec<Problem>,
) -> Option<OperatorPattern> {
    let span = spec.span();
    let spec = spec.get_ref();
    if spec.status.is_empty() && spec.code.is_none() && spec.message.is_none() {
        problems.push(
            Problem::error(span, "this pattern would match every error")
                .with_hint("add a `status`, a `code` or a `message`".to_owned()),
        );
    }
    let verdict = Failure::parse(spec.verdict.get_ref());
    if verdict.is_none() {
        problems.push(
            Problem::error(
                spec.verdict.span(),
                format!("unknown verdict `{}`", spec.verdict.get_ref()),
            )
            .with_hint(one_of(
                spec.verdict.get_ref(),
                Failure::ANSWERS.map(Failure::as_str),
            )),
        );
    }
    check_statuses(&spec.status, verdict, problems);
    Some(OperatorPattern {
        statuses: spec.status.iter().map(|status| *status.get_ref()).collect(),
        codes: spec
            .code
            .iter()
            .flat_map(StringList::iter)
            .map(|code| code.get_ref().clone())
            .collect(),
        message: spec
            .message
            .as_ref()
            .map(|message| message.get_ref().clone()),
        verdict: verdict?,
    })
}

fn check_statuses(
    statuses: &[Spanned<u16>],
    verdict: Option<Failure>,
    problems: &mut Vec<Problem>,
) {
    for status in statuses {
        let number = *status.get_ref();
        if !(400..600).contains(&number) {
            problems.push(Problem::error(
                status.span(),
                format!("`{number}` is not an error status"),
            ));
        } else if verdict == Some(Failure::UnsupportedModel)
            && (NEVER_ABOUT_A_MODEL.contains(&number) || number >= 500)
        {
            problems.push(
                Problem::error(
                    status.span(),
                    format!("a {number} must not lead to another model"),
                )
                .with_hint(
                    "limits, credentials and overload do not depend on the model; a fallback \
                     would hide or evade them"
                        .to_owned(),
                ),
            );
        }
    }
}
