//! Enums with a fixed vocabulary. One declaration, so that Rust, JSON, configuration, SQL, metric
//! labels and the description of the admin API cannot disagree on a word.

#[doc(hidden)]
pub use utoipa;

/// Declares enums of which each variant has one word. The word is used by [`Display`], by serde and
/// by what the macro adds:
///
/// - `ALL`: every variant, in the order of the declaration;
/// - `WORDS`: their words, in the same order;
/// - `as_str`: the word, a `const fn`;
/// - `parse`: the variant of a word, compared exactly;
/// - `FromStr`: the same, with an error that lists the words;
/// - `ToSchema`: the words, in the description of an API.
///
/// The calling crate needs `serde` with its `derive` feature. Further derives and variant
/// attributes (`#[default]`) are passed through.
///
/// ```
/// gateway_wire::words! {
///     /// How much to say.
///     #[derive(Default)]
///     pub enum Detail {
///         /// The minimum.
///         #[default]
///         Brief = "brief",
///         /// Everything.
///         Complete = "complete",
///     }
/// }
///
/// assert_eq!(Detail::parse("complete"), Some(Detail::Complete));
/// assert_eq!(Detail::ALL.map(Detail::as_str), ["brief", "complete"]);
/// assert_eq!(serde_json::to_string(&Detail::default()).unwrap(), r#""brief""#);
/// ```
///
/// [`Display`]: std::fmt::Display
#[macro_export]
macro_rules! words {
    ($(
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),+ $(,)?
        }
    )+) => { $(
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
        )]
        $(#[$meta])*
        $vis enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $word)] $variant, )+
        }

        impl $name {
            /// Every value, in the order of the declaration.
            $vis const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The word of every value, in the same order.
            $vis const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word that stands for it in JSON, configuration, the ledger and metric labels.
            $vis const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }

            /// The value that a word stands for.
            $vis fn parse(word: &str) -> Option<Self> {
                match word {
                    $( $word => Some(Self::$variant), )+
                    _ => None,
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::parse(word).ok_or($crate::words::UnknownWord(Self::WORDS))
            }
        }

        impl $crate::words::utoipa::PartialSchema for $name {
            fn schema() -> $crate::words::Schema {
                $crate::words::schema(Self::WORDS)
            }
        }

        impl $crate::words::utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+ };
}

/// The schema of one of a list of words, in a description of an API.
pub type Schema = utoipa::openapi::RefOr<utoipa::openapi::Schema>;

/// The schema of one of `words`.
pub fn schema(words: &[&'static str]) -> Schema {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .enum_values(Some(words.iter().copied()))
        .into()
}

/// A word that stands for no value; holds those that do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWord(pub &'static [&'static str]);

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

#[cfg(test)]
mod tests {
    crate::words! {
        enum Colour {
            Red = "red",
            DarkBlue = "dark-blue",
        }
    }

    #[test]
    fn rust_serde_display_and_schema_agree_on_every_word() {
        assert_eq!(Colour::ALL, [Colour::Red, Colour::DarkBlue]);
        for colour in Colour::ALL {
            assert_eq!(Colour::parse(colour.as_str()), Some(colour));
            let json = serde_json::Value::from(colour.to_string());
            assert_eq!(serde_json::to_value(colour).unwrap(), json);
            assert_eq!(serde_json::from_value::<Colour>(json).unwrap(), colour);
        }
        let schema = serde_json::to_value(<Colour as utoipa::PartialSchema>::schema()).unwrap();
        let expected = serde_json::json!({"type": "string", "enum": ["red", "dark-blue"]});
        assert_eq!(schema, expected);
        assert_eq!(Colour::parse("Red"), None);
        let error = "Red".parse::<Colour>().unwrap_err();
        assert_eq!(error.to_string(), "one of red, dark-blue");
    }
}
