//! What can be wrong with a request body.

/// A body that cannot be taken, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (byte {offset})")]
pub struct RequestError {
    /// What is wrong.
    pub kind: RequestErrorKind,
    /// The byte it was found at, from 0.
    pub offset: usize,
}

/// What can be wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestErrorKind {
    /// It is something else, or empty.
    #[error("the request body is not a JSON object")]
    NotAnObject,
    /// Broken JSON.
    #[error("the request body is not valid JSON")]
    Syntax,
    /// A line break or another control character inside a string.
    #[error("the request body has a control character inside a string")]
    ControlCharacter,
    /// It ends too early.
    #[error("the request body ends before its JSON object does")]
    Truncated,
    /// Something follows the object.
    #[error("the request body continues after its JSON object")]
    TrailingData,
    /// Nested 128 levels deep or deeper.
    #[error("the request body is nested deeper than 127 levels")]
    TooDeep,
    /// Not UTF-8.
    #[error("the request body is not valid UTF-8")]
    BadUtf8,
    /// Two top-level `model` keys, escapes undone and case left aside.
    #[error("the request body has `model` twice")]
    DuplicateModel,
    /// A top-level key such as `MODEL`: some readers take it for the model.
    #[error("`model` in the request body is not in lower case")]
    ModelInOtherCase,
    /// Two keys of this meaning that differ in case alone: readers disagree which one counts.
    #[error("the request body has `{0}` twice, in different case")]
    MemberInTwoCases(&'static str),
    /// `model` is no string, or one with half a surrogate pair.
    #[error("`model` in the request body is not a string")]
    ModelNotAString,
    /// More bytes than any model id has.
    #[error("`model` in the request body is too long")]
    ModelTooLong,
}
