//! What is said to a model in the place of something that is not there.

/// Where a call never got an output.
pub(crate) const NO_OUTPUT: &str = "No output was recorded for this call.";

/// Before an output whose call is not there.
pub(crate) const ORPHAN_OUTPUT: &str = "Output of an earlier tool call:";
