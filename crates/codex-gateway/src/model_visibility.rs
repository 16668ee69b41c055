//! Keeps the client's picker true: entries of a catalogue that this caller cannot use are hidden in
//! it, and the etag says so. Edits one word of an entry in place; never makes, drops or rebuilds an
//! entry.
//!
//! Hidden and not left out: a client that lays our entries over a list of its own would go on
//! showing what is missing here, and a session that runs on such a model still needs its entry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gateway_policy::{Access, AuthRoute, Memory, ModelId, NoMemory, Upstream, UpstreamName};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::app::App;
use crate::codex_catalog::file::Listed;
use crate::config::active::ActiveConfig;
use crate::identity::caller::Caller;
use crate::record::Exchange;
use crate::secret::digest;

/// On answers: the etag of the catalogue that this caller would get.
pub const ETAG_HEADER: HeaderName = HeaderName::from_static("x-models-etag");
/// Most catalogues whose models are remembered.
const MAX_CATALOGUES: usize = 64;

/// A catalogue as one caller gets it.
pub struct Shown {
    pub text: Bytes,
    pub etag: Option<HeaderValue>,
    /// Whether it differs from what it was made of.
    pub is_changed: bool,
}

/// Hides what the caller cannot use. Without an etag of its own, a catalogue that is changed gets
/// one of its bytes.
pub fn show(
    live: &ActiveConfig,
    viewer: &Viewer<'_>,
    text: Bytes,
    etag: Option<HeaderValue>,
    listed: &Listed,
) -> Shown {
    let hidden = viewer.hidden(live, listed.models());
    if hidden.is_empty() {
        return Shown {
            text,
            etag,
            is_changed: false,
        };
    }
    let text = listed.hide(&text, &hidden);
    let etag = match &etag {
        Some(base) => derived(base, &hidden),
        None => quoted(&digest(&text)),
    };
    Shown {
        text,
        etag,
        is_changed: true,
    }
}

/// Who looks at a catalogue.
pub struct Viewer<'a> {
    pub caller: &'a Caller,
    pub client: Option<&'a str>,
    pub memory: &'a (dyn Memory + Sync),
}

impl Viewer<'_> {
    /// The models among these that the rules reject or the upstream refuses, in their order.
    fn hidden<'m>(
        &self,
        live: &ActiveConfig,
        models: impl Iterator<Item = &'m ModelId>,
    ) -> Vec<ModelId> {
        let subject = self.caller.subject(self.client);
        let policy = &live.settings.policy;
        let is_hidden = |model: &ModelId| match policy.access(subject, model, self.memory) {
            Access::Rejected { .. } | Access::Refused { .. } => true,
            // A route without an upstream serves nothing; that is no word about a model.
            Access::Served { .. } | Access::Rewritten { .. } | Access::Unrouted => false,
        };
        models.filter(|model| is_hidden(model)).cloned().collect()
    }

    /// The same among all models that the catalogue and the rules know.
    fn hidden_of_known(&self, live: &ActiveConfig) -> Vec<ModelId> {
        let subject = self.caller.subject(self.client);
        let known = live.settings.policy.models_for(subject, &NoMemory);
        self.hidden(live, known.iter().map(|view| &view.model))
    }
}

/// The etag of the catalogue that the caller of an exchange would get now. `told` is the upstream's
/// own word for its catalogue.
pub fn etag_now(
    app: &App,
    live: &ActiveConfig,
    exchange: &Exchange,
    told: Option<&HeaderValue>,
) -> Option<HeaderValue> {
    let caller = exchange.caller.as_ref()?;
    let memory = app.learned.view(caller, None);
    let viewer = Viewer {
        caller,
        client: exchange.client.as_deref(),
        memory: &memory,
    };
    let is_upstreams = caller.route == AuthRoute::Chatgpt && live.catalog.is_none();
    if !is_upstreams {
        let catalog = live.catalog.as_ref().or(live.own_entries.as_ref())?;
        let hidden = viewer.hidden(live, catalog.listed.models());
        return derived(&catalog.etag, &hidden);
    }
    let upstream = asked_upstream(live, exchange)?;
    let base = with_entries(live, told?)?;
    if let Some(models) = app.catalogues.get(&upstream.name, &base) {
        return derived(&base, &viewer.hidden(live, models.iter()));
    }
    // Nobody asked for it since the start. When something may be hidden, an etag that nobody holds
    // makes the client ask.
    derived(&base, &viewer.hidden_of_known(live))
}

