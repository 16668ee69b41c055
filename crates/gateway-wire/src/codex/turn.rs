//! Which session, thread and turn a request belongs to, and what kind of request it is.

use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::repository::{WORKSPACES, Workspace};
use crate::request::ClientMetadata;

crate::words! {
    /// What a request is for, as far as the client says.
    #[derive(Default)]
    pub enum RequestKind {
        /// The user's own turn.
        #[default]
        Turn = "turn",
        /// A turn of an agent started by another.
        Subagent = "subagent",
        /// A code or approval review.
        Review = "review",
        /// A summary of the history.
        Compaction = "compaction",
        /// Writing or merging memories.
        Memory = "memory",
        /// Warming a connection or cache; generates nothing.
        Prewarm = "prewarm",
        /// A purpose that the client names in a word unknown here.
        Other = "other",
    }
}

/// What a request says about its place in a Codex session. All ids are as sent, at most 256 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnMetadata {
    /// The session.
    pub session_id: Option<String>,
    /// The thread within it; a subagent has its own.
    pub thread_id: Option<String>,
    /// The turn; one turn makes many requests.
    pub turn_id: Option<String>,
    /// The user's turn that this one serves.
    pub root_turn_id: Option<String>,
    /// The thread that started this one.
    pub parent_thread_id: Option<String>,
    /// Host and path of the repository that is worked on, such as `github.com/acme/shop`.
    pub repo: Option<String>,
    /// The commit that its work tree is based on, in hexadecimal.
    pub commit: Option<String>,
    /// Whether the metadata names workspaces, by their paths on the user's machine.
    pub has_workspaces: bool,
    /// `None` when nothing says that Codex sent it.
    pub request_kind: Option<RequestKind>,
}

/// Longest id or label that is kept, in bytes.
const MAX_ID: usize = 256;
/// Longest turn metadata that is parsed, in bytes.
const MAX_METADATA: usize = 64 * 1024;

/// Spellings of a header, the preferred one first. Older clients used underscores, and some proxies
/// rename headers.
const SESSION: [&str; 6] = [
    "session-id",
    "session_id",
    "x-codex-session-id",
    "conversation-id",
    "conversation_id",
    "x-codex-conversation-id",
];
const THREAD: [&str; 3] = ["thread-id", "thread_id", "x-codex-thread-id"];
const PARENT: [&str; 1] = ["x-codex-parent-thread-id"];
const SUBAGENT: [&str; 1] = ["x-openai-subagent"];
const MEMORY: [&str; 1] = ["x-openai-memgen-request"];
/// The header with the turn metadata, and the member of `client_metadata` with the same.
pub const METADATA: &str = "x-codex-turn-metadata";

/// The words a kind is made from.
#[derive(Debug, Default)]
struct Labels {
    request_kind: Option<String>,
    subagent: Option<String>,
    thread_source: Option<String>,
    agent_name: Option<String>,
    is_compaction: bool,
    is_memory: bool,
}

/// The value of `x-codex-turn-metadata`. Members are read one by one: a wrongly typed one must not
/// hide the others.
#[derive(Deserialize)]
#[serde(transparent)]
struct Metadata(serde_json::Map<String, Value>);

impl Metadata {
    fn parse(text: &str) -> Option<Self> {
        (text.len() <= MAX_METADATA)
            .then(|| serde_json::from_str(text).ok())
            .flatten()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).and_then(bounded)
    }
}

