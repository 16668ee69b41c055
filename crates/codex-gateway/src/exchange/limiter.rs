//! Step 5a: limits and budgets. Estimates what a request will cost, reserves that much, and words a
//! refusal. Where nothing limits a caller, no store is touched.

pub mod plain_calls;
mod warnings;

use std::sync::Arc;

use gateway_ledger::{Admission, Claim, Ledger};
use gateway_policy::AuthRoute;
use gateway_policy::limit::{Budget, Refusal, RefusedBy, Scope};
use gateway_wire::Usage;
use gateway_wire::request::RequestHead;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::Unpriced;
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::caller::Caller;
use crate::identity::grant::Grant;
use crate::identity::keys::Keys;
use crate::metrics::Metrics;
use crate::record::Exchange;
use crate::tasks::Tasks;
use warnings::WarningDedup;

/// Bytes of JSON per token.
const BYTES_PER_TOKEN: u64 = 4;
/// Output tokens of a request that names no bound: more than most Codex turns write, and little
/// enough that a small budget is still useful. `docs/keys.md` says so.
const DEFAULT_OUTPUT_TOKENS: u64 = 4096;
/// A bound above what any model writes says nothing; taken at its word, it would have no price and
/// count as nothing.
const MAX_OUTPUT_TOKENS: u64 = 1 << 20;

/// Admits requests within the limits of their callers.
pub struct Limiter {
    ledger: Ledger,
    keys: Arc<Keys>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    clock: Clock,
    warnings: WarningDedup,
}

/// Whether a reservation is the first of its exchange, or replaces it for another model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    Again,
}

impl Limiter {
    /// A limiter whose reservations are in `ledger`.
    pub fn new(
        ledger: Ledger,
        keys: Arc<Keys>,
        metrics: Arc<Metrics>,
        tasks: Tasks,
        clock: Clock,
    ) -> Self {
        Self {
            ledger,
            keys,
            metrics,
            tasks,
            clock,
            warnings: WarningDedup::default(),
        }
    }

    /// What a caller may use: pinned for a whole request. A repository is the caller's own word:
    /// its budgets come on top of all others and take none away.
    pub fn grant(&self, caller: &Caller, repo: Option<&str>) -> Arc<Grant> {
        let key = caller.key.as_ref();
        let grant = key.map_or_else(|| self.keys.keyless(), |key| Arc::clone(&key.grant));
        match repo.and_then(|repo| self.keys.repo_limits(repo)) {
            Some(limits) => Arc::new(grant.limited_too(limits)),
            None => grant,
        }
    }

    /// Reserves what an exchange will probably cost. Returns the tokens that a budget counts on;
    /// `None` where no budget counts the exchange.
    ///
    /// # Errors
    /// When a key is no longer valid, a limit is reached, or the store does not answer.
    pub async fn reserve(
        &self,
        config: &ActiveConfig,
        grant: &Grant,
        exchange: &Exchange,
    ) -> Result<Option<Usage>, GatewayError> {
        if let Some(caller) = &exchange.caller
            && let Some(key) = &caller.key
        {
            let is_chatgpt = caller.route == AuthRoute::Chatgpt;
            self.keys
                .check_still_valid(&key.id)
                .map_err(|error| error.forbid_instead_of_401(is_chatgpt))?;
        }
        self.claim(config, grant, exchange, Round::First).await?;
        let mut limits = grant.limits().iter();
        let has_budget = limits.any(|scope| !scope.budgets.is_empty());
        let is_counted = has_budget && exchange.model_served().is_some();
        Ok(is_counted.then(|| expected_usage(exchange)).flatten())
    }

    /// The same for the model of a fallback, in the place of the first reservation.
    ///
    /// # Errors
    /// When a limit is reached or the store does not answer.
    pub async fn reserve_again(
        &self,
        config: &ActiveConfig,
        grant: &Grant,
        exchange: &Exchange,
    ) -> Result<(), GatewayError> {
        self.claim(config, grant, exchange, Round::Again).await
    }

    async fn claim(
        &self,
        config: &ActiveConfig,
        grant: &Grant,
        exchange: &Exchange,
        round: Round,
    ) -> Result<(), GatewayError> {
        if grant.limits().is_empty() {
            return Ok(());
        }
        let estimate = ExpectedUse::of(exchange, config, self.clock.date());
        if estimate.is_unpriced {
            self.check_unpriced(config, grant, exchange)?;
        }
        let claim = Claim {
            id: exchange.arrival.id.entry().clone(),
            at: exchange.arrival.at,
            billing: exchange.billing(),
            nanos: estimate.nanos,
            tokens: estimate.tokens,
            scopes: grant.limits().to_vec(),
        };
        match self.ask(claim, round).await? {
            Admission::Granted { soft_crossed } => {
                for (scope, budget) in &soft_crossed {
                    self.warn_soft_threshold(config, exchange, scope, budget);
                }
                Ok(())
            }
            Admission::Refused(refusal) => {
                self.count_rejection(refusal.kind());
                Err(refused(&self.keys, config, &refusal))
            }
        }
    }

