//! What every translated request and answer must keep to, whatever went in.

use std::collections::{BTreeMap, HashMap, HashSet};

use gateway_wire::WireApi;
use serde_json::Value;

use crate::harness::Streamed;

/// The rules of a Chat request: an assistant's calls are followed directly by one tool message
/// each.
pub(crate) fn check_chat_request(body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap();
    let mut waiting: Vec<String> = vec![];
    for message in body["messages"].as_array().unwrap() {
        let role = message["role"].as_str().unwrap();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap();
            let at = waiting
                .iter()
                .position(|call| call == id)
                .unwrap_or_else(|| panic!("orphan output {id}: {body:#}"));
            waiting.remove(at);
            continue;
        }
        assert!(
            waiting.is_empty(),
            "calls without output {waiting:?}: {body:#}"
        );
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            waiting.push(call["id"].as_str().unwrap().to_owned());
            let name = call["function"]["name"].as_str().unwrap();
            assert!((1..=64).contains(&name.len()), "{name}");
            let arguments = call["function"]["arguments"].as_str().unwrap();
            assert!(
                serde_json::from_str::<HashMap<String, Value>>(arguments).is_ok(),
                "{arguments}"
            );
        }
    }
    assert!(
        waiting.is_empty(),
        "calls without output {waiting:?}: {body:#}"
    );
    assert_eq!(
        body.get("tools").is_none(),
        body["tools"].as_array().is_none_or(Vec::is_empty),
        "no empty tools"
    );
    if body.get("tools").is_none() {
        assert!(body.get("tool_choice").is_none() && body.get("parallel_tool_calls").is_none());
    }
}

/// The rules of a Responses request: every call has its output after it, every output its call
/// before it.
pub(crate) fn check_responses_request(body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap();
    let mut waiting: Vec<&str> = vec![];
    for item in body["input"].as_array().unwrap() {
        let id = || item["call_id"].as_str().unwrap();
        match item["type"].as_str().unwrap() {
            "function_call" | "custom_tool_call" => waiting.push(id()),
            "function_call_output" | "custom_tool_call_output" => {
                let at = waiting
                    .iter()
                    .position(|call| *call == id())
                    .expect("an output has its call");
                waiting.remove(at);
            }
            _ => {}
        }
    }
    assert!(waiting.is_empty(), "calls without output: {waiting:?}");
}

/// The rules of any translated stream.
pub(crate) fn check_stream(client: WireApi, streamed: &Streamed) {
    let terminals = streamed
        .steps
        .iter()
        .filter(|(kind, _)| *kind == "terminal")
        .count();
    assert_eq!(terminals, 1, "{:?}", streamed.steps);
    assert_eq!(streamed.steps.last().unwrap().0, "terminal");
    assert!(streamed.summary.terminal.is_some());
    match client {
        WireApi::Responses => check_events(&streamed.events()),
        WireApi::Chat => check_chunks(&streamed.events()),
    }
}

/// What the events told so far.
#[derive(Default)]
struct Told {
    /// Output index to item id.
    ids: HashMap<u64, String>,
    call_ids: HashSet<String>,
    /// Item id to all its deltas.
    deltas: HashMap<String, String>,
    done: BTreeMap<u64, Value>,
}

impl Told {
    fn added(&mut self, index: u64, item: &Value) {
        check_prefix(item);
        let id = item["id"].as_str().unwrap().to_owned();
        assert!(self.ids.insert(index, id).is_none(), "one added per place");
        if let Some(call_id) = item["call_id"].as_str() {
            let is_new = !call_id.is_empty() && self.call_ids.insert(call_id.to_owned());
            assert!(is_new, "call ids are unique");
        }
    }

    fn done(&mut self, index: u64, item: &Value) {
        let id = item["id"].as_str().unwrap();
        assert_eq!(
            self.ids.get(&index).map(String::as_str),
            Some(id),
            "added before done"
        );
        assert!(
            self.done.insert(index, item.clone()).is_none(),
            "one done per item"
        );
        let texts = [
            &item["arguments"],
            &item["input"],
            &item["content"][0]["text"],
            &item["summary"][0]["text"],
        ];
        if let Some(text) = texts.into_iter().find_map(Value::as_str) {
            assert_eq!(
                self.deltas.get(id).map_or("", String::as_str),
                text,
                "deltas add up to the item"
            );
        }
    }

    fn detail(&mut self, index: u64, event: &Value) {
        let id = event["item_id"].as_str().unwrap();
        assert_eq!(
            self.ids.get(&index).map(String::as_str),
            Some(id),
            "{event}"
        );
        assert!(!self.done.contains_key(&index), "nothing after done");
        if let Some(delta) = event["delta"].as_str() {
            self.deltas
                .entry(id.to_owned())
                .or_default()
                .push_str(delta);
        }
    }
}

fn check_events(events: &[Value]) {
    let mut told = Told::default();
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], n);
        let kind = event["type"].as_str().unwrap();
        assert_eq!(n == 0, kind == "response.created");
        let is_terminal = matches!(
            kind,
            "response.completed" | "response.failed" | "response.incomplete"
        );
        assert_eq!(
            is_terminal,
            n + 1 == events.len(),
            "exactly one terminal event, at the end"
        );
        match (kind, event["output_index"].as_u64()) {
            ("response.output_item.added", Some(index)) => told.added(index, &event["item"]),
            ("response.output_item.done", Some(index)) => told.done(index, &event["item"]),
            (_, Some(index)) => told.detail(index, event),
            (_, None) => assert!(event.get("response").is_some(), "{kind}"),
        }
    }
    let last = &events.last().unwrap()["response"];
    if let Some(output) = last["output"].as_array() {
        assert_eq!(output, &told.done.into_values().collect::<Vec<_>>());
    }
    if let Some(usage) = last["usage"].as_object() {
        assert!(usage["input_tokens_details"]["cached_tokens"].is_u64());
        assert!(usage["output_tokens_details"]["reasoning_tokens"].is_u64());
    }
}

fn check_prefix(item: &Value) {
    let prefix = match item["type"].as_str().unwrap() {
        "message" => "msg_",
        "reasoning" => "rs_",
        "function_call" => "fc_",
        "custom_tool_call" => "ctc_",
        "tool_search_call" => "tsc_",
        "local_shell_call" => "lsh_",
        "compaction" => "cmp_",
        other => panic!("unexpected item {other}"),
    };
    assert!(item["id"].as_str().unwrap().starts_with(prefix), "{item}");
}

fn check_chunks(chunks: &[Value]) {
    let (last, rest) = chunks.split_last().unwrap();
    let is_failed = last.get("error").is_some();
    assert!(is_failed || last == "[DONE]");
    if is_failed {
        assert!(last["error"]["message"].is_string() && last["error"]["code"].is_string());
    }
    let mut calls = 0;
    let mut has_finish = false;
    for (n, chunk) in rest.iter().enumerate() {
        assert_eq!(chunk["id"], rest[0]["id"], "one id");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        let choice = &chunk["choices"][0];
        assert_eq!(
            n == 0,
            choice["delta"]["role"] == "assistant",
            "the role comes first, once"
        );
        assert!(
            !(has_finish && choice["finish_reason"].is_string()),
            "one finish reason"
        );
        has_finish |= choice["finish_reason"].is_string();
        for call in choice["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let index = call["index"].as_u64().unwrap();
            if call.get("id").is_some() {
                assert_eq!(index, calls, "calls are numbered in order");
                calls += 1;
            } else {
                assert!(
                    index < calls,
                    "arguments follow the beginning of their call"
                );
            }
        }
    }
    assert_eq!(has_finish, !is_failed);
}
