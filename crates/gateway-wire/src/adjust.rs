//! Small changes of a Responses request that is to be served by another model. Touches only the
//! members it is asked to change; every other value keeps its bytes and every object its order, so
//! that a prompt cache still finds its prefix.

use std::borrow::Cow;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::codex::{TURN_METADATA, without_workspaces};
use crate::json::raw::Str;

/// What to change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adjustments {
    /// `model` becomes this.
    pub model: Option<String>,
    /// `reasoning.effort` (or `reasoning_effort`) becomes this.
    pub effort: Option<String>,
    /// `text.verbosity` (or `verbosity`) becomes this.
    pub verbosity: Option<String>,
    /// Tools move from the `additional_tools` input item to the top level, and what else marks a
    /// Responses-Lite request goes.
    pub lift_lite_tools: bool,
    /// Encrypted reasoning goes: items that hold nothing else are removed, others lose the member.
    pub strip_encrypted_reasoning: bool,
    /// The names of local paths go from Codex's turn metadata.
    pub cut_workspaces: bool,
}

/// The body is not what it must be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AdjustError(#[from] serde_json::Error);

/// The key of `client_metadata` that marks a Responses-Lite request on a WebSocket.
const LITE_METADATA: &str = "ws_request_header_x_openai_internal_codex_responses_lite";

/// Applies the changes to a whole body.
///
/// # Errors
/// When the body is no JSON object, or `input` no list where its items are to be changed.
pub fn adjust(body: &[u8], wanted: &Adjustments) -> Result<Vec<u8>, AdjustError> {
    let mut object: Object<'_> = serde_json::from_slice(body)?;
    if let Some(model) = &wanted.model {
        object.set_text("model", model)?;
    }
    if let Some(effort) = &wanted.effort {
        object.set_text_in("reasoning", "effort", effort)?;
        object.set_text("reasoning_effort", effort)?;
    }
    if let Some(verbosity) = &wanted.verbosity {
        object.set_text_in("text", "verbosity", verbosity)?;
        object.set_text("verbosity", verbosity)?;
    }
    if wanted.lift_lite_tools {
        lift_lite_tools(&mut object)?;
    }
    if wanted.cut_workspaces {
        cut_workspaces(&mut object)?;
    }
    if wanted.strip_encrypted_reasoning {
        strip_encrypted_reasoning(&mut object)?;
    }
    Ok(serde_json::to_vec(&object)?)
}

/// An object whose members keep their order and their bytes.
struct Object<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

/// One value: as it came, or new.
type Raw<'a> = Cow<'a, RawValue>;

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<Str<'de>, &'de RawValue>()? {
                    members.push((key.0, Cow::Borrowed(value)));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value.as_ref())))
    }
}

impl<'a> Object<'a> {
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_ref())
    }

    fn slot(&mut self, name: &str) -> Option<&mut Raw<'a>> {
        self.0
            .iter_mut()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    fn is(&self, name: &str, word: &str) -> bool {
        self.get(name)
            .and_then(|value| serde_json::from_str::<Cow<'_, str>>(value.get()).ok())
            .is_some_and(|text| text == word)
    }

    /// Replaces a member that is there; adds none.
    fn set_text(&mut self, name: &str, text: &str) -> Result<(), AdjustError> {
        if let Some(slot) = self.slot(name) {
            *slot = raw(text)?;
        }
        Ok(())
    }

    fn set_text_in(&mut self, outer: &str, name: &str, text: &str) -> Result<(), AdjustError> {
        let Some(slot) = self.slot(outer) else {
            return Ok(());
        };
        let changed = {
            let Ok(mut inner) = serde_json::from_str::<Object<'_>>(slot.get()) else {
                return Ok(());
            };
            inner.set_text(name, text)?;
            raw(&inner)?
        };
        *slot = changed;
        Ok(())
    }

    fn remove_in(&mut self, outer: &str, name: &str) -> Result<(), AdjustError> {
        let Some(slot) = self.slot(outer) else {
            return Ok(());
        };
        let changed = {
            let Ok(mut inner) = serde_json::from_str::<Object<'_>>(slot.get()) else {
                return Ok(());
            };
            inner.remove(name);
            raw(&inner)?
        };
        *slot = changed;
        Ok(())
    }

    /// Rewrites the items of `input`; an item for which `change` gives `None` is left out.
    fn change_items(
        &mut self,
        mut change: impl FnMut(&RawValue) -> Result<Option<Raw<'static>>, AdjustError>,
    ) -> Result<(), AdjustError> {
        let Some(slot) = self.slot("input") else {
            return Ok(());
        };
        if !slot.get().starts_with('[') {
            return Ok(());
        }
        let changed = {
            let items: Vec<&RawValue> = serde_json::from_str(slot.get())?;
            let mut kept: Vec<Raw<'_>> = Vec::with_capacity(items.len());
            for item in items {
                if let Some(item) = change(item)? {
                    kept.push(item);
                }
            }
            raw(&kept)?
        };
        *slot = changed;
        Ok(())
    }
}

fn raw(value: &(impl Serialize + ?Sized)) -> Result<Raw<'static>, AdjustError> {
    Ok(Cow::Owned(serde_json::value::to_raw_value(value)?))
}

