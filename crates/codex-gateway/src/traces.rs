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
use http::HeaderMap;
use jiff::Timestamp;
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
use crate::config::active::ActiveConfig;
use crate::record::Exchange;

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
    pub fn record(&self, live: &ActiveConfig, exchange: &Exchange, now: Timestamp) {
        let Some((_, tracer)) = &self.to else {
            return;
        };
        let parent = exchange
            .trace_parent
            .clone()
            .map_or_else(Context::new, |parent| {
                Context::new().with_remote_span_context(parent)
            });
        let builder = tracer
            .span_builder(name(exchange))
            .with_kind(SpanKind::Client)
            .with_start_time(SystemTime::from(exchange.started_at))
            .with_attributes(attributes(live, exchange));
        let mut span = builder.start_with_context(tracer, &parent);
        if error_type(exchange).is_some() {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(SystemTime::from(now));
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
    if exchange.endpoint.names_a_model() {
        "chat"
    } else {
        exchange.endpoint.as_str()
    }
}

fn name(exchange: &Exchange) -> String {
    match &exchange.model_requested {
        Some(model) => format!("{} {model}", operation(exchange)),
        None => operation(exchange).to_owned(),
    }
}

/// What went wrong, where the gateway or the upstream is to blame.
fn error_type(exchange: &Exchange) -> Option<&str> {
    match exchange.outcome {
        Outcome::Completed | Outcome::ClientGone => None,
        Outcome::Failed | Outcome::Rejected | Outcome::UpstreamTruncated | Outcome::Interrupted => {
            Some(
                exchange
                    .error
                    .as_deref()
                    .unwrap_or_else(|| exchange.outcome.as_str()),
            )
        }
    }
}

fn attributes(live: &ActiveConfig, exchange: &Exchange) -> Vec<KeyValue> {
    let mut list = List(Vec::with_capacity(24));
    list.add("gen_ai.operation.name", Some(operation(exchange)));
    list.text("gen_ai.provider.name", exchange.upstream.as_deref());
    list.text(
        "gen_ai.request.model",
        model(exchange.model_requested.as_ref()),
    );
    list.text(
        "gen_ai.response.model",
        model(exchange.model_served.as_ref()),
    );
    list.text(
        "gen_ai.response.id",
        exchange.upstream_response_id.as_deref(),
    );
    list.text(
        "gen_ai.conversation.id",
        exchange.turn.session_id.as_deref(),
    );
    list.text(
        "openai.request.service_tier",
        exchange.service_tier_requested.as_deref(),
    );
    list.text(
        "openai.response.service_tier",
        exchange.service_tier.as_deref(),
    );
    if let Some(usage) = exchange.counted.usage() {
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
            list.add(name, i64::try_from(count).ok());
        }
    }
    let upstream = exchange
        .upstream
        .as_deref()
        .and_then(|name| live.settings.policy.upstream(name))
        .and_then(|upstream| upstream.base_url.parse::<http::Uri>().ok());
    if let Some(address) = upstream {
        list.text("server.address", address.host());
        let is_tls = address.scheme_str() == Some("https");
        let port = address.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        list.add("server.port", Some(i64::from(port)));
    }
    list.text("error.type", error_type(exchange));
    list.add("http.response.status_code", exchange.status.map(i64::from));
    list.text("codex_gateway.request_id", Some(exchange.id.as_str()));
    list.add("codex_gateway.outcome", Some(exchange.outcome.as_str()));
    list.add(
        "codex_gateway.route",
        exchange.caller.as_ref().map(|caller| caller.route.as_str()),
    );
    list.add(
        "codex_gateway.decision",
        exchange.decision.map(gateway_policy::DecisionKind::as_str),
    );
    list.text("codex_gateway.rule", exchange.rule.as_deref());
    list.add(
        "codex_gateway.attempts",
        i64::try_from(exchange.attempts.len()).ok(),
    );
    list.0
}

fn model(id: Option<&gateway_policy::ModelId>) -> Option<&str> {
    id.map(gateway_policy::ModelId::as_str)
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
}

/// The way to the collector. The exporter calls from a thread of its own, so requests are made on
/// the runtime.
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    /// So that an unreachable collector is told once and not every five seconds.
    is_failing: AtomicBool,
}

impl Collector {
    fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .context("cannot set up TLS toward the collector")?;
        Ok(Self {
            client,
            runtime: Handle::current(),
            is_failing: AtomicBool::new(false),
        })
    }

    fn note(&self, problem: Option<&HttpError>) {
        let was_failing = self.is_failing.swap(problem.is_some(), Ordering::Relaxed);
        if let (Some(problem), false) = (problem, was_failing) {
            tracing::warn!(error = %problem, "the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes no spans; they are dropped");
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
        let asking = self
            .runtime
            .spawn(async move { ask(client, request).await });
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
            return Err("the collector's answer is too long".into());
        }
    }
    Ok(response.body(Bytes::from(body))?)
}
