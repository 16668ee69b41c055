//! Reads the words of flags. Each says which words there are.

use gateway_policy::{AuthRoute, ModelId};
use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;

/// An auth route.
pub(super) fn route(word: &str) -> Result<AuthRoute, String> {
    let known = AuthRoute::ALL.map(AuthRoute::as_str);
    AuthRoute::parse(word).ok_or_else(|| one_of(&known))
}

/// An endpoint.
pub(super) fn endpoint(word: &str) -> Result<WireApi, String> {
    let known = WireApi::ALL.map(WireApi::as_str);
    WireApi::parse(word).ok_or_else(|| one_of(&known))
}

/// A kind of request.
pub(super) fn kind(word: &str) -> Result<RequestKind, String> {
    let known = RequestKind::ALL.map(RequestKind::as_str);
    RequestKind::parse(word).ok_or_else(|| one_of(&known))
}

/// A model id.
pub(super) fn model(word: &str) -> Result<ModelId, String> {
    ModelId::new(word).map_err(|error| error.to_string())
}

fn one_of(known: &[&str]) -> String {
    format!("one of {}", known.join(", "))
}
