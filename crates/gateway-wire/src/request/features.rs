//! A second look at a whole body, taken only before a fallback: what does it need that another
//! model may not have. Rewrites nothing.

use super::head::RequestHead;
use crate::json::span::{self, Elements, Members};

/// What a body holds that matters when another model or upstream is to serve it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one body"
)]
pub struct RequestFeatures {
    /// An image in a message or a tool's output.
    pub has_images: bool,
    /// An input item that asks the upstream to compact the history.
    pub has_compaction_trigger: bool,
    /// An input item with a compacted history, readable only by the upstream that made it.
    pub has_compaction_item: bool,
    /// An input item that carries the tools (Responses-Lite).
    pub has_additional_tools: bool,
    /// Encrypted reasoning, readable only by the upstream that made it.
    pub has_encrypted_reasoning: bool,
    /// Tools, at the top level or in an input item.
    pub has_tools: bool,
    /// Input items or messages.
    pub input_items: usize,
    /// `text.verbosity`, or `verbosity`.
    pub verbosity: Option<String>,
    /// `reasoning.effort`, or `reasoning_effort`; a number as its text.
    pub effort: Option<String>,
    /// Tokens of the whole body, roughly: four bytes are one token, an image is a fixed number.
    pub approx_input_tokens: u64,
}

/// Bytes of JSON text that make one token, roughly.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens of an image, roughly; its bytes say nothing.
const TOKENS_PER_IMAGE: u64 = 1_500;

/// Looks at a whole body whose `head` was read. What is oddly typed is passed over: the upstream
/// will say so.
pub fn features(body: &[u8], head: &RequestHead) -> RequestFeatures {
    let mut found = RequestFeatures {
        effort: head.effort.clone(),
        ..RequestFeatures::default()
    };
    let mut images = Images::default();
    for member in Members::new(body, 0) {
        let at = member.value.start;
        match span::string_at(body, &member.key).as_deref() {
            Some("input") if body.get(at) == Some(&b'"') => found.input_items += 1,
            Some("input" | "messages") => {
                for item in Elements::new(body, at) {
                    found.input_items += 1;
                    found.note(body, item.start, &mut images);
                }
            }
            Some("tools") => found.has_tools |= has_elements(body, at),
            Some("text") => {
                found.verbosity = span::text_of(body, at, "verbosity").or(found.verbosity.take());
            }
            Some("verbosity") => {
                found.verbosity = span::text_at(body, &member.value).or(found.verbosity.take());
            }
            Some(_) | None => {}
        }
    }
    found.has_images = images.count > 0;
    let text = (body.len() as u64).saturating_sub(images.bytes);
    found.approx_input_tokens = text / BYTES_PER_TOKEN + images.count * TOKENS_PER_IMAGE;
    found
}

#[derive(Default)]
struct Images {
    count: u64,
    bytes: u64,
}

impl RequestFeatures {
    /// Notes the input item or message at `at`.
    fn note(&mut self, body: &[u8], at: usize, images: &mut Images) {
        let mut is_secret = false;
        let mut has_tools = false;
        let mut kind = None;
        for member in Members::new(body, at) {
            let value = member.value.start;
            match span::string_at(body, &member.key).as_deref() {
                Some("type") => kind = span::string_at(body, &member.value),
                Some("encrypted_content") => is_secret = body.get(value) == Some(&b'"'),
                Some("tools") => has_tools = has_elements(body, value),
                Some("content" | "output") => {
                    for part in Elements::new(body, value) {
                        let kind = span::text_of(body, part.start, "type");
                        if matches!(kind.as_deref(), Some("input_image" | "image_url")) {
                            images.count += 1;
                            images.bytes += part.len() as u64;
                        }
                    }
                }
                Some(_) | None => {}
            }
        }
        match kind.as_deref() {
            Some("compaction_trigger") => self.has_compaction_trigger = true,
            Some("compaction" | "compaction_summary" | "context_compaction") => {
                self.has_compaction_item = true;
            }
            Some("additional_tools") => {
                self.has_additional_tools = true;
                self.has_tools |= has_tools;
            }
            Some("reasoning") => self.has_encrypted_reasoning |= is_secret,
            Some(_) | None => {}
        }
    }
}

fn has_elements(body: &[u8], at: usize) -> bool {
    Elements::new(body, at).next().is_some()
}
