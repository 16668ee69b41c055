//! Provider reasoning that has to be given back with the tool calls it led to.

use std::sync::Arc;

/// Provider reasoning that must be given back with a tool call, or the request is refused or the
/// model forgets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReasoningBlob {
    /// The reasoning text.
    pub text: Option<String>,
    /// `reasoning_details`, a JSON array.
    pub details: Option<String>,
    /// The call's own `extra_content`, a JSON value.
    pub extra_content: Option<String>,
    /// Reasoning items of a Responses upstream, each a JSON object.
    pub items: Vec<String>,
    /// The call's id at its upstream, where it is too long for others: some upstreams put what they
    /// have to remember into it.
    pub upstream_id: Option<String>,
}

impl ReasoningBlob {
    /// Bytes of text held, for a bounded store.
    pub fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.text)
            + length(&self.details)
            + length(&self.extra_content)
            + length(&self.upstream_id)
            + self.items.iter().map(String::len).sum::<usize>()
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.text.is_none()
            && self.details.is_none()
            && self.extra_content.is_none()
            && self.items.is_empty()
            && self.upstream_id.is_none()
    }
}

/// Finds the reasoning that came with a call. The store behind it is the process's: bounded, and
/// divided by caller and upstream, since reasoning of one account is unreadable or private in
/// another.
pub trait ReasoningLookup {
    /// What came with the call of that id.
    fn find(&self, call_id: &str) -> Option<Arc<ReasoningBlob>>;
}

/// Remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReasoning;

impl ReasoningLookup for NoReasoning {
    fn find(&self, _call_id: &str) -> Option<Arc<ReasoningBlob>> {
        None
    }
}
