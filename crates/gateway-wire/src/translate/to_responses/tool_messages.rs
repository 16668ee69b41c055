//! Which tool message answers which call: the n-th message of an id the n-th call of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::chat::Message;
use crate::json::raw::text_of;

/// Where the tool messages of each call stand.
#[derive(Debug, Default)]
pub(super) struct ToolMessages<'a> {
    waiting: HashMap<Cow<'a, str>, VecDeque<usize>>,
    claimed: HashSet<usize>,
}

impl<'a> ToolMessages<'a> {
    /// Finds the tool messages of a conversation, without its first `lead` messages.
    pub(super) fn new(list: &[Message<'a>], lead: usize) -> Self {
        let role = |message: &Message<'_>, wanted: &str| {
            message.role.as_ref().is_some_and(|role| role.0 == wanted)
        };
        let mut found = Self::default();
        for (index, message) in list.iter().enumerate().skip(lead) {
            if let Some(id) = message
                .tool_call_id
                .as_ref()
                .filter(|_| role(message, "tool"))
            {
                let places = found.waiting.entry(id.0.clone()).or_default();
                places.push_back(index);
            }
        }
        let mut calls: HashMap<Cow<'a, str>, usize> = HashMap::new();
        for message in list.iter().skip(lead) {
            for call in message.tool_calls.iter().flatten() {
                let id = call.id.filter(|_| role(message, "assistant"));
                if let Some(id) = id.and_then(text_of) {
                    *calls.entry(id).or_default() += 1;
                }
            }
        }
        for (id, count) in &calls {
            let places = found.waiting.get(id).into_iter().flatten();
            found.claimed.extend(places.take(*count));
        }
        found
    }

    /// Whether some call takes the message at that place.
    pub(super) fn is_claimed(&self, index: usize) -> bool {
        self.claimed.contains(&index)
    }

    /// The place of the message that answers the next call of that id.
    pub(super) fn take(&mut self, id: &str) -> Option<usize> {
        self.waiting.get_mut(id)?.pop_front()
    }
}
