//! Properties: any split of a stream gives the same, any history keeps calls and outputs together,
//! no input panics.

use gateway_wire::translate::{NoReasoning, error_body, json_as_stream, reply_json};
use gateway_wire::{Dialect, WireApi};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::golden::{fixtures, load};
use crate::harness::{Fixture, stream, translate};
use crate::rules::{check_chat_request, check_responses_request, check_stream};

fn streams() -> Vec<(Fixture, Vec<u8>)> {
    fixtures()
        .iter()
        .map(|path| load(path))
        .filter_map(|fixture| {
            let bytes = fixture.stream_bytes()?;
            Some((fixture, bytes))
        })
        .collect()
}

fn check_request(client: WireApi, body: &[u8]) {
    match client {
        WireApi::Responses => check_chat_request(body),
        WireApi::Chat => check_responses_request(body),
    }
}

#[test]
fn every_fixture_keeps_the_rules() {
    for path in fixtures() {
        let fixture = load(&path);
        let Ok(translated) = fixture.translate() else {
            continue;
        };
        check_request(fixture.client, &translated.body);
        if let Some(bytes) = fixture.stream_bytes() {
            check_stream(fixture.client, &stream(&translated.reply, &[&bytes]));
        }
    }
}

/// Pieces of `bytes`, cut at `cuts`.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut out = vec![];
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        out.push(&bytes[from..cut]);
        from = cut;
    }
    out
}

/// Bytes with some of them replaced, removed or doubled.
fn mutate(bytes: &[u8], changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for (at, kind, byte) in changes {
        if out.is_empty() {
            break;
        }
        let at = at % out.len();
        match kind % 4 {
            0 => out[at] = *byte,
            1 => drop(out.remove(at)),
            2 => out.insert(at, out[at]),
            _ => out.truncate(at),
        }
    }
    out
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    prop::collection::vec(
        (
            any::<usize>(),
            any::<u8>(),
            prop::sample::select(b"{}[]\":,\\n0-ex \xff".to_vec()),
        ),
        1..6,
    )
}

/// A history item of every kind that has to do with calls.
fn item() -> impl Strategy<Value = Value> {
    let id = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        id().prop_map(|id| json!({"type":"function_call","name":"f","arguments":"{}","call_id":id})),
        id().prop_map(|id| json!({"type":"function_call","name":"a.b","namespace":"n","arguments":"{no","call_id":id})),
        id().prop_map(|id| json!({"type":"custom_tool_call","name":"p","input":"x\"y","call_id":id})),
        id().prop_map(|id| json!({"type":"tool_search_call","execution":"client","arguments":{"q":1},"call_id":id})),
        id().prop_map(|id| json!({"type":"local_shell_call","action":{"type":"exec","command":["x"]},"call_id":id})),
        id().prop_map(|id| json!({"type":"function_call_output","output":"x","call_id":id})),
        id().prop_map(|id| json!({"type":"custom_tool_call_output","output":[{"type":"input_image","image_url":"u"}],"call_id":id})),
        id().prop_map(|id| json!({"type":"tool_search_output","tools":[{"type":"function","name":"found"}],"call_id":id})),
        Just(json!({"type":"function_call","name":"","arguments":null,"call_id":null})),
        Just(json!({"type":"message","role":"user","content":"u"})),
        Just(json!({"type":"message","role":"developer","content":[{"type":"input_text","text":"d"}]})),
        Just(json!({"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}]})),
        Just(json!({"type":"reasoning","summary":[{"type":"summary_text","text":"r"}],"encrypted_content":"e"})),
        Just(json!({"type":"web_search_call"})),
        Just(json!({"type":"something_new","content":"x"})),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let id = || prop::sample::select(vec!["a", "b", "c"]);
    let call =
        |id: &str| json!({"id":id,"type":"function","function":{"name":"f","arguments":"{}"}});
    let custom = |id: &str| json!({"id":id,"type":"custom","custom":{"name":"p","input":"x"}});
    prop_oneof![
        (id(), id()).prop_map(move |(a, b)| json!({"role":"assistant","content":null,"tool_calls":[call(a), custom(b)]})),
        id().prop_map(move |a| json!({"role":"assistant","content":"t","tool_calls":[call(a)]})),
        id().prop_map(|a| json!({"role":"tool","tool_call_id":a,"content":"x"})),
        id().prop_map(|a| json!({"role":"tool","tool_call_id":a,"content":[{"type":"text","text":"x"}]})),
        Just(json!({"role":"tool","content":"x"})),
        Just(json!({"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f"}}]})),
        Just(json!({"role":"user","content":"u"})),
        Just(json!({"role":"system","content":"s"})),
    ]
}

