//! Which tools an upstream ran itself while it answered: they are billed by the call, beside the
//! tokens. Counts calls that were completed, not tools that were offered.

use std::collections::BTreeSet;

use crate::json::span::{self, Elements, Members};
use crate::usage::{Usage, UsageReading, read_usage};

crate::words! {
    /// A tool that an upstream runs and bills by the call.
    pub enum HostedTool {
        /// A search of the web. Opening a page that was found is not billed.
        WebSearch = "web_search",
        /// A search in stored files.
        FileSearch = "file_search",
        /// A container that runs code; billed once however often it is used.
        CodeInterpreter = "code_interpreter",
        /// A generated image; its tokens are counted apart.
        ImageGeneration = "image_generation",
    }
}

crate::words! {
    /// What an upstream bills beside the tokens of the answer, as the ledger has it.
    pub enum BilledTool {
        /// Calls of [`HostedTool::WebSearch`].
        WebSearch = "web_search",
        /// Calls of [`HostedTool::FileSearch`].
        FileSearch = "file_search",
        /// Containers of [`HostedTool::CodeInterpreter`].
        CodeInterpreter = "code_interpreter",
        /// Calls of [`HostedTool::ImageGeneration`].
        ImageGeneration = "image_generation",
        /// Input tokens of generated images.
        ImageInputTokens = "image_input_tokens",
        /// Output tokens of generated images.
        ImageOutputTokens = "image_output_tokens",
    }
}

/// Most containers that are told apart in one answer.
const MAX_CONTAINERS: usize = 64;

/// What an answer used of hosted tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostedToolUse {
    calls: [u64; HostedTool::ALL.len()],
    containers: BTreeSet<String>,
    /// Tokens of generated images, as far as the upstream counts them apart.
    pub image_tokens: Option<Usage>,
}

impl HostedToolUse {
    /// Completed calls of a tool; containers for [`HostedTool::CodeInterpreter`].
    pub fn calls(&self, tool: HostedTool) -> u64 {
        self.calls.get(tool as usize).copied().unwrap_or(0)
    }

    /// What is billed beside the answer's own tokens, with its counts; nothing that is zero.
    pub fn billed(&self) -> impl Iterator<Item = (BilledTool, u64)> {
        let image = |read: fn(Usage) -> u64| self.image_tokens.map_or(0, read);
        BilledTool::ALL
            .into_iter()
            .map(move |tool| {
                let count = match tool {
                    BilledTool::WebSearch => self.calls(HostedTool::WebSearch),
                    BilledTool::FileSearch => self.calls(HostedTool::FileSearch),
                    BilledTool::CodeInterpreter => self.calls(HostedTool::CodeInterpreter),
                    // Its tokens are what is billed, where they are known.
                    BilledTool::ImageGeneration => self.calls(HostedTool::ImageGeneration),
                    BilledTool::ImageInputTokens => image(Usage::input),
                    BilledTool::ImageOutputTokens => image(Usage::output),
                };
                (tool, count)
            })
            .filter(|(_, count)| *count > 0)
    }

    /// Whether nothing was used.
    pub fn is_empty(&self) -> bool {
        self.calls == <[u64; HostedTool::ALL.len()]>::default() && self.image_tokens.is_none()
    }

    /// Notes a finished output item, given as JSON.
    pub(crate) fn note_item(&mut self, item: &[u8]) {
        let Some(kind) = span::text_of(item, 0, "type") else {
            return;
        };
        let name = kind.strip_suffix("_call").unwrap_or_default();
        let Some(tool) = HostedTool::parse(name) else {
            return;
        };
        let status = span::text_of(item, 0, "status");
        if status.is_some_and(|status| status != "completed") {
            return;
        }
        match tool {
            HostedTool::CodeInterpreter => {
                let container = span::text_of(item, 0, "container_id").unwrap_or_default();
                if self.containers.len() < MAX_CONTAINERS {
                    self.containers.insert(container);
                }
                self.raise(tool, self.containers.len() as u64);
            }
            HostedTool::WebSearch if !is_search(item) => {}
            HostedTool::WebSearch | HostedTool::FileSearch | HostedTool::ImageGeneration => {
                self.raise(tool, self.calls(tool) + 1);
            }
        }
    }

