//! Which Chat function stands for which tool of a Responses request, so that each call gets its own
//! name and kind back.
//!
//! The map is rebuilt from every request; nothing is remembered between requests.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Longest tool name that every Chat upstream takes.
const MAX_NAME: usize = 64;

/// The namespace of top-level tools; it may be left out.
const DEFAULT_NAMESPACE: &str = "functions";

/// What a tool is on the Responses side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ToolKind {
    Function,
    Custom,
    ToolSearch,
    LocalShell,
}

/// A tool by its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolRef {
    pub(crate) kind: ToolKind,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
}

/// Which Chat name stands for which tool.
#[derive(Debug, Clone, Default)]
pub(crate) struct ToolMap {
    by_chat: HashMap<String, Arc<ToolRef>>,
    by_own: HashMap<(Option<String>, String), String>,
}

impl ToolMap {
    /// The Chat name of a tool, when it has one.
    pub(crate) fn chat_name(&self, namespace: Option<&str>, name: &str) -> Option<&str> {
        let find = |namespace: Option<&str>| {
            self.by_own
                .get(&(namespace.map(str::to_owned), name.to_owned()))
                .map(String::as_str)
        };
        find(namespace).or_else(|| match namespace {
            None => find(Some(DEFAULT_NAMESPACE)),
            Some(DEFAULT_NAMESPACE) => find(None),
            Some(_) => None,
        })
    }

    /// Gives a tool its Chat name; the first tool of a name keeps it.
    pub(crate) fn add(&mut self, tool: ToolRef) -> String {
        if let Some(known) = self.chat_name(tool.namespace.as_deref(), &tool.name) {
            return known.to_owned();
        }
        let chat = self.free_name(&tool);
        self.by_own
            .insert((tool.namespace.clone(), tool.name.clone()), chat.clone());
        self.by_chat.insert(chat.clone(), Arc::new(tool));
        chat
    }

    fn free_name(&self, tool: &ToolRef) -> String {
        let full = match tool.namespace.as_deref() {
            None | Some(DEFAULT_NAMESPACE) => tool.name.clone(),
            Some(namespace) => format!("{namespace}__{}", tool.name),
        };
        let clean: String = full
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        if (1..=MAX_NAME).contains(&clean.len()) && !self.by_chat.contains_key(&clean) {
            return clean;
        }
        // Shortened or taken: the hash of the own name keeps it stable from request to request.
        let mut hash = Sha256::digest(format!("{:?}\0{}", tool.namespace, tool.name));
        loop {
            let mark = mark_of(&hash);
            let head: String = clean.chars().take(MAX_NAME - 9).collect();
            let name = format!("{head}_{mark}");
            if !self.by_chat.contains_key(&name) {
                return name;
            }
            hash = Sha256::digest(hash);
        }
    }

    /// The tool that an upstream means by `chat`. A name that was never offered is a function of
    /// that name: the client answers such a call with an error, from which the model learns.
    pub(crate) fn tool_of(&self, chat: &str) -> Arc<ToolRef> {
        if let Some(tool) = self.by_chat.get(chat) {
            return Arc::clone(tool);
        }
        let bare = chat.rsplit(['.', ':', '/']).next().unwrap_or(chat);
        if let Some(tool) = self.by_chat.get(bare) {
            return Arc::clone(tool);
        }
        let mut same_name = self.by_chat.values().filter(|tool| tool.name == bare);
        if let (Some(tool), None) = (same_name.next(), same_name.next()) {
            return Arc::clone(tool);
        }
        Arc::new(ToolRef {
            kind: ToolKind::Function,
            name: chat.to_owned(),
            namespace: None,
        })
    }
}

/// Eight hexadecimal digits of a hash.
pub(crate) fn mark_of(hash: &[u8]) -> String {
    let start = hash.first_chunk::<4>().copied().unwrap_or_default();
    format!("{:08x}", u32::from_be_bytes(start))
}
