//! Turns byte ranges of the configuration into `file:line`, for people. Keeps no text of the file.

use std::ops::Range;

use super::source::Source;

/// The file's name, and where its lines begin.
#[derive(Debug, Clone)]
pub struct SourceMap {
    path: String,
    /// Offsets of the line feeds, ascending.
    line_ends: Vec<usize>,
}

impl SourceMap {
    /// Reads where the lines of a configuration end.
    pub fn new(source: &Source) -> Self {
        let line_ends = line_ends(source.text.as_bytes());
        Self {
            path: source.path.clone(),
            line_ends,
        }
    }

    /// The file, or a word for the built-in defaults.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a byte range is called, such as `gateway.toml:12`.
    pub fn name(&self, span: &Range<usize>) -> String {
        let line = self.line_ends.partition_point(|end| *end < span.start) + 1;
        format!("{}:{line}", self.path)
    }
}

fn line_ends(text: &[u8]) -> Vec<usize> {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_named_by_the_line_it_begins_on() {
        let map = SourceMap::new(&Source {
            path: "a.toml".to_owned(),
            text: "x = 1\n\n[[rules]]\nname = \"r\"".to_owned(),
            file: None,
        });
        for (start, line) in [(0, 1), (5, 1), (6, 2), (7, 3), (16, 3), (17, 4), (900, 4)] {
            assert_eq!(
                map.name(&(start..start + 1)),
                format!("a.toml:{line}"),
                "{start}"
            );
        }
    }
}
