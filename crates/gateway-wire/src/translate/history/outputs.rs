//! Tool outputs by call id, found before the walk so that no position of an output can part it from
//! its call.

use std::collections::{HashMap, VecDeque};

use super::contents::{ChatContent, contents};
use super::units::call_id;
use crate::dialect::Dialect;
use crate::json::raw::Literal;
use crate::responses::Item;
use crate::translate::error::TranslateError;
use crate::translate::losses::Losses;

/// What a tool answered.
#[derive(Debug, Clone)]
pub(super) struct ToolOutput<'a> {
    pub(super) text: Literal<'a>,
    pub(super) images: Vec<ChatContent<'a>>,
}

/// The outputs of a history.
#[derive(Debug, Default)]
pub(super) struct ToolOutputs<'a> {
    /// In the order of the items; taken when written.
    list: Vec<ToolOutput<'a>>,
    /// Item index to place in `list`.
    by_item: HashMap<usize, usize>,
    /// Call id to places of its outputs that no call took yet. Ids may repeat: the n-th call has
    /// the n-th output.
    waiting: HashMap<String, VecDeque<usize>>,
    /// Item index to call id and how many outputs of that id stand before it.
    ranks: HashMap<usize, (String, usize)>,
    calls: HashMap<String, usize>,
}

impl<'a> ToolOutputs<'a> {
    /// Notes that the history holds a call of that id.
    pub(super) fn expect(&mut self, call_id: &str) {
        if let Some(count) = self.calls.get_mut(call_id) {
            *count += 1;
        } else {
            self.calls.insert(call_id.to_owned(), 1);
        }
    }

    /// Reads an output item.
    pub(super) fn read(
        &mut self,
        index: usize,
        item: &Item<'a>,
        dialect: &Dialect,
        losses: &mut Losses,
    ) -> Result<(), TranslateError> {
        let mut texts = Vec::new();
        let mut images = Vec::new();
        for content in contents(
            &format!("input[{index}].output"),
            item.output,
            dialect,
            losses,
        )? {
            match content {
                ChatContent::Text(text) => texts.push(text),
                ChatContent::Image { .. } | ChatContent::Audio(_) | ChatContent::File { .. } => {
                    images.push(content);
                }
            }
        }
        if texts.is_empty() && !images.is_empty() {
            texts.push(Literal::plain("The output is in the next message."));
        }
        self.add(
            index,
            item,
            ToolOutput {
                text: Literal::join(&texts, r"\n"),
                images,
            },
        );
        Ok(())
    }

    /// Reads the output of a tool search: the names that can be called from now on.
    pub(super) fn found_tools(&mut self, index: usize, item: &Item<'a>, found: &[String]) {
        let text = if found.is_empty() {
            "No tool was found.".to_owned()
        } else {
            format!(
                "These tools can be called from now on: {}",
                found.join(", ")
            )
        };
        self.add(
            index,
            item,
            ToolOutput {
                text: Literal::plain(&text),
                images: Vec::new(),
            },
        );
    }

    fn add(&mut self, index: usize, item: &Item<'a>, output: ToolOutput<'a>) {
        let id = call_id(index, item).into_owned();
        let place = self.list.len();
        self.list.push(output);
        self.by_item.insert(index, place);
        // Nothing is taken before all outputs are read, so the queue's length is the rank.
        let queue = self.waiting.entry(id.clone()).or_default();
        self.ranks.insert(index, (id, queue.len()));
        queue.push_back(place);
    }

    /// The place of the output that belongs to the next call of that id.
    pub(super) fn take(&mut self, call_id: &str) -> Option<usize> {
        self.waiting.get_mut(call_id)?.pop_front()
    }

    /// The output at a place.
    pub(super) fn get(&self, place: usize) -> Option<&ToolOutput<'a>> {
        self.list.get(place)
    }

    /// The place of the output that an item holds.
    pub(super) fn at(&self, index: usize) -> Option<usize> {
        self.by_item.get(&index).copied()
    }

    /// The output of an item that no call claims.
    pub(super) fn take_orphan(&mut self, index: usize) -> Option<ToolOutput<'a>> {
        let (id, rank) = self.ranks.get(&index)?;
        if *rank < self.calls.get(id).copied().unwrap_or(0) {
            return None;
        }
        self.get(self.at(index)?).cloned()
    }
}
