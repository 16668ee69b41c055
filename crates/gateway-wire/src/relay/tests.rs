use super::*;
use crate::stream::Terminal;
use crate::usage::Usage;
use crate::usage::UsageReading;

fn settings(wire: WireApi) -> RelaySettings {
    RelaySettings {
        wire,
        max_event: 1 << 20,
        model_echo: None,
        strip_models_etag: false,
        hide_usage: false,
        ends_with_connection: false,
    }
}

/// Steps of one kind joined, and the summary.
fn run(settings: RelaySettings, chunks: &[&[u8]]) -> (Vec<(&'static str, String)>, ReplySummary) {
    let mut relay = Relay::new(settings);
    let mut steps = Vec::new();
    for chunk in chunks {
        relay
            .push(Bytes::copy_from_slice(chunk), &mut steps)
            .unwrap();
    }
    relay.end(&mut steps);
    let mut joined: Vec<(&'static str, String)> = Vec::new();
    for step in steps {
        let kind = match step {
            Step::Preamble(_) => "preamble",
            Step::Output(_) => "output",
            Step::Terminal(_) => "terminal",
        };
        let text = std::str::from_utf8(step.bytes()).unwrap();
        match joined.last_mut() {
            Some((last, all)) if *last == kind => all.push_str(text),
            _ => joined.push((kind, text.to_owned())),
        }
    }
    (joined, relay.summary().clone())
}

fn sent(steps: &[(&'static str, String)]) -> String {
    steps.iter().map(|(_, text)| text.as_str()).collect()
}

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"model\":\"m-1\",\"service_tier\":\"auto\"}}\n\n";
const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"delta\":\"héy\"}\n\n";
const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"model\":\"m-1\",\"service_tier\":\"default\",\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":10},\"output_tokens\":20,\"output_tokens_details\":{\"reasoning_tokens\":5},\"total_tokens\":120}}}\n\n";

#[test]
fn a_sound_responses_stream_passes_unchanged_and_is_read() {
    let text = [CREATED, ": ping\n\n", DELTA, DELTA, ": ping\n\n", COMPLETED].concat();
    let (steps, summary) = run(settings(WireApi::Responses), &[text.as_bytes()]);
    assert_eq!(
        steps,
        [
            ("preamble", [CREATED, ": ping\n\n"].concat()),
            ("output", [DELTA, DELTA, ": ping\n\n"].concat()),
            ("terminal", COMPLETED.to_owned()),
        ]
    );
    assert_eq!(
        summary,
        ReplySummary {
            usage: UsageReading::Reported(Usage::new(100, 10, 0, 20, 5).unwrap()),
            response_id: Some("resp_1".to_owned()),
            model: Some("m-1".to_owned()),
            service_tier: Some("default".to_owned()),
            terminal: Some(Terminal::Completed),
            events: 4,
            output_chars: 6,
            has_output: true,
            ..ReplySummary::default()
        }
    );
}

#[test]
fn what_follows_the_terminal_event_passes_behind_it_and_is_not_read() {
    let text = [CREATED, COMPLETED, DELTA, "data: [DONE]\n\n"].concat();
    let rest = ": bye\r\n\r\n\ndata: cut";
    let (steps, summary) = run(
        settings(WireApi::Responses),
        &[text.as_bytes(), rest.as_bytes()],
    );
    assert_eq!(
        steps,
        [
            ("preamble", CREATED.to_owned()),
            (
                "terminal",
                [COMPLETED, DELTA, "data: [DONE]\n\n", rest].concat()
            )
        ]
    );
    assert_eq!((summary.events, summary.has_output), (2, false));
}

#[test]
fn a_line_feed_that_belongs_to_a_repaired_line_end_does_not_follow_it() {
    let event = COMPLETED.replace('\n', "\r");
    let whole = format!("{event}\n: bye\n");
    let (steps, _) = run(settings(WireApi::Responses), &[whole.as_bytes()]);
    assert_eq!(sent(&steps), format!("{COMPLETED}: bye\n"));
    let (steps, _) = run(
        settings(WireApi::Responses),
        &[event.as_bytes(), b"\n: bye\n"],
    );
    assert_eq!(sent(&steps), format!("{COMPLETED}: bye\n"));
}

/// What the client gets for a terminal event, and the summary.
fn ended(event: &str) -> (String, ReplySummary) {
    let (steps, summary) = run(settings(WireApi::Responses), &[event.as_bytes()]);
    assert_eq!(steps.len(), 1, "{steps:?}");
    (sent(&steps), summary)
}

#[test]
fn a_completed_response_gets_the_id_codex_needs() {
    for (event, expected) in [
        (
            r#"{"type":"response.completed","response":{}}"#,
            r#"{"type":"response.completed","response":{"id":"resp_unnamed"}}"#,
        ),
        (
            r#"{"type":"response.completed","response":{ "a":1}}"#,
            r#"{"type":"response.completed","response":{"id":"resp_unnamed", "a":1}}"#,
        ),
        (
            r#"{"type":"response.completed","response":{"id":null}}"#,
            r#"{"type":"response.completed","response":{"id":"resp_unnamed"}}"#,
        ),
        (
            r#"{"type":"response.completed","response":null}"#,
            r#"{"type":"response.completed","response":{"id":"resp_unnamed"}}"#,
        ),
        (
            r#"{"type":"response.completed"}"#,
            r#"{"type":"response.completed","response":{"id":"resp_unnamed"}}"#,
        ),
    ] {
        let (text, summary) = ended(&format!("data: {event}\n\n"));
        assert_eq!(text, format!("data: {expected}\n\n"));
        assert_eq!(
            (summary.repairs.response_id, summary.terminal),
            (1, Some(Terminal::Completed))
        );
    }
    let failed = "data: {\"type\":\"response.failed\",\"response\":{}}\n\n";
    let (text, summary) = ended(failed);
    assert_eq!((text.as_str(), summary.repairs.response_id), (failed, 0));
}

#[test]
fn usage_is_repaired_where_data_has_several_lines() {
    let event = "id: 7\r\ndata: {\"type\":\"response.completed\",\r\ndata: \"response\":{\"id\":\"r\",\"usage\":{\r\ndata: \"input_tokens\":3,\"output_tokens\":\"2\"}}}\r\n\r\n";
    let (text, summary) = ended(event);
    assert_eq!(
        text,
        "id: 7\r\ndata: {\"type\":\"response.completed\",\r\ndata: \"response\":{\"id\":\"r\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}\r\n\r\n"
    );
    assert_eq!(
        summary.usage,
        UsageReading::Reported(Usage::new(3, 0, 0, 2, 0).unwrap())
    );
}

#[test]
fn a_terminal_event_that_is_no_json_ends_nothing() {
    let (steps, summary) = run(
        settings(WireApi::Responses),
        &[b"data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}\n\n"],
    );
    assert_eq!((steps[0].0, summary.terminal), ("preamble", None));
}

#[test]
fn an_error_is_kept_until_the_terminal_event() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"t\",\"code\":404,\"message\":\"m\",\"param\":\"model\"}}\n\n";
    let (steps, summary) = run(
        settings(WireApi::Responses),
        &[CREATED.as_bytes(), error.as_bytes()],
    );
    assert_eq!(steps, [("preamble", [CREATED, error].concat())]);
    let failure = summary.pending_error.unwrap();
    assert_eq!(
        (
            failure.code.as_deref(),
            failure.kind.as_deref(),
            failure.param.as_deref()
        ),
        (Some("404"), Some("t"), Some("model"))
    );
    let (_, summary) = run(
        settings(WireApi::Responses),
        &[error.as_bytes(), COMPLETED.as_bytes()],
    );
    assert_eq!(
        (summary.pending_error, summary.terminal),
        (None, Some(Terminal::Completed))
    );
}

#[test]
fn events_before_one_that_is_too_large_still_pass() {
    let mut relay = Relay::new(RelaySettings {
        max_event: 300,
        ..settings(WireApi::Responses)
    });
    let mut steps = Vec::new();
    let text = [CREATED, DELTA, "data: ", &"x".repeat(400)].concat();
    assert_eq!(
        relay.push(Bytes::from(text), &mut steps),
        Err(EventTooLarge { limit: 300 })
    );
    assert_eq!(
        steps,
        [
            Step::Preamble(Bytes::from(CREATED)),
            Step::Output(Bytes::from(DELTA))
        ]
    );
    relay.end(&mut steps);
    assert_eq!((steps.len(), relay.buffered()), (2, 0));
}

#[test]
fn whole_chunks_pass_without_a_copy() {
    let mut relay = Relay::new(settings(WireApi::Responses));
    let mut steps = Vec::new();
    let chunk = Bytes::from([DELTA, DELTA, DELTA].concat());
    relay.push(chunk.clone(), &mut steps).unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(
        (steps[0].bytes().as_ptr(), steps[0].bytes().len()),
        (chunk.as_ptr(), chunk.len())
    );
}

#[test]
fn plan_limits_are_kept_one_of_a_name_and_bounded() {
    let event = |name: &str, used: u32| {
        format!(
            "data: {{\"type\":\"codex.rate_limits\",\"metered_limit_name\":\"{name}\",\"used\":{used}}}\n\n"
        )
    };
    let mut text = event("a", 1) + &event("b", 2) + &event("a", 3);
    let (_, summary) = run(settings(WireApi::Responses), &[text.as_bytes()]);
    let kept: Vec<_> = summary
        .plan_limits
        .iter()
        .map(|limit| std::str::from_utf8(limit).unwrap())
        .collect();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].ends_with("\"used\":3}") && kept[1].ends_with("\"used\":2}"));
    for name in 0..100 {
        text.push_str(&event(&name.to_string(), 0));
    }
    let (_, summary) = run(settings(WireApi::Responses), &[text.as_bytes()]);
    assert_eq!(summary.plan_limits.len(), crate::stream::MAX_PLAN_LIMITS);
}

