//! The last response of a stream, or its finished items where that one is empty.

use crate::json::raw::{Fields, fields_of};
use crate::json::tolerant;
use crate::json::write::JsonWriter;
use crate::responses::Event;
use crate::sse::is_done_marker;
use crate::stream::{ReplySummary, StreamFailure, Terminal};
use crate::translate::failure::{error_event, unreadable};
use crate::usage::read_usage;

/// What is kept of a Responses stream.
#[derive(Debug, Default)]
pub(super) struct CollectedResponse {
    /// Finished items by their place in the output.
    items: Vec<(u64, String)>,
    response: Option<String>,
}

impl CollectedResponse {
    pub(super) fn take(&mut self, data: &[u8], name: Option<&str>, summary: &mut ReplySummary) {
        if is_done_marker(data) {
            return;
        }
        if let Some(event) = Event::read(data) {
            self.event(&event, data, name, summary);
            return;
        }
        let Some(objects) = tolerant::objects(data) else {
            let told = error_event(data, name);
            if let Some(failure) = told.or_else(|| unreadable(data, name)) {
                summary.end_with(Terminal::Failed(failure));
            }
            return;
        };
        for object in objects {
            match Event::read(object.as_bytes()) {
                Some(event) => self.event(&event, object.as_bytes(), name, summary),
                None => summary.terminal = unreadable(data, None).map(Terminal::Failed),
            }
        }
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        data: &[u8],
        name: Option<&str>,
        summary: &mut ReplySummary,
    ) {
        let fields = event.response.and_then(fields_of).unwrap_or_default();
        note(summary, &fields);
        let kind = event.kind.as_ref().map(|kind| &*kind.0).or(name);
        let terminal = match kind.unwrap_or_default() {
            "response.output_item.done" => {
                summary.has_output = true;
                if let Some(item) = event.item {
                    summary.hosted_tools.note_item(item.get().as_bytes());
                    let place = event.output_index.unwrap_or(self.items.len() as u64);
                    self.items.push((place, item.get().to_owned()));
                }
                return;
            }
            "response.failed" => Terminal::Failed(StreamFailure::read(data)),
            "response.incomplete" => Terminal::Incomplete {
                reason: fields
                    .object("incomplete_details")
                    .and_then(|details| details.text("reason"))
                    .map(std::borrow::Cow::into_owned),
            },
            "response.completed" | "response.done" => Terminal::Completed,
            _ => {
                if let Some(failure) = error_event(data, name) {
                    summary.pending_error = Some(failure);
                }
                return;
            }
        };
        if let Some(response) = event.response {
            summary
                .hosted_tools
                .note_response(response.get().as_bytes());
        }
        self.response = event.response.map(|response| response.get().to_owned());
        summary.end_with(terminal);
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let response: Fields<'_> = self
            .response
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        // Streaming-only upstreams leave the last response's output empty.
        let is_bare = response
            .array("output")
            .is_none_or(|output| output.is_empty());
        let mut json = JsonWriter::default();
        json.begin_object();
        for (name, value) in response
            .0
            .iter()
            .filter(|(name, _)| !(is_bare && name == "output"))
        {
            json.field_raw(name, value.get());
        }
        if is_bare {
            let mut items: Vec<_> = self.items.iter().collect();
            items.sort_by_key(|(index, _)| *index);
            json.key("output").begin_array();
            for (_, item) in items {
                json.raw(item);
            }
            json.end_array();
        }
        json.end_object();
        json.out
    }
}

fn note(summary: &mut ReplySummary, fields: &Fields<'_>) {
    for (field, name) in [
        (&mut summary.response_id, "id"),
        (&mut summary.model, "model"),
        (&mut summary.service_tier, "service_tier"),
    ] {
        if let Some(text) = fields.text(name).filter(|text| !text.is_empty()) {
            *field = Some(text.into_owned());
        }
    }
    if let Some(usage) = fields.get("usage") {
        summary.note_usage(&read_usage(usage.get().as_bytes()));
    }
}
