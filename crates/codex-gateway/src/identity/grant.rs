//! What a caller may do, and what limits it: worked out of the directory once per change, not once per
//! request.

use gateway_ledger::{Directory, KeyRecord};
use gateway_policy::limit::ScopeLimits;
use gateway_policy::{AuthRoute, ModelId, ModelPattern};

/// What a caller may do and what limits it.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    /// Globs over models; `None` for one that cannot be compiled, which covers nothing. Empty: all
    /// models.
    models: Vec<(String, Option<ModelPattern>)>,
    /// Empty: all routes.
    routes: Vec<AuthRoute>,
    /// The limits of the key, its team and the gateway; empty where nothing limits.
    limits: Vec<ScopeLimits>,
}

impl Grant {
    /// From the directory: of a key, or without one of every caller.
    pub fn new(directory: &Directory, key: Option<&KeyRecord>) -> Self {
        let globs = key.map(|key| key.models.as_slice()).unwrap_or_default();
        Self {
            models: globs
                .iter()
                .map(|glob| (glob.clone(), ModelPattern::new(glob).ok()))
                .collect(),
            routes: key.map(|key| key.routes.clone()).unwrap_or_default(),
            limits: directory.limits(key),
        }
    }

    /// The same with one more scope that limits.
    #[must_use]
    pub fn limited_too(&self, limits: ScopeLimits) -> Self {
        let mut grant = self.clone();
        grant.limits.push(limits);
        grant
    }

    /// Whether a model may be used.
    pub fn permits_model(&self, model: &ModelId) -> bool {
        self.models.is_empty()
            || self
                .models
                .iter()
                .filter_map(|(_, pattern)| pattern.as_ref())
                .any(|pattern| pattern.matches(model))
    }

    /// The globs as they were given, for a person.
    fn models(&self) -> String {
        let globs: Vec<&str> = self.models.iter().map(|(glob, _)| glob.as_str()).collect();
        globs.join(", ")
    }

    /// The routes as words, for a person.
    fn routes(&self) -> String {
        let words: Vec<&str> = self.routes.iter().map(|route| route.as_str()).collect();
        words.join(", ")
    }

    /// Checks that the key of this name may use a model.
    ///
    /// # Errors
    /// When it may not; the text names the models that it may use.
    pub fn check_model(&self, key: &str, model: &ModelId) -> Result<(), Denied> {
        if self.permits_model(model) {
            return Ok(());
        }
        Err(Denied(format!(
            "gateway key `{key}` may not use {model}. Models it may use: {}",
            self.models()
        )))
    }

    /// Checks that the key of this name may be used on an auth route.
    ///
    /// # Errors
    /// When it may not; the text names the routes that it is for.
    pub fn check_route(&self, key: &str, route: AuthRoute) -> Result<(), Denied> {
        if self.routes.is_empty() || self.routes.contains(&route) {
            return Ok(());
        }
        Err(Denied(format!(
            "gateway key `{key}` may not be used on the {route} route; it is for: {}",
            self.routes()
        )))
    }

    /// What limits the caller.
    pub fn limits(&self) -> &[ScopeLimits] {
        &self.limits
    }
}

/// A gateway key does not permit what was asked; the text is for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(String);