    /// A budget in money cannot count a model without a price: it is refused, or logged once where
    /// the operator allows it.
    fn check_unpriced(
        &self,
        config: &ActiveConfig,
        grant: &Grant,
        exchange: &Exchange,
    ) -> Result<(), GatewayError> {
        let Some(model) = exchange.model_served() else {
            return Ok(());
        };
        let counting = grant.limits().iter().find(|limits| {
            let budgets = &limits.budgets;
            budgets
                .iter()
                .any(|budget| budget.billing == exchange.billing())
        });
        let Some(counting) = counting else {
            return Ok(());
        };
        let whose = self.keys.describe(&counting.scope);
        if config.settings.prices.unpriced == Unpriced::Refuse {
            self.count_rejection("unpriced");
            if self.warnings.is_first_unpriced(model) {
                tracing::warn!(
                    model = %model,
                    "{model} has no price, so requests that the budget of {whose} counts are \
                     refused; add a `[[price]]` row to the file in [prices]"
                );
            }
            return Err(GatewayError::new(
                ErrorCode::ModelNotFound,
                format!(
                    "{model} has no price, so the budget of {whose} cannot count it; use a priced \
                     model, or ask the gateway's operator to add a `[[price]]` row for it to the \
                     file in [prices] (rates of \"0\" if it is free), or to allow it with \
                     `unpriced = \"allow\"` there"
                ),
            )
            .param("model"));
        }
        if self.warnings.is_first_unpriced(model) {
            tracing::warn!(
                model = %model,
                "{model} has no price, so the budget of {whose} does not count it; add a \
                 `[[price]]` row to the file in [prices], or remove `unpriced = \"allow\"` there"
            );
        }
        Ok(())
    }

    /// Asks in a task of its own: when the client leaves while the store decides, what was reserved
    /// is given back.
    async fn ask(&self, claim: Claim, round: Round) -> Result<Admission, GatewayError> {
        let (reply, answer) = oneshot::channel();
        let ledger = self.ledger.clone();
        self.tasks.spawn_exchange(async move {
            let id = claim.id.clone();
            let admission = match round {
                Round::First => ledger.reserve(claim).await,
                Round::Again => ledger.reserve_again(claim).await,
            };
            if reply.send(admission).is_err() {
                ledger.withdraw(&id);
            }
        });
        // The task ends without a reply only when it panics.
        Ok(answer.await.map_err(|_| GatewayError::internal())??)
    }

    fn count_rejection(&self, kind: &str) {
        self.metrics
            .limit_rejections
            .with_label_values(&[kind])
            .inc();
    }

    fn warn_soft_threshold(
        &self,
        config: &ActiveConfig,
        exchange: &Exchange,
        scope: &Scope,
        budget: &Budget,
    ) {
        let period = budget
            .window
            .period(exchange.arrival.at, &config.settings.storage.time_zone);
        if !self
            .warnings
            .is_first_crossing(&scope.as_text(), budget, period)
        {
            return;
        }
        self.metrics
            .soft_budgets_reached
            .with_label_values(&[scope_kind(scope)])
            .inc();
        tracing::warn!(
            scope = scope.as_text(),
            window = budget.window.as_str(),
            billing = budget.billing.as_str(),
            soft_percent = budget.soft_percent,
            "the budget of {} ({}) has reached its soft threshold",
            self.keys.describe(scope),
            budget
        );
    }
}

/// Refuses a background response where a budget or a limit on tokens counts what it costs.
///
/// # Errors
/// [`ErrorCode::KeyNotPermitted`] for such a request.
pub fn check_background(grant: &Grant, head: &RequestHead) -> Result<(), GatewayError> {
    let mut limits = grant.limits().iter();
    let is_counted =
        limits.any(|scope| !scope.budgets.is_empty() || scope.limits.tokens_per_minute.is_some());
    if head.background != Some(true) || !is_counted {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::KeyNotPermitted,
        "this caller's requests count against a budget or a token limit, and the cost of a \
         background response is not known when it is accepted: send the request without \
         `background`",
    )
    .param("background"))
}

/// What a request will probably use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExpectedUse {
    nanos: i64,
    tokens: u64,
    /// The request names a model, and the model has no price.
    is_unpriced: bool,
}

