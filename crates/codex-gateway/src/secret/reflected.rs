//! Finds a secret in what an upstream sends back, in the encodings in which services repeat what they
//! were sent, and blots it out. Knows nothing of HTTP.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};

/// A shorter secret could be a word of the answer.
const MIN_SECRET: usize = 8;
/// What takes the place of each byte: the length stays, and so does the validity of JSON text.
const BLOT: u8 = b'*';

/// The texts under which secrets are looked for.
#[derive(Clone, Default)]
pub struct ReflectedSecrets(Arc<[Vec<u8>]>);

impl std::fmt::Debug for ReflectedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReflectedSecrets").finish()
    }
}

impl ReflectedSecrets {
    /// Looks for these secrets, each given without `Bearer`.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            if secret.len() >= MIN_SECRET {
                forms.extend(forms_of(secret));
            }
        }
        forms.sort_unstable();
        forms.dedup();
        Self(forms.into())
    }

    /// The text without the secrets; `None` where it holds none.
    pub fn hidden(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut hidden: Option<Vec<u8>> = None;
        for form in self.0.iter() {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| find(rest, form)) {
                let start = from + at;
                from = start + form.len();
                let blotted = hidden.get_or_insert_with(|| text.to_vec());
                if let Some(place) = blotted.get_mut(start..from) {
                    place.fill(BLOT);
                }
            }
        }
        hidden
    }

    /// How many bytes at the end of a text could be the beginning of a secret.
    fn begun(&self, text: &[u8]) -> usize {
        let longest = |form: &Vec<u8>| {
            let most = text.len().min(form.len().saturating_sub(1));
            (1..=most).rev().find(|length| {
                form.get(..*length)
                    .is_some_and(|begin| text.ends_with(begin))
            })
        };
        self.0.iter().filter_map(longest).max().unwrap_or(0)
    }
}

/// Hides secrets in a text that arrives in pieces, also where a border of pieces cuts one. Holds
/// back only bytes with which one could begin.
#[derive(Debug, Default)]
pub struct HidingStream {
    secrets: ReflectedSecrets,
    held: BytesMut,
}

impl HidingStream {
    /// A stream that begins.
    pub fn new(secrets: ReflectedSecrets) -> Self {
        Self {
            secrets,
            held: BytesMut::new(),
        }
    }

    /// Takes a piece and gives what is safe to pass on. A piece without a secret is not copied.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        let mut text = if self.held.is_empty() {
            piece
        } else {
            self.held.extend_from_slice(&piece);
            std::mem::take(&mut self.held).freeze()
        };
        if let Some(hidden) = self.secrets.hidden(&text) {
            text = Bytes::from(hidden);
        }
        let begun = self.secrets.begun(&text);
        if begun > 0 {
            self.held
                .extend_from_slice(&text.split_off(text.len() - begun));
        }
        text
    }

    /// The text has ended: what was held back was no secret.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

/// Where `needle` begins.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}

/// A secret as it is, percent-encoded, as text of JSON, in hexadecimal, and inside of base64.
fn forms_of(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.to_vec()];
    for keeps in ["", "-._~"] {
        let encoded = |digits: fn(u8) -> String| {
            let one = |byte: &u8| {
                if byte.is_ascii_alphanumeric() || keeps.as_bytes().contains(byte) {
                    char::from(*byte).to_string()
                } else {
                    digits(*byte)
                }
            };
            secret.iter().map(one).collect::<String>().into_bytes()
        };
        forms.push(encoded(|byte| format!("%{byte:02X}")));
        forms.push(encoded(|byte| format!("%{byte:02x}")));
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let json = serde_json::Value::from(text).to_string();
        let json = json.trim_matches('"').to_owned();
        forms.push(json.replace('/', "\\/").into_bytes());
        forms.push(json.into_bytes());
    }
    let digits: Vec<String> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = digits.concat();
    forms.push(hex.to_ascii_uppercase().into_bytes());
    forms.push(hex.into_bytes());
    for offset in 0..3 {
        forms.extend(base64_at(secret, offset));
    }
    forms
}

/// The digits of base64 that a secret alone decides, where `offset` bytes stand before it in the
/// encoded text.
fn base64_at(secret: &[u8], offset: usize) -> [Vec<u8>; 2] {
    let mut text = vec![0; offset];
    text.extend_from_slice(secret);
    [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|engine| {
        let digits = engine.encode(&text).into_bytes();
        // The first digits also hold bits of what stands before, the last one of what follows.
        let first = (offset * 8).div_ceil(6);
        let last = digits.len() - usize::from(!text.len().is_multiple_of(3));
        digits.get(first..last).unwrap_or_default().to_vec()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    const SECRET: &[u8] = b"sk-canary/secret+90aa==x";

    fn secrets() -> ReflectedSecrets {
        ReflectedSecrets::new([SECRET])
    }

    #[test]
    fn a_secret_is_found_in_every_encoding_and_nothing_else_is_touched() {
        let plain = String::from_utf8(SECRET.to_vec()).unwrap();
        let encoded = percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        for text in [
            plain.clone(),
            plain.replace('/', "\\/"),
            encoded,
            format!("{plain:?}").trim_matches('"').to_owned(),
        ] {
            let whole = format!("{{\"key\":\"{text}\"}}");
            let hidden = secrets().hidden(whole.as_bytes()).unwrap();
            assert_eq!(
                hidden,
                format!("{{\"key\":\"{}\"}}", "*".repeat(text.len())).into_bytes()
            );
        }
        for before in ["", "B", "Be", "Bearer ", "user:"] {
            for after in ["", "x", "xy", "@host"] {
                let text = STANDARD.encode(format!("{before}{plain}{after}"));
                let hidden = secrets().hidden(text.as_bytes()).unwrap();
                let left = hidden.iter().filter(|byte| **byte != BLOT).count();
                // At most the digits of the neighbours, and those that are shared with them.
                assert!(
                    left <= (before.len() + after.len()) * 2 + 8,
                    "{before} {after}"
                );
            }
        }
        assert_eq!(secrets().hidden(b"sk-canary-other"), None);
        assert_eq!(
            ReflectedSecrets::new([b"short".as_slice()]).hidden(b"short"),
            None
        );
    }

    proptest! {
        #[test]
        fn no_border_of_pieces_lets_one_through(cuts in prop::collection::vec(0_usize..60, 0..6), before in "[a-z\n]{0,12}", after in "[a-z\n]{0,12}") {
            let whole = [before.as_bytes(), SECRET, after.as_bytes()].concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let mut stream = HidingStream::new(secrets());
            let mut out = Vec::new();
            for pair in cuts.windows(2) {
                out.extend_from_slice(&stream.push(Bytes::copy_from_slice(&whole[pair[0]..pair[1]])));
            }
            out.extend_from_slice(&stream.finish());
            let blots = vec![BLOT; SECRET.len()];
            prop_assert_eq!(out, [before.as_bytes(), &blots, after.as_bytes()].concat());
        }
    }

    #[test]
    fn a_piece_that_ends_an_event_is_passed_on_at_once() {
        let mut stream = HidingStream::new(secrets());
        let piece = Bytes::from_static(b"data: {\"delta\":\"s\"}\n\n");
        assert_eq!(stream.push(piece.clone()), piece);
        assert!(stream.finish().is_empty());
    }
}
