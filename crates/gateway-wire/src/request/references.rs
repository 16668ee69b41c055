//! What of things that are stored at an upstream a request uses: by id, wherever a body can name
//! one. Decides nothing about whose they are.

use std::collections::BTreeSet;

use memchr::memchr2;

use crate::json::span::{self, Elements, Members};

/// A stored thing that a request uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// What kind of thing it is: the member that names it.
    pub member: &'static str,
    /// Its id.
    pub id: String,
}

/// A model that a request names beside the one that decides.
pub type OtherModel = (&'static str, String);

/// Most different references of one body; a body with more is none that a client sends.
const MAX_REFERENCES: usize = 512;

/// Members that name a stored thing at any depth, in a string or a list of them.
const MEMBERS: [&str; 7] = [
    "file_id",
    "file_ids",
    "vector_store_id",
    "vector_store_ids",
    "container_id",
    "container",
    "skill_id",
];
/// Members in which the same names mean something else: schemas, the caller's own notes, and what an
/// earlier answer quoted.
const QUOTED: [&str; 8] = [
    "parameters",
    "schema",
    "input_schema",
    "metadata",
    "client_metadata",
    "annotations",
    "results",
    "headers",
];

/// The stored things that a whole body uses. `None`: more than any client names.
pub fn references(body: &[u8]) -> Option<Vec<Reference>> {
    let mut found = Found::default();
    for member in Members::new(body, 0) {
        let at = member.value.start;
        let is_object = body.get(at) == Some(&b'{');
        match span::string_at(body, &member.key).as_deref() {
            Some("previous_response_id") => {
                found.add("previous_response_id", span::text_at(body, &member.value));
            }
            Some("conversation") if is_object => {
                found.add("conversation", span::text_of(body, at, "id"));
            }
            Some("conversation") => found.add("conversation", span::text_at(body, &member.value)),
            Some("prompt") if is_object => found.add("prompt", span::text_of(body, at, "id")),
            Some("input") => {
                for item in Elements::new(body, at) {
                    found.note_item(body, item.start);
                }
            }
            Some(_) | None => {}
        }
    }
    walk(body, &mut found);
    (found.0.len() <= MAX_REFERENCES).then(|| found.0.into_iter().collect())
}

/// The models that a whole body names beside `model`: of tools, and those that the upstream may
/// take instead.
pub fn other_models(body: &[u8]) -> Vec<OtherModel> {
    let mut models = Vec::new();
    for member in Members::new(body, 0) {
        let at = member.value.start;
        let key = span::string_at(body, &member.key);
        for element in Elements::new(body, at) {
            match key.as_deref() {
                Some("models") => {
                    models.extend(span::text_at(body, &element).map(|id| ("models", id)));
                }
                Some("tools") => {
                    let model = span::text_of(body, element.start, "model");
                    models.extend(model.map(|id| ("tools", id)));
                }
                Some(_) | None => break,
            }
        }
    }
    models
}

#[derive(Default)]
struct Found(BTreeSet<Reference>);

impl Found {
    fn add(&mut self, member: &'static str, id: Option<String>) {
        if let Some(id) = id.filter(|_| self.0.len() <= MAX_REFERENCES) {
            self.0.insert(Reference { member, id });
        }
    }

    /// An input item that stands for one that is stored: a bare reference, or an item that is
    /// nothing without what the upstream stored of it.
    fn note_item(&mut self, body: &[u8], at: usize) {
        let kind = span::text_of(body, at, "type");
        let has = |name| span::is_set(body, at, name);
        let is_stored = match kind.as_deref() {
            Some("item_reference") => true,
            Some("reasoning") => !has("encrypted_content"),
            Some("image_generation_call") => !has("result"),
            None => !has("role") && !has("content"),
            Some(_) => false,
        };
        if is_stored {
            self.add("item_reference", span::text_of(body, at, "id"));
        }
    }
}

/// What comes next on a level.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NextToken {
    Element,
    Key,
    Value,
}

/// One level of nesting.
struct Level {
    place: NextToken,
    /// What a string that comes names.
    member: Option<&'static str>,
    is_quoted: bool,
    /// Whether the value that comes is quoted.
    quotes_next: bool,
}

