//! The body of a request, read in one pass: histories are long, and every further pass over them
//! costs.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::TranslateError;
use crate::chat::Message;
use crate::json::raw::{Fields, Str, array_of};
use crate::responses::Item;

/// The long field of a request: its history.
pub(super) trait HistoryField<'a>: Deserialize<'a> {
    /// Its name in the body.
    const NAME: &'static str;
    /// What one element of it is, to name the one that is wrong.
    type Element: Deserialize<'a>;
}

/// What `input` holds.
#[derive(Debug)]
pub(super) enum Input<'a> {
    Text(Str<'a>),
    Items(Vec<Item<'a>>),
}

impl<'a> HistoryField<'a> for Input<'a> {
    const NAME: &'static str = "input";
    type Element = Item<'a>;
}

impl<'a> HistoryField<'a> for Vec<Message<'a>> {
    const NAME: &'static str = "messages";
    type Element = Message<'a>;
}

impl Input<'_> {
    /// Whether the client asks for its history to be compacted.
    pub(super) fn asks_for_summary(&self) -> bool {
        match self {
            Self::Items(items) => items.iter().any(|item| item.kind() == "compaction_trigger"),
            Self::Text(_) => false,
        }
    }
}

/// A request: its history, and all other fields undecoded.
#[derive(Debug)]
pub(super) struct Body<'a, H> {
    pub(super) fields: Fields<'a>,
    pub(super) history: Option<H>,
}

impl<'a, H: HistoryField<'a>> Body<'a, H> {
    /// Reads a body; an error names the place as well as it can.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, TranslateError> {
        let text = read_text(body)?;
        serde_json::from_str(text).map_err(|error| explain::<H>(text, &error))
    }
}

fn read_text(body: &[u8]) -> Result<&str, TranslateError> {
    std::str::from_utf8(body).map_err(|error| TranslateError::malformed("body", error.to_string()))
}

/// Reads once more, slowly, to name what is wrong.
fn explain<'a, H: HistoryField<'a>>(text: &'a str, error: &serde_json::Error) -> TranslateError {
    let fields: Fields<'a> = match serde_json::from_str(text) {
        Ok(fields) => fields,
        Err(error) => return TranslateError::malformed("body", error.to_string()),
    };
    let Some(elements) = fields.get(H::NAME).and_then(array_of) else {
        return TranslateError::malformed(H::NAME, "it must be an array");
    };
    for (index, raw) in elements.into_iter().enumerate() {
        if let Err(error) = serde_json::from_str::<H::Element>(raw.get()) {
            return TranslateError::malformed(format!("{}[{index}]", H::NAME), error.to_string());
        }
    }
    TranslateError::malformed("body", error.to_string())
}

impl<'de, H: HistoryField<'de>> Deserialize<'de> for Body<'de, H> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor<H>(PhantomData<H>);
        impl<'de, H: HistoryField<'de>> Visitor<'de> for BodyVisitor<H> {
            type Value = Body<'de, H>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut body = Body {
                    fields: Fields::default(),
                    history: None,
                };
                while let Some(Str(key)) = map.next_key::<Str<'de>>()? {
                    if key == H::NAME {
                        body.history = map.next_value()?;
                    } else {
                        body.fields.0.push((key, map.next_value()?));
                    }
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(BodyVisitor(PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Input<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InputVisitor;
        impl<'de> Visitor<'de> for InputVisitor {
            type Value = Input<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of items")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Input::Text(Str(text.into())))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Input::Text(Str(text.to_owned().into())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Input::Items(items))
            }
        }
        deserializer.deserialize_any(InputVisitor)
    }
}
