//! Which of the two protocols a party speaks. Knows nothing about endpoint paths of a particular
//! upstream.

crate::words! {
    /// The protocol a client or an upstream speaks; the words are Codex's own (`wire_api` in its
    /// `config.toml`).
    pub enum WireApi {
        /// `POST /responses`: typed items, typed events.
        Responses = "responses",
        /// `POST /chat/completions`: messages and deltas.
        Chat = "chat",
    }
}
