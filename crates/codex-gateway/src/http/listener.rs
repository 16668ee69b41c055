//! What a listener is for.

/// What one listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerRole {
    /// Everything: there is one listener.
    Everything,
    /// What Codex and other clients use.
    Proxy,
    /// What operators and their machines use.
    Administration,
}
