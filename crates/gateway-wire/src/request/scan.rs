//! The scanner behind [`RequestHead`]: a state machine over JSON text with one bit per nesting
//! level and room for one captured value.

use std::borrow::Cow;

use super::error::{RequestError, RequestErrorKind};
use super::head::RequestHead;
use super::text::Utf8;

mod fields;
mod members;
mod strings;

use fields::HeadFields;

/// Reads a whole body.
///
/// ```
/// let head = gateway_wire::request::scan(br#"{"model":"m","stream":true,"input":[]}"#)?;
/// let model = head.model.expect("the body names one");
/// assert_eq!((model.id.as_str(), model.span, head.stream), ("m", 9..12, Some(true)));
/// # Ok::<(), gateway_wire::request::RequestError>(())
/// ```
///
/// # Errors
/// When the body is not one JSON object, or what is read from it has the wrong type.
pub fn scan(body: &[u8]) -> Result<RequestHead, RequestError> {
    let mut scanner = HeadScanner::new();
    scanner.push(body)?;
    scanner.finish()
}

/// Deepest nesting that is accepted; the next level is refused, as `serde_json` does.
const MAX_DEPTH: u32 = 127;

/// Reads a body that arrives in pieces. Holds at most a captured key or value, never the body.
#[derive(Debug, Clone)]
pub struct HeadScanner {
    /// Bytes of earlier pieces.
    seen: usize,
    state: ScanState,
    /// The innermost level is the lowest bit; 1 is an object.
    levels: u128,
    depth: u32,
    /// Whether the string being read is a key.
    is_key: bool,
    utf8: Utf8,
    capture: Capture,
    fields: HeadFields,
    error: Option<RequestError>,
}

/// The text of a key or value that matters.
#[derive(Debug, Clone, Default)]
struct Capture {
    /// Offset in the present piece where it goes on; `None` when nothing is captured.
    from: Option<usize>,
    /// Where it begins in the body.
    start: usize,
    /// Its part in earlier pieces.
    scratch: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanState {
    Start,
    FirstKey,
    Key,
    Colon,
    FirstItem,
    Value,
    AfterValue,
    Text,
    Escape,
    /// So many hex digits to come.
    Hex(u8),
    Number(Digits),
    /// The rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
    Done,
}

/// The last part of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    Power,
}

impl Default for HeadScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadScanner {
    /// A scanner before the first byte.
    pub fn new() -> Self {
        Self {
            seen: 0,
            state: ScanState::Start,
            levels: 0,
            depth: 0,
            is_key: false,
            utf8: Utf8::new(),
            capture: Capture::default(),
            fields: HeadFields::new(),
            error: None,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When the body is not a JSON object; after an error every call gives the same one.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), RequestError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let result = self.run(piece);
        self.seen += piece.len();
        self.error = result.err();
        result
    }

    /// What is known so far.
    pub const fn head(&self) -> &RequestHead {
        &self.fields.head
    }

