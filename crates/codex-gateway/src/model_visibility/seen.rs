//! Which models the upstreams' catalogues list, by the etag under which they were seen.

use std::sync::Arc;

use gateway_policy::{ModelId, UpstreamName};
use http::HeaderValue;

use crate::bounded_map::BoundedMap;
use crate::codex_catalog::file::Listed;

/// Most catalogues whose models are remembered; the one that was seen longest ago makes room.
const MAX_CATALOGS: usize = 64;

/// The models of the catalogues that passed through lately, by upstream and etag.
#[derive(Debug)]
pub struct SeenCatalogs(BoundedMap<(UpstreamName, HeaderValue), Arc<[ModelId]>>);

impl Default for SeenCatalogs {
    fn default() -> Self {
        Self(BoundedMap::new(MAX_CATALOGS))
    }
}

impl SeenCatalogs {
    /// Remembers a catalogue that passed through.
    pub fn remember(&self, upstream: &UpstreamName, etag: &HeaderValue, listed: &Listed) {
        let models = listed.models().cloned().collect();
        self.0.insert((upstream.clone(), etag.clone()), models);
    }

    /// The models of a catalogue, if it passed through.
    pub(super) fn get(
        &self,
        upstream: &UpstreamName,
        etag: &HeaderValue,
    ) -> Option<Arc<[ModelId]>> {
        self.0.get(&(upstream.clone(), etag.clone()))
    }
}