/// Finds [`MEMBERS`] at any depth in one pass.
fn walk(body: &[u8], found: &mut Found) {
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'{' | b'[' => {
                let is_object = byte == b'{';
                let above = levels.last();
                levels.push(Level {
                    place: if is_object {
                        NextToken::Key
                    } else {
                        NextToken::Element
                    },
                    member: above.and_then(|above| above.member).filter(|_| !is_object),
                    is_quoted: above.is_some_and(|above| above.is_quoted || above.quotes_next),
                    quotes_next: false,
                });
            }
            b'}' | b']' => {
                levels.pop();
            }
            b',' => {
                if let Some(level) = levels
                    .last_mut()
                    .filter(|level| level.place == NextToken::Value)
                {
                    level.place = NextToken::Key;
                    level.member = None;
                    level.quotes_next = false;
                }
            }
            b'"' => {
                let Some(end) = string_end(body, at) else {
                    return;
                };
                if let Some(level) = levels.last_mut() {
                    note_string(body.get(at..end).unwrap_or_default(), level, found);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

fn note_string(raw: &[u8], level: &mut Level, found: &mut Found) {
    if level.place == NextToken::Key {
        level.place = NextToken::Value;
        let key = span::unquote(raw).unwrap_or_default();
        level.member = MEMBERS.into_iter().find(|member| *member == key);
        level.quotes_next = QUOTED.contains(&&*key);
    } else if let Some(member) = level.member
        && !level.is_quoted
    {
        let id = span::unquote(raw).map(std::borrow::Cow::into_owned);
        // The kind of a container that is made for this request.
        found.add(
            member,
            id.filter(|id| member != "container" || id != "auto"),
        );
    }
}

/// Behind the string that begins at `at`.
fn string_end(body: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let hit = at + memchr2(b'"', b'\\', body.get(at..)?)?;
        if body.get(hit) == Some(&b'"') {
            return Some(hit + 1);
        }
        at = hit + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(body: &serde_json::Value) -> Vec<String> {
        let references = references(body.to_string().as_bytes()).unwrap();
        references
            .iter()
            .map(|found| format!("{} {}", found.member, found.id))
            .collect()
    }

    #[test]
    fn every_place_that_names_a_stored_thing_is_found() {
        let body = json!({
            "previous_response_id": "resp_1",
            "conversation": {"id": "conv_1"},
            "prompt": {"id": "pmpt_1", "variables": {"page": {"type": "input_file", "file_id": "file_v"}}},
            "input": [
                {"type": "item_reference", "id": "msg_1"},
                {"id": "msg_2"},
                {"id": "msg_3", "type": null},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "image_generation_call", "id": "ig_1"},
                {"role": "user", "content": [
                    {"type": "input_file", "file_id": "file_1"}, {"type": "input_image", "file_id": "file_2"}]},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "file_3"}]},
                {"type": "code_interpreter_call", "id": "ci", "container_id": "cntr_1"},
            ],
            "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_4"}}]}],
            "tools": [
                {"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]},
                {"type": "code_interpreter", "container": "cntr_2"},
                {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file_5"]}},
                {"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_3"}},
            ],
        });
        let mut expected = vec![
            "previous_response_id resp_1",
            "conversation conv_1",
            "prompt pmpt_1",
            "file_id file_v",
            "item_reference msg_1",
            "item_reference msg_2",
            "item_reference msg_3",
            "item_reference rs_1",
            "item_reference ig_1",
            "file_id file_1",
            "file_id file_2",
            "file_id file_3",
            "file_id file_4",
            "container_id cntr_1",
            "container_id cntr_3",
            "container cntr_2",
            "file_ids file_5",
            "vector_store_ids vs_1",
            "vector_store_ids vs_2",
        ];
        let mut found = found(&body);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        let escaped = br#"{"input":[{"content":[{"file\u005fid":"file\u005f1"}]}]}"#;
        assert_eq!(references(escaped).unwrap()[0].id, "file_1");
    }

    #[test]
    fn what_a_body_carries_itself_is_no_reference() {
        let body = json!({
            "previous_response_id": null, "conversation": null,
            "metadata": {"file_id": "note"}, "client_metadata": {"container": "mine"},
            "input": [
                {"type": "message", "id": "msg_1", "role": "assistant", "content": [
                    {"type": "output_text", "text": "\"file_id\":\"x\"", "annotations": [{"file_id": "file_1"}]}]},
                {"type": "reasoning", "id": "rs_1", "encrypted_content": "e"},
                {"type": "function_call", "id": "fc_1", "name": "f", "arguments": "{\"file_id\":\"x\"}"},
                {"type": "file_search_call", "id": "fs", "results": [{"file_id": "file_2"}]},
                {"role": "user", "content": "hi"},
            ],
            "tools": [
                {"type": "function", "name": "f", "parameters": {"properties": {"file_id": {"const": "x"}, "container": "y"}}},
                {"type": "code_interpreter", "container": {"type": "auto"}},
            ],
        });
        assert_eq!(found(&body), Vec::<String>::new());
    }

    #[test]
    fn more_than_any_client_names_is_refused_and_models_are_listed() {
        let many: Vec<String> = (0..600).map(|n| format!("file_{n}")).collect();
        let body =
            json!({"tools": [{"file_ids": many, "model": "gpt-image-1"}], "models": ["a", "b"]});
        let text = body.to_string();
        assert_eq!(references(text.as_bytes()), None);
        let mut models = other_models(text.as_bytes());
        models.sort_unstable();
        let of = |member, id: &str| (member, id.to_owned());
        assert_eq!(
            models,
            [
                of("models", "a"),
                of("models", "b"),
                of("tools", "gpt-image-1")
            ]
        );
    }
}