    /// Notes a whole response object, given as JSON: its items, and its own counts.
    pub(crate) fn note_response(&mut self, response: &[u8]) {
        for member in Members::new(response, 0) {
            let at = member.value.start;
            match span::string_at(response, &member.key).as_deref() {
                Some("output") => {
                    let mut seen = Self::default();
                    for item in Elements::new(response, at) {
                        seen.note_item(response.get(item).unwrap_or_default());
                    }
                    for tool in HostedTool::ALL {
                        self.raise(tool, seen.calls(tool));
                    }
                }
                Some("tool_usage") => self.note_tool_usage(response, at),
                Some(_) | None => {}
            }
        }
    }

    fn note_tool_usage(&mut self, response: &[u8], at: usize) {
        for member in Members::new(response, at) {
            let Some(name) = span::string_at(response, &member.key) else {
                continue;
            };
            let value = response.get(member.value.clone()).unwrap_or_default();
            if name == "image_gen" || name == "image_generation" {
                if let UsageReading::Reported(usage) = read_usage(value).usage {
                    self.image_tokens = Some(usage).filter(|usage| !usage.is_zero());
                }
                continue;
            }
            let requests = span::member(value, 0, "num_requests")
                .and_then(|span| std::str::from_utf8(value.get(span)?).ok()?.parse().ok());
            if let (Some(tool), Some(requests)) = (HostedTool::parse(&name), requests) {
                self.raise(tool, requests);
            }
        }
    }

    /// At least so many calls.
    pub(crate) fn raise(&mut self, tool: HostedTool, calls: u64) {
        if let Some(count) = self.calls.get_mut(tool as usize) {
            *count = calls.max(*count);
        }
    }
}

fn is_search(item: &[u8]) -> bool {
    span::find(item, 0, "action")
        .and_then(|action| span::text_of(item, action, "type"))
        .is_none_or(|action| action == "search")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn calls(seen: &HostedToolUse) -> [u64; 4] {
        HostedTool::ALL.map(|tool| seen.calls(tool))
    }

    fn search(action: &Value) -> Value {
        json!({"type": "web_search_call", "id": "ws", "status": "completed", "action": action})
    }

    #[test]
    fn completed_calls_are_counted_and_nothing_else() {
        let items = [
            search(&json!({"type": "search", "query": "q"})),
            search(&json!({"type": "open_page", "url": "u"})),
            search(&json!({"type": "find_in_page", "pattern": "p"})),
            json!({"type": "web_search_call", "status": "completed"}),
            json!({"type": "web_search_call", "status": "failed", "action": {"type": "search"}}),
            json!({"type": "file_search_call", "status": "completed", "queries": ["q"]}),
            json!({"type": "code_interpreter_call", "status": "completed", "container_id": "c1"}),
            json!({"type": "code_interpreter_call", "status": "completed", "container_id": "c1"}),
            json!({"type": "code_interpreter_call", "status": "completed", "container_id": "c2"}),
            json!({"type": "image_generation_call", "status": "completed", "result": "AAAA"}),
            json!({"type": "mcp_call", "status": "completed"}),
            json!({"type": "function_call", "status": "completed", "name": "web_search"}),
            json!({"type": "message", "content": []}),
            json!({}),
        ];
        let mut seen = HostedToolUse::default();
        for item in &items {
            seen.note_item(item.to_string().as_bytes());
        }
        assert_eq!(calls(&seen), [2, 1, 2, 1]);
        // The last response names the same items once more.
        let response = json!({"output": items, "usage": {}});
        seen.note_response(response.to_string().as_bytes());
        assert_eq!(calls(&seen), [2, 1, 2, 1]);
        let mut whole = HostedToolUse::default();
        whole.note_response(response.to_string().as_bytes());
        assert_eq!(calls(&whole), [2, 1, 2, 1]);
    }

    #[test]
    fn the_upstreams_own_counts_are_read() {
        let response = json!({
            "output": [search(&json!({"type": "search"}))],
            "tool_usage": {
                "web_search": {"num_requests": 4},
                "image_gen": {"input_tokens": 10, "output_tokens": 900, "total_tokens": 910},
                "file_search": {"num_requests": null},
            },
        });
        let mut seen = HostedToolUse::default();
        seen.note_response(response.to_string().as_bytes());
        assert_eq!(calls(&seen), [4, 0, 0, 0]);
        assert_eq!(
            seen.image_tokens,
            Some(Usage::new(10, 0, 0, 900, 0).unwrap())
        );
        assert!(!seen.is_empty());
        let zero = json!({"tool_usage": {"image_gen": {"input_tokens": 0, "output_tokens": 0}, "web_search": {"num_requests": 0}}});
        let mut seen = HostedToolUse::default();
        seen.note_response(zero.to_string().as_bytes());
        assert!(seen.is_empty());
    }
}
