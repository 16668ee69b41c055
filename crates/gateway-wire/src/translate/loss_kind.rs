//! What a translation could not carry, as data. Counts and names; never logs.

/// One thing that translation could not carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Loss {
    /// What it was; the name is a metric label.
    pub kind: LossKind,
    /// Where it stood, as a path into the JSON of the side it came from: `input[3].content[0]`.
    pub path: String,
}

crate::words! {
    /// The kinds of loss. A closed list: `docs/translation.md` holds a row for each.
    pub enum LossKind {
        /// A tool that the upstream's own service would have run.
        HostedTool = "hosted_tool",
        /// A tool of a kind that nobody knows.
        UnknownTool = "unknown_tool",
        /// A grammar of a freeform tool: described to the model, no longer enforced.
        ToolGrammar = "tool_grammar",
        /// A tool schema that was simplified for the upstream.
        ToolSchema = "tool_schema",
        /// A forced tool choice that the upstream does not take.
        ToolChoice = "tool_choice",
        /// A hosted tool's call in the history.
        HostedCall = "hosted_call",
        /// A call in the history whose output was missing; one was made up that says so.
        MissingOutput = "missing_output",
        /// An output in the history whose call was missing; carried as text.
        OrphanOutput = "orphan_output",
        /// Call arguments that were no JSON object; wrapped into one.
        CallArguments = "call_arguments",
        /// A call that was cut off by the output limit; not passed on.
        TruncatedCall = "truncated_call",
        /// A call without a tool name; not passed on.
        UnnamedCall = "unnamed_call",
        /// Reasoning that the upstream cannot read or does not take back.
        Reasoning = "reasoning",
        /// An image.
        Image = "image",
        /// The detail level of an image.
        ImageDetail = "image_detail",
        /// A file.
        File = "file",
        /// Audio.
        Audio = "audio",
        /// A history item of a kind that nobody knows.
        UnknownItem = "unknown_item",
        /// A content part of a kind that nobody knows.
        UnknownContent = "unknown_content",
        /// The schema of structured output: said to the model, no longer enforced.
        StructuredOutput = "structured_output",
        /// A reasoning effort that was replaced by the nearest one.
        Effort = "effort",
        /// The verbosity.
        Verbosity = "verbosity",
        /// A sampling parameter.
        Sampling = "sampling",
        /// The limit of output tokens.
        OutputLimit = "output_limit",
        /// The service tier.
        ServiceTier = "service_tier",
        /// Storing of the answer.
        Store = "store",
        /// Any other request parameter.
        Parameter = "parameter",
        /// A citation or annotation of the answer.
        Annotation = "annotation",
        /// A second or later choice of the answer.
        Choice = "choice",
        /// A refusal, carried as text.
        Refusal = "refusal",
    }
}

impl LossKind {
    /// Whether it changes what the model knows or can do. Under `strict` such a loss refuses the
    /// request.
    pub const fn is_severe(self) -> bool {
        match self {
            Self::HostedTool
            | Self::UnknownTool
            | Self::ToolChoice
            | Self::Image
            | Self::File
            | Self::Audio
            | Self::UnknownItem
            | Self::UnknownContent
            | Self::StructuredOutput => true,
            Self::ToolGrammar
            | Self::ToolSchema
            | Self::HostedCall
            | Self::MissingOutput
            | Self::OrphanOutput
            | Self::CallArguments
            | Self::TruncatedCall
            | Self::UnnamedCall
            | Self::Reasoning
            | Self::ImageDetail
            | Self::Effort
            | Self::Verbosity
            | Self::Sampling
            | Self::OutputLimit
            | Self::ServiceTier
            | Self::Store
            | Self::Parameter
            | Self::Annotation
            | Self::Choice
            | Self::Refusal => false,
        }
    }
}
