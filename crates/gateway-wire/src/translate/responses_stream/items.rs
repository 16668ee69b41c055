//! Finished items and calls: what of them the client was not told by deltas.

use serde_json::value::RawValue;

use super::progress::CallProgress;
use super::sent_text::Rest;
use super::{ResponsesToChat, TextField};
use crate::json::raw::{Literal, Str, text_of, text_piece};
use crate::responses::{Event, Item, parts_of};
use crate::translate::chunk_writer::{CallHead, ChunkWriter};
use crate::translate::failure::own_failure;
use crate::translate::loss_kind::LossKind;

/// Where an item stands, and its id.
type ItemPlace<'i> = (Option<u64>, Option<&'i str>);

impl ResponsesToChat {
    /// An item was added. False when it cannot be read.
    pub(super) fn added(&mut self, event: &Event<'_>) -> bool {
        let Some(raw) = event.item else { return true };
        let Some(item) = Item::read(raw) else {
            return false;
        };
        if is_call(&item) {
            let id = item.id.and_then(text_of);
            self.begin_call((event.output_index, id.as_deref()), &item);
        }
        true
    }

    /// Notes a call, once.
    fn begin_call(&mut self, place: ItemPlace<'_>, item: &Item<'_>) {
        let progress = self.items.get(place.0, place.1);
        if progress.call.is_some() {
            return;
        }
        let text = |text: &Option<Str<'_>>| text.as_ref().map_or("", |text| &text.0).to_owned();
        progress.call = Some(CallProgress {
            call_id: text(&item.call_id),
            name: text(&item.name),
            is_custom: item.kind() == "custom_tool_call",
            ..CallProgress::default()
        });
        self.summary.has_output = true;
    }

    /// Passes on a piece of a call's arguments.
    pub(super) fn arguments(&mut self, event: &Event<'_>, delta: Option<&RawValue>) -> bool {
        let Some(delta) = delta else { return true };
        let Some(delta) = text_piece(delta) else {
            return false;
        };
        let id = event.item_id.and_then(text_of);
        let progress = self.items.get(event.output_index, id.as_deref());
        let Some(call) = &mut progress.call else {
            // The finished item will tell which call it was.
            progress.has_stray_arguments |= !delta.is_empty();
            return true;
        };
        let delta = call.arguments.piece(delta);
        if delta.is_empty() {
            return true;
        }
        let index = call.index.unwrap_or_else(|| {
            call.announce(&mut self.calls, &mut self.chunks, &Literal::plain(""))
        });
        self.chunks.arguments(index, &delta, call.is_custom);
        self.count(&delta);
        true
    }

    /// Passes on what the deltas left out of a call's arguments.
    pub(super) fn whole_arguments(&mut self, event: &Event<'_>, whole: Option<&RawValue>) -> bool {
        let Some(whole) = whole else { return true };
        let id = event.item_id.and_then(text_of);
        let Some(whole) = text_piece(whole) else {
            return false;
        };
        self.rest_of_arguments((event.output_index, id.as_deref()), &whole)
    }

    fn rest_of_arguments(&mut self, place: ItemPlace<'_>, whole: &Literal<'_>) -> bool {
        let Some(call) = &mut self.items.get(place.0, place.1).call else {
            return true;
        };
        let whole = whole.clone().decode();
        let rest = match call.arguments.whole(&whole) {
            Rest::Hole => {
                self.failure = Some(own_failure(
                    "server_error",
                    "the upstream left out a part of a tool call's arguments",
                ));
                return true;
            }
            Rest::Nothing if call.index.is_some() => return true,
            Rest::Nothing => Literal::plain(""),
            Rest::More(more) => Literal::plain(more),
        };
        match call.index {
            Some(index) => self.chunks.arguments(index, &rest, call.is_custom),
            // The arguments came at once: so does the call. Naive clients take each chunk for a
            // call of its own.
            None => {
                call.announce(&mut self.calls, &mut self.chunks, &rest);
            }
        }
        self.count(&rest);
        true
    }

    /// Passes on what the deltas left out of a text.
    pub(super) fn rest_of_text(
        &mut self,
        place: ItemPlace<'_>,
        part: u64,
        whole: &Literal<'_>,
        field: TextField,
        logprobs: Option<&RawValue>,
    ) -> bool {
        let sent = self
            .items
            .get(place.0, place.1)
            .texts
            .entry(part)
            .or_default();
        let is_first = sent.is_empty();
        let whole = whole.clone().decode();
        match sent.whole(&whole) {
            Rest::Nothing => {}
            Rest::More(more) => {
                let logprobs = logprobs.filter(|_| is_first).map(RawValue::get);
                self.pass_text(field, &Literal::plain(more), logprobs);
            }
            Rest::Hole => {
                self.failure = Some(own_failure(
                    "server_error",
                    "the upstream left out a part of the answer's text",
                ));
            }
        }
        true
    }

