//! The answer of `explain`, from the same decision as for a real request, with an empty memory; what
//! a server has learned is said beside it.

use gateway_ledger::ModelRefusal;
use gateway_policy::{AuthRoute, Explanation, ModelId, NoMemory};
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{Settings, SourceMap};
use crate::reports::explain::key_context::KeyContext;
use crate::reports::explain::query::ExplainQuery;
use crate::reports::price_tag::PriceTag;

/// The answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explained {
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What the served model costs; absent when none would serve.
    pub price: Option<PriceTag>,
    /// The configuration that was asked.
    pub config: String,
    /// Refusals learned by the server that answers, of models that this request would ask. They
    /// hold for one caller each, and who would ask is not known here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<ModelRefusal>,
    /// What the store says of the key and the team; absent when neither was named.
    #[serde(rename = "holder", skip_serializing_if = "Option::is_none")]
    pub key_context: Option<KeyContext>,
}

impl Explained {
    /// Adds what a running server believes at present and what that changes.
    #[must_use]
    pub fn with_learned(mut self, facts: Vec<ModelRefusal>, plan: Option<&str>) -> Self {
        let it = &mut self.explanation;
        let first = it.model_served.clone().zip(it.upstream.clone());
        let followers = it
            .fallbacks
            .iter()
            .filter_map(|next| Some((next.model.clone(), next.upstream.clone()?)));
        let asked: Vec<_> = first.into_iter().chain(followers).collect();
        self.learned = facts
            .into_iter()
            .filter(|fact| fact.route == it.route)
            .filter(|fact| plan.is_none() || fact.plan.as_deref() == plan)
            .filter(|fact| {
                let refused = ModelId::new(&fact.model).ok();
                asked.iter().any(|(model, upstream)| {
                    refused.as_ref() == Some(model) && upstream.as_str() == fact.upstream
                })
            })
            .collect();
        for fact in &self.learned {
            let caller = fact
                .credential
                .as_deref()
                .map_or_else(String::new, |digest| format!(" for caller {digest}"));
            it.notes.push(format!(
                "upstream `{}` refused `{}`{caller} recently: until {} it is skipped there \
                 where the chain offers another",
                fact.upstream,
                fact.model,
                fact.expires_at.strftime("%Y-%m-%d %H:%M:%SZ")
            ));
        }
        self
    }
}

/// Explains. `day` is the day whose prices hold.
pub fn explain(
    settings: &Settings,
    places: &SourceMap,
    query: &ExplainQuery,
    day: Date,
) -> Explained {
    let mut explanation = settings.policy.explain(&query.request(), &NoMemory);
    explanation.locate(|span| places.name(span));
    if let Some(note) = key_note(settings, query, &explanation) {
        explanation.notes.push(note);
    }
    let price = explanation
        .model_served
        .as_ref()
        .map(|model| PriceTag::of(&settings.prices.table, model, day));
    Explained {
        explanation,
        price,
        config: places.path().to_owned(),
        learned: Vec::new(),
        key_context: None,
    }
}

/// What the rules do not see: whether this caller may use the gateway, and its upstream's own
/// credential, at all.
fn key_note(
    settings: &Settings,
    query: &ExplainQuery,
    explanation: &Explanation,
) -> Option<String> {
    let has_key = query.route == AuthRoute::GatewayKey || query.key.is_some();
    if has_key {
        return None;
    }
    if settings.share.is_key_required {
        return Some(
            "this gateway requires a gateway key: without one in `x-gateway-key`, the request is \
             refused first"
                .to_owned(),
        );
    }
    let upstream = explanation.upstream.as_ref()?;
    let is_shared = settings.credentials.contains_key(upstream.as_str());
    (is_shared && !settings.share.is_open).then(|| {
        format!(
            "upstream `{upstream}` uses the gateway's credential: it serves only holders of \
             gateway keys"
        )
    })
}
