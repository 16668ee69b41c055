//! JSON values that are borrowed from the input and decoded only where somebody looks at them.
//!
//! A long text in a request is only copied: its literal is found on the way in and written on the
//! way out, escapes and all.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::surrogates::SurrogateDecoder;

/// A string that is borrowed from the input where it holds no escapes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Str<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrVisitor;
        impl<'de> Visitor<'de> for StrVisitor {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(value)))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(StrVisitor)
    }
}

/// The fields of a JSON object, in order, undecoded.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The last value of that name that is not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .rev()
            .find(|(key, value)| key == name && value.get() != "null")
            .map(|(_, value)| *value)
    }

    /// The value of that name when it is a string.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(text_of)
    }

    /// The value of that name when it is a string, undecoded.
    pub(crate) fn literal(&self, name: &str) -> Option<Literal<'a>> {
        self.get(name).and_then(Literal::of)
    }

    /// The value of that name when it is a boolean.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The value of that name when it is an object.
    pub(crate) fn object(&self, name: &str) -> Option<Fields<'a>> {
        self.get(name).and_then(fields_of)
    }

    /// The elements of that name when it is an array.
    pub(crate) fn array(&self, name: &str) -> Option<Vec<&'a RawValue>> {
        self.get(name).and_then(array_of)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Str(key), value)) = map.next_entry::<Str<'de>, &'de RawValue>()? {
                    fields.push((key, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The fields of `raw` when it is an object.
pub(crate) fn fields_of(raw: &RawValue) -> Option<Fields<'_>> {
    raw.get()
        .starts_with('{')
        .then(|| serde_json::from_str(raw.get()).ok())
        .flatten()
}

/// The elements of `raw` when it is an array.
pub(crate) fn array_of(raw: &RawValue) -> Option<Vec<&RawValue>> {
    raw.get()
        .starts_with('[')
        .then(|| serde_json::from_str(raw.get()).ok())
        .flatten()
}

/// The text of `raw` when it is a string.
pub(crate) fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    Literal::of(raw).map(Literal::decode)
}

/// What stands in the place of a text: a string, or a number or flag as its text. `None` for
/// anything that may hold a text in another way.
pub(crate) fn text_piece(raw: &RawValue) -> Option<Literal<'_>> {
    match raw.get().as_bytes() {
        [b'"', ..] => Literal::of(raw),
        [b'{' | b'[' | b'n', ..] => None,
        _ => Some(Literal::plain(raw.get())),
    }
}

/// Whether `text` is a whole JSON object.
pub(crate) fn is_json_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A JSON string literal, quotes included, as it stood in the input or as it will stand in the
/// output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal<'a>(Cow<'a, str>);

impl<'a> Literal<'a> {
    /// The literal, when `raw` is a string.
    pub(crate) fn of(raw: &'a RawValue) -> Option<Self> {
        let text = raw.get();
        (text.len() >= 2 && text.starts_with('"')).then_some(Self(Cow::Borrowed(text)))
    }

    /// The literal of a plain text.
    pub(crate) fn plain(text: &str) -> Literal<'static> {
        let mut out = Vec::with_capacity(text.len() + 2);
        push_string(&mut out, text);
        Literal(Cow::Owned(String::from_utf8(out).unwrap_or_default()))
    }

    /// All texts in one, `separator` between them. `separator` is the inside of a literal (`\\n` is
    /// a line break).
    pub(crate) fn join(texts: &[Literal<'a>], separator: &str) -> Literal<'a> {
        if let [only] = texts {
            return only.clone();
        }
        let mut out = String::with_capacity(
            texts
                .iter()
                .map(|text| text.0.len() + separator.len())
                .sum::<usize>()
                + 2,
        );
        out.push('"');
        for text in texts.iter().filter(|text| !text.is_empty()) {
            if out.len() > 1 {
                out.push_str(separator);
            }
            out.push_str(text.inside());
        }
        out.push('"');
        Literal(Cow::Owned(out))
    }

    /// The text with `prefix` (the inside of a literal) before it.
    pub(crate) fn prefixed(&self, prefix: &str) -> Literal<'static> {
        Literal(Cow::Owned(format!("\"{prefix}{}\"", self.inside())))
    }

    /// The literal as JSON.
    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }

    /// Whether it is `""`.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() <= 2
    }

    /// The literal without its quotes.
    pub(crate) fn inside(&self) -> &str {
        inside(&self.0)
    }

    /// The text that it stands for; half a surrogate pair becomes U+FFFD.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if !self.0.contains('\\') {
            return match self.0 {
                Cow::Borrowed(text) => Cow::Borrowed(inside(text)),
                Cow::Owned(_) => Cow::Owned(self.inside().to_owned()),
            };
        }
        Cow::Owned(serde_json::from_str(&self.0).unwrap_or_else(|_| {
            let mut decoder = SurrogateDecoder::default();
            let mut text = decoder.decode(self.inside());
            text.push_str(decoder.finish());
            text
        }))
    }

    /// The text of a piece of a longer text, which may be cut within a surrogate pair.
    pub(crate) fn decode_piece(self, decoder: &mut SurrogateDecoder) -> Cow<'a, str> {
        if decoder.is_needed(self.inside()) {
            return Cow::Owned(decoder.decode(self.inside()));
        }
        self.decode()
    }

    /// The same as a literal: untouched where no pair is cut.
    pub(crate) fn join_piece(self, decoder: &mut SurrogateDecoder) -> Literal<'a> {
        if decoder.is_needed(self.inside()) {
            return Literal::plain(&decoder.decode(self.inside()));
        }
        self
    }
}

/// A literal without its quotes.
fn inside(literal: &str) -> &str {
    literal
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default()
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))
    {
        let Some((clean, [special, tail @ ..])) = rest.split_at_checked(at) else {
            break;
        };
        out.extend_from_slice(clean);
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_cross_undecoded() {
        let raw: &RawValue = serde_json::from_str(r#""a\n\u00e9\"b""#).unwrap();
        let literal = Literal::of(raw).unwrap();
        assert_eq!(literal.as_json(), r#""a\n\u00e9\"b""#);
        assert_eq!(literal.clone().decode(), "a\né\"b");
        let joined = Literal::join(&[literal, Literal::plain(""), Literal::plain("c\t")], r"\n");
        assert_eq!(joined.as_json(), r#""a\n\u00e9\"b\nc\t""#);
        assert_eq!(Literal::join(&[], "x").as_json(), r#""""#);
    }

    proptest! {
        #[test]
        fn a_written_string_reads_back(text in any::<String>()) {
            let literal = Literal::plain(&text);
            prop_assert_eq!(serde_json::from_str::<String>(literal.as_json()).unwrap(), text.clone());
            prop_assert_eq!(literal.decode().into_owned(), text);
        }
    }
}
