//! Finds spans in JSON text without building values. Answers `None` for text it cannot follow;
//! never checks that all of a text is JSON.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// A place in JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// One member of an object: where its key (quotes included) and its value stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Passes a string and gives its span, quotes included.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.eat(b'"')?;
        loop {
            let rest = self.text.get(self.at..)?;
            let hit = memchr2(b'"', b'\\', rest)?;
            self.at += hit + 1;
            if rest.get(hit) == Some(&b'"') {
                return Some(start..self.at);
            }
            self.at += 1;
        }
    }

    /// Passes any value and gives its span. Depth is only counted, so nesting costs no stack.
    pub(crate) fn value(&mut self) -> Option<Range<usize>> {
        self.skip_space();
        let start = self.at;
        match self.peek()? {
            b'"' => return self.string(),
            b'{' | b'[' => {}
            _ => {
                while !matches!(
                    self.peek(),
                    None | Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r')
                ) {
                    self.at += 1;
                }
                return (self.at > start).then_some(start..self.at);
            }
        }
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Some(start..self.at);
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// Walks the members of the object that stands at (or after white space at) an offset. Stops at the
/// first thing it cannot follow.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    cursor: Cursor<'a>,
    is_first: bool,
    is_over: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn new(text: &'a [u8], at: usize) -> Self {
        let mut cursor = Cursor::new(text, at);
        cursor.skip_space();
        let is_over = cursor.eat(b'{').is_none();
        Self {
            cursor,
            is_first: true,
            is_over,
        }
    }

    /// Passes a key and its colon.
    fn key(&mut self) -> Option<Range<usize>> {
        self.cursor.skip_space();
        if !self.is_first {
            self.cursor.eat(b',')?;
            self.cursor.skip_space();
        }
        self.is_first = false;
        let key = self.cursor.string()?;
        self.cursor.skip_space();
        self.cursor.eat(b':')?;
        Some(key)
    }

    fn advance(&mut self) -> Option<Member> {
        let key = self.key()?;
        let value = self.cursor.value()?;
        Some(Member { key, value })
    }
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        if self.is_over {
            return None;
        }
        let member = self.advance();
        self.is_over = member.is_none();
        member
    }
}

/// Walks the elements of the array that stands at (or after white space at) an offset, like
/// [`Members`].
#[derive(Debug, Clone)]
pub(crate) struct Elements<'a> {
    cursor: Cursor<'a>,
    is_first: bool,
    is_over: bool,
}

impl<'a> Elements<'a> {
    pub(crate) fn new(text: &'a [u8], at: usize) -> Self {
        let mut cursor = Cursor::new(text, at);
        cursor.skip_space();
        let is_over = cursor.eat(b'[').is_none();
        Self {
            cursor,
            is_first: true,
            is_over,
        }
    }

    fn advance(&mut self) -> Option<Range<usize>> {
        self.cursor.skip_space();
        if !self.is_first {
            self.cursor.eat(b',')?;
        }
        self.is_first = false;
        self.cursor.value()
    }
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.is_over {
            return None;
        }
        let element = self.advance();
        self.is_over = element.is_none();
        element
    }
}

/// Where the value of the first member called `name` begins, in the object at `at`. Passes over the
/// values before it only.
pub(crate) fn find(text: &[u8], at: usize, name: &str) -> Option<usize> {
    let mut members = Members::new(text, at);
    while !members.is_over {
        let key = members.key()?;
        members.cursor.skip_space();
        if string_at(text, &key).is_some_and(|key| key == name) {
            return Some(members.cursor.at);
        }
        members.cursor.value()?;
    }
    None
}

/// The value of the first member called `name` in the object at `at`.
pub(crate) fn member(text: &[u8], at: usize, name: &str) -> Option<Range<usize>> {
    Cursor::new(text, find(text, at, name)?).value()
}

/// The text of a JSON string span, escapes undone. `None` when the span is not a string.
pub(crate) fn string_at<'a>(text: &'a [u8], span: &Range<usize>) -> Option<Cow<'a, str>> {
    unquote(text.get(span.clone())?)
}

/// The same, owned.
pub(crate) fn text_at(text: &[u8], span: &Range<usize>) -> Option<String> {
    string_at(text, span).map(Cow::into_owned)
}

/// Longest id or label that is believed to be one, in bytes.
const MAX_LABEL: usize = 512;

/// The same for ids and labels that are kept: absurdly long ones are not.
pub(crate) fn label_at(text: &[u8], span: &Range<usize>) -> Option<String> {
    text_at(text, span).filter(|label| label.len() <= MAX_LABEL)
}

/// The string that the first member called `name` holds.
pub(crate) fn text_of(text: &[u8], at: usize, name: &str) -> Option<String> {
    text_at(text, &member(text, at, name)?)
}

/// Whether a value is there that is not null.
pub(crate) fn is_set(text: &[u8], at: usize, name: &str) -> bool {
    member(text, at, name).is_some_and(|span| text.get(span) != Some(b"null"))
}

/// Undoes the escapes of a JSON string with its quotes.
pub(crate) fn unquote(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(raw).ok().map(Cow::Owned)
}

/// `value` as a JSON string with its quotes.
pub(crate) fn quote(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_whatever_stands_between_them() {
        let text = br#" { "a" : {"model":"x","s":"}\"{"} , "mod\u0065l":"y", "n":-1.5e3 ,"l":[1,[2]],"e":null}"#;
        let found: Vec<_> = Members::new(text, 0)
            .map(|m| {
                (
                    string_at(text, &m.key).unwrap().into_owned(),
                    std::str::from_utf8(&text[m.value]).unwrap().to_owned(),
                )
            })
            .collect();
        let expected = [
            ("a", r#"{"model":"x","s":"}\"{"}"#),
            ("model", r#""y""#),
            ("n", "-1.5e3"),
            ("l", "[1,[2]]"),
            ("e", "null"),
        ];
        assert_eq!(found, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn elements_are_found_whatever_stands_between_them() {
        let text = br#" [1 , "a,]" ,{"b":[2,3]},[ ], null ] x"#;
        let found: Vec<_> = Elements::new(text, 0)
            .map(|span| std::str::from_utf8(&text[span]).unwrap())
            .collect();
        assert_eq!(found, ["1", r#""a,]""#, r#"{"b":[2,3]}"#, "[ ]", "null"]);
        for (text, count) in [
            ("[]", 0),
            ("{}", 0),
            ("", 0),
            ("[1", 1),
            ("[1 2]", 1),
            ("[,1]", 0),
        ] {
            assert_eq!(Elements::new(text.as_bytes(), 0).count(), count, "{text}");
        }
    }

    #[test]
    fn broken_text_ends_the_walk() {
        for text in [
            "",
            "[]",
            "{",
            r#"{"a"#,
            r#"{"a":"#,
            r#"{"a":"\"#,
            r#"{"a":{"#,
            r#"{"a":}"#,
        ] {
            assert_eq!(Members::new(text.as_bytes(), 0).count(), 0, "{text}");
        }
        assert_eq!(Members::new(br#"{"a":1 "b":2}"#, 0).count(), 1);
    }
}