    /// The body has ended.
    ///
    /// # Errors
    /// The one that a piece gave, or that the body ends too early.
    pub fn finish(self) -> Result<RequestHead, RequestError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.state {
            ScanState::Done => Ok(self.fields.head),
            ScanState::Start => Err(RequestError {
                kind: RequestErrorKind::NotAnObject,
                offset: self.seen,
            }),
            ScanState::FirstKey
            | ScanState::Key
            | ScanState::Colon
            | ScanState::FirstItem
            | ScanState::Value
            | ScanState::AfterValue
            | ScanState::Text
            | ScanState::Escape
            | ScanState::Hex(_)
            | ScanState::Number(_)
            | ScanState::Literal(_) => Err(RequestError {
                kind: RequestErrorKind::Truncated,
                offset: self.seen,
            }),
        }
    }

    fn run(&mut self, piece: &[u8]) -> Result<(), RequestError> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            at = match self.state {
                ScanState::Text => self.text(piece, at)?,
                ScanState::Escape => self.escape(byte, at)?,
                ScanState::Hex(left) => self.hex(left, byte, at)?,
                ScanState::Number(digits) => self.number(digits, piece, at)?,
                ScanState::Literal(rest) => self.literal(rest, piece, at)?,
                ScanState::Start
                | ScanState::FirstKey
                | ScanState::Key
                | ScanState::Colon
                | ScanState::FirstItem
                | ScanState::Value
                | ScanState::AfterValue
                | ScanState::Done => {
                    if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                        self.structure(byte, at)?;
                    }
                    at + 1
                }
            };
        }
        self.keep_capture(piece)
    }

    const fn fail(&self, kind: RequestErrorKind, at: usize) -> RequestError {
        RequestError {
            kind,
            offset: self.seen + at,
        }
    }

    /// One byte outside strings and scalars.
    fn structure(&mut self, byte: u8, at: usize) -> Result<(), RequestError> {
        match (self.state, byte) {
            (ScanState::Start, b'{') => self.open(true, at),
            (ScanState::Start, _) => Err(self.fail(RequestErrorKind::NotAnObject, at)),
            (ScanState::Done, _) => Err(self.fail(RequestErrorKind::TrailingData, at)),
            (ScanState::FirstKey | ScanState::Key, b'"') => {
                self.begin_key(at);
                Ok(())
            }
            (ScanState::FirstKey, b'}') | (ScanState::FirstItem, b']') => {
                self.close();
                Ok(())
            }
            (ScanState::Colon, b':') => {
                self.state = ScanState::Value;
                Ok(())
            }
            (ScanState::AfterValue, b',') => {
                self.state = if self.levels & 1 == 1 {
                    ScanState::Key
                } else {
                    ScanState::Value
                };
                Ok(())
            }
            (ScanState::AfterValue, b'}') if self.levels & 1 == 1 => {
                self.close();
                Ok(())
            }
            (ScanState::AfterValue, b']') if self.levels & 1 == 0 => {
                self.close();
                Ok(())
            }
            (ScanState::Value | ScanState::FirstItem, _) => self.value(byte, at),
            (_, _) => Err(self.fail(RequestErrorKind::Syntax, at)),
        }
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8, at: usize) -> Result<(), RequestError> {
        if self.fields.is_model() && byte != b'"' {
            return Err(self.fail(RequestErrorKind::ModelNotAString, at));
        }
        self.state = match byte {
            b'{' | b'[' => return self.open(byte == b'{', at),
            b'"' => {
                self.begin_value_text(at);
                return Ok(());
            }
            b'-' => ScanState::Number(Digits::Minus),
            b'0' => ScanState::Number(Digits::Zero),
            b'1'..=b'9' => ScanState::Number(Digits::Whole),
            b't' => ScanState::Literal(b"rue"),
            b'f' => ScanState::Literal(b"alse"),
            b'n' => ScanState::Literal(b"ull"),
            _ => return Err(self.fail(RequestErrorKind::Syntax, at)),
        };
        if self.fields.wants_value() {
            self.start_capture(at);
        }
        Ok(())
    }

    fn open(&mut self, is_object: bool, at: usize) -> Result<(), RequestError> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(RequestErrorKind::TooDeep, at));
        }
        self.fields.open(self.depth, is_object);
        self.depth += 1;
        self.levels = self.levels << 1 | u128::from(is_object);
        self.state = if is_object {
            ScanState::FirstKey
        } else {
            ScanState::FirstItem
        };
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.levels >>= 1;
        self.fields.close(self.depth);
        self.state = if self.depth == 0 {
            ScanState::Done
        } else {
            ScanState::AfterValue
        };
    }

    fn number(
        &mut self,
        mut digits: Digits,
        piece: &[u8],
        mut at: usize,
    ) -> Result<usize, RequestError> {
        use Digits::{Exponent, ExponentSign, Fraction, Minus, Point, Power, Whole, Zero};
        while let Some(byte) = piece.get(at) {
            digits = match (digits, byte) {
                (Minus, b'0') => Zero,
                (Minus | Whole, b'0'..=b'9') => Whole,
                (Zero | Whole, b'.') => Point,
                (Point | Fraction, b'0'..=b'9') => Fraction,
                (Zero | Whole | Fraction, b'e' | b'E') => Exponent,
                (Exponent, b'+' | b'-') => ExponentSign,
                (Exponent | ExponentSign | Power, b'0'..=b'9') => Power,
                (Zero | Whole | Fraction | Power, _) => {
                    self.end_value(piece, at)?;
                    return Ok(at);
                }
                (Minus | Point | Exponent | ExponentSign, _) => {
                    return Err(self.fail(RequestErrorKind::Syntax, at));
                }
            };
            at += 1;
        }
        self.state = ScanState::Number(digits);
        Ok(at)
    }

    fn literal(
        &mut self,
        mut rest: &'static [u8],
        piece: &[u8],
        mut at: usize,
    ) -> Result<usize, RequestError> {
        while let (Some((wanted, after)), Some(byte)) = (rest.split_first(), piece.get(at)) {
            if wanted != byte {
                return Err(self.fail(RequestErrorKind::Syntax, at));
            }
            rest = after;
            at += 1;
        }
        self.state = ScanState::Literal(rest);
        if rest.is_empty() {
            self.end_value(piece, at)?;
        }
        Ok(at)
    }

    fn start_capture(&mut self, at: usize) {
        self.capture.from = Some(at);
        self.capture.start = self.seen + at;
        self.capture.scratch.clear();
    }

    /// A piece ends: what is captured of it moves to the scratch space.
    fn keep_capture(&mut self, piece: &[u8]) -> Result<(), RequestError> {
        let Some(from) = self.capture.from else {
            return Ok(());
        };
        let part = piece.get(from..).unwrap_or_default();
        if self.capture.scratch.len() + part.len() > self.fields.limit(self.is_key) {
            return self.overflow();
        }
        self.capture.scratch.extend_from_slice(part);
        self.capture.from = Some(0);
        Ok(())
    }

    /// What is too long is not kept; only a model must be.
    fn overflow(&mut self) -> Result<(), RequestError> {
        self.capture.from = None;
        self.capture.scratch.clear();
        if !self.is_key && self.fields.is_model() {
            return Err(self.fail_capture(RequestErrorKind::ModelTooLong));
        }
        Ok(())
    }

    const fn fail_capture(&self, kind: RequestErrorKind) -> RequestError {
        RequestError {
            kind,
            offset: self.capture.start,
        }
    }

    /// The captured text that ends before `to`.
    fn take_capture<'a>(
        &mut self,
        piece: &'a [u8],
        to: usize,
    ) -> Result<Option<Cow<'a, [u8]>>, RequestError> {
        let Some(from) = self.capture.from.take() else {
            return Ok(None);
        };
        let part = piece.get(from..to).unwrap_or_default();
        if self.capture.scratch.len() + part.len() > self.fields.limit(self.is_key) {
            return self.overflow().map(|()| None);
        }
        if self.capture.scratch.is_empty() {
            return Ok(Some(Cow::Borrowed(part)));
        }
        let mut whole = std::mem::take(&mut self.capture.scratch);
        whole.extend_from_slice(part);
        Ok(Some(Cow::Owned(whole)))
    }

    /// A string ended before `to`.
    fn end_text(&mut self, piece: &[u8], to: usize) -> Result<(), RequestError> {
        if !self.is_key {
            return self.end_value(piece, to);
        }
        self.state = ScanState::Colon;
        self.fields.pass_over();
        match self.take_capture(piece, to)? {
            Some(raw) => self
                .fields
                .key(&raw)
                .map_err(|kind| self.fail_capture(kind)),
            None => Ok(()),
        }
    }

    /// A string or scalar value ended before `to`.
    fn end_value(&mut self, piece: &[u8], to: usize) -> Result<(), RequestError> {
        self.state = ScanState::AfterValue;
        let Some(raw) = self.take_capture(piece, to)? else {
            self.fields.pass_over();
            return Ok(());
        };
        let span = self.capture.start..self.seen + to;
        self.fields
            .value(&raw, span)
            .map_err(|kind| self.fail_capture(kind))
    }
}
