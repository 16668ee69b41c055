//! The output of a translated answer: one item after the other, each closed before the next opens.
//!
//! Upstreams may write several calls at once. The first of them is passed on as it comes; what
//! belongs to another item waits until its arguments are whole.

use std::collections::VecDeque;

use super::call_item::CallItem;
use super::position::ItemPosition;
use super::text_item::{MessageItem, ReasoningItem};
use crate::json::write::JsonWriter;
use crate::translate::call_assembler::CallAssembler;
use crate::translate::call_ids::fresh_call_id;
use crate::translate::emit::Emitter;
use crate::translate::reply_settings::ReplySettings;

/// What is written, item by item.
#[derive(Debug)]
pub(super) struct OutputWriter {
    pub(super) emit: Emitter,
    next_index: u64,
    open: Option<OpenItem>,
    waiting: VecDeque<WaitingItem>,
    finished: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum OpenItem {
    Reasoning(ReasoningItem),
    Message(MessageItem),
    Call(CallItem),
}

/// An item that arrived while a call was open whose arguments were not whole.
#[derive(Debug)]
enum WaitingItem {
    Reasoning(String),
    Message { text: String, logprobs: String },
    Call(usize),
}

/// A call that was ended: its place among the calls, and the id that the client knows it by.
#[derive(Debug)]
pub(super) struct EndedCall {
    pub(super) at: usize,
    pub(super) call_id: String,
    pub(super) is_complete: bool,
    /// Bytes of its arguments, of which none may follow any more.
    pub(super) length: usize,
}

impl OutputWriter {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self {
            emit: Emitter::new(is_quiet),
            next_index: 0,
            open: None,
            waiting: VecDeque::new(),
            finished: Vec::new(),
        }
    }

    /// Whether no item was begun.
    pub(super) fn is_empty(&self) -> bool {
        self.next_index == 0
    }

    /// Whether more text would go on with a message instead of beginning one.
    pub(super) fn is_in_message(&self) -> bool {
        match self.waiting.back() {
            Some(last) => matches!(last, WaitingItem::Message { .. }),
            None => matches!(self.open, Some(OpenItem::Message(_))),
        }
    }

    pub(super) fn reasoning(&mut self, text: &str, context: &mut WriterContext<'_>) {
        if self.waiting.is_empty()
            && let Some(OpenItem::Reasoning(item)) = &mut self.open
        {
            item.delta(&mut self.emit, text);
            return;
        }
        if let Some(WaitingItem::Reasoning(waiting)) = self.waiting.back_mut() {
            waiting.push_str(text);
        } else {
            self.waiting
                .push_back(WaitingItem::Reasoning(text.to_owned()));
        }
        self.advance(context);
    }

    /// `logprobs` are the elements of an array.
    pub(super) fn text(&mut self, text: &str, logprobs: &str, context: &mut WriterContext<'_>) {
        if self.waiting.is_empty()
            && let Some(OpenItem::Message(item)) = &mut self.open
        {
            item.delta(&mut self.emit, text, logprobs);
            return;
        }
        if let Some(WaitingItem::Message {
            text: waiting,
            logprobs: elements,
        }) = self.waiting.back_mut()
        {
            waiting.push_str(text);
            if !elements.is_empty() && !logprobs.is_empty() {
                elements.push(',');
            }
            elements.push_str(logprobs);
        } else {
            self.waiting.push_back(WaitingItem::Message {
                text: text.to_owned(),
                logprobs: logprobs.to_owned(),
            });
        }
        self.advance(context);
    }

    /// Takes what is new of the call at that place among the calls.
    pub(super) fn call(&mut self, at: usize, context: &mut WriterContext<'_>) {
        let Some(call) = context.calls.list.get(at) else {
            return;
        };
        match &mut self.open {
            Some(OpenItem::Call(item)) if item.at == at => item.update(&mut self.emit, call),
            _ if call.name.is_empty() || context.ended.iter().any(|ended| ended.at == at) => {}
            _ => {
                let is_known =
                    |item: &WaitingItem| matches!(item, WaitingItem::Call(known) if *known == at);
                if !self.waiting.iter().any(is_known) {
                    self.waiting.push_back(WaitingItem::Call(at));
                }
            }
        }
        self.advance(context);
    }

