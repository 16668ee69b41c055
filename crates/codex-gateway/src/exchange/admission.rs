//! Step 5a: limits and budgets. Works out what a request is likely to cost, has it set aside, and
//! words a refusal. Where nothing limits a caller, nothing is asked and no store is touched.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use gateway_ledger::{Admission, Claim};
use gateway_policy::limit::{Budget, Period, Refusal, RefusedBy, Scope};
use gateway_policy::{Billing, ModelId};
use gateway_wire::Usage;
use tokio::sync::oneshot;

use crate::app::App;
use crate::config::Unpriced;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::credentials::Caller;
use crate::identity::keys::Grant;
use crate::record::Exchange;

/// Bytes of JSON per token.
const PER_TOKEN: u64 = 4;
/// Output tokens of a request that names no bound: more than most Codex turns write, and little
/// enough that a small budget still lets somebody work. `docs/keys.md` says so.
const LIKELY_OUTPUT: u64 = 4096;
/// A bound above what any model writes says nothing; taken at its word, it would have no price and
/// count as nothing.
const MOST_OUTPUT: u64 = 1 << 20;

/// Whether this is the first claim of the exchange, or one for another model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    First,
    Again,
}

/// Budgets of which was said already, in their running period, that they are nearly spent.
#[derive(Debug, Default)]
pub struct SoftWarnings(Mutex<HashSet<Warned>>);

/// Models of which was said already that budgets do not see them.
#[derive(Debug, Default)]
pub struct UnpricedWarnings(Mutex<HashSet<ModelId>>);

/// Clients name models: beyond so many, nothing more is remembered and nothing more is said.
const MOST_UNPRICED: usize = 256;

impl UnpricedWarnings {
    fn is_news(&self, model: &ModelId) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < MOST_UNPRICED && said.insert(model.clone())
    }
}

/// A budget's owner, its money, its window, and the day the window began.
type Warned = (String, Billing, &'static str, Option<jiff::civil::Date>);

impl SoftWarnings {
    /// Whether this is news. Forgets older periods of the same budget.
    fn is_news(&self, scope: &str, budget: &Budget, period: Period) -> bool {
        let window = budget.window.as_str();
        let first = period.days.map(|(first, _)| first);
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (scope.to_owned(), budget.billing, window, first);
        if said.contains(&key) {
            return false;
        }
        said.retain(|(of, billing, word, _)| {
            (of.as_str(), *billing, *word) != (scope, budget.billing, window)
        });
        said.insert(key)
    }
}

/// Asks whether the exchange may go on, and has its likely cost set aside.
pub async fn admit(app: &App, exchange: &Exchange, turn: Turn) -> Result<(), GatewayError> {
    let Some(caller) = &exchange.caller else {
        return Ok(());
    };
    let grant = grant(app, caller);
    if grant.limits().is_empty() {
        return Ok(());
    }
    let likely = likely(app, exchange);
    if likely.is_unpriced {
        unpriced(app, exchange, &grant)?;
    }
    let claim = Claim {
        id: exchange.id.entry().clone(),
        at: exchange.started_at,
        billing: exchange.billing,
        nanos: likely.nanos,
        tokens: likely.tokens,
        scopes: grant.limits().to_vec(),
    };
    match ask(app, claim, turn).await? {
        Admission::Granted { soft_crossed } => {
            for (scope, budget) in &soft_crossed {
                warn_once(app, exchange, scope, budget);
            }
            Ok(())
        }
        Admission::Refused(refusal) => {
            app.metrics
                .limit_rejections
                .with_label_values(&[refusal.kind()])
                .inc();
            Err(refused(app, &refusal))
        }
    }
}

/// Whether anything limits the caller.
pub fn is_limited(app: &App, exchange: &Exchange) -> bool {
    let caller = exchange.caller.as_ref();
    caller.is_some_and(|caller| !grant(app, caller).limits().is_empty())
}

/// Whether a budget or a limit counts what the caller uses, beyond how many requests.
pub fn is_usage_counted(app: &App, exchange: &Exchange) -> bool {
    let caller = exchange.caller.as_ref();
    caller.is_some_and(|caller| {
        grant(app, caller)
            .limits()
            .iter()
            .any(|scope| !scope.budgets.is_empty() || scope.limits.tokens_per_minute.is_some())
    })
}

fn grant(app: &App, caller: &Caller) -> Arc<Grant> {
    let key = caller.key.as_ref();
    key.map_or_else(|| app.keys.keyless(), |key| Arc::clone(&key.grant))
}

/// What a request is likely to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Likely {
    nanos: i64,
    tokens: u64,
    /// A model is named and nobody knows what it costs.
    is_unpriced: bool,
}

