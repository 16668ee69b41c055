//! Compaction items of our own: a summary that a Chat upstream wrote, wrapped so that a later
//! request can carry it again.
//!
//! The wrapper is readable on purpose (base64 of the plain summary): it hides nothing and needs no
//! key. Items of other services are opaque and are refused, never guessed at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::json::raw::{Fields, array_of, fields_of};
use crate::json::write::JsonWriter;

/// Starts every wrapper; the number is the version.
const MARK: &str = "codex-gateway.summary.v1.";

/// What the upstream is asked for when a client wants its history compacted.
pub(crate) const REQUEST: &str = "Stop the work here. Another assistant will take over with nothing but what you write now. \
Write a complete hand-over note: what the user asked for, in the user's own words where the wording matters; every decision \
and constraint; what was done, with file paths, commands and results; what is still open and the next step. \
Leave out nothing that is needed to go on, add nothing that did not happen. Answer with the note alone; call no tools.";

/// Stands before a summary that goes back into a conversation.
const INTRODUCTION: &str =
    "The conversation so far was compacted. This note was written at that point; go on from it:";

/// The `encrypted_content` of a compaction item that holds `summary`.
pub fn wrap(summary: &str) -> String {
    format!("{MARK}{}", STANDARD.encode(summary))
}

/// The summary of a wrapper of ours; `None` for anything else.
pub fn unwrap(encrypted_content: &str) -> Option<String> {
    let bytes = STANDARD
        .decode(encrypted_content.strip_prefix(MARK)?)
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// Whether a body holds a wrapper of ours, which an upstream that speaks Responses could not read.
pub fn is_present(body: &[u8]) -> bool {
    memchr::memmem::find(body, MARK.as_bytes()).is_some()
}

/// A request body with our wrappers replaced by messages that any Responses upstream can read;
/// `None` when it holds none.
///
/// Needed where a conversation that was compacted here goes on at an upstream that speaks Responses
/// itself.
pub fn expand(body: &[u8]) -> Option<Vec<u8>> {
    if !is_present(body) {
        return None;
    }
    let fields: Fields<'_> = serde_json::from_slice(body).ok()?;
    let mut has_changed = false;
    let mut json = JsonWriter::with_capacity(body.len() + 256);
    json.begin_object();
    for (name, value) in &fields.0 {
        let Some(items) = array_of(value).filter(|_| name == "input") else {
            json.field_raw(name, value.get());
            continue;
        };
        json.key("input").begin_array();
        for item in items {
            match summary_of(item) {
                Some(summary) => {
                    has_changed = true;
                    write_note(&mut json, &summary);
                }
                None => {
                    json.raw(item.get());
                }
            }
        }
        json.end_array();
    }
    json.end_object();
    has_changed.then_some(json.out)
}

fn summary_of(item: &RawValue) -> Option<String> {
    let item = fields_of(item)?;
    let kind = item.text("type")?;
    let is_compaction = matches!(
        &*kind,
        "compaction" | "compaction_summary" | "context_compaction"
    );
    unwrap(&item.text("encrypted_content").filter(|_| is_compaction)?)
}

fn write_note(json: &mut JsonWriter, summary: &str) {
    json.begin_object()
        .field_str("type", "message")
        .field_str("role", "user")
        .key("content")
        .begin_array();
    json.begin_object()
        .field_str("type", "input_text")
        .field_str("text", &note(summary));
    json.end_object().end_array().end_object();
}

/// A summary as it is told to a model.
pub(crate) fn note(summary: &str) -> String {
    format!("{INTRODUCTION}\n\n{summary}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_survives_and_foreign_blobs_do_not() {
        assert_eq!(unwrap(&wrap("né\n\"x\"")).as_deref(), Some("né\n\"x\""));
        for foreign in [
            "",
            "gAAAAABo",
            "codex-gateway.summary.v2.QQ==",
            "codex-gateway.summary.v1.%%%",
        ] {
            assert_eq!(unwrap(foreign), None, "{foreign}");
        }
        assert!(is_present(wrap("x").as_bytes()));
    }

    #[test]
    fn our_wrappers_become_messages_and_the_rest_stays() {
        let body = format!(
            r#"{{"model":"m" ,"input":[{{"type":"compaction","encrypted_content":"gAAAA"}},{{"type":"compaction","encrypted_content":"{}"}}],"x":1.0}}"#,
            wrap("note")
        );
        let expanded = String::from_utf8(expand(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            expanded,
            format!(
                r#"{{"model":"m","input":[{{"type":"compaction","encrypted_content":"gAAAA"}},{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{INTRODUCTION}\n\nnote"}}]}}],"x":1.0}}"#
            )
        );
        assert_eq!(expand(br#"{"input":[]}"#), None);
        assert_eq!(
            expand(format!(r#"{{"input":"{}"}}"#, wrap("x")).as_bytes()),
            None,
            "quoted text is no item"
        );
    }
}
