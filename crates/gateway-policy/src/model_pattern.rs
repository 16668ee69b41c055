//! Globs over model ids and other names of one line, compared without case.

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::model_id::ModelId;

/// A case-insensitive glob over model ids and other names: `*` and `?` match any character, `/`
/// included.
#[derive(Debug, Clone)]
pub struct ModelPattern {
    text: String,
    kind: PatternKind,
}

#[derive(Debug, Clone)]
enum PatternKind {
    /// `*`.
    Any,
    /// No wildcard: compared as text, which is what nearly every rule does.
    Exact(String),
    /// Only `*` and `?`: matched without an automaton. `literal` is the text before the first of
    /// them.
    Wild { literal: String, rest: String },
    /// Anything else. `literal` is the text before the first wildcard; comparing it first spares
    /// the automaton.
    Glob {
        literal: String,
        matcher: Box<GlobMatcher>,
    },
}

const WILDCARDS: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

impl ModelPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When the text is not a valid glob.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        let folded = text.to_ascii_lowercase();
        let literal = folded
            .split(WILDCARDS)
            .next()
            .unwrap_or_default()
            .to_owned();
        let rest = folded.strip_prefix(literal.as_str()).unwrap_or_default();
        let kind = if folded == "*" {
            PatternKind::Any
        } else if rest.is_empty() {
            PatternKind::Exact(folded)
        } else if !rest.contains(['[', ']', '{', '}', '\\']) {
            PatternKind::Wild {
                rest: rest.to_owned(),
                literal,
            }
        } else {
            let glob: Glob = GlobBuilder::new(&folded).literal_separator(false).build()?;
            PatternKind::Glob {
                literal,
                matcher: Box::new(glob.compile_matcher()),
            }
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }

    /// Whether the pattern covers an id.
    pub fn matches(&self, id: &ModelId) -> bool {
        self.matches_folded(id.folded())
    }

    /// Whether the pattern covers a text that is in lower case already.
    pub fn matches_folded(&self, folded: &str) -> bool {
        match &self.kind {
            PatternKind::Any => true,
            PatternKind::Exact(text) => text == folded,
            PatternKind::Wild { literal, rest } => folded
                .strip_prefix(literal.as_str())
                .is_some_and(|text| wild_matches(rest, text)),
            PatternKind::Glob { literal, matcher } => {
                folded.starts_with(literal.as_str()) && matcher.is_match(folded)
            }
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern names exactly one id.
    pub fn is_exact(&self) -> bool {
        self.exact().is_some()
    }

    /// Whether the pattern covers everything.
    pub fn is_any(&self) -> bool {
        matches!(self.kind, PatternKind::Any)
    }

    /// The one id the pattern names, in lower case.
    pub fn exact(&self) -> Option<&str> {
        match &self.kind {
            PatternKind::Exact(text) => Some(text),
            PatternKind::Any | PatternKind::Wild { .. } | PatternKind::Glob { .. } => None,
        }
    }

    /// What everything that the pattern covers begins with, in lower case.
    pub fn literal_prefix(&self) -> &str {
        match &self.kind {
            PatternKind::Any => "",
            PatternKind::Exact(text) => text,
            PatternKind::Wild { literal, .. } | PatternKind::Glob { literal, .. } => literal,
        }
    }

    /// Whether everything that `other` covers is surely covered by this pattern too. May say no
    /// where the answer is yes.
    pub fn covers(&self, other: &Self) -> bool {
        if self.is_any() || self.text.eq_ignore_ascii_case(&other.text) {
            return true;
        }
        if let Some(id) = other.exact() {
            return self.matches_folded(id);
        }
        matches!(&self.kind, PatternKind::Wild { literal, rest }
            if rest == "*" && other.literal_prefix().starts_with(literal.as_str()))
    }
}

/// Whether `*` (any text) and `?` (one character) in `pattern` can be filled so that it is `text`.
///
/// Goes back to the last `*` only: an earlier one never helps. At worst the product of both
/// lengths.
fn wild_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Behind the last `*`, and where the text that it takes ends.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), text.get(read)) {
            // Nothing follows the `*`: it takes the rest.
            (Some(b'*'), _) if at + 1 == pattern.len() => return true,
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, read));
            }
            (None, None) => return true,
            (Some(_), None) => return false,
            (Some(b'?'), Some(_)) => {
                at += 1;
                read = next_character(text, read);
            }
            (Some(wanted), Some(found)) if wanted == found => {
                at += 1;
                read += 1;
            }
            (Some(_) | None, Some(_)) => {
                let Some((after, from)) = star else {
                    return false;
                };
                let from = next_character(text, from);
                star = Some((after, from));
                (at, read) = (after, from);
            }
        }
    }
}

/// Behind the character that begins at `at`.
fn next_character(text: &[u8], at: usize) -> usize {
    let is_inside = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    at + 1 + text.iter().skip(at + 1).take_while(is_inside).count()
}