/// A chunk as a careless upstream might send it.
fn chunk() -> impl Strategy<Value = Value> {
    let text = || {
        prop::sample::select(vec![
            "",
            " ",
            "x",
            "\n\n",
            "<think>",
            "</think>",
            "```",
            "{\"input\":\"",
            "\"}",
            "{}",
            "é😀",
        ])
    };
    let maybe = |values: Vec<Value>| prop::sample::select(values);
    let call = (
        maybe(vec![Value::Null, json!(0), json!(1)]),
        maybe(vec![Value::Null, json!(""), json!("a"), json!("b"), json!("a\"")]),
        maybe(vec![Value::Null, json!(""), json!("f"), json!("p"), json!("tool_search"), json!("n__g")]),
        prop_oneof![text().prop_map(Value::from), Just(Value::Null), Just(json!({"x":1}))],
    )
        .prop_map(|(index, id, name, arguments)| {
            json!({"tool_calls":[{"index":index,"id":id,"function":{"name":name,"arguments":arguments}}]})
        });
    let delta = prop_oneof![
        3 => text().prop_map(|text| json!({"content":text})),
        2 => text().prop_map(|text| json!({"reasoning_content":text})),
        1 => text().prop_map(|text| json!({"reasoning":text,"reasoning_details":[{"type":"t","text":text}]})),
        5 => call,
        1 => text().prop_map(|text| json!({"refusal":text})),
        1 => Just(Value::Null),
    ];
    let finish = prop::sample::select(vec![
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        json!("stop"),
        json!("tool_calls"),
        json!("length"),
        json!("error"),
        json!("content_filter"),
    ]);
    prop_oneof![
        12 => (delta, finish).prop_map(|(delta, finish)| json!({"choices":[{"delta":delta,"finish_reason":finish}]})),
        1 => Just(json!({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})),
        1 => Just(json!({"error":{"message":"no"}})),
        1 => Just(json!("[DONE]")),
        1 => Just(json!(7)),
    ]
}

fn event() -> impl Strategy<Value = Value> {
    let place = || prop::sample::select(vec![Value::Null, json!(0), json!(1), json!(2)]);
    let id = || prop::sample::select(vec![Value::Null, json!("i"), json!("j")]);
    let kind = prop::sample::select(vec![
        "function_call",
        "custom_tool_call",
        "message",
        "reasoning",
        "web_search_call",
    ]);
    let item = (kind, id(), prop::sample::select(vec!["", "x"])).prop_map(|(kind, id, text)| {
        json!({"type":kind,"id":id,"call_id":"c","name":"f","arguments":text,"input":text,
               "content":[{"type":"output_text","text":text}],"summary":[{"type":"summary_text","text":text}],"encrypted_content":"e"})
    });
    let name = prop::sample::select(vec![
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.created",
        "response.completed",
        "response.failed",
        "error",
        "response.new",
    ]);
    (name, place(), id(), item).prop_map(|(name, place, id, item)| {
        json!({"type":name,"output_index":place,"item_id":id,"delta":"d","arguments":"{}","item":item,
               "response":{"id":"r","output":[],"error":{"code":"c","message":"m"}}})
    })
}

fn as_sse(events: &[Value]) -> Vec<u8> {
    let data = |event: &Value| {
        event
            .as_str()
            .map_or_else(|| event.to_string(), str::to_owned)
    };
    events
        .iter()
        .flat_map(|event| {
            format!(
                "data: {}

",
                data(event)
            )
            .into_bytes()
        })
        .collect()
}

fn tools() -> Value {
    json!([{"type":"function","name":"f"},{"type":"custom","name":"p"},{"type":"tool_search","execution":"client"},
           {"type":"namespace","name":"n","tools":[{"type":"function","name":"g"}]}])
}