/// What a model that knows nothing of Responses-Lite expects: tools at the top level, no header
/// (the caller's business), no `reasoning.context`.
fn lift_lite_tools(object: &mut Object<'_>) -> Result<(), AdjustError> {
    let mut tools: Vec<Raw<'static>> = Vec::new();
    object.change_items(|item| {
        let parsed: Object<'_> = match serde_json::from_str(item.get()) {
            Ok(parsed) => parsed,
            Err(_) => return Ok(Some(Cow::Owned(item.to_owned()))),
        };
        if !parsed.is("type", "additional_tools") {
            return Ok(Some(Cow::Owned(item.to_owned())));
        }
        if let Some(list) = parsed.get("tools") {
            let list: Vec<&RawValue> = serde_json::from_str(list.get())?;
            tools.extend(list.into_iter().map(|tool| Cow::Owned(tool.to_owned())));
        }
        Ok(None)
    })?;
    object.remove_in("reasoning", "context")?;
    object.remove_in("client_metadata", LITE_METADATA)?;
    if tools.is_empty() {
        return Ok(());
    }
    if let Some(slot) = object.slot("tools") {
        let given: Vec<Box<RawValue>> = serde_json::from_str(slot.get())?;
        let all: Vec<Raw<'_>> = given.into_iter().map(Cow::Owned).chain(tools).collect();
        *slot = raw(&all)?;
    } else {
        object.0.push((Cow::Borrowed("tools"), raw(&tools)?));
    }
    Ok(())
}

/// Codex says the same in a header, which the caller leaves out.
fn cut_workspaces(object: &mut Object<'_>) -> Result<(), AdjustError> {
    let Some(slot) = object.slot("client_metadata") else {
        return Ok(());
    };
    let changed = {
        let Ok(mut metadata) = serde_json::from_str::<Object<'_>>(slot.get()) else {
            return Ok(());
        };
        let text = metadata.get(TURN_METADATA);
        let text = text.and_then(|text| serde_json::from_str::<String>(text.get()).ok());
        let Some(cut) = text.as_deref().and_then(without_workspaces) else {
            return Ok(());
        };
        metadata.set_text(TURN_METADATA, &cut)?;
        raw(&metadata)?
    };
    *slot = changed;
    Ok(())
}

fn strip_encrypted_reasoning(object: &mut Object<'_>) -> Result<(), AdjustError> {
    object.change_items(|item| {
        let keep = || Ok(Some(Cow::Owned(item.to_owned())));
        let Ok(mut parsed) = serde_json::from_str::<Object<'_>>(item.get()) else {
            return keep();
        };
        if !parsed.is("type", "reasoning") || parsed.get("encrypted_content").is_none() {
            return keep();
        }
        let has_text = ["summary", "content"]
            .iter()
            .filter_map(|name| parsed.get(name))
            .any(|list| {
                serde_json::from_str::<Vec<&RawValue>>(list.get())
                    .is_ok_and(|list| !list.is_empty())
            });
        if !has_text {
            return Ok(None);
        }
        parsed.remove("encrypted_content");
        // The id names an item that only its own upstream knows.
        parsed.remove("id");
        raw(&parsed).map(Some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, wanted: &Adjustments, expected: &str) {
        let adjusted = adjust(body.as_bytes(), wanted).unwrap();
        assert_eq!(String::from_utf8(adjusted).unwrap(), expected);
    }

    #[test]
    fn only_the_members_that_are_there_change_and_all_else_keeps_its_bytes() {
        let wanted = Adjustments {
            model: Some("n\"2".into()),
            effort: Some("high".into()),
            verbosity: Some("medium".into()),
            ..Adjustments::default()
        };
        check(
            r#"{"z":1.0e3,"model":"m","reasoning":{"summary":"auto","effort":"xhigh"},"text":{"verbosity":"low"},"a":"\u00e9"}"#,
            &wanted,
            r#"{"z":1.0e3,"model":"n\"2","reasoning":{"summary":"auto","effort":"high"},"text":{"verbosity":"medium"},"a":"\u00e9"}"#,
        );
        check(
            r#"{"model":"m","reasoning":null}"#,
            &wanted,
            r#"{"model":"n\"2","reasoning":null}"#,
        );
    }

    #[test]
    fn lite_requests_become_ordinary_ones() {
        let wanted = Adjustments {
            lift_lite_tools: true,
            ..Adjustments::default()
        };
        check(
            r#"{"input":[{"type":"additional_tools","tools":[{"type":"function","name":"f"}]},{"type":"message","role":"user"}],"reasoning":{"context":"all_turns"}}"#,
            &wanted,
            r#"{"input":[{"type":"message","role":"user"}],"reasoning":{},"tools":[{"type":"function","name":"f"}]}"#,
        );
    }

    #[test]
    fn local_paths_are_cut_from_the_turn_metadata_and_all_else_keeps_its_bytes() {
        let wanted = Adjustments {
            cut_workspaces: true,
            ..Adjustments::default()
        };
        check(
            r#"{"z":1.0e3,"client_metadata":{"a":"b","x-codex-turn-metadata":"{\"session_id\":\"s\",\"workspaces\":{\"/home/me\":{}}}"}}"#,
            &wanted,
            r#"{"z":1.0e3,"client_metadata":{"a":"b","x-codex-turn-metadata":"{\"session_id\":\"s\"}"}}"#,
        );
        for same in [
            r#"{"client_metadata":{"x-codex-turn-metadata":"{}"}}"#,
            r#"{"client_metadata":{"x-codex-turn-metadata":7}}"#,
            r#"{"client_metadata":7}"#,
            r#"{"model":"m"}"#,
        ] {
            check(same, &wanted, same);
        }
    }

    #[test]
    fn encrypted_reasoning_is_taken_out_and_its_text_stays() {
        let wanted = Adjustments {
            strip_encrypted_reasoning: true,
            ..Adjustments::default()
        };
        check(
            r#"{"input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"},{"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"y"},{"type":"message","id":"msg_1"}]}"#,
            &wanted,
            r#"{"input":[{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}]},{"type":"message","id":"msg_1"}]}"#,
        );
        check(r#"{"input":"plain"}"#, &wanted, r#"{"input":"plain"}"#);
    }
}
