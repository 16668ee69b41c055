//! Keeps the client's picker true: entries of a catalogue that this caller cannot use are hidden in
//! it, and the etag says so. Edits one word of an entry in place; never makes, drops or rebuilds an
//! entry.
//!
//! Hidden and not left out: a client that lays our entries over a list of its own would go on
//! showing what is missing here, and a session that runs on such a model still needs its entry.

mod seen;

use bytes::Bytes;
use gateway_policy::{Access, AuthRoute, Memory, ModelId, NoMemory, UpstreamName};
use http::{HeaderName, HeaderValue};

use crate::codex_catalog::file::Listed;
use crate::config::active::ActiveConfig;
use crate::identity::caller::Caller;
use crate::secret::digest;
pub use seen::SeenCatalogs;

/// On answers: the etag of the catalogue that this caller would get.
pub const ETAG_HEADER: HeaderName = HeaderName::from_static("x-models-etag");

/// A catalogue as one caller gets it.
pub struct Shown {
    pub text: Bytes,
    pub etag: Option<HeaderValue>,
    /// Whether it differs from what it was made of.
    pub is_changed: bool,
}

/// A caller that looks at a catalogue, under a pinned configuration.
pub struct Viewer<'a> {
    pub config: &'a ActiveConfig,
    pub caller: &'a Caller,
    /// What the client calls itself.
    pub client: Option<&'a str>,
    pub memory: &'a (dyn Memory + Sync),
}

/// What an answer says about the catalogue that its caller would get.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AnswerTag {
    /// Its etag.
    pub etag: Option<HeaderValue>,
    /// Whether that is the upstream's own catalogue, so that its word for it is true here.
    pub is_upstreams_own: bool,
}

impl Viewer<'_> {
    /// Hides what the caller cannot use. Without an etag of its own, a catalogue that is changed
    /// gets one of its bytes.
    pub fn show(&self, text: Bytes, etag: Option<HeaderValue>, listed: &Listed) -> Shown {
        let hidden = self.hidden(listed.models());
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

    /// What an answer of an upstream says about the catalogue. `sent`: the upstream's own etag.
    pub fn answer_tag(
        &self,
        catalogs: &SeenCatalogs,
        upstream: &UpstreamName,
        sent: Option<&HeaderValue>,
    ) -> AnswerTag {
        let config = self.config;
        let is_upstreams = self.caller.route == AuthRoute::Chatgpt && config.catalog.is_none();
        if !is_upstreams {
            let catalog = config.catalog.as_ref().or(config.own_entries.as_ref());
            let etag = catalog
                .and_then(|catalog| derived(&catalog.etag, &self.hidden(catalog.listed.models())));
            return AnswerTag {
                etag,
                is_upstreams_own: false,
            };
        }
        // Another upstream than that of the route speaks of another catalogue.
        let of_route = config.settings.policy.route_upstream(self.caller.route);
        if of_route.is_none_or(|of_route| of_route.name != *upstream) {
            return AnswerTag::default();
        }
        let Some(sent) = sent else {
            return AnswerTag {
                etag: None,
                is_upstreams_own: config.own_entries.is_none() && self.hidden_of_known().is_empty(),
            };
        };
        let base = with_entries(config, sent);
        let etag = base.and_then(|base| match catalogs.get(upstream, &base) {
            Some(models) => derived(&base, &self.hidden(models.iter())),
            // It was not asked for since the start. When something may be hidden, an etag that no
            // client holds makes the client ask.
            None => derived(&base, &self.hidden_of_known()),
        });
        AnswerTag {
            is_upstreams_own: config.own_entries.is_none() && etag.as_ref() == Some(sent),
            etag,
        }
    }

    /// Whether this caller gets the upstream's catalogue of this etag as it is, so that the upstream
    /// may answer "not modified".
    pub fn gets_unchanged(
        &self,
        catalogs: &SeenCatalogs,
        upstream: &UpstreamName,
        etag: &HeaderValue,
    ) -> bool {
        // With entries of the operator's the tag is ours.
        self.config.own_entries.is_none()
            && catalogs
                .get(upstream, etag)
                .is_some_and(|models| self.hidden(models.iter()).is_empty())
    }

    /// The models among these that the rules reject or the upstream refuses, in their order.
    fn hidden<'m>(&self, models: impl Iterator<Item = &'m ModelId>) -> Vec<ModelId> {
        let subject = self.caller.subject(self.client);
        let policy = &self.config.settings.policy;
        let is_hidden = |model: &ModelId| match policy.access(subject, model, self.memory) {
            Access::Rejected { .. } | Access::Refused { .. } => true,
            // A route without an upstream serves nothing; that says nothing about a model.
            Access::Served { .. } | Access::Rewritten { .. } | Access::Unrouted => false,
        };
        models.filter(|model| is_hidden(model)).cloned().collect()
    }

    /// The same among all models that the catalogue and the rules know.
    fn hidden_of_known(&self) -> Vec<ModelId> {
        let subject = self.caller.subject(self.client);
        let known = self.config.settings.policy.models_for(subject, &NoMemory);
        self.hidden(known.iter().map(|view| &view.model))
    }
}

/// The etag of an upstream's catalogue with the operator's entries behind its own.
pub fn with_entries(config: &ActiveConfig, sent: &HeaderValue) -> Option<HeaderValue> {
    let Some(entries) = &config.own_entries else {
        return Some(sent.clone());
    };
    quoted(&digest(
        &[sent.as_bytes(), b"\n", entries.etag.as_bytes()].concat(),
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

#[cfg(test)]
mod tests;