    /// Opens what waits, as far as the item before it can be closed.
    fn advance(&mut self, context: &mut WriterContext<'_>) {
        while !self.waiting.is_empty() {
            if let Some(OpenItem::Call(item)) = &mut self.open
                && let Some(call) = context.calls.list.get(item.at)
            {
                item.release(&mut self.emit, call);
                if !item.is_complete(call) {
                    return;
                }
            }
            self.close("completed", context);
            self.open_next(context);
        }
    }

    fn open_next(&mut self, context: &mut WriterContext<'_>) {
        let Some(next) = self.waiting.pop_front() else {
            return;
        };
        self.open = match next {
            WaitingItem::Reasoning(text) => {
                let position = self.position("rs", context.settings);
                let mut item = ReasoningItem::open(position, &mut self.emit);
                item.delta(&mut self.emit, &text);
                Some(OpenItem::Reasoning(item))
            }
            WaitingItem::Message { text, logprobs } => {
                let position = self.position("msg", context.settings);
                let mut item = MessageItem::open(position, &mut self.emit);
                item.delta(&mut self.emit, &text, &logprobs);
                Some(OpenItem::Message(item))
            }
            WaitingItem::Call(at) => self.open_call(at, context).map(OpenItem::Call),
        };
    }

    fn open_call(&mut self, at: usize, context: &mut WriterContext<'_>) -> Option<CallItem> {
        let call = context.calls.list.get(at)?;
        let tool = context.settings.tools.tool_of(&call.name);
        let call_id = fresh_call_id(context.settings, call.id.as_deref(), at);
        let position = self.position(CallItem::prefix(&tool), context.settings);
        let mut item = CallItem::open(at, position, call_id, tool, &mut self.emit);
        item.update(&mut self.emit, call);
        Some(item)
    }

    fn position(&mut self, prefix: &str, settings: &ReplySettings) -> ItemPosition {
        let index = self.next_index;
        self.next_index += 1;
        ItemPosition {
            id: format!("{prefix}_{}_{index}", settings.seed),
            index,
        }
    }

    /// Ends the open item. A call whose arguments are not whole gets no `done`: it must not be
    /// made.
    fn close(&mut self, status: &str, context: &mut WriterContext<'_>) {
        let item = match self.open.take() {
            None => return,
            Some(OpenItem::Reasoning(item)) => item.close(&mut self.emit),
            Some(OpenItem::Message(item)) => item.close(&mut self.emit, status),
            Some(OpenItem::Call(item)) => {
                let Some(call) = context.calls.list.get(item.at) else {
                    return;
                };
                let is_complete = item.is_complete(call);
                context.ended.push(EndedCall {
                    at: item.at,
                    call_id: item.call_id.clone(),
                    is_complete,
                    length: call.arguments.len(),
                });
                if !is_complete {
                    return;
                }
                item.close(&mut self.emit, call)
            }
        };
        self.finished.push(item);
    }

    /// The upstream has said all: opens and closes everything that is left. `status` is that of a
    /// message at the end.
    pub(super) fn finish(&mut self, status: &str, context: &mut WriterContext<'_>) {
        loop {
            if let Some(OpenItem::Call(item)) = &mut self.open
                && let Some(call) = context.calls.list.get(item.at)
            {
                item.complete(&mut self.emit, call);
            }
            let is_last = self.waiting.is_empty();
            self.close(if is_last { status } else { "completed" }, context);
            if is_last {
                return;
            }
            self.open_next(context);
        }
    }

    /// Writes an item that is whole at once.
    pub(super) fn whole_item(
        &mut self,
        prefix: &str,
        settings: &ReplySettings,
        added: impl FnOnce(&mut JsonWriter, &str),
        done: impl FnOnce(&mut JsonWriter, &str),
    ) {
        let position = self.position(prefix, settings);
        position.added(&mut self.emit, |json| added(json, &position.id));
        let item = position.done(&mut self.emit, |json| done(json, &position.id));
        self.finished.push(item);
    }

    /// Every finished item, in the order in which they were opened.
    pub(super) fn take_finished(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.finished)
    }
}

/// What an output is written from besides the upstream's texts.
pub(super) struct WriterContext<'s> {
    pub(super) calls: &'s CallAssembler,
    pub(super) settings: &'s mut ReplySettings,
    /// Calls that were ended, for the last words about them.
    pub(super) ended: &'s mut Vec<EndedCall>,
}
