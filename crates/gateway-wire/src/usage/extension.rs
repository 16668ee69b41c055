//! Counts that an upstream puts into a member of its own, named `x_…`, instead of `usage`.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json::span::{self, Members};

static PREFIX: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""x_"#));

/// Where the `usage` of such a member stands in the object that `data` holds.
pub(crate) fn extension_usage(data: &[u8]) -> Option<Range<usize>> {
    PREFIX.find(data)?;
    Members::new(data, 0)
        .filter(|member| {
            span::string_at(data, &member.key).is_some_and(|name| name.starts_with("x_"))
        })
        .find_map(|member| span::member(data, member.value.start, "usage"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_members_of_an_upstreams_own_are_found() {
        for (data, usage) in [
            (
                r#"{"choices":[],"x_vendor":{"id":"r","usage":{"prompt_tokens":1}}}"#,
                Some(r#"{"prompt_tokens":1}"#),
            ),
            (r#"{"x_a":1,"x_b":{"usage":{}}}"#, Some("{}")),
            (r#"{"x_vendor":{"id":"r"}}"#, None),
            (r#"{"choices":[{"x_vendor":{"usage":{}}}]}"#, None),
            (r#"{"usage":{}}"#, None),
        ] {
            let found = extension_usage(data.as_bytes()).map(|span| data.get(span).unwrap());
            assert_eq!(found, usage, "{data}");
        }
    }
}
