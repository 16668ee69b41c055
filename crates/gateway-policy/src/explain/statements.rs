//! What the catalogue says about using a model on a route.

use std::sync::Arc;

use super::explanation::ExplainedStatement;
use crate::auth_route::AuthRoute;
use crate::catalog::{Catalog, ModelEntry, Sourced};

/// Collects statements about one model.
struct Statements<'c> {
    catalog: &'c Catalog,
    entry: &'c ModelEntry,
    found: Vec<ExplainedStatement>,
}

/// The statements that concern a model on a route: whether it may be used, and its lifecycle.
pub(super) fn statements(
    catalog: &Catalog,
    entry: &ModelEntry,
    route: AuthRoute,
) -> Vec<ExplainedStatement> {
    let mut found = Statements {
        catalog,
        entry,
        found: Vec::new(),
    };
    if let Some(said) = entry.routes.get(&route) {
        found.add(said, |usable| {
            availability(*usable, &format!("on the {route} route"))
        });
    }
    match route {
        AuthRoute::ApiKey | AuthRoute::GatewayKey => {
            found.add(&entry.api, |usable| {
                availability(*usable, "with an API key")
            });
        }
        AuthRoute::Chatgpt => found.add(&entry.plans, |plans| {
            let plans = plans.join(", ");
            format!("claimed for the plans {plans}; the upstream decides")
        }),
        AuthRoute::Anonymous => {}
    }
    found.add(&entry.standing, |standing| format!("standing: {standing}"));
    found.add(&entry.successor, |model| format!("succeeded by {model}"));
    found.add(&entry.floating, |_| {
        "a floating alias; pin a versioned id".to_owned()
    });
    found.add(&entry.remarks, Clone::clone);
    found.found
}

fn availability(is_usable: bool, place: &str) -> String {
    if is_usable {
        format!("available {place}")
    } else {
        format!("not available {place}")
    }
}

impl Statements<'_> {
    fn add<T: PartialEq>(&mut self, said: &Sourced<T>, text: impl Fn(&T) -> String) {
        for statement in said.statements() {
            let source = self.catalog.source(&statement.source);
            self.found.push(ExplainedStatement {
                model: self.entry.id.clone(),
                text: text(&statement.value),
                source: Arc::clone(&statement.source),
                title: source.map(|it| it.title.clone()).unwrap_or_default(),
                date: Arc::clone(&statement.date),
                is_superseded: said.current() != Some(&statement.value),
            });
        }
    }
}
