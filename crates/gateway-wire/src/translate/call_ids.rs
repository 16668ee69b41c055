//! Ids of tool calls, as each side accepts them.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::reply_settings::ReplySettings;
use super::tool_map::mark_of;

/// Longest call id that a Responses upstream accepts, in bytes.
pub(crate) const MAX_RESPONSES_ID: usize = 64;

/// Longest call id that every Chat upstream accepts, in bytes.
pub(crate) const MAX_CHAT_ID: usize = 40;

/// The id, or, where it is longer than `longest`, a short one that is always the same for it.
pub(crate) fn short_call_id(id: &str, longest: usize) -> Cow<'_, str> {
    if id.len() <= longest {
        return Cow::Borrowed(id);
    }
    let hash = Sha256::digest(id);
    let (first, second) = hash.split_at(4);
    Cow::Owned(format!("call_{}{}", mark_of(first), mark_of(second)))
}

/// A call id that no other call of the conversation has, and that every upstream accepts in a later
/// request. Several upstreams count from zero in every answer.
pub(crate) fn fresh_call_id(
    settings: &mut ReplySettings,
    wanted: Option<&str>,
    n: usize,
) -> String {
    let wanted = wanted.map(|id| short_call_id(id, MAX_RESPONSES_ID));
    let id = match wanted {
        Some(id) if !settings.used_call_ids.contains(&*id) => id.into_owned(),
        Some(id) => {
            let mark = mark_of(&Sha256::digest(&settings.seed));
            short_call_id(&format!("{id}_{mark}{n}"), MAX_RESPONSES_ID).into_owned()
        }
        None => settings.nth_id("call", n),
    };
    settings.used_call_ids.insert(id.clone());
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ids_become_short_ones_that_stay_the_same() {
        let long = "c".repeat(86);
        let short = short_call_id(&long, MAX_RESPONSES_ID).into_owned();
        assert_eq!(short.len(), 21);
        assert_eq!(short_call_id(&long, MAX_CHAT_ID), short);
        assert_eq!(short_call_id(&short, MAX_CHAT_ID), short);
        assert_ne!(short_call_id(&"c".repeat(87), MAX_RESPONSES_ID), short);
        let edge = "c".repeat(MAX_RESPONSES_ID);
        assert_eq!(short_call_id(&edge, MAX_RESPONSES_ID), edge);
    }
}
