//! The endpoints that are proxied, and what is known about each. Knows no upstream.

use gateway_wire::WireApi;

/// A proxied endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Responses,
    Chat,
    Compact,
    InputTokens,
    /// A stored response by id: read, cancelled, deleted, its input items.
    StoredResponse,
    Search,
    Images,
    Realtime,
    Memories,
}

impl Endpoint {
    /// All of them, for labels that exist from the start.
    pub const ALL: [Self; 9] = [
        Self::Responses,
        Self::Chat,
        Self::Compact,
        Self::InputTokens,
        Self::StoredResponse,
        Self::Search,
        Self::Images,
        Self::Realtime,
        Self::Memories,
    ];

    /// The word in labels, logs and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Chat => "chat",
            Self::Compact => "compact",
            Self::InputTokens => "input_tokens",
            Self::StoredResponse => "stored_response",
            Self::Search => "search",
            Self::Images => "images",
            Self::Realtime => "realtime",
            Self::Memories => "memories",
        }
    }

    /// The wire of the body.
    pub const fn wire(self) -> WireApi {
        match self {
            Self::Chat => WireApi::Chat,
            Self::Responses
            | Self::Compact
            | Self::InputTokens
            | Self::StoredResponse
            | Self::Search
            | Self::Images
            | Self::Realtime
            | Self::Memories => WireApi::Responses,
        }
    }

    /// Whether the body is a JSON object with a `model` that the rules decide on.
    pub const fn names_a_model(self) -> bool {
        match self {
            Self::Responses | Self::Chat | Self::Compact | Self::InputTokens => true,
            Self::StoredResponse
            | Self::Search
            | Self::Images
            | Self::Realtime
            | Self::Memories => false,
        }
    }

    /// Whether its streams end with the event that ends a response. Those of side services end with
    /// their connection.
    pub const fn has_terminal_event(self) -> bool {
        !self.needs_own_credential()
    }

    /// Whether a good answer has to be a JSON object: what answers for a model and is something
    /// else is no answer.
    pub const fn answers_in_json(self) -> bool {
        self.names_a_model()
    }

    /// Whether nothing is used up: tokens are counted in advance, and an answer that is read again
    /// was booked when it was made. The ledger knows the same two by their words.
    pub const fn is_free(self) -> bool {
        matches!(self, Self::InputTokens | Self::StoredResponse)
    }

    /// Side services that work with the caller's own credential only.
    pub const fn needs_own_credential(self) -> bool {
        matches!(
            self,
            Self::Search | Self::Images | Self::Realtime | Self::Memories
        )
    }
}