/// Whether what the upstream says of its catalogue is true of the one that this caller would get.
pub fn is_passed_on(
    app: &App,
    live: &ActiveConfig,
    exchange: &Exchange,
    upstream: &HeaderMap,
) -> bool {
    let (Some(caller), Some(_)) = (&exchange.caller, asked_upstream(live, exchange)) else {
        return false;
    };
    if live.catalog.is_some() || live.own_entries.is_some() {
        return false;
    }
    if let Some(told) = upstream.get(ETAG_HEADER) {
        return etag_now(app, live, exchange, Some(told)).as_ref() == Some(told);
    }
    let viewer = Viewer {
        caller,
        client: exchange.client.as_deref(),
        memory: &app.learned.view(caller, None),
    };
    viewer.hidden_of_known(live).is_empty()
}

/// The upstream of an exchange, if it is the one whose catalogue its caller gets: only on one route
/// that is the upstream's own, and another upstream speaks of another catalogue.
fn asked_upstream<'a>(live: &'a ActiveConfig, exchange: &Exchange) -> Option<&'a Upstream> {
    let route = exchange.caller.as_ref()?.route;
    let upstream = live.settings.policy.route_upstream(route)?;
    let is_asked =
        route == AuthRoute::Chatgpt && exchange.upstream.as_deref() == Some(upstream.name.as_str());
    is_asked.then_some(upstream)
}

/// The etag of an upstream's catalogue with the operator's entries behind its own.
pub fn with_entries(live: &ActiveConfig, told: &HeaderValue) -> Option<HeaderValue> {
    let Some(entries) = &live.own_entries else {
        return Some(told.clone());
    };
    quoted(&digest(
        &[told.as_bytes(), b"\n", entries.etag.as_bytes()].concat(),
    ))
}

/// The etag of a catalogue in which these models are hidden.
fn derived(base: &HeaderValue, hidden: &[ModelId]) -> Option<HeaderValue> {
    if hidden.is_empty() {
        return Some(base.clone());
    }
    let mut words = base.as_bytes().to_vec();
    for model in hidden {
        words.push(b'\n');
        words.extend_from_slice(model.as_str().as_bytes());
    }
    quoted(&digest(&words))
}

fn quoted(word: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{word}\"")).ok()
}

/// Which models the upstreams' catalogues list, by the etag under which they were seen.
#[derive(Debug, Default)]
pub struct Catalogues(Mutex<VecDeque<Seen>>);

#[derive(Debug)]
struct Seen {
    upstream: UpstreamName,
    etag: HeaderValue,
    models: Arc<[ModelId]>,
}

impl Catalogues {
    /// Remembers a catalogue that passed; the oldest makes room.
    pub fn saw(&self, upstream: &UpstreamName, etag: &HeaderValue, listed: &Listed) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|seen| seen.upstream != *upstream || seen.etag != *etag);
        seen.truncate(MAX_CATALOGUES - 1);
        seen.push_front(Seen {
            upstream: upstream.clone(),
            etag: etag.clone(),
            models: listed.models().cloned().collect(),
        });
    }

    /// The models of a catalogue, if it passed here.
    fn get(&self, upstream: &UpstreamName, etag: &HeaderValue) -> Option<Arc<[ModelId]>> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = seen
            .iter()
            .find(|seen| seen.upstream == *upstream && seen.etag == *etag);
        found.map(|seen| Arc::clone(&seen.models))
    }

    /// Whether this caller gets the upstream's catalogue of this etag as it is, so that the
    /// upstream may answer "not modified".
    pub fn is_passed_on(
        &self,
        live: &ActiveConfig,
        viewer: &Viewer<'_>,
        upstream: &UpstreamName,
        etag: &HeaderValue,
    ) -> bool {
        // With entries of the operator's the tag is ours.
        live.own_entries.is_none()
            && self
                .get(upstream, etag)
                .is_some_and(|models| viewer.hidden(live, models.iter()).is_empty())
    }
}

#[cfg(test)]
mod tests;