    /// An item is finished. False when it cannot be read.
    pub(super) fn finished(&mut self, event: &Event<'_>) -> bool {
        event
            .item
            .is_none_or(|item| self.finished_item(event.output_index, item))
    }

    pub(super) fn finished_item(&mut self, index: Option<u64>, raw: &RawValue) -> bool {
        let Some(item) = Item::read(raw) else {
            return false;
        };
        let id = item.id.and_then(text_of);
        let place = (index, id.as_deref());
        let path = || format!("output[{}]", index.unwrap_or(0));
        let is_again = std::mem::replace(&mut self.items.get(place.0, place.1).is_done, true);
        match item.kind() {
            "message" => return self.finished_message(place, &item, is_again),
            "reasoning" => return self.finished_reasoning(place, &item, raw, is_again),
            "function_call" | "custom_tool_call" => {
                self.begin_call(place, &item);
                let progress = self.items.get(place.0, place.1);
                progress.has_stray_arguments = false;
                if let Some(call) = &mut progress.call {
                    call.complete_head(&item);
                }
                let Some(whole) = item.arguments.or(item.input) else {
                    return true;
                };
                // An object in place of its text.
                let whole = text_piece(whole).unwrap_or_else(|| Literal::plain(whole.get()));
                return self.rest_of_arguments(place, &whole);
            }
            _ if is_again => {}
            other if other.ends_with("_call") => {
                self.summary.hosted_tools.note_item(raw.get().as_bytes());
                self.losses.keep(LossKind::HostedCall, path());
            }
            _ => self.losses.keep(LossKind::UnknownItem, path()),
        }
        true
    }

    fn finished_message(&mut self, place: ItemPlace<'_>, item: &Item<'_>, is_again: bool) -> bool {
        let Some(parts) = parts_of(item.content) else {
            return false;
        };
        for (n, part) in (0_u64..).zip(parts) {
            let has_citation = part
                .annotations
                .is_some_and(|annotations| annotations.get() != "[]");
            if has_citation && !is_again {
                let path = format!("output[{}].content", place.0.unwrap_or(0));
                self.losses.keep(LossKind::Annotation, path);
            }
            for (raw, field) in [
                (part.text, TextField::Content),
                (part.refusal, TextField::Refusal),
            ] {
                let Some(raw) = raw else { continue };
                let Some(whole) = text_piece(raw) else {
                    return false;
                };
                self.rest_of_text(place, n, &whole, field, part.logprobs);
            }
        }
        true
    }

    fn finished_reasoning(
        &mut self,
        place: ItemPlace<'_>,
        item: &Item<'_>,
        raw: &RawValue,
        is_again: bool,
    ) -> bool {
        if item.encrypted_content.is_some() && !is_again {
            self.reasoning_items
                .push(raw.get().replace(['\n', '\r'], " "));
        }
        let (Some(summary), Some(content)) = (parts_of(item.summary), parts_of(item.content))
        else {
            return false;
        };
        let parts = summary.into_iter().chain(content);
        let texts: Vec<_> = parts
            .filter_map(|part| part.text.and_then(Literal::of))
            .collect();
        let sent = &mut self.items.get(place.0, place.1).reasoning;
        if sent.is_empty() && !texts.is_empty() {
            let text = sent.piece(Literal::join(&texts, r"\n\n"));
            self.count(&text);
            self.chunks.text("reasoning_content", &text, None);
        }
        true
    }
}

impl CallProgress {
    /// Tells the client of the call; gives its place among the calls.
    pub(super) fn announce(
        &mut self,
        calls: &mut usize,
        chunks: &mut ChunkWriter,
        arguments: &Literal<'_>,
    ) -> usize {
        let index = *calls;
        *calls += 1;
        self.index = Some(index);
        if self.call_id.is_empty() {
            self.call_id = format!("call_{index}");
        }
        let head = CallHead {
            index,
            id: &self.call_id,
            name: &self.name,
            is_custom: self.is_custom,
        };
        chunks.call(&head, arguments);
        index
    }

    /// Takes name and id from the finished item where the call began without them.
    fn complete_head(&mut self, item: &Item<'_>) {
        if self.index.is_some() {
            return;
        }
        if let Some(name) = item.name.as_ref().filter(|_| self.name.is_empty()) {
            self.name = name.0.to_string();
        }
        if let Some(id) = item.call_id.as_ref().filter(|id| !id.0.is_empty()) {
            self.call_id = id.0.to_string();
        }
    }
}

fn is_call(item: &Item<'_>) -> bool {
    matches!(item.kind(), "function_call" | "custom_tool_call")
}
