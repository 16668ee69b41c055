//! The catalogue as people see it: who may use which model, what it costs, what would follow, and
//! who says so.

use std::collections::BTreeMap;

use gateway_policy::catalog::{GeneralStatement, LifecycleStatus, SourceDocument};
use gateway_policy::{Access, AuthRoute, ModelEntry, ModelId, NoMemory, Subject};
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Settings;
use crate::reports::price_tag::PriceTag;

/// Every model that the catalogue, the rules or a chain's rules name.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelsReport<'a> {
    pub models: Vec<ModelLine<'a>>,
    /// The routes that were looked at: the one asked for, or all that have an upstream.
    pub routes: Vec<AuthRoute>,
    pub sources: &'a [SourceDocument],
    /// Statements about no model in particular.
    pub facts: &'a [GeneralStatement],
    pub price_version: String,
}

/// One model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelLine<'a> {
    pub model: ModelId,
    pub standing: Option<LifecycleStatus>,
    /// Where Codex offers it: `cli`, `app`, `cloud`.
    pub surfaces: Vec<&'static str>,
    pub context: Option<u64>,
    pub routes: BTreeMap<AuthRoute, RouteLine>,
    pub price: PriceTag,
    /// Every statement with its source and date, the newest first.
    pub card: Option<&'a ModelEntry>,
}

/// What becomes of an ordinary turn for a model on a route.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteLine {
    #[serde(flatten)]
    pub access: Access,
    /// What would follow on a refusal, in order.
    pub fallback: Vec<ModelId>,
}

/// The report, of one route or of all that have an upstream.
pub fn models(settings: &Settings, route: Option<AuthRoute>, day: Date) -> ModelsReport<'_> {
    let policy = &settings.policy;
    let routes: Vec<AuthRoute> = match route {
        Some(route) => vec![route],
        None => AuthRoute::ALL
            .into_iter()
            .filter(|route| policy.route_upstream(*route).is_some())
            .collect(),
    };
    let mut models: Vec<ModelLine<'_>> = Vec::new();
    for route in &routes {
        // The same models in the same order for every route.
        for (at, view) in policy
            .models_for(Subject::new(*route), &NoMemory)
            .into_iter()
            .enumerate()
        {
            let line = RouteLine {
                access: view.access,
                fallback: view.fallbacks,
            };
            if let Some(known) = models.get_mut(at) {
                known.routes.insert(*route, line);
                continue;
            }
            let card = view.entry;
            models.push(ModelLine {
                price: PriceTag::of(&settings.prices.table, &view.model, day),
                standing: card.and_then(|card| card.standing.current()).copied(),
                surfaces: card.map(surfaces).unwrap_or_default(),
                context: card.and_then(|card| card.context.current()).copied(),
                routes: BTreeMap::from([(*route, line)]),
                model: view.model,
                card,
            });
        }
    }
    ModelsReport {
        models,
        routes,
        sources: policy.catalog().sources(),
        facts: policy.catalog().general_statements(),
        price_version: settings.prices.table.version().to_owned(),
    }
}

fn surfaces(card: &ModelEntry) -> Vec<&'static str> {
    [
        ("cli", &card.cli),
        ("app", &card.app),
        ("cloud", &card.cloud),
    ]
    .into_iter()
    .filter(|(_, said)| said.current() == Some(&true))
    .map(|(name, _)| name)
    .collect()
}
