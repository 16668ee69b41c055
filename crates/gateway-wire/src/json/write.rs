//! Writes JSON text in the order of the calls, without building values.

use super::raw::{Literal, push_string};

/// Writes JSON in the order of the calls. Commas come by themselves.
#[derive(Debug, Default)]
pub(crate) struct JsonWriter {
    /// What was written.
    pub(crate) out: Vec<u8>,
}

impl JsonWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
        }
    }

    fn separate(&mut self) {
        // A value ends with none of these three, so the last byte says whether something stands
        // before.
        if !matches!(
            self.out.last(),
            None | Some(b'{' | b'[' | b':' | b'\n' | b' ')
        ) {
            self.out.push(b',');
        }
    }

    /// `"name":`; a value must follow.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        push_string(&mut self.out, name);
        self.out.push(b':');
        self
    }

    pub(crate) fn begin_object(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'{');
        self
    }

    pub(crate) fn end_object(&mut self) -> &mut Self {
        self.out.push(b'}');
        self
    }

    pub(crate) fn begin_array(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'[');
        self
    }

    pub(crate) fn end_array(&mut self) -> &mut Self {
        self.out.push(b']');
        self
    }

    /// A string.
    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.separate();
        push_string(&mut self.out, text);
        self
    }

    /// JSON text as it stands, line breaks between tokens removed (they would break a server-sent
    /// event).
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.separate();
        if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
            self.out.extend_from_slice(json.as_bytes());
        } else {
            self.out.extend(json.bytes().map(|byte| {
                if matches!(byte, b'\n' | b'\r') {
                    b' '
                } else {
                    byte
                }
            }));
        }
        self
    }

    /// Members of an object, written before.
    pub(crate) fn members(&mut self, members: &str) -> &mut Self {
        self.raw(members)
    }

    pub(crate) fn literal(&mut self, literal: &Literal<'_>) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(literal.as_json().as_bytes());
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.separate();
        push_number(&mut self.out, number);
        self
    }

    pub(crate) fn field_str(&mut self, name: &str, text: &str) -> &mut Self {
        self.key(name).string(text)
    }

    pub(crate) fn field_raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.key(name).raw(json)
    }

    pub(crate) fn field_number(&mut self, name: &str, number: u64) -> &mut Self {
        self.key(name).number(number)
    }

    pub(crate) fn field_flag(&mut self, name: &str, flag: bool) -> &mut Self {
        self.key(name).raw(if flag { "true" } else { "false" })
    }
}

/// Appends a decimal number without the machinery of `fmt`.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        at -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_come_by_themselves() {
        let mut json = JsonWriter::default();
        json.begin_object()
            .field_str("a", "x,[")
            .field_number("b", 120);
        json.key("c")
            .begin_array()
            .number(0)
            .begin_object()
            .end_object()
            .string("")
            .end_array();
        json.field_flag("d", false).end_object();
        assert_eq!(
            String::from_utf8(json.out).unwrap(),
            r#"{"a":"x,[","b":120,"c":[0,{},""],"d":false}"#
        );
    }

    proptest! {
        #[test]
        fn a_written_number_reads_back(number in any::<u64>()) {
            let mut json = JsonWriter::default();
            json.number(number);
            prop_assert_eq!(String::from_utf8(json.out).unwrap(), number.to_string());
        }
    }
}
