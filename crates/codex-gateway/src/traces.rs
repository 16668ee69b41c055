//! OpenTelemetry: one span for each exchange, sent by OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT`
//! names a collector. Carries who answered, how much and how it ended; no content, no credential,
//! no name of a person. Nothing here can hold up an exchange: spans that a collector does not take
//! are dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use gateway_ledger::Outcome;
use gateway_policy::{AuthRoute, DecisionKind, ModelId};
use gateway_wire::Usage;
use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use crate::config;
use crate::record::{Exchange, ExchangeRecord};
use crate::tasks;

/// Longest wait for a collector, at each batch and at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer of a collector that is read; it says no more than what it did not take.
const MAX_ANSWER: usize = 64 * 1024;

/// Where spans go; nowhere, unless a collector is named.
pub struct Traces {
    to: Option<(SdkTracerProvider, SdkTracer)>,
}

impl Traces {
    /// As the standard `OTEL_…` variables of the environment say; off without an endpoint.
    ///
    /// # Errors
    /// When the endpoint is no URL, or TLS cannot be set up.
    pub fn from_environment(instance: &str) -> anyhow::Result<Self> {
        let is_on = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ]
        .iter()
        .any(|name| config::environment(name).is_some());
        if !is_on {
            return Ok(Self { to: None });
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?)
            .build()
            .context("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used")?;
        let name = config::environment("OTEL_SERVICE_NAME");
        let resource = Resource::builder()
            .with_service_name(name.unwrap_or_else(|| "codex-gateway".to_owned()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("codex-gateway");
        Ok(Self {
            to: Some((provider, tracer)),
        })
    }

    /// The client's span of which this request is a part, as its `traceparent` says.
    pub fn parent(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.to.as_ref()?;
        let context = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let parent = context.span().span_context().clone();
        parent.is_valid().then_some(parent)
    }

    /// Hands over the span of an exchange that has ended. Does not wait.
    pub fn record(&self, record: &ExchangeRecord<'_>) {
        let Some((_, tracer)) = &self.to else {
            return;
        };
        let exchange = record.exchange;
        let parent = exchange
            .arrival
            .trace_parent
            .clone()
            .map_or_else(Context::new, |parent| {
                Context::new().with_remote_span_context(parent)
            });
        let builder = tracer
            .span_builder(name(exchange))
            .with_kind(SpanKind::Client)
            .with_start_time(SystemTime::from(exchange.arrival.at))
            .with_attributes(attributes(record));
        let mut span = builder.start_with_context(tracer, &parent);
        if error_type(record).is_some() {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(SystemTime::from(record.result.finished_at));
    }

    /// Sends what waits, for a few seconds at most. Blocks: not for a task of the runtime.
    pub fn finish(&self) {
        if let Some((provider, _)) = &self.to
            && let Err(error) = provider.shutdown_with_timeout(PATIENCE)
        {
            tracing::warn!(%error, "the last spans may not have reached the collector");
        }
    }
}

/// What is done, in the words of the semantic conventions; their word for both protocols is `chat`.
fn operation(exchange: &Exchange) -> &'static str {
    let endpoint = exchange.arrival.endpoint;
    if endpoint.names_a_model() {
        "chat"
    } else {
        endpoint.as_str()
    }
}

fn name(exchange: &Exchange) -> String {
    match &exchange.request.model {
        Some(model) => format!("{} {model}", operation(exchange)),
        None => operation(exchange).to_owned(),
    }
}

/// What went wrong, where the gateway or the upstream is to blame.
fn error_type<'a>(record: &'a ExchangeRecord<'_>) -> Option<&'a str> {
    let outcome = record.result.outcome;
    match outcome {
        Outcome::Completed | Outcome::ClientGone => None,
        Outcome::Failed | Outcome::Rejected | Outcome::UpstreamTruncated | Outcome::Interrupted => {
            Some(record.error.as_deref().unwrap_or_else(|| outcome.as_str()))
        }
    }
}

fn attributes(record: &ExchangeRecord<'_>) -> Vec<KeyValue> {
    let ExchangeRecord {
        exchange, result, ..
    } = record;
    let request = &exchange.request;
    let mut list = List(Vec::with_capacity(24));
    list.add("gen_ai.operation.name", Some(operation(exchange)));
    list.text("gen_ai.provider.name", exchange.upstream());
    list.text("gen_ai.request.model", model(request.model.as_ref()));
    list.text("gen_ai.response.model", model(exchange.model_served()));
    list.text("gen_ai.response.id", result.upstream_response_id.as_deref());
    list.text("gen_ai.conversation.id", request.turn.session_id.as_deref());
    list.text(
        "openai.request.service_tier",
        request.service_tier.as_deref(),
    );
    list.text(
        "openai.response.service_tier",
        result.service_tier.as_deref(),
    );
    if let Some(usage) = result.usage {
        list.usage(usage);
    }
    if let Some(attempt) = &exchange.attempt {
        list.server(&attempt.upstream.base_url);
    }
    list.text("error.type", error_type(record));
    list.add("http.response.status_code", result.status.map(i64::from));
    list.text(
        "codex_gateway.request_id",
        Some(exchange.arrival.id.as_str()),
    );
    list.add("codex_gateway.outcome", Some(result.outcome.as_str()));
    list.add(
        "codex_gateway.route",
        exchange.route().map(AuthRoute::as_str),
    );
    list.add(
        "codex_gateway.decision",
        exchange.decision().map(DecisionKind::as_str),
    );
    list.text("codex_gateway.rule", exchange.rule());
    list.add(
        "codex_gateway.attempts",
        i64::try_from(exchange.calls.len()).ok(),
    );
    list.0
}

fn model(id: Option<&ModelId>) -> Option<&str> {
    id.map(ModelId::as_str)
}

/// Attributes, of which the unknown ones are left out.
struct List(Vec<KeyValue>);

impl List {
    fn add(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        self.0.extend(value.map(|value| KeyValue::new(name, value)));
    }

