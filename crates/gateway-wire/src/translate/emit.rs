//! Collects what a stream machine writes and cuts it into steps. Knows nothing of what is written.

use bytes::Bytes;

use crate::json::write::JsonWriter;
use crate::stream::{Step, StepKind};

/// Writes events. A quiet one counts but keeps nothing, for answers that are no streams.
#[derive(Debug, Default)]
pub(crate) struct Emitter {
    json: JsonWriter,
    kind: StepKind,
    ready: Vec<Step>,
    sequence: u64,
    is_quiet: bool,
}

impl Emitter {
    pub(crate) fn new(is_quiet: bool) -> Self {
        Self {
            is_quiet,
            ..Self::default()
        }
    }

    /// Writes a Responses event; `write` adds the fields after `type` and `sequence_number`.
    pub(crate) fn event(
        &mut self,
        kind: StepKind,
        name: &str,
        write: impl FnOnce(&mut JsonWriter),
    ) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.block(kind, |json| {
            json.out.extend_from_slice(b"event: ");
            json.out.extend_from_slice(name.as_bytes());
            json.out.extend_from_slice(b"\ndata: ");
            json.begin_object()
                .field_str("type", name)
                .field_number("sequence_number", sequence);
            write(json);
            json.end_object();
        });
    }

    /// Writes an event of data alone.
    pub(crate) fn data(&mut self, kind: StepKind, write: impl FnOnce(&mut JsonWriter)) {
        self.block(kind, |json| {
            json.out.extend_from_slice(b"data: ");
            write(json);
        });
    }

    fn block(&mut self, kind: StepKind, write: impl FnOnce(&mut JsonWriter)) {
        if kind != self.kind {
            self.cut();
            self.kind = kind;
        }
        write(&mut self.json);
        self.json.out.extend_from_slice(b"\n\n");
        if self.is_quiet {
            self.json.out.clear();
        }
    }

    fn cut(&mut self) {
        if self.json.out.is_empty() {
            return;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.json.out));
        self.ready.push(self.kind.step(bytes));
    }

    /// Hands out everything written so far.
    pub(crate) fn flush(&mut self, steps: &mut Vec<Step>) {
        self.cut();
        steps.append(&mut self.ready);
    }
}