impl TurnMetadata {
    /// Reads the JSON text that Codex puts in the `x-codex-turn-metadata` header and in
    /// `client_metadata`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut labels = Labels::default();
        let mut turn = Self::default();
        turn.add_metadata(&Metadata::parse(text)?, &mut labels);
        turn.request_kind = labels.kind();
        Some(turn)
    }

    /// Reads everything a request says, headers first.
    pub fn read(headers: &HeaderMap, body: Option<&ClientMetadata>) -> Self {
        let header = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| headers.get(*name)?.to_str().ok().and_then(bounded))
        };
        let member = |name: &str| body.and_then(|body| body.get(name)).and_then(bounded);
        let mut labels = Labels {
            subagent: header(&SUBAGENT).or_else(|| member("x-openai-subagent")),
            is_memory: headers.contains_key(MEMORY[0]) || member(MEMORY[0]).is_some(),
            ..Labels::default()
        };
        let mut turn = Self {
            session_id: header(&SESSION),
            thread_id: header(&THREAD),
            parent_thread_id: header(&PARENT),
            ..Self::default()
        };
        let in_header = headers.get(METADATA).and_then(|value| value.to_str().ok());
        let in_body = body.and_then(|body| body.get(METADATA));
        for metadata in [in_header, in_body]
            .into_iter()
            .flatten()
            .filter_map(Metadata::parse)
        {
            turn.add_metadata(&metadata, &mut labels);
        }
        fill(&mut turn.session_id, || member("session_id"));
        fill(&mut turn.thread_id, || member("thread_id"));
        fill(&mut turn.turn_id, || member("turn_id"));
        fill(&mut turn.root_turn_id, || member("root_turn_id"));
        fill(&mut turn.parent_thread_id, || member(PARENT[0]));
        turn.request_kind = labels.kind();
        turn
    }

    fn add_metadata(&mut self, metadata: &Metadata, labels: &mut Labels) {
        fill(&mut self.session_id, || metadata.text("session_id"));
        fill(&mut self.thread_id, || metadata.text("thread_id"));
        fill(&mut self.turn_id, || metadata.text("turn_id"));
        fill(&mut self.root_turn_id, || metadata.text("root_turn_id"));
        fill(&mut self.parent_thread_id, || {
            metadata.text("parent_thread_id")
        });
        if let Some(workspaces) = metadata.0.get(WORKSPACES).and_then(Value::as_object) {
            self.has_workspaces = true;
            if self.repo.is_none() {
                let workspace = Workspace::read(workspaces);
                self.repo = workspace.repo;
                fill(&mut self.commit, || workspace.commit);
            }
        }
        fill(&mut labels.request_kind, || metadata.text("request_kind"));
        fill(&mut labels.subagent, || metadata.text("subagent"));
        fill(&mut labels.thread_source, || metadata.text("thread_source"));
        fill(&mut labels.agent_name, || metadata.text("agent_name"));
        labels.is_compaction |= metadata.0.get("compaction").is_some_and(Value::is_object);
    }
}

impl Labels {
    /// The most telling word wins: what is done, then for whom, then that it is a turn at all.
    fn kind(&self) -> Option<RequestKind> {
        let by_request = self
            .request_kind
            .as_deref()
            .map(|word| word_kind(word).unwrap_or(RequestKind::Other));
        if let Some(kind) =
            by_request.filter(|kind| !matches!(kind, RequestKind::Turn | RequestKind::Other))
        {
            return Some(kind);
        }
        if self.is_memory {
            return Some(RequestKind::Memory);
        }
        if self.is_compaction {
            return Some(RequestKind::Compaction);
        }
        if let Some(label) = &self.subagent {
            return Some(
                word_kind(label)
                    .filter(|kind| *kind != RequestKind::Turn)
                    .unwrap_or(RequestKind::Subagent),
            );
        }
        let source = self.thread_source.as_deref().and_then(word_kind);
        if let Some(kind) = source.filter(|kind| *kind != RequestKind::Turn) {
            return Some(kind);
        }
        if self
            .agent_name
            .as_deref()
            .is_some_and(|name| name != "/root")
        {
            return Some(RequestKind::Subagent);
        }
        by_request.or(source)
    }
}

/// The kind a word stands for. Codex uses several words for one kind, depending on where it says
/// them.
fn word_kind(word: &str) -> Option<RequestKind> {
    Some(match word.to_ascii_lowercase().replace('-', "_").as_str() {
        "turn" | "user" => RequestKind::Turn,
        "subagent" | "sub_agent" | "collab_spawn" => RequestKind::Subagent,
        "review" => RequestKind::Review,
        "compaction" | "compact" => RequestKind::Compaction,
        "memory" | "memory_consolidation" | "memgen" => RequestKind::Memory,
        "prewarm" => RequestKind::Prewarm,
        _ => return None,
    })
}

fn fill(field: &mut Option<String>, value: impl FnOnce() -> Option<String>) {
    if field.is_none() {
        *field = value();
    }
}

/// A prewarm has empty ids: they say nothing.
fn bounded(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= MAX_ID && !text.chars().any(char::is_control))
        .then(|| text.to_owned())
}