fn dialect() -> impl Strategy<Value = &'static Dialect> {
    let all: Vec<_> = Dialect::names().filter_map(Dialect::named).collect();
    prop::sample::select(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_split_of_a_stream_gives_the_same(which in any::<prop::sample::Index>(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let all = streams();
        let (fixture, bytes) = which.get(&all);
        let Ok(translated) = fixture.translate() else { return Ok(()) };
        let whole = stream(&translated.reply, &[bytes]);
        let cut = stream(&translated.reply, &pieces(bytes, &cuts));
        prop_assert_eq!(whole.steps, cut.steps);
        prop_assert_eq!(whole.summary, cut.summary);
        prop_assert_eq!(whole.losses, cut.losses);
        prop_assert_eq!(whole.reasoning, cut.reasoning);
    }

    #[test]
    fn any_history_keeps_calls_and_outputs_together(items in prop::collection::vec(item(), 0..14), dialect in dialect()) {
        let body = json!({"model":"m","input":items,"tools":tools()}).to_string();
        let translated = translate(WireApi::Responses, body.as_bytes(), dialect, false, false, &NoReasoning).unwrap();
        check_chat_request(&translated.body);
        let again = translate(WireApi::Chat, &translated.body, dialect, false, false, &NoReasoning).unwrap();
        check_responses_request(&again.body);
    }

    #[test]
    fn any_messages_keep_calls_and_outputs_together(messages in prop::collection::vec(message(), 0..14), dialect in dialect()) {
        let body = json!({"model":"m","messages":messages}).to_string();
        let translated = translate(WireApi::Chat, body.as_bytes(), dialect, false, false, &NoReasoning).unwrap();
        check_responses_request(&translated.body);
        let again = translate(WireApi::Responses, &translated.body, dialect, false, false, &NoReasoning).unwrap();
        check_chat_request(&again.body);
    }

    #[test]
    fn any_chunks_give_a_well_formed_stream(chunks in prop::collection::vec(chunk(), 0..16), dialect in dialect(), compact in any::<bool>()) {
        let mut request = json!({"model":"m","stream":true,"input":[{"role":"user","content":"x"}],"tools":tools()});
        if compact {
            request["input"].as_array_mut().unwrap().push(json!({"type":"compaction_trigger"}));
        }
        let translated = translate(WireApi::Responses, request.to_string().as_bytes(), dialect, false, false, &NoReasoning).unwrap();
        check_stream(WireApi::Responses, &stream(&translated.reply, &[&as_sse(&chunks)]));
    }

    #[test]
    fn any_events_give_well_formed_chunks(events in prop::collection::vec(event(), 0..16), dialect in dialect()) {
        let request = json!({"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}).to_string();
        let translated = translate(WireApi::Chat, request.as_bytes(), dialect, false, false, &NoReasoning).unwrap();
        check_stream(WireApi::Chat, &stream(&translated.reply, &[&as_sse(&events)]));
    }

    #[test]
    fn a_broken_request_gives_a_request_or_an_error(which in any::<prop::sample::Index>(), changes in changes(), strict in any::<bool>()) {
        let all = fixtures();
        let fixture = load(which.get::<std::path::PathBuf>(&all));
        let body = mutate(&serde_json::to_vec(&fixture.request).unwrap(), &changes);
        for client in [WireApi::Responses, WireApi::Chat] {
            if let Ok(translated) = translate(client, &body, &fixture.dialect(), strict, false, &NoReasoning) {
                check_request(client, &translated.body);
            }
        }
    }

    #[test]
    fn a_broken_answer_gives_a_stream_or_an_error(which in any::<prop::sample::Index>(), changes in changes()) {
        let all = streams();
        let (fixture, bytes) = which.get(&all);
        let Ok(translated) = fixture.translate() else { return Ok(()) };
        let broken = mutate(bytes, &changes);
        check_stream(fixture.client, &stream(&translated.reply, &[&broken]));
        let body = mutate(&serde_json::to_vec(&fixture.json).unwrap(), &changes);
        if let Ok(reply) = reply_json(&translated.reply, &body) {
            prop_assert!(json_as_stream(fixture.client, &reply.body, true).is_ok());
        }
        serde_json::from_slice::<Value>(&error_body(500, &body)).unwrap();
    }
}
