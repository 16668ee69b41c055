//! What a translation could not carry, as data. Counts and names; never logs.

use super::TranslateError;

/// One thing that translation could not carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Loss {
    /// What it was; the name is a metric label.
    pub kind: LossKind,
    /// Where it stood, as a path into the JSON of the side it came from: `input[3].content[0]`.
    pub path: String,
}

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, $grave:literal; )+) => {
        /// The kinds of loss. A closed list: `docs/translation.md` holds a row for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum LossKind { $( $(#[doc = $doc])+ $variant, )+ }

        impl LossKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The stable name: metric label, log field, header value.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// Whether it changes what the model knows or can do. Under `strict` such a loss
            /// refuses the request.
            pub const fn is_grave(self) -> bool {
                match self { $( Self::$variant => $grave, )+ }
            }
        }
    };
}

kinds! {
    /// A tool that the upstream's own service would have run.
    HostedTool = "hosted_tool", true;
    /// A tool of a kind that nobody knows.
    UnknownTool = "unknown_tool", true;
    /// A grammar of a freeform tool: described to the model, no longer enforced.
    ToolGrammar = "tool_grammar", false;
    /// A tool schema that was simplified for the upstream.
    ToolSchema = "tool_schema", false;
    /// A forced tool choice that the upstream does not take.
    ToolChoice = "tool_choice", true;
    /// A hosted tool's call in the history.
    HostedCall = "hosted_call", false;
    /// A call in the history whose output was missing; one was made up that says so.
    MissingOutput = "missing_output", false;
    /// An output in the history whose call was missing; carried as text.
    OrphanOutput = "orphan_output", false;
    /// Call arguments that were no JSON object; wrapped into one.
    CallArguments = "call_arguments", false;
    /// A call that was cut off by the output limit; not passed on.
    TruncatedCall = "truncated_call", false;
    /// A call without a tool name; not passed on.
    UnnamedCall = "unnamed_call", false;
    /// Reasoning that the upstream cannot read or does not take back.
    Reasoning = "reasoning", false;
    /// An image.
    Image = "image", true;
    /// The detail level of an image.
    ImageDetail = "image_detail", false;
    /// A file.
    File = "file", true;
    /// Audio.
    Audio = "audio", true;
    /// A history item of a kind that nobody knows.
    UnknownItem = "unknown_item", true;
    /// A content part of a kind that nobody knows.
    UnknownContent = "unknown_content", true;
    /// The schema of structured output: said to the model, no longer enforced.
    StructuredOutput = "structured_output", true;
    /// A reasoning effort that was replaced by the nearest one.
    Effort = "effort", false;
    /// The verbosity.
    Verbosity = "verbosity", false;
    /// A sampling parameter.
    Sampling = "sampling", false;
    /// The limit of output tokens.
    OutputLimit = "output_limit", false;
    /// The service tier.
    ServiceTier = "service_tier", false;
    /// Storing of the answer.
    Store = "store", false;
    /// Any other request parameter.
    Parameter = "parameter", false;
    /// A citation or annotation of the answer.
    Annotation = "annotation", false;
    /// A second or later choice of the answer.
    Choice = "choice", false;
    /// A refusal, carried as text.
    Refusal = "refusal", false;
}

/// Largest number of losses that are kept with their paths; a hostile request must not make a list
/// as long as itself.
const MAX_KEPT: usize = 256;

/// Collects losses; refuses grave ones when the operator wants strictness.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    strict: bool,
    kept: Vec<Loss>,
}

impl Losses {
    pub(crate) fn new(strict: bool) -> Self {
        Self {
            strict,
            kept: Vec::new(),
        }
    }

    /// Notes a loss, or refuses the request because of it.
    pub(crate) fn note(
        &mut self,
        kind: LossKind,
        path: impl Into<String>,
    ) -> Result<(), TranslateError> {
        if self.strict && kind.is_grave() {
            return Err(TranslateError::Strict {
                kind,
                path: path.into(),
            });
        }
        self.keep(kind, path);
        Ok(())
    }

    /// Notes a loss of an answer, which cannot be refused any more.
    pub(crate) fn keep(&mut self, kind: LossKind, path: impl Into<String>) {
        if self.kept.len() < MAX_KEPT {
            self.kept.push(Loss {
                kind,
                path: path.into(),
            });
        }
    }

    pub(crate) fn as_slice(&self) -> &[Loss] {
        &self.kept
    }

    pub(crate) fn into_vec(self) -> Vec<Loss> {
        self.kept
    }
}