#[test]
fn one_oddly_typed_member_of_a_chunk_does_not_hide_the_usage() {
    let text = "data: {\"id\":7,\"choices\":null,\"service_tier\":1,\"id\":\"c\",\"usage\": {\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
    let (_, summary) = run(settings(WireApi::Chat), &[text.as_bytes()]);
    assert_eq!(
        summary.usage,
        UsageReading::Reported(Usage::new(1, 0, 0, 2, 0).unwrap())
    );
    assert_eq!(
        (summary.response_id.as_deref(), summary.service_tier),
        (Some("c"), None)
    );
}

#[test]
fn headers_stay_when_nothing_was_asked() {
    let event = "data: {\"type\":\"response.metadata\",\"headers\":{\"openai-model\":\"x\",\"x-models-etag\":\"e\"}}\n\n";
    let (steps, _) = run(settings(WireApi::Responses), &[event.as_bytes()]);
    assert_eq!(sent(&steps), event);
    let asked = RelaySettings {
        model_echo: Some("a\"b".to_owned()),
        strip_models_etag: true,
        ..settings(WireApi::Responses)
    };
    let (steps, _) = run(asked, &[event.as_bytes()]);
    assert_eq!(
        sent(&steps),
        "data: {\"type\":\"response.metadata\",\"headers\":{\"openai-model\":\"a\\\"b\"}}\n\n"
    );
}

