//! The two questions asked of the inside of a JSON string: how far does it go on without anything
//! special, and is it UTF-8.

/// Bytes before the first quote, backslash or control character, and whether any of them is not
/// ASCII.
#[inline]
pub(super) fn plain_run(text: &[u8]) -> (usize, bool) {
    /// Most runs are short: words are looked at one by one before longer steps pay.
    const SHORT: usize = 8;
    let (words, tail) = text.as_chunks::<8>();
    let mut high = 0;
    for (index, word) in words.iter().enumerate() {
        let (hits, bits) = look_at_word(*word);
        if hits != 0 {
            // The lowest hit is exact; the bits above it do not count.
            let below = hits ^ (hits - 1);
            return (
                index * 8 + hits.trailing_zeros() as usize / 8,
                (high | (bits & below >> 8)) != 0,
            );
        }
        high |= bits;
        if index == SHORT {
            let at = (index + 1) * 8;
            let (len, is_high) = long_run(text.get(at..).unwrap_or_default());
            return (at + len, is_high || high != 0);
        }
    }
    let at = text.len() - tail.len();
    let len = tail
        .iter()
        .position(|byte| is_special(*byte))
        .unwrap_or(tail.len());
    let is_high = tail.iter().take(len).any(|byte| *byte >= 0x80);
    (at + len, is_high || high != 0)
}

/// The same for text that is known to be long.
#[inline(never)]
fn long_run(text: &[u8]) -> (usize, bool) {
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let mut high = 0;
    let mut at = 0;
    for block in blocks {
        let (is_plain, bits) = look_at_block(block);
        if !is_plain {
            break;
        }
        high |= bits;
        at += BLOCK;
    }
    let rest = text.get(at..).unwrap_or_default();
    let len = rest
        .iter()
        .position(|byte| is_special(*byte))
        .unwrap_or(rest.len());
    let is_high = rest.iter().take(len).any(|byte| *byte >= 0x80);
    (at + len, is_high || high >= 0x80)
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// The high bit of each special byte (above the first one perhaps of others too), and the high bits
/// of all bytes.
#[inline]
fn look_at_word(word: [u8; 8]) -> (u64, u64) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * u64::from(b'"'));
    let slash = word ^ (ONES * u64::from(b'\\'));
    // A borrow can set wrong bits, but only above the first right one.
    let hits = ((quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGH;
    (hits, word & HIGH)
}

const BLOCK: usize = 32;

/// Whether a block has nothing special, and all its bytes or-ed. Written so that the compiler makes
/// vector instructions of it.
fn look_at_block(block: &[u8; BLOCK]) -> (bool, u8) {
    let mut special = 0;
    let mut bits = 0;
    for byte in block {
        special |= u8::from(*byte == b'"') | u8::from(*byte == b'\\') | u8::from(*byte < 0x20);
        bits |= byte;
    }
    (special == 0, bits)
}

/// Checks UTF-8 that arrives in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Utf8 {
    pending: [u8; 4],
    len: usize,
}

impl Utf8 {
    pub(super) const fn new() -> Self {
        Self {
            pending: [0; 4],
            len: 0,
        }
    }

    /// Takes the next bytes, which stand at `at`. The error is where the bad sequence begins.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut at: usize) -> Result<(), usize> {
        while self.len > 0 {
            let Some((byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            let begin = at - self.len;
            if let Some(slot) = self.pending.get_mut(self.len) {
                *slot = *byte;
            }
            self.len += 1;
            bytes = rest;
            at += 1;
            match std::str::from_utf8(self.pending.get(..self.len).unwrap_or_default()) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() || self.len >= 4 => return Err(begin),
                Err(_) => {}
            }
        }
        let Err(error) = std::str::from_utf8(bytes) else {
            return Ok(());
        };
        let begin = error.valid_up_to();
        if error.error_len().is_some() {
            return Err(at + begin);
        }
        for byte in bytes.get(begin..).unwrap_or_default() {
            if let Some(slot) = self.pending.get_mut(self.len) {
                *slot = *byte;
                self.len += 1;
            }
        }
        Ok(())
    }

    /// Bytes of a character that is not complete.
    pub(super) const fn pending(self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow_run(text: &[u8]) -> (usize, bool) {
        let len = text
            .iter()
            .position(|b| matches!(b, b'"' | b'\\' | 0..0x20))
            .unwrap_or(text.len());
        (len, text[..len].iter().any(|b| *b >= 0x80))
    }

    proptest! {
        #[test]
        fn runs_end_at_the_first_special_byte(
            text in prop::collection::vec(prop_oneof![9 => 0x20..=0x7e_u8, 1 => any::<u8>()], 0..200),
        ) {
            prop_assert_eq!(plain_run(&text), slow_run(&text));
        }

        #[test]
        fn utf8_is_checked_across_any_split(
            text in prop::collection::vec(prop_oneof![
                Just("é".as_bytes()), Just("漢".as_bytes()), Just("🦀".as_bytes()), Just(b"a".as_slice()),
                Just(b"\xF0\x9F".as_slice()), Just(b"\xC0".as_slice()), Just(b"\xED\xA0\x80".as_slice()),
            ], 0..8),
            size in 1..5_usize,
        ) {
            let text = text.concat();
            let mut utf8 = Utf8::new();
            let mut result = Ok(());
            let mut at = 0;
            for piece in text.chunks(size) {
                result = utf8.feed(piece, at);
                at += piece.len();
                if result.is_err() {
                    break;
                }
            }
            let result = result.and(if utf8.pending() > 0 { Err(at - utf8.pending()) } else { Ok(()) });
            prop_assert_eq!(result.err(), std::str::from_utf8(&text).err().map(|e| e.valid_up_to()));
        }
    }
}
