//! The ids of what an upstream keeps of an answer: its output items, and the containers in which its
//! tools ran. Read so that they can be told from those of others.

use std::collections::BTreeSet;

use crate::json::span::{self, Elements, Members};

/// Most ids of one answer; what is beyond them belongs to no caller.
const MAX_IDS: usize = 1024;

/// Ids of items and containers in an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredItems {
    /// Output items, which are kept where the response is.
    pub items: BTreeSet<String>,
    /// Containers, which are kept for a while whether the response is or not.
    pub containers: BTreeSet<String>,
}

impl StoredItems {
    /// Notes a finished output item, given as JSON.
    pub(crate) fn note_item(&mut self, item: &[u8]) {
        for (name, ids) in [
            ("id", &mut self.items),
            ("container_id", &mut self.containers),
        ] {
            if ids.len() < MAX_IDS {
                ids.extend(span::text_of(item, 0, name));
            }
        }
    }

    /// Notes the items of a whole response object, unless they were seen one by one.
    pub(crate) fn note_response(&mut self, response: &[u8]) {
        if !self.items.is_empty() {
            return;
        }
        for member in Members::new(response, 0) {
            if span::string_at(response, &member.key).as_deref() == Some("output") {
                for item in Elements::new(response, member.value.start) {
                    self.note_item(response.get(item).unwrap_or_default());
                }
            }
        }
    }
}
