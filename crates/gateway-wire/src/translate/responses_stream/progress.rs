//! What was already passed on of each output item.

use std::collections::BTreeMap;

use super::sent_text::SentText;

/// What was passed on of an output item.
#[derive(Debug, Default)]
pub(super) struct ItemProgress {
    id: Option<String>,
    pub(super) call: Option<CallProgress>,
    /// Texts and refusals by the index of their part.
    pub(super) texts: BTreeMap<u64, SentText>,
    pub(super) reasoning: SentText,
    /// Whether the finished item was seen.
    pub(super) is_done: bool,
    /// Arguments came of a call that the upstream has not named.
    pub(super) has_stray_arguments: bool,
}

/// What was passed on of a call.
#[derive(Debug, Default)]
pub(super) struct CallProgress {
    /// Its place among the calls, once the client knows of it. It is told with the first of its
    /// arguments, so that those that come at once leave in one chunk with the name.
    pub(super) index: Option<usize>,
    pub(super) call_id: String,
    pub(super) name: String,
    pub(super) is_custom: bool,
    pub(super) arguments: SentText,
}

/// The items of one answer.
#[derive(Debug, Default)]
pub(super) struct AnswerItems {
    items: BTreeMap<u64, ItemProgress>,
}

impl AnswerItems {
    /// The item that an event means: by its place in the output, or by its id where no place is
    /// given.
    pub(super) fn get(&mut self, index: Option<u64>, id: Option<&str>) -> &mut ItemProgress {
        let place = index
            .or_else(|| self.place_of(|item| id.is_some() && item.id.as_deref() == id))
            .unwrap_or(u64::MAX - self.items.len() as u64);
        let item = self.items.entry(place).or_default();
        if item.id.is_none() {
            item.id = id.map(str::to_owned);
        }
        item
    }

    /// The place of an item of the last response, which may have had no place in the stream.
    pub(super) fn place_in_response(
        &self,
        index: u64,
        id: Option<&str>,
        call_id: Option<&str>,
    ) -> Option<u64> {
        let same_id = |item: &ItemProgress| id.is_some() && item.id.as_deref() == id;
        let same_call = |item: &ItemProgress| {
            let known = item.call.as_ref().map(|call| call.call_id.as_str());
            call_id.is_some() && known == call_id
        };
        self.place_of(same_id)
            .or_else(|| self.place_of(same_call))
            .or_else(|| self.items.contains_key(&index).then_some(index))
    }

    /// Whether the stream named items without their places, so that those of the last response
    /// cannot be told apart from them.
    pub(super) fn has_unplaced_text(&self) -> bool {
        let unplaced = self.items.range(u64::MAX / 2..);
        unplaced.into_iter().any(|(_, item)| !item.texts.is_empty())
    }

    pub(super) fn has_stray_arguments(&self) -> bool {
        self.items.values().any(|item| item.has_stray_arguments)
    }

    pub(super) fn calls(&mut self) -> impl Iterator<Item = &mut CallProgress> {
        self.items
            .values_mut()
            .filter_map(|item| item.call.as_mut())
    }

    fn place_of(&self, is_meant: impl Fn(&ItemProgress) -> bool) -> Option<u64> {
        self.items
            .iter()
            .find(|(_, item)| is_meant(item))
            .map(|(place, _)| *place)
    }
}
