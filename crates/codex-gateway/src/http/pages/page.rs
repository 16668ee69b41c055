//! What every page is made from and of: the sources of its figures, its frame, and what is shown where there is none.

use std::sync::Arc;

use axum::extract::FromRef;
use axum::response::{IntoResponse, Response};
use gateway_ledger::{Ledger, LedgerError};
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};

use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::http::dashboard::{HTML, secured};
use crate::http::pages::layout;
use crate::http::state::HttpState;
use crate::learned::Learned;
use crate::plan_limits::PlanWatch;
use crate::running::Running;
use crate::tasks::Tasks;

/// What pages are made from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    pub(super) config: SharedConfig,
    pub(super) learned: Arc<Learned>,
    pub(super) plan_limits: Arc<PlanWatch>,
    pub(super) running: Arc<Running>,
    pub(super) tasks: Tasks,
}

impl FromRef<HttpState> for Sources {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            ledger: FromRef::from_ref(state),
            clock: FromRef::from_ref(state),
            config: FromRef::from_ref(state),
            learned: FromRef::from_ref(state),
            plan_limits: FromRef::from_ref(state),
            running: FromRef::from_ref(state),
            tasks: FromRef::from_ref(state),
        }
    }
}

/// A whole page.
pub(super) struct Page {
    pub(super) title: String,
    /// Its path in the navigation.
    pub(super) place: &'static str,
    pub(super) content: Markup,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let page = layout::page(&self.title, self.place, &self.content);
        secured(HTML, page.into_string().into_response())
    }
}

/// Why a page cannot be shown, as a page.
pub(super) struct Failed(GatewayError);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let content = html! {
            p.warn { (error.message) }
            p { a href="/dashboard" { "What is happening now" } }
        };
        let page = Page {
            title: "This page cannot be shown".to_owned(),
            place: "",
            content,
        };
        (error.status(), page).into_response()
    }
}

impl<E: Into<GatewayError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// There is no such session or exchange.
pub(super) fn not_found(what: &str) -> Failed {
    Failed(GatewayError::new(ErrorCode::NotFound, what.to_owned()))
}

/// A file to save.
pub(super) fn download(kind: &'static str, name: &'static str, text: String) -> Response {
    let mut response = secured(kind, (StatusCode::OK, text).into_response());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}

/// The result of a question to the ledger.
pub(super) type Asked<T> = Result<T, LedgerError>;
