//! What the client sent.

use gateway_policy::ModelId;
use gateway_wire::codex::{RequestKind, TurnMetadata};
use gateway_wire::request::RequestHead;
use http::HeaderMap;

use crate::config::RecordedRepos;
use crate::identity::client;
use crate::request_body::{RequestBody, Tail};

/// What the client sent. Fixed after reading the request; of a body that is passed on while it
/// arrives, once all of it has passed.
#[derive(Debug, Default)]
pub struct RequestFacts {
    /// What the client calls itself.
    pub client: Option<String>,
    pub turn: TurnMetadata,
    /// The repository as it is recorded: what the turn names, or a digest of it.
    pub repo: Option<String>,
    pub model: Option<ModelId>,
    /// Whether the client asked for a stream.
    pub is_stream: bool,
    /// The request's own bound on its output.
    pub max_output_tokens: Option<u64>,
    pub service_tier: Option<String>,
    /// Whether the upstream is to keep the answer, as it does unless told not to.
    pub is_stored: bool,
    /// Bytes of the plain body, as announced where it still arrives.
    pub bytes: u64,
}

impl RequestFacts {
    /// What the headers say.
    pub fn of_headers(headers: &HeaderMap, repos: RecordedRepos) -> Self {
        let turn = TurnMetadata::read(headers, None);
        Self {
            client: client::originator(headers).map(str::to_owned),
            repo: repos.recorded(turn.repo.as_deref()),
            turn,
            ..Self::default()
        }
    }

    /// Adds what a body says about the turn beside the headers.
    pub fn add_turn(&mut self, headers: &HeaderMap, head: &RequestHead, repos: RecordedRepos) {
        self.turn = TurnMetadata::read(headers, head.client_metadata.as_ref());
        self.repo = repos.recorded(self.turn.repo.as_deref());
    }

    /// Adds what is known of a body: again once more of it was read.
    pub fn add_body(&mut self, body: &RequestBody) {
        self.add_head(&body.head);
        self.max_output_tokens = body.head.max_output_tokens;
        self.bytes = match &body.tail {
            Tail::Replayable { plain, .. } => plain.len() as u64,
            Tail::Streamed(streamed) => streamed.announced_bytes(),
            Tail::Sent => 0,
        };
    }

    /// Adds what the head of a body says, of which more may have come while it was sent.
    pub fn add_head(&mut self, head: &RequestHead) {
        self.is_stream = head.stream == Some(true);
        self.is_stored = head.store != Some(false);
        self.service_tier.clone_from(&head.service_tier);
    }

    /// What the request is for.
    pub fn kind(&self) -> RequestKind {
        self.turn.request_kind.unwrap_or_default()
    }
}
