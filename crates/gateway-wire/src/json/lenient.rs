//! Deserializers for fields that upstreams write in several ways. Each takes every way that means
//! the same; anything else is an error, so that nothing of an answer is lost unnoticed.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::raw::Str;

/// An object; null, `[]` and `""` are none.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        if text.is_empty() {
            return Ok(None);
        }
        Err(E::invalid_type(serde::de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(None),
            Some(_) => Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
    }
}

/// An array of objects; null elements are left out, and one object alone is an array of one.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ObjectsVisitor(PhantomData))
}

struct ObjectsVisitor<T>(PhantomData<T>);

/// An element of such an array.
struct Element<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectsVisitor<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Element(element)) = seq.next_element()? {
            list.extend(element);
        }
        Ok(Some(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|only| Some(vec![only]))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A place in a list: a whole number, also as text or with a fraction of zero.
pub(crate) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct IndexVisitor;
    impl Visitor<'_> for IndexVisitor {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number between 0 and 2^32"
            )]
            if number.fract() == 0.0 && (0.0..4_294_967_296.0).contains(&number) {
                return Ok(Some(number as u64));
            }
            Err(E::invalid_value(
                serde::de::Unexpected::Float(number),
                &self,
            ))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            let text = text.trim();
            if text.is_empty() {
                return Ok(None);
            }
            let invalid = |_| E::invalid_value(serde::de::Unexpected::Str(text), &self);
            text.parse().map(Some).map_err(invalid)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(IndexVisitor)
}

/// A short text, such as a name or a reason; a number or a flag is its text.
pub(crate) fn label<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Str<'de>>, D::Error> {
    struct LabelVisitor;
    impl<'de> Visitor<'de> for LabelVisitor {
        type Value = Option<Str<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(Str(Cow::Borrowed(text))))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Str(Cow::Owned(text.to_owned()))))
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
            self.visit_str(if flag { "true" } else { "false" })
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(LabelVisitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Inner {
        #[serde(default, deserialize_with = "index")]
        n: Option<u64>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Outer<'a> {
        #[serde(default, deserialize_with = "object")]
        one: Option<Inner>,
        #[serde(default, deserialize_with = "objects")]
        many: Option<Vec<Inner>>,
        #[serde(borrow, default, deserialize_with = "label")]
        name: Option<Str<'a>>,
    }

    fn numbers(text: &str) -> Option<Vec<Option<u64>>> {
        let outer: Outer<'_> = serde_json::from_str(text).ok()?;
        let many = outer.many.into_iter().flatten();
        Some(
            outer
                .one
                .into_iter()
                .chain(many)
                .map(|inner| inner.n)
                .collect(),
        )
    }

    #[test]
    fn every_way_that_means_the_same_is_read() {
        for (text, expected) in [
            (r#"{"one":{"n":3}}"#, vec![Some(3)]),
            (r#"{"one":{"n":"3"}}"#, vec![Some(3)]),
            (r#"{"one":{"n":3.0}}"#, vec![Some(3)]),
            (r#"{"one":{"n":null}}"#, vec![None]),
            (r#"{"one":{"n":""}}"#, vec![None]),
            (r#"{"one":null}"#, vec![]),
            (r#"{"one":[]}"#, vec![]),
            (r#"{"one":""}"#, vec![]),
            (r#"{"many":[{"n":1},null,{"n":2}]}"#, vec![Some(1), Some(2)]),
            (r#"{"many":{"n":1}}"#, vec![Some(1)]),
            (r#"{"many":null}"#, vec![]),
        ] {
            assert_eq!(numbers(text), Some(expected), "{text}");
        }
        for (text, name) in [
            (r#""x""#, "x"),
            ("7", "7"),
            ("-7", "-7"),
            ("false", "false"),
            (r#""\n""#, "\n"),
        ] {
            let outer = format!(r#"{{"name":{text}}}"#);
            let outer: Outer<'_> = serde_json::from_str(&outer).unwrap();
            assert_eq!(outer.name.unwrap().0, name);
        }
    }

    #[test]
    fn every_other_way_is_an_error() {
        for text in [
            r#"{"one":{"n":-1}}"#,
            r#"{"one":{"n":1.5}}"#,
            r#"{"one":{"n":"first"}}"#,
            r#"{"one":{"n":[]}}"#,
            r#"{"one":{"n":true}}"#,
            r#"{"one":"text"}"#,
            r#"{"one":[{"n":1}]}"#,
            r#"{"one":7}"#,
            r#"{"many":"text"}"#,
            r#"{"many":["text"]}"#,
            r#"{"many":7}"#,
            r#"{"name":{}}"#,
            r#"{"name":[]}"#,
        ] {
            assert_eq!(numbers(text), None, "{text}");
        }
    }
}
