//! Spans by OTLP: one for each exchange, truthful, without content; and a collector that is not
//! there disturbs nothing.

use gateway_tests::gateway::{Config, Gateway, Start};
use gateway_tests::sample::{API_KEY, PROMPT_CANARY, by_key};
use gateway_tests::upstream::{
    FixedResponse, ModelAnswer, Respond, Script, Step, Upstream, Usage, refused_address,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID: &str = "b7ad6b7169203331";

/// A collector: any server that takes the requests and keeps them.
async fn collector() -> Upstream {
    Upstream::with(Script::always(Respond::FixedResponse(FixedResponse {
        status: 200,
        headers: vec![(
            "content-type".to_owned(),
            "application/x-protobuf".to_owned(),
        )],
        body: gateway_tests::upstream::Payload::default(),
    })))
    .await
}

async fn traced(upstream: &Upstream, collector: SocketAddr) -> Gateway {
    Gateway::start_with(Start {
        config: Some(Config::to(upstream).text()),
        environment: vec![(
            "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
            format!("http://{collector}"),
        )],
        ..Start::default()
    })
    .await
}

/// Ends the gateway, after which the collector has everything.
async fn spans(gateway: &mut Gateway, collector: &Upstream) -> Vec<Span> {
    gateway.signal("TERM");
    gateway.wait_for_exit(Duration::from_secs(20)).await;
    let mut spans = Vec::new();
    for request in collector.requests() {
        assert_eq!(request.path(), "/v1/traces");
        assert_eq!(
            request.header("content-type"),
            Some("application/x-protobuf")
        );
        let batch = ExportTraceServiceRequest::decode(request.body()).expect("it is protobuf");
        for resource in batch.resource_spans {
            let name = resource
                .resource
                .iter()
                .flat_map(|resource| &resource.attributes)
                .find(|attribute| attribute.key == "service.name")
                .and_then(|attribute| attribute.value.clone()?.value);
            assert_eq!(name, Some(Value::StringValue("codex-gateway".to_owned())));
            spans.extend(
                resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans),
            );
        }
        let text = String::from_utf8_lossy(request.body()).into_owned();
        for secret in [API_KEY, PROMPT_CANARY, "the answer's words"] {
            assert!(!text.contains(secret), "`{secret}` is in a span");
        }
    }
    spans
}

fn text(span: &Span, name: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|one| one.key == name)?;
    match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test]
async fn an_exchange_is_one_span_with_what_it_used_and_nothing_it_said() {
    let upstream = Upstream::with(Script::answer(
        ModelAnswer::text("the answer's words").usage(Usage {
            input: 1_000,
            cached: 400,
            cache_write: 100,
            output: 50,
            reasoning: 20,
        }),
    ))
    .await;
    let collector = collector().await;
    let mut gateway = traced(&upstream, collector.address()).await;
    let reply = by_key(&gateway.client())
        .header("session-id", "a-session")
        .header("traceparent", &format!("00-{TRACE_ID}-{SPAN_ID}-01"))
        .send()
        .await;
    assert_eq!(reply.status, 200);
    let plain = by_key(&gateway.client()).send().await;
    assert_eq!(plain.status, 200);

    let spans = spans(&mut gateway, &collector).await;
    assert_eq!(spans.len(), 2, "one span an exchange");
    let span = spans
        .iter()
        .find(|span| text(span, "gen_ai.conversation.id").is_some())
        .expect("the session is told");
    assert_eq!(span.name, "chat gpt-5.5");
    let port = upstream.address().port().to_string();
    let id = reply.header("x-gateway-request-id").unwrap();
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-5.5"),
        ("gen_ai.response.model", "gpt-5.5"),
        ("gen_ai.conversation.id", "a-session"),
        ("gen_ai.usage.input_tokens", "1000"),
        ("gen_ai.usage.cache_read.input_tokens", "400"),
        ("gen_ai.usage.cache_creation.input_tokens", "100"),
        ("gen_ai.usage.output_tokens", "50"),
        ("gen_ai.usage.reasoning.output_tokens", "20"),
        ("server.address", "127.0.0.1"),
        ("server.port", port.as_str()),
        ("http.response.status_code", "200"),
        ("codex_gateway.request_id", id),
    ] {
        assert_eq!(text(span, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(text(span, "error.type"), None);
    assert_eq!(hex(&span.trace_id), TRACE_ID);
    assert_eq!(hex(&span.parent_span_id), SPAN_ID);
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    let other = spans
        .iter()
        .find(|one| one.span_id != span.span_id)
        .unwrap();
    assert_ne!(hex(&other.trace_id), TRACE_ID);
    assert!(other.parent_span_id.is_empty());

    // The upstream sees the client's own header, and none where the client sent none.
    let parents: Vec<Option<String>> = upstream
        .model_requests()
        .iter()
        .map(|request| request.header("traceparent").map(str::to_owned))
        .collect();
    assert_eq!(parents, [Some(format!("00-{TRACE_ID}-{SPAN_ID}-01")), None]);
}

#[tokio::test]
async fn a_failure_says_its_kind_and_an_unsampled_trace_is_left_alone() {
    let error =
        json!({"error": {"message": "no", "type": "server_error", "code": null, "param": null}});
    let upstream = Upstream::with(Script::always(Respond::FixedResponse(FixedResponse::json(
        500, error,
    ))))
    .await;
    let collector = collector().await;
    let mut gateway = traced(&upstream, collector.address()).await;
    assert_eq!(by_key(&gateway.client()).send().await.status, 500);
    let unsampled = by_key(&gateway.client())
        .header("traceparent", &format!("00-{TRACE_ID}-{SPAN_ID}-00"))
        .send()
        .await;
    assert_eq!(unsampled.status, 500);

    let spans = spans(&mut gateway, &collector).await;
    assert_eq!(spans.len(), 1);
    assert!(text(&spans[0], "error.type").is_some_and(|kind| !kind.is_empty()));
    assert_eq!(
        text(&spans[0], "http.response.status_code").as_deref(),
        Some("500")
    );
    assert_eq!(
        text(&spans[0], "gen_ai.usage.input_tokens"),
        None,
        "unknown is not zero"
    );
}

#[tokio::test]
async fn a_collector_that_is_not_there_or_hangs_disturbs_nothing() {
    let hanging = Upstream::with(Script::always(Respond::Steps(vec![Step::Stall]))).await;
    for collector in [refused_address().await, hanging.address()] {
        let upstream = Upstream::start().await;
        let mut gateway = traced(&upstream, collector).await;
        for _ in 0..3 {
            assert_eq!(by_key(&gateway.client()).send().await.status, 200);
        }
        let stopping = Instant::now();
        gateway.signal("TERM");
        let status = gateway.wait_for_exit(Duration::from_secs(20)).await;
        assert!(status.success(), "{}", gateway.output());
        assert!(
            stopping.elapsed() < Duration::from_secs(10),
            "stopping took {:?}",
            stopping.elapsed()
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_told_at_the_start() {
    let upstream = Upstream::start().await;
    let mut gateway = Gateway::spawn(&Start {
        config: Some(Config::to(&upstream).text()),
        environment: vec![(
            "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
            "no url at all".to_owned(),
        )],
        ..Start::default()
    });
    let status = gateway.wait_for_exit(Duration::from_secs(20)).await;
    assert!(!status.success());
    assert!(
        gateway.output().contains("OTEL_EXPORTER_OTLP_ENDPOINT"),
        "{}",
        gateway.output()
    );
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
