//! The plan limits that answers report to ChatGPT accounts: kept per hashed account, shown as gauges
//! and in `/api/plan`. What passes to the client is not touched.

use std::collections::HashMap;

use gateway_ledger::{AccountLimits, Ledger};
use gateway_policy::AuthRoute;
use gateway_wire::codex::{PlanLimits, PlanWindow};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::bounded_map::BoundedMap;
use crate::identity::caller::Caller;
use crate::metrics::Metrics;
use crate::record::AnswerFacts;
use crate::secret::digest;

/// The limit that Codex itself spends.
const MAIN: &str = "codex";
/// Most accounts that are kept in view; the one whose last answer is oldest is evicted.
const MAX_ACCOUNTS: usize = 1_000;
/// Changes that wait to be stored. When full, one is dropped: the next answer reports the same more
/// recently.
const CHANGES_WAITING: usize = 256;

/// What the latest answers report about one account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccountPlan {
    pub plan: Option<String>,
    pub limits: Vec<AccountLimit>,
    pub credits: Option<CreditsReport>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccountLimit {
    pub name: String,
    pub label: Option<String>,
    pub windows: Vec<LimitWindow>,
}

/// One window of a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitWindow {
    /// `primary` (the short one) or `secondary`.
    pub window: String,
    pub used_percent: f64,
    pub window_minutes: Option<u64>,
    /// Unix seconds.
    pub resets_at: Option<i64>,
}

/// Credits bought on top of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreditsReport {
    pub has_credits: bool,
    pub unlimited: bool,
    pub balance: Option<String>,
}

/// The answer of `/api/plan`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanReport {
    pub accounts: Vec<AccountLine>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AccountLine {
    /// A digest of the account's id; never the id.
    pub account: String,
    pub observed_at: Timestamp,
    #[serde(flatten)]
    pub plan: AccountPlan,
}

/// The plan limits of every account that passed here lately.
#[derive(Debug)]
pub struct PlanWatch {
    accounts: BoundedMap<String, (Timestamp, AccountPlan)>,
    changes: mpsc::Sender<AccountLimits>,
}

impl PlanWatch {
    /// Nothing seen yet, and the changes that wait to be stored.
    pub fn new() -> (Self, mpsc::Receiver<AccountLimits>) {
        let (changes, waiting) = mpsc::channel(CHANGES_WAITING);
        let watch = Self {
            accounts: BoundedMap::new(MAX_ACCOUNTS),
            changes,
        };
        (watch, waiting)
    }

    /// Reads the limits that an answer reports, if its caller has a ChatGPT plan.
    pub fn note(&self, caller: &Caller, answer: &AnswerFacts, now: Timestamp) {
        if caller.route != AuthRoute::Chatgpt {
            return;
        }
        // Events come later than the head and are newer.
        let head = answer.plan_limits.as_deref().cloned();
        let events = answer.summary.plan_limits.iter();
        let reported: Vec<PlanLimits> = head
            .into_iter()
            .chain(events.filter_map(|event| PlanLimits::from_event(event)))
            .collect();
        if reported.is_empty() {
            return;
        }
        let account = caller
            .account
            .clone()
            .unwrap_or_else(|| digest(caller.label.as_bytes()));
        self.observe(account, &reported, now);
    }

    fn observe(&self, account: String, reported: &[PlanLimits], now: Timestamp) {
        let limits = self.accounts.update(account.clone(), |known| {
            let (at, plan) = known.get_or_insert_with(|| (now, AccountPlan::default()));
            *at = now;
            for news in reported {
                plan.merge(news, now);
            }
            serde_json::to_value(plan)
        });
        if let Ok(limits) = limits {
            let stored = AccountLimits {
                account,
                observed_at: now,
                limits,
            };
            drop(self.changes.try_send(stored));
        }
    }

    /// Takes over what earlier processes saw, unless something newer is known.
    pub fn restore(&self, stored: &[AccountLimits]) {
        let mut lines: Vec<AccountLine> = stored.iter().filter_map(line).collect();
        // Where there are too many, the newest stay.
        lines.sort_by_key(|line| line.observed_at);
        for line in lines {
            self.accounts.update(line.account, |known| {
                if known.as_ref().is_none_or(|(at, _)| *at < line.observed_at) {
                    *known = Some((line.observed_at, line.plan));
                }
            });
        }
    }

