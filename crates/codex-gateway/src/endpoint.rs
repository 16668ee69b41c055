//! The proxied endpoints: one table with all that is known about each. The router, the exchange and
//! the test of `docs/http.md` read it. Knows no upstream.

use axum::routing::MethodFilter;
use gateway_wire::WireApi;
use gateway_wire::translate::ReplyPurpose;

/// What is known about an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct EndpointRow {
    /// Where it is served.
    pub routes: &'static [Route],
    /// The wire API of the body.
    pub wire: WireApi,
    /// Whether the body is a JSON object with a `model` that the rules decide on.
    pub names_a_model: bool,
    /// What a request is translated for where the upstream has another wire API; `None` where that
    /// has no counterpart.
    pub purpose: Option<ReplyPurpose>,
    /// Whether nothing is used up: tokens are counted in advance, or a response that was recorded
    /// when it was made is read again.
    pub is_free: bool,
    /// Whether only the caller's own credential will do.
    pub needs_own_credential: bool,
    pub deprecation: Option<Deprecation>,
}

/// A path of an endpoint, below the base URL.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// In axum's syntax.
    pub path: &'static str,
    /// `None` for all.
    pub methods: Option<MethodFilter>,
}

/// Says that an endpoint works but has a successor.
#[derive(Debug, Clone, Copy)]
pub struct Deprecation {
    /// Value of the `deprecation` header (RFC 9745).
    pub since: &'static str,
    /// Value of the `link` header.
    pub successor: &'static str,
}

/// 2026-02-01T00:00:00Z, in Unix seconds.
const CHAT_DEPRECATED_SINCE: &str = "@1769904000";

/// Defines [`Endpoint`] and its table from rows `Variant "word" [routes] = facts;`.
macro_rules! endpoints {
    ($(
        $(#[$about:meta])*
        $variant:ident $word:literal [$($route:expr),+ $(,)?] = $facts:expr;
    )+) => {
        gateway_wire::words! {
            /// A proxied endpoint. Its word stands in labels, logs and the ledger.
            pub enum Endpoint {
                $($(#[$about])* $variant = $word,)+
            }
        }

        impl Endpoint {
            /// The row of this endpoint.
            pub const fn row(self) -> EndpointRow {
                match self {
                    $(Self::$variant => {
                        const ROUTES: &[Route] = &[$($route),+];
                        EndpointRow { routes: ROUTES, ..$facts }
                    })+
                }
            }
        }
    };
}

endpoints! {
    Responses "responses" [post("/responses")] = EndpointRow {
        purpose: Some(ReplyPurpose::Turn),
        ..MODEL
    };
    Chat "chat" [post("/chat/completions")] = EndpointRow {
        wire: WireApi::Chat,
        purpose: Some(ReplyPurpose::Turn),
        deprecation: Some(Deprecation {
            since: CHAT_DEPRECATED_SINCE,
            successor: "</v1/responses>; rel=\"successor-version\"",
        }),
        ..MODEL
    };
    Compact "compact" [post("/responses/compact")] = EndpointRow {
        purpose: Some(ReplyPurpose::CompactReply),
        ..MODEL
    };
    InputTokens "input_tokens" [post("/responses/input_tokens")] = EndpointRow {
        is_free: true,
        ..MODEL
    };
    /// A stored response by id: read, cancelled, deleted, its input items.
    StoredResponse "stored_response" [
        on(MethodFilter::GET.or(MethodFilter::DELETE), "/responses/{id}"),
        post("/responses/{id}/cancel"),
        on(MethodFilter::GET, "/responses/{id}/input_items"),
    ] = EndpointRow {
        names_a_model: false,
        is_free: true,
        ..MODEL
    };
    Search "search" [any("/alpha/{*rest}")] = SIDE_SERVICE;
    Images "images" [any("/images/{*rest}")] = SIDE_SERVICE;
    Realtime "realtime" [any("/realtime"), any("/realtime/{*rest}"), any("/live")] = SIDE_SERVICE;
    Memories "memories" [any("/memories/{*rest}")] = SIDE_SERVICE;
}

/// The facts of an endpoint of the Responses API that names a model.
const MODEL: EndpointRow = EndpointRow {
    routes: &[],
    wire: WireApi::Responses,
    names_a_model: true,
    purpose: None,
    is_free: false,
    needs_own_credential: false,
    deprecation: None,
};

/// The facts of a service beside the models, which works with the caller's own credential only.
const SIDE_SERVICE: EndpointRow = EndpointRow {
    names_a_model: false,
    needs_own_credential: true,
    ..MODEL
};

const fn on(methods: MethodFilter, path: &'static str) -> Route {
    Route {
        path,
        methods: Some(methods),
    }
}

const fn post(path: &'static str) -> Route {
    on(MethodFilter::POST, path)
}

const fn any(path: &'static str) -> Route {
    Route {
        path,
        methods: None,
    }
}

impl Endpoint {
    /// The wire API of the body.
    pub const fn wire(self) -> WireApi {
        self.row().wire
    }

    /// Whether the body is a JSON object with a `model` that the rules decide on.
    pub const fn names_a_model(self) -> bool {
        self.row().names_a_model
    }

    /// Whether its streams end with the event that ends a response. Those of side services end with
    /// their connection.
    pub const fn has_terminal_event(self) -> bool {
        !self.row().needs_own_credential
    }

    /// Whether a success has to be a JSON object: an endpoint that names a model returns nothing
    /// else.
    pub const fn answers_in_json(self) -> bool {
        self.row().names_a_model
    }

    /// Whether nothing is used up.
    pub const fn is_free(self) -> bool {
        self.row().is_free
    }

    /// Whether only the caller's own credential will do.
    pub const fn needs_own_credential(self) -> bool {
        self.row().needs_own_credential
    }

    /// What to say of the endpoint at `path`, with or without `/v1`, if it is deprecated.
    pub fn deprecation_at(path: &str) -> Option<Deprecation> {
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let rows = Self::ALL.into_iter().map(Self::row);
        let mut found = rows.filter(|row| row.routes.iter().any(|route| route.path == path));
        found.find_map(|row| row.deprecation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deprecated_endpoint_says_so_at_each_of_its_paths() {
        for path in ["/chat/completions", "/v1/chat/completions"] {
            assert!(Endpoint::deprecation_at(path).is_some(), "{path}");
        }
        for path in [
            "/responses",
            "/v1/responses",
            "/v1",
            "/v1/chat/completions/x",
        ] {
            assert!(Endpoint::deprecation_at(path).is_none(), "{path}");
        }
    }
}
