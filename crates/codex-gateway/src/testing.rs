//! What unit tests of this crate share. Compiled into tests only.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRef;
use axum::response::Response;
use gateway_ledger::{
    Attribution, CostSource, DispatchRecord, EntryId, InstanceId, Intent, Ledger, LedgerEntry,
    TurnRecord,
};
use gateway_ledger::{Outcome, UsageSource};
use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::Usage;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::admin_auth::AdminAuth;
use crate::app::App;
use crate::clock::Clock;
use crate::config::active::ActiveConfig;
use crate::config::{self, Overrides, Settings, SourceMap};
use crate::data_dir::DataDir;
use crate::endpoint::Endpoint;
use crate::http::listener::ListenerRole;
use crate::http::router::router;
use crate::http::state::HttpState;
use crate::identity::caller::Caller;
use crate::ids::RequestId;
use crate::record::{Arrival, Exchange};

/// The day whose prices hold in tests.
pub(crate) const DAY: Date = jiff::civil::date(2026, 11, 20);
/// How long a test waits for what happens in the background.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration that is called `gateway.toml`.
pub(crate) fn configured(text: &str) -> (Settings, SourceMap) {
    let source = config::Source {
        path: "gateway.toml".to_owned(),
        text: text.to_owned(),
        file: None,
    };
    let loaded = config::check(source, &Overrides::default());
    let report = loaded.report(false);
    let places = SourceMap::new(&loaded.source);
    (loaded.settings.expect(&report), places)
}

/// A whole process without a socket.
pub(crate) struct Process {
    pub(crate) app: App,
    pub(crate) dir: TempDir,
}

impl Process {
    /// Over a fresh data directory.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_at(config, Clock::system()).await
    }

    /// The same, by another clock.
    pub(crate) async fn start_at(config: &str, clock: Clock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let (settings, places) = configured(config);
        let live = ActiveConfig::new(settings, places).unwrap();
        let app = App::open(live, &data_dir, clock).await.unwrap();
        Self { app, dir }
    }

    /// A part that handlers are given.
    pub(crate) fn part<T: FromRef<HttpState>>(&self) -> T {
        T::from_ref(self.app.state())
    }

    /// Sends a request through the router.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let router = router(self.app.state().clone(), ListenerRole::Everything);
        let response = router.oneshot(request).await;
        Answer::read(response.unwrap()).await
    }

    /// A request of an administrator.
    pub(crate) async fn api(&self, method: &str, path: &str) -> Answer {
        let token = self.part::<Arc<AdminAuth>>().token();
        let token = token.expose();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:8787")
            .header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The JSON of a successful `GET`.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.api("GET", path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Ends the background work.
    pub(crate) async fn stop(self) {
        self.app.tasks().stop().await;
        self.part::<Ledger>().close().await;
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A completed exchange of 100 input tokens, 40 of them cached, and 10 output tokens, for 1000
/// nano-dollars.
pub(crate) fn entry(started_at: Timestamp, route: AuthRoute, model: &str) -> LedgerEntry {
    let billing = if route == AuthRoute::Chatgpt {
        Billing::Plan
    } else {
        Billing::Metered
    };
    let intent = Intent {
        id: EntryId::at(started_at),
        started_at,
        attribution: Attribution {
            route,
            caller: Some("caller".to_owned()),
            key: None,
            team: None,
        },
        turn: TurnRecord {
            session_id: Some("session-1".to_owned()),
            request_kind: Some("turn".to_owned()),
            ..TurnRecord::default()
        },
        endpoint: "responses".to_owned(),
        is_free: false,
        model_requested: Some(model.to_owned()),
        service_tier_requested: None,
        dispatch: DispatchRecord {
            upstream: Some("openai".to_owned()),
            model_served: Some(model.to_owned()),
            decision: DecisionKind::Passed,
            rule: None,
            attempts: Vec::new(),
            billing,
        },
    };
    let mut entry = LedgerEntry::interrupted(intent, started_at, InstanceId::new("test"));
    let result = &mut entry.result;
    result.status = Some(200);
    result.outcome = Outcome::Completed;
    result.usage_source = UsageSource::Reported;
    result.usage = Some(Usage::new(100, 40, 0, 10, 0).unwrap());
    result.cost.source = CostSource::Calculated;
    result.cost.nanos = Some(1000);
    entry
}

/// An exchange that was just accepted.
pub(crate) fn exchange(clock: &Clock) -> Exchange {
    Exchange::new(Arrival {
        id: RequestId::generate(),
        endpoint: Endpoint::Responses,
        at: clock.now(),
        instant: clock.instant(),
        trace_parent: None,
    })
}

/// A caller signed in with ChatGPT.
pub(crate) fn chatgpt_caller() -> Caller {
    Caller {
        route: AuthRoute::Chatgpt,
        label: "chatgpt:0011223344556677".to_owned(),
        credential_digest: "8899aabbccddeeff".to_owned(),
        account: Some("0123456789abcdef".to_owned()),
        plan: Some("plus".to_owned()),
        is_local: true,
        key: None,
    }
}