    fn text(&mut self, name: &'static str, value: Option<&str>) {
        self.add(name, value.map(str::to_owned));
    }

    fn usage(&mut self, usage: Usage) {
        for (name, count) in [
            ("gen_ai.usage.input_tokens", usage.input()),
            ("gen_ai.usage.cache_read.input_tokens", usage.cached_input()),
            (
                "gen_ai.usage.cache_creation.input_tokens",
                usage.cache_write(),
            ),
            ("gen_ai.usage.output_tokens", usage.output()),
            ("gen_ai.usage.reasoning.output_tokens", usage.reasoning()),
        ] {
            self.add(name, i64::try_from(count).ok());
        }
    }

    fn server(&mut self, base_url: &str) {
        let Ok(address) = base_url.parse::<http::Uri>() else {
            return;
        };
        self.text("server.address", address.host());
        let is_tls = address.scheme_str() == Some("https");
        let port = address.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        self.add("server.port", Some(i64::from(port)));
    }
}

/// The way to the collector. The exporter calls from a thread of its own, so requests are made on
/// the runtime.
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    /// So that an unreachable collector is logged once and not every five seconds.
    is_failing: AtomicBool,
}

impl Collector {
    fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .context("cannot set up TLS for the collector")?;
        Ok(Self {
            client,
            runtime: Handle::current(),
            is_failing: AtomicBool::new(false),
        })
    }

    fn note(&self, problem: Option<&HttpError>) {
        let was_failing = self.is_failing.swap(problem.is_some(), Ordering::Relaxed);
        if let (Some(problem), false) = (problem, was_failing) {
            tracing::warn!(error = %problem, "the collector of OTEL_EXPORTER_OTLP_ENDPOINT does \
                                              not accept spans; they are dropped");
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

/// Written out, since the trait is made by a macro.
type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Answering<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let client = self.client.clone();
        let asking = tasks::spawn_call(&self.runtime, ask(client, request));
        Box::pin(async move {
            let answer = asking.await.unwrap_or_else(|error| Err(error.into()));
            self.note(answer.as_ref().err());
            answer
        })
    }
}

async fn ask(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    // Without its URL, which may hold a credential.
    let plain = reqwest::Error::without_url;
    let request = reqwest::Request::try_from(request).map_err(plain)?;
    let mut answer = client.execute(request).await.map_err(plain)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = answer.headers().clone();
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(plain)? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ANSWER {
            return Err("the collector's response is too long".into());
        }
    }
    Ok(response.body(Bytes::from(body))?)
}
