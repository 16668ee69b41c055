//! The conversation of one socket, as far as it can be continued: what the client sent and what it
//! got, under the ids of the responses. Bounded; what does not fit is forgotten, and the client
//! sends it again.

use bytes::Bytes;
use gateway_wire::socket::{CreateFrame, WARMUP_ID};

use crate::exchange::socket_turn::Previous;
use crate::socket_budget::SocketPermit;

/// How many ids are known to be forgotten.
const MAX_FORGOTTEN: usize = 64;

/// The conversation of a socket.
pub(super) struct History {
    permit: SocketPermit,
    max_bytes: usize,
    /// Lists of items, joined by commas.
    lists: Vec<Bytes>,
    /// Which responses can be continued: the id, and how many of the lists stand before what comes
    /// next.
    responses: Vec<(String, usize)>,
    forgotten: Vec<String>,
}

/// A response that is on its way.
pub(super) struct Continuation {
    /// How many of the lists it continues.
    base: usize,
    lists: Vec<Bytes>,
}

impl History {
    /// Nothing was said yet.
    pub(super) const fn new(permit: SocketPermit, max_bytes: usize) -> Self {
        Self {
            permit,
            max_bytes,
            lists: Vec::new(),
            responses: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    /// What a message continues.
    pub(super) fn previous(&self, frame: &CreateFrame) -> Previous {
        let Some(id) = frame.previous_response_id() else {
            return Previous::Nothing;
        };
        if let Some(length) = self.length(&id) {
            let lists = self.lists.get(..length).unwrap_or_default();
            return Previous::Known(id, lists.to_vec());
        }
        if self.forgotten.contains(&id) || id.starts_with(WARMUP_ID) {
            return Previous::Forgotten;
        }
        Previous::Elsewhere
    }

    /// Begins a response.
    pub(super) fn begin(&self, frame: &CreateFrame) -> Continuation {
        let base = frame
            .previous_response_id()
            .and_then(|id| self.length(&id))
            .unwrap_or(0);
        Continuation {
            base,
            lists: vec![frame.input_items()],
        }
    }

    /// Keeps a response that is over and can be continued as `id`. What it does not continue is no
    /// longer of use: there is one conversation on a socket.
    pub(super) fn complete(&mut self, id: String, response: Continuation) {
        self.lists.truncate(response.base);
        self.responses
            .retain(|(_, length)| *length <= response.base);
        self.lists.extend(response.lists);
        let bytes: usize = self.lists.iter().map(Bytes::len).sum();
        if bytes > self.max_bytes || !self.permit.keep(bytes) {
            self.forget(id);
            return;
        }
        self.responses.retain(|(known, _)| *known != id);
        self.responses.push((id, self.lists.len()));
    }

    fn forget(&mut self, id: String) {
        self.lists.clear();
        self.permit.keep(0);
        let ids = self.responses.drain(..).map(|(id, _)| id);
        self.forgotten.extend(ids);
        self.forgotten.push(id);
        let excess = self.forgotten.len().saturating_sub(MAX_FORGOTTEN);
        self.forgotten.drain(..excess);
    }

    fn length(&self, id: &str) -> Option<usize> {
        let found = self.responses.iter().rev().find(|(known, _)| known == id);
        found.map(|(_, length)| *length)
    }
}

impl Continuation {
    /// An item of the answer is complete.
    pub(super) fn add(&mut self, item: Bytes) {
        self.lists.push(item);
    }
}

#[cfg(test)]
mod tests {
    use gateway_wire::socket::ClientFrame;
    use serde_json::json;

    use super::*;
    use crate::socket_budget::{SocketBudget, SocketLimits};

    fn history(max_bytes: usize) -> History {
        let limits = SocketLimits {
            total: 1,
            per_caller: 1,
        };
        let permit = SocketBudget::default().try_acquire("a", limits).unwrap();
        History::new(permit, max_bytes)
    }

    fn frame(previous: Option<&str>, input: &serde_json::Value) -> CreateFrame {
        let mut message = json!({"type": "response.create", "input": input});
        if let Some(previous) = previous {
            message["previous_response_id"] = previous.into();
        }
        match ClientFrame::read(&Bytes::from(message.to_string())).unwrap() {
            ClientFrame::Create(frame) => frame,
            ClientFrame::Other { .. } => unreachable!(),
        }
    }

    fn answered(history: &mut History, message: &CreateFrame, item: &'static str, id: &str) {
        let mut response = history.begin(message);
        response.add(Bytes::from_static(item.as_bytes()));
        history.complete(id.to_owned(), response);
    }

    fn known(history: &History, id: &str) -> Option<String> {
        match history.previous(&frame(Some(id), &json!([]))) {
            Previous::Known(_, lists) => Some(String::from_utf8(lists.join(&b"|"[..])).unwrap()),
            Previous::Nothing | Previous::Forgotten | Previous::Elsewhere => None,
        }
    }

    #[test]
    fn a_conversation_grows_and_can_go_on_from_an_earlier_response() {
        let mut history = history(1000);
        answered(&mut history, &frame(None, &json!([1, 2])), "3", "a");
        answered(&mut history, &frame(Some("a"), &json!([4])), "5", "b");
        assert_eq!(known(&history, "a").as_deref(), Some("1,2|3"));
        assert_eq!(known(&history, "b").as_deref(), Some("1,2|3|4|5"));
        answered(&mut history, &frame(Some("a"), &json!([6])), "7", "c");
        assert_eq!(known(&history, "c").as_deref(), Some("1,2|3|6|7"));
        assert_eq!(known(&history, "b"), None);
        // A message that continues nothing begins anew.
        answered(&mut history, &frame(None, &json!([8])), "9", "d");
        assert_eq!(known(&history, "d").as_deref(), Some("8|9"));
        assert_eq!(known(&history, "a"), None);
    }

    #[test]
    fn what_does_not_fit_is_forgotten_and_known_to_be() {
        let mut history = history(4);
        answered(&mut history, &frame(None, &json!([1])), "2", "a");
        answered(&mut history, &frame(Some("a"), &json!([3])), "45", "b");
        for id in ["a", "b", "resp_warmup_1"] {
            let previous = history.previous(&frame(Some(id), &json!([])));
            assert!(matches!(previous, Previous::Forgotten), "{id}");
        }
        let previous = history.previous(&frame(Some("stored"), &json!([])));
        assert!(matches!(previous, Previous::Elsewhere));
        answered(&mut history, &frame(None, &json!([1])), "2", "c");
        assert_eq!(known(&history, "c").as_deref(), Some("1|2"));
    }
}
