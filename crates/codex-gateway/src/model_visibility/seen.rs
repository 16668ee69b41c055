//! Which models the upstreams' catalogues list, by the etag under which they were seen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gateway_policy::{ModelId, UpstreamName};
use http::HeaderValue;

use crate::codex_catalog::file::Listed;

/// Most catalogues whose models are remembered.
const MAX_CATALOGS: usize = 64;

/// The catalogues that passed here lately.
#[derive(Debug, Default)]
pub struct SeenCatalogs(Mutex<VecDeque<SeenCatalog>>);

#[derive(Debug)]
struct SeenCatalog {
    upstream: UpstreamName,
    etag: HeaderValue,
    models: Arc<[ModelId]>,
}

impl SeenCatalogs {
    /// Remembers a catalogue that passed; the oldest makes room.
    pub fn remember(&self, upstream: &UpstreamName, etag: &HeaderValue, listed: &Listed) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|seen| seen.upstream != *upstream || seen.etag != *etag);
        seen.truncate(MAX_CATALOGS - 1);
        seen.push_front(SeenCatalog {
            upstream: upstream.clone(),
            etag: etag.clone(),
            models: listed.models().cloned().collect(),
        });
    }

    /// The models of a catalogue, if it passed here.
    pub(super) fn get(
        &self,
        upstream: &UpstreamName,
        etag: &HeaderValue,
    ) -> Option<Arc<[ModelId]>> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = seen
            .iter()
            .find(|seen| seen.upstream == *upstream && seen.etag == *etag);
        found.map(|seen| Arc::clone(&seen.models))
    }
}