impl ExpectedUse {
    /// A model without a price costs nothing here.
    fn of(exchange: &Exchange, config: &ActiveConfig, today: jiff::civil::Date) -> Self {
        let usage = expected_usage(exchange);
        let priced = exchange.model_served().and_then(|model| {
            let tier = exchange.request.service_tier.as_deref();
            let prices = &config.settings.prices.table;
            prices.cost(model, usage?, tier, today).nanos()
        });
        Self {
            nanos: priced.unwrap_or(0),
            tokens: usage.map_or(0, |usage| usage.input().saturating_add(usage.output())),
            is_unpriced: exchange.model_served().is_some() && priced.is_none(),
        }
    }
}

/// The tokens that a request will probably use: the input from the size of the body, as if nothing
/// of it were cached; the output from the request's own bound. `None` for an impossible size.
fn expected_usage(exchange: &Exchange) -> Option<Usage> {
    let input = exchange.request.bytes.div_ceil(BYTES_PER_TOKEN);
    let bound = exchange.request.max_output_tokens;
    let output = bound.map_or(DEFAULT_OUTPUT_TOKENS, |bound| bound.min(MAX_OUTPUT_TOKENS));
    Usage::new(input, 0, 0, output, 0).ok()
}

/// Keys are not label values.
const fn scope_kind(scope: &Scope) -> &'static str {
    match scope {
        Scope::Key(_) => "key",
        Scope::Team(_) => "team",
        Scope::Repo(_) => "repo",
        Scope::Gateway => "gateway",
    }
}

/// The answer to a request that a limit refuses.
fn refused(keys: &Keys, config: &ActiveConfig, refusal: &Refusal) -> GatewayError {
    let whose = keys.describe(&refusal.scope);
    let message = match refusal.limit {
        RefusedBy::Budget {
            budget, resets_at, ..
        } => {
            let again = match resets_at {
                Some(at) => {
                    let zoned = at.to_zoned(config.settings.storage.time_zone.clone());
                    format!("it starts again at {}", zoned.strftime("%Y-%m-%d %H:%M %Z"))
                }
                None => "it does not start again".to_owned(),
            };
            format!(
                "the budget of {whose} ({budget}) is spent, or what is left is too little for \
                 this request; {again}, or ask the gateway's operator for more"
            )
        }
        RefusedBy::Reservations { budget } => format!(
            "what is left of the budget of {whose} ({budget}) is reserved for requests in flight; \
             try again when they have ended"
        ),
        RefusedBy::Requests { .. } => {
            format!("{whose} has used up its requests per minute; try again after `retry-after`")
        }
        RefusedBy::Tokens { .. } => {
            format!("{whose} has used up its tokens per minute; try again after `retry-after`")
        }
        RefusedBy::Concurrency => {
            format!(
                "{whose} has reached its limit of requests in flight; try again when one has ended"
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
    use gateway_policy::{Billing, ModelId};

    use super::*;
    use crate::exchange::proxy::Proxy;
    use crate::record::AttemptFacts;
    use crate::testing::{Process, chatgpt_caller, configured, exchange};

    #[tokio::test]
    async fn the_configuration_that_is_handed_in_decides_and_not_the_one_in_force() {
        let clock = Clock::manual("2026-11-20T12:00:00Z");
        let process = Process::start_at("", clock.clone()).await;
        let proxy = process.part::<Arc<Proxy>>();
        let budget = Budget {
            nanos: 5_000_000_000,
            window: Window::Day,
            billing: Billing::Plan,
            soft_percent: None,
        };
        let ledger = process.part::<Ledger>();
        let changed = ledger.put_budget(&Scope::Gateway, &budget, "test").await;
        changed.unwrap();
        proxy.keys.replace(ledger.directory().await.unwrap());
        let caller = chatgpt_caller();
        let grant = proxy.limiter.grant(&caller, None);
        let pinned = proxy.config.load_full();
        let upstream = pinned.settings.policy.route_upstream(caller.route).unwrap();
        let mut exchange = exchange(&clock);
        exchange.attempt = Some(AttemptFacts {
            model: ModelId::new("no-such-price").ok(),
            ..AttemptFacts::at(upstream, &caller)
        });
        exchange.caller = Some(Arc::new(caller));
        let (settings, places) = configured("[prices]\nunpriced = \"allow\"\n");
        proxy
            .config
            .replace(ActiveConfig::new(settings, places).unwrap());
        let reserve = |config| proxy.limiter.reserve(config, &grant, &exchange);
        let allowing = proxy.config.load_full();
        reserve(&allowing).await.unwrap();
        let refused = reserve(&pinned).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ModelNotFound);
        let message = refused.message;
        assert!(
            message.contains("`[[price]]`") && message.contains("no-such-price"),
            "{message}"
        );
        process.stop().await;
    }
}