/// The input from the size of the body, as if nothing of it were cached; the output from the
/// request's own bound. A model without a price costs nothing here.
fn likely(app: &App, exchange: &Exchange) -> Likely {
    let input = exchange.request_bytes.div_ceil(PER_TOKEN);
    let output = exchange
        .max_output_tokens
        .map_or(LIKELY_OUTPUT, |bound| bound.min(MOST_OUTPUT));
    let live = app.live.load();
    let priced = exchange.model_served.as_ref().and_then(|model| {
        let usage = Usage::new(input, 0, 0, output, 0).ok()?;
        let tier = exchange.service_tier_requested.as_deref();
        live.settings
            .prices
            .table
            .cost(model, usage, tier, app.clock.date())
            .nanos()
    });
    Likely {
        nanos: priced.unwrap_or(0),
        tokens: input.saturating_add(output),
        is_unpriced: exchange.model_served.is_some() && priced.is_none(),
    }
}

/// A budget in money cannot count a model without a price: refused where the operator wishes, and
/// said once where not.
fn unpriced(app: &App, exchange: &Exchange, grant: &Grant) -> Result<(), GatewayError> {
    let Some(model) = &exchange.model_served else {
        return Ok(());
    };
    let counting = grant.limits().iter().find(|limits| {
        let budgets = &limits.budgets;
        budgets
            .iter()
            .any(|budget| budget.billing == exchange.billing)
    });
    let Some(counting) = counting else {
        return Ok(());
    };
    let whose = app.keys.describe(&counting.scope);
    if app.live.load().settings.prices.unpriced == Unpriced::Refuse {
        app.metrics
            .limit_rejections
            .with_label_values(&["unpriced"])
            .inc();
        return Err(GatewayError::new(
            ErrorCode::ModelNotFound,
            format!(
                "{model} has no price here, so the budget of {whose} cannot count it; use a \
                 priced model, or ask the gateway's operator to add a price"
            ),
        )
        .param("model"));
    }
    if app.unpriced_warnings.is_news(model) {
        tracing::warn!(
            model = %model,
            "{model} has no price, so the budget of {whose} does not count it; add a row in a \
             file of [prices], or set `unpriced = \"refuse\"` there"
        );
    }
    Ok(())
}

/// Asks in a task of its own: when the client leaves while the store decides, what was set aside is
/// given back.
async fn ask(app: &App, claim: Claim, turn: Turn) -> Result<Admission, GatewayError> {
    let (reply, answer) = oneshot::channel();
    let ledger = app.books.ledger().clone();
    app.tasks.spawn_exchange(async move {
        let id = claim.id.clone();
        let admission = match turn {
            Turn::First => ledger.reserve(claim).await,
            Turn::Again => ledger.reserve_again(claim).await,
        };
        if reply.send(admission).is_err() {
            ledger.withdraw(&id);
        }
    });
    let unavailable = || {
        GatewayError::new(
            ErrorCode::StorageUnavailable,
            "the gateway cannot look at its budgets and limits, so nothing was sent; try again in a moment",
        )
    };
    match answer.await {
        Ok(Ok(admission)) => Ok(admission),
        Ok(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the ledger does not take the reservation"
            );
            Err(unavailable())
        }
        Err(_) => Err(unavailable()),
    }
}

fn warn_once(app: &App, exchange: &Exchange, scope: &Scope, budget: &Budget) {
    let live = app.live.load();
    let period = budget
        .window
        .period(exchange.started_at, &live.settings.storage.time_zone);
    if !app.soft_warnings.is_news(&scope.as_text(), budget, period) {
        return;
    }
    app.metrics
        .soft_budgets_reached
        .with_label_values(&[scope_kind(scope)])
        .inc();
    tracing::warn!(
        scope = scope.as_text(),
        window = budget.window.as_str(),
        billing = budget.billing.as_str(),
        soft_percent = budget.soft_percent,
        "the budget of {} ({}) has reached its soft threshold",
        app.keys.describe(scope),
        amount(budget)
    );
}

