//! Warnings about budgets that the log gets once, and not with every request.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use gateway_policy::limit::{Budget, Period};
use gateway_policy::{Billing, ModelId};

/// Clients name models: beyond so many, nothing more is remembered and nothing more is logged.
const MAX_UNPRICED: usize = 256;

/// Which warnings were logged.
#[derive(Debug, Default)]
pub(super) struct WarningDedup {
    soft_thresholds: Mutex<HashSet<Threshold>>,
    unpriced_models: Mutex<HashSet<ModelId>>,
}

/// A budget's owner, its money, its window, and the day the window began.
type Threshold = (String, Billing, &'static str, Option<jiff::civil::Date>);

impl WarningDedup {
    /// Whether a budget reaches its soft threshold for the first time in this period. Forgets older
    /// periods of the same budget.
    pub(super) fn is_first_crossing(&self, scope: &str, budget: &Budget, period: Period) -> bool {
        let window = budget.window.as_str();
        let first = period.days.map(|(first, _)| first);
        let mut logged = lock(&self.soft_thresholds);
        let key = (scope.to_owned(), budget.billing, window, first);
        if logged.contains(&key) {
            return false;
        }
        logged.retain(|(of, billing, word, _)| {
            (of.as_str(), *billing, *word) != (scope, budget.billing, window)
        });
        logged.insert(key)
    }

    /// Whether a model without a price is used for the first time where a budget counts.
    pub(super) fn is_first_unpriced(&self, model: &ModelId) -> bool {
        let mut logged = lock(&self.unpriced_models);
        logged.len() < MAX_UNPRICED && logged.insert(model.clone())
    }
}

fn lock<T>(set: &Mutex<HashSet<T>>) -> std::sync::MutexGuard<'_, HashSet<T>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use gateway_policy::limit::Window;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_soft_threshold_is_logged_once_a_period() {
        let warnings = WarningDedup::default();
        let budget = Budget {
            nanos: 1,
            window: Window::Day,
            billing: Billing::Metered,
            soft_percent: Some(80),
        };
        let at = |text: &str| {
            let at: Timestamp = text.parse().unwrap();
            Window::Day.period(at, &TimeZone::UTC)
        };
        let (today, tomorrow) = (at("2026-11-20T10:00:00Z"), at("2026-11-21T10:00:00Z"));
        assert!(warnings.is_first_crossing("team:a", &budget, today));
        assert!(!warnings.is_first_crossing("team:a", &budget, today));
        assert!(warnings.is_first_crossing("team:b", &budget, today));
        assert!(warnings.is_first_crossing("team:a", &budget, tomorrow));
        assert_eq!(warnings.soft_thresholds.lock().unwrap().len(), 2);
    }

    #[test]
    fn models_without_a_price_are_logged_once_and_a_flood_of_names_is_bounded() {
        let warnings = WarningDedup::default();
        let model = |n: usize| ModelId::new(&format!("model-{n}")).unwrap();
        assert!(warnings.is_first_unpriced(&model(0)));
        assert!(!warnings.is_first_unpriced(&model(0)));
        let logged = (1..1000).filter(|n| warnings.is_first_unpriced(&model(*n)));
        assert_eq!(logged.count(), MAX_UNPRICED - 1);
    }
}
