//! The units that a conversation is gathered into before it is written.

use std::borrow::Cow;

use super::contents::ChatContent;
use crate::json::raw::{Literal, text_of};
use crate::responses::Item;

/// Who speaks, apart from the assistant and tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    Developer,
    User,
}

/// A call of an assistant message.
#[derive(Debug)]
pub(super) struct AssistantCall<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: String,
    pub(super) arguments: Literal<'a>,
    pub(super) output: Option<usize>,
}

/// An assistant message with the tool messages that follow it.
#[derive(Debug, Default)]
pub(super) struct AssistantTurn<'a> {
    pub(super) text: Vec<Literal<'a>>,
    pub(super) reasoning: Vec<Literal<'a>>,
    pub(super) calls: Vec<AssistantCall<'a>>,
    /// How many of its outputs the walk has passed.
    pub(super) answered: usize,
}

#[derive(Debug)]
pub(super) enum HistoryUnit<'a> {
    Message(Role, Vec<ChatContent<'a>>),
    Assistant(AssistantTurn<'a>),
}

/// The id that ties a call to its output; made up where there is none.
pub(super) fn call_id<'a>(index: usize, item: &Item<'a>) -> Cow<'a, str> {
    item.call_id
        .as_ref()
        .map(|id| id.0.clone())
        .filter(|id| !id.is_empty())
        .or_else(|| item.id.and_then(text_of).filter(|id| !id.is_empty()))
        .unwrap_or_else(|| Cow::Owned(format!("call_{index}")))
}