/// Keys are no label values.
const fn scope_kind(scope: &Scope) -> &'static str {
    match scope {
        Scope::Key(_) => "key",
        Scope::Team(_) => "team",
        Scope::Gateway => "gateway",
    }
}

/// `5.00 USD a day`.
pub fn amount(budget: &Budget) -> String {
    let nanos = budget.nanos.max(0);
    let (whole, cents) = (nanos / 1_000_000_000, nanos % 1_000_000_000 / 10_000_000);
    let window = match budget.window {
        gateway_policy::limit::Window::Day => "a day",
        gateway_policy::limit::Window::Week => "a week",
        gateway_policy::limit::Window::Month => "a month",
        gateway_policy::limit::Window::Total => "in total",
    };
    format!("{whole}.{cents:02} USD {window}")
}

fn refused(app: &App, refusal: &Refusal) -> GatewayError {
    let whose = app.keys.describe(&refusal.scope);
    let message = match refusal.limit {
        RefusedBy::Budget {
            budget, resets_at, ..
        } => {
            let again = match resets_at {
                Some(at) => {
                    let live = app.live.load();
                    let zoned = at.to_zoned(live.settings.storage.time_zone.clone());
                    format!("it begins anew at {}", zoned.strftime("%Y-%m-%d %H:%M %Z"))
                }
                None => "it does not begin anew".to_owned(),
            };
            format!(
                "the budget of {whose} ({}) is spent, or what is left is too little for this \
                 request; {again}, or ask the gateway's operator for more",
                amount(&budget)
            )
        }
        RefusedBy::Reservations { budget } => format!(
            "what is left of the budget of {whose} ({}) is set aside for requests in flight; try \
             again when they have ended",
            amount(&budget)
        ),
        RefusedBy::Requests { .. } => {
            format!("{whose} has used up its requests per minute; try again after `retry-after`")
        }
        RefusedBy::Tokens { .. } => {
            format!("{whose} has used up its tokens per minute; try again after `retry-after`")
        }
        RefusedBy::Concurrency => {
            format!(
                "{whose} has as many requests in flight as it may; try again when one has ended"
            )
        }
    };
    let Some(wait) = refusal.retry_after() else {
        let mut error = GatewayError::new(ErrorCode::UsageLimitReached, message);
        // The word that makes Codex show its limit screen, and offer to ask the admin.
        error.extra.push(("plan_type", "team".into()));
        if let Some(at) = refusal.resets_at() {
            error.extra.push(("resets_at", at.as_second().into()));
        }
        return error;
    };
    let mut error = GatewayError::new(ErrorCode::RateLimitExceeded, message);
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    error.retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
    error
}

#[cfg(test)]
mod tests {
    use gateway_policy::limit::Window;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    fn budget(nanos: i64) -> Budget {
        Budget {
            nanos,
            window: Window::Day,
            billing: Billing::Metered,
            soft_percent: Some(80),
        }
    }

    #[test]
    fn a_soft_threshold_is_told_once_a_period() {
        let warnings = SoftWarnings::default();
        let at = |text: &str| {
            let at: Timestamp = text.parse().unwrap();
            Window::Day.period(at, &TimeZone::UTC)
        };
        let (today, tomorrow) = (at("2026-11-20T10:00:00Z"), at("2026-11-21T10:00:00Z"));
        assert!(warnings.is_news("team:a", &budget(1), today));
        assert!(!warnings.is_news("team:a", &budget(1), today));
        assert!(warnings.is_news("team:b", &budget(1), today));
        assert!(warnings.is_news("team:a", &budget(1), tomorrow));
        assert_eq!(warnings.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn amounts_read_as_money() {
        assert_eq!(amount(&budget(5_000_000_000)), "5.00 USD a day");
        assert_eq!(amount(&budget(70_000_000)), "0.07 USD a day");
    }
}