fn chunk(rest: &str) -> String {
    format!("data: {{\"id\":\"c-1\",\"model\":\"m\"{rest}}}\n\n")
}

#[test]
fn usage_that_the_client_did_not_ask_for_is_read_and_left_out() {
    let text =
        r#","choices":[{"index":0,"delta":{"content":"\"usage\":null"},"finish_reason":"stop"}]"#;
    let counts = r#""usage":{"prompt_tokens":3,"completion_tokens":2}"#;
    for (upstreams, clients) in [
        // What comes with every chunk, at any place, and what comes on its own.
        (
            [
                chunk(&format!("{text},\"usage\":null")),
                chunk(&format!(",\"usage\" : null{text}")),
                "data: {\"usage\":null ,\"x\":1}\n\n".to_owned(),
                chunk(&format!(",\"choices\":[],{counts}")),
            ]
            .concat(),
            [chunk(text), chunk(text), "data: {\"x\":1}\n\n".to_owned()].concat(),
        ),
        // Beside a choice it was not asked for by us, and beside an error it is not alone.
        (
            chunk(&format!("{text},{counts}")),
            chunk(&format!("{text},{counts}")),
        ),
        (
            chunk(&format!(
                ",\"error\":{{\"code\":\"x\"}},\"choices\":[],{counts}"
            )),
            chunk(&format!(
                ",\"error\":{{\"code\":\"x\"}},\"choices\":[],{counts}"
            )),
        ),
    ] {
        let sent_by_upstream = format!("{upstreams}data: [DONE]\n\n");
        for size in [1, 7, sent_by_upstream.len()] {
            let chunks: Vec<&[u8]> = sent_by_upstream.as_bytes().chunks(size).collect();
            let hiding = RelaySettings {
                hide_usage: true,
                ..settings(WireApi::Chat)
            };
            let (steps, summary) = run(hiding, &chunks);
            assert_eq!(sent(&steps), format!("{clients}data: [DONE]\n\n"));
            assert_eq!(
                summary.usage,
                UsageReading::Reported(Usage::new(3, 0, 0, 2, 0).unwrap())
            );
            assert!(summary.repairs.is_empty());
            let (steps, _) = run(settings(WireApi::Chat), &chunks);
            assert_eq!(sent(&steps), sent_by_upstream, "who asked gets every byte");
        }
    }
}
