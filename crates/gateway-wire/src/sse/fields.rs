//! The lines inside one event.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr2;

/// A line and the bytes that end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) end: &'a [u8],
}

impl<'a> Line<'a> {
    /// The value when the line is this field. One space after the colon is not part of it.
    pub(super) fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        value_of(self.text, name)
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The value of a data line.
pub(super) fn data_value(line: &[u8]) -> Option<&[u8]> {
    value_of(line, b"data")
}

/// The lines of an event, the blank one included.
#[derive(Debug, Clone)]
pub(super) struct EventLines<'a> {
    rest: &'a [u8],
}

impl<'a> EventLines<'a> {
    pub(super) const fn new(raw: &'a [u8]) -> Self {
        Self { rest: raw }
    }
}

impl<'a> Iterator for EventLines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let hit = memchr2(b'\n', b'\r', self.rest).unwrap_or(self.rest.len());
        let (text, tail) = self.rest.split_at_checked(hit)?;
        let end = match tail {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            [_, ..] => 1,
        };
        let (end, rest) = tail.split_at_checked(end)?;
        self.rest = rest;
        Some(Line { text, end })
    }
}

/// The data of an event, lines joined by `\n`; `None` when it has no data field.
pub(crate) fn data_of(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut lines = EventLines::new(raw).filter_map(|line| line.field(b"data"));
    let first = lines.next()?;
    let Some(second) = lines.next() else {
        return Some(Cow::Borrowed(first));
    };
    let mut joined = first.to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.push(b'\n');
        joined.extend_from_slice(line);
    }
    Some(Cow::Owned(joined))
}

/// The last `event:` field, when it is UTF-8.
pub(crate) fn event_name(raw: &[u8]) -> Option<&str> {
    let names = EventLines::new(raw).filter_map(|line| line.field(b"event"));
    std::str::from_utf8(names.last()?).ok()
}

/// The event with other data; all its other lines stay.
pub(crate) fn replace_data(raw: &[u8], data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(raw.len() + data.len());
    let mut is_written = false;
    for line in EventLines::new(raw) {
        let Some(old) = line.field(b"data") else {
            out.extend_from_slice(line.text);
            out.extend_from_slice(line.end);
            continue;
        };
        if std::mem::replace(&mut is_written, true) {
            continue;
        }
        let name = match line.text.strip_suffix(old) {
            Some(name) if name.contains(&b':') => name,
            Some(_) | None => b"data: ",
        };
        for part in data.split(|byte| *byte == b'\n') {
            out.extend_from_slice(name);
            out.extend_from_slice(part);
            out.extend_from_slice(line.end);
        }
    }
    Bytes::from(out)
}

/// All line ends as line feeds.
pub(super) fn with_line_feeds(raw: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(raw.len());
    for line in EventLines::new(raw) {
        out.extend_from_slice(line.text);
        if !line.end.is_empty() {
            out.push(b'\n');
        }
    }
    Bytes::from(out)
}

/// Whether a body that begins like this is an event stream, whatever its content type says.
pub fn looks_like_sse(prefix: &[u8]) -> bool {
    let text = prefix
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(prefix)
        .trim_ascii_start();
    [&b"data:"[..], b"event:", b"id:", b"retry:", b":"]
        .iter()
        .any(|field| text.starts_with(field))
}
