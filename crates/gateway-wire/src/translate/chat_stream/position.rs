//! Where an item stands in the output of an answer.

use crate::json::write::JsonWriter;
use crate::stream::StepKind;
use crate::translate::emit::Emitter;

/// What every item has.
#[derive(Debug, Clone)]
pub(super) struct ItemPosition {
    pub(super) id: String,
    pub(super) index: u64,
}

impl ItemPosition {
    /// Writes the fields by which an event names its item.
    pub(super) fn refer(&self, json: &mut JsonWriter) {
        json.field_str("item_id", &self.id)
            .field_number("output_index", self.index);
    }

    pub(super) fn added(&self, emit: &mut Emitter, item: impl FnOnce(&mut JsonWriter)) {
        emit.event(StepKind::Output, "response.output_item.added", |json| {
            json.field_number("output_index", self.index).key("item");
            item(json);
        });
    }

    /// Writes the item's one `done` and returns the item.
    pub(super) fn done(&self, emit: &mut Emitter, item: impl FnOnce(&mut JsonWriter)) -> Vec<u8> {
        let mut whole = JsonWriter::default();
        item(&mut whole);
        emit.event(StepKind::Output, "response.output_item.done", |json| {
            json.field_number("output_index", self.index).key("item");
            json.raw(std::str::from_utf8(&whole.out).unwrap_or("null"));
        });
        whole.out
    }
}
