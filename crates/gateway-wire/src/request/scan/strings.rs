//! Strings of the scanned object: where they begin and end, what is kept of them, and their escapes.

use super::{HeadScanner, ScanState};
use crate::request::error::{RequestError, RequestErrorKind};
use crate::request::text::plain_run;

impl HeadScanner {
    /// Inside a string.
    pub(super) fn text(&mut self, piece: &[u8], mut at: usize) -> Result<usize, RequestError> {
        loop {
            let rest = piece.get(at..).unwrap_or_default();
            let (len, has_high) = plain_run(rest);
            if has_high || self.utf8.pending() > 0 {
                let run = rest.get(..len).unwrap_or_default();
                if let Err(offset) = self.utf8.feed(run, self.seen + at) {
                    return Err(RequestError {
                        kind: RequestErrorKind::BadUtf8,
                        offset,
                    });
                }
            }
            at += len;
            let Some(byte) = rest.get(len) else {
                return Ok(at);
            };
            if self.utf8.pending() > 0 {
                let offset = self.seen + at - self.utf8.pending();
                return Err(RequestError {
                    kind: RequestErrorKind::BadUtf8,
                    offset,
                });
            }
            match (byte, rest.get(len + 1)) {
                (b'"', _) => {
                    at += 1;
                    self.end_text(piece, at)?;
                    match self.next_text(piece, at) {
                        Some(next) => at = next,
                        None => return Ok(at),
                    }
                }
                (b'\\', Some(b'n' | b'"' | b'\\' | b't' | b'r' | b'/' | b'b' | b'f')) => at += 2,
                (b'\\', _) => {
                    self.state = ScanState::Escape;
                    return Ok(at + 1);
                }
                (_, _) => return Err(self.fail(RequestErrorKind::ControlCharacter, at)),
            }
        }
    }

    /// The commonest ways on after a string, without a turn through the states: from a key to a
    /// string value, and from a string value to the next key. Gives where the next string's text
    /// begins.
    fn next_text(&mut self, piece: &[u8], at: usize) -> Option<usize> {
        match (self.state, piece.get(at)?, piece.get(at + 1)?) {
            (ScanState::Colon, b':', b'"') => self.begin_value_text(at + 1),
            (ScanState::AfterValue, b',', b'"') if self.levels & 1 == 1 => self.begin_key(at + 1),
            (_, _, _) => return None,
        }
        Some(at + 2)
    }

    pub(super) fn begin_key(&mut self, at: usize) {
        self.is_key = true;
        self.state = ScanState::Text;
        if self.fields.wants_keys(self.depth) {
            self.start_capture(at);
        }
    }

    pub(super) fn begin_value_text(&mut self, at: usize) {
        self.is_key = false;
        self.state = ScanState::Text;
        if self.fields.wants_value() {
            self.start_capture(at);
        }
    }

    pub(super) fn escape(&mut self, byte: u8, at: usize) -> Result<usize, RequestError> {
        self.state = match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => ScanState::Text,
            b'u' => ScanState::Hex(4),
            _ => return Err(self.fail(RequestErrorKind::Syntax, at)),
        };
        Ok(at + 1)
    }

    pub(super) fn hex(&mut self, left: u8, byte: u8, at: usize) -> Result<usize, RequestError> {
        if !byte.is_ascii_hexdigit() {
            return Err(self.fail(RequestErrorKind::Syntax, at));
        }
        self.state = if left == 1 {
            ScanState::Text
        } else {
            ScanState::Hex(left - 1)
        };
        Ok(at + 1)
    }
}