    /// What the store knows, from other servers too, and what this process knows better.
    pub fn report(&self, stored: &[AccountLimits]) -> PlanReport {
        let mut lines: HashMap<String, AccountLine> = stored
            .iter()
            .filter_map(line)
            .map(|line| (line.account.clone(), line))
            .collect();
        self.accounts.for_each(|account, (observed_at, plan)| {
            let stored = lines.get(account);
            if stored.is_none_or(|line| line.observed_at < *observed_at) {
                let line = AccountLine {
                    account: account.clone(),
                    observed_at: *observed_at,
                    plan: plan.clone(),
                };
                lines.insert(account.clone(), line);
            }
        });
        let mut accounts: Vec<AccountLine> = lines.into_values().collect();
        accounts.sort_by(|a, b| {
            let newest = b.observed_at.cmp(&a.observed_at);
            newest.then_with(|| a.account.cmp(&b.account))
        });
        PlanReport { accounts }
    }

    /// Sets the gauges: the account that is closest to its limit. A window that has started again
    /// since is unused.
    pub fn set_gauges(&self, metrics: &Metrics, now: Timestamp) {
        let mut highest: HashMap<String, f64> = HashMap::new();
        self.accounts.for_each(|_, (_, plan)| {
            let limits = plan.limits.iter().filter(|limit| limit.name == MAIN);
            for window in limits.flat_map(|limit| &limit.windows) {
                let is_over = window.resets_at.is_some_and(|at| at <= now.as_second());
                let used = if is_over { 0.0 } else { window.used_percent };
                let most = highest.entry(window.window.clone()).or_insert(0.0);
                *most = most.max(used);
            }
        });
        for (window, used) in highest {
            metrics
                .plan_used_percent
                .with_label_values(&[window.as_str()])
                .set(used);
        }
    }
}

impl AccountPlan {
    /// A limit that is reported again replaces the one of its name; what is not mentioned stays.
    fn merge(&mut self, news: &PlanLimits, now: Timestamp) {
        if news.plan.is_some() {
            self.plan.clone_from(&news.plan);
        }
        if let Some(credits) = &news.credits {
            self.credits = Some(CreditsReport {
                has_credits: credits.has_credits,
                unlimited: credits.unlimited,
                balance: credits.balance.clone(),
            });
        }
        for limit in &news.limits {
            let new = AccountLimit {
                name: limit.name.clone(),
                label: limit.label.clone(),
                windows: limit.windows.iter().map(|it| window(it, now)).collect(),
            };
            let at = self.limits.iter().position(|known| known.name == new.name);
            if let Some(known) = at.and_then(|at| self.limits.get_mut(at)) {
                *known = new;
            } else if self.limits.len() < MAX_LIMITS {
                self.limits.push(new);
            }
        }
    }
}

/// Most limits of one account; upstreams name them.
const MAX_LIMITS: usize = 32;

fn window(reported: &PlanWindow, now: Timestamp) -> LimitWindow {
    let later = reported
        .resets_in_seconds
        .and_then(|seconds| i64::try_from(seconds).ok())
        .and_then(|seconds| now.as_second().checked_add(seconds));
    LimitWindow {
        window: reported.slot.as_str().to_owned(),
        used_percent: reported.used_percent,
        window_minutes: reported.window_minutes,
        resets_at: reported.resets_at.or(later),
    }
}

fn line(stored: &AccountLimits) -> Option<AccountLine> {
    Some(AccountLine {
        account: stored.account.clone(),
        observed_at: stored.observed_at,
        plan: AccountPlan::deserialize(&stored.limits).ok()?,
    })
}

/// Stores changes until the process stops. Dropping this future loses those that wait, which the
/// next answers report again.
pub async fn store(ledger: Ledger, mut changes: mpsc::Receiver<AccountLimits>) {
    while let Some(limits) = changes.recv().await {
        if let Err(error) = ledger.put_account_limits(&limits).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "plan limits were not stored"
            );
        }
    }
}

#[cfg(test)]
mod tests;
