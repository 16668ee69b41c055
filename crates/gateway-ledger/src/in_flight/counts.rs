//! The counts that claims are decided by, for the length of one transaction: read once, in as few
//! statements as can be, then carried on in memory.

use std::collections::BTreeMap;

use gateway_policy::limit::{Admitted, Estimate, Position, Refusal, ScopeLimits, ScopeState};
use jiff::Timestamp;

use crate::db::Link;
use crate::error::LedgerError;
use crate::shared::Shared;
use crate::time::local_day;

use super::claim::{Admission, Claim, PendingClaim};
use super::positions::{PositionKey, days, read_positions};
use super::rates::{BUCKETS, Bucket, RateState, read_rates};
use super::reservations::{RESERVATIONS, Reservation, ReservedMoney};

pub(super) struct Counts<'s> {
    shared: &'s Shared,
    now: i64,
    positions: BTreeMap<PositionKey, Position>,
    rates: BTreeMap<String, RateState>,
    reservations: Vec<Reservation>,
}

fn counts_in(money: &ReservedMoney, (scope, billing, days): &PositionKey) -> bool {
    let is_inside = days.is_none_or(|(first, last)| (first..=last).contains(&money.day));
    money.scope == *scope && money.billing == billing.as_str() && is_inside
}

impl<'s> Counts<'s> {
    pub(super) fn new(claims: &[PendingClaim], shared: &'s Shared) -> Self {
        let (mut positions, mut rates) = (BTreeMap::new(), BTreeMap::new());
        for claim in claims.iter().map(|pending| &pending.claim) {
            for limits in &claim.scopes {
                rates.insert(limits.scope.as_text(), RateState::default());
                positions.extend(
                    position_keys(claim, limits, shared).map(|key| (key, Position::default())),
                );
            }
        }
        Self {
            shared,
            now: shared.now(),
            positions,
            rates,
            reservations: Vec::new(),
        }
    }

    pub(super) fn scopes(&self) -> Vec<&str> {
        self.rates.keys().map(String::as_str).collect()
    }

    pub(super) async fn read(&mut self, link: &mut Link<'_>) -> Result<(), LedgerError> {
        let keys: Vec<&PositionKey> = self.positions.keys().collect();
        let positions = read_positions(link, &keys).await?;
        for (position, read) in self.positions.values_mut().zip(positions) {
            *position = read;
        }
        let rates = read_rates(link, &self.scopes()).await?;
        for (rate, read) in self.rates.values_mut().zip(rates) {
            *rate = read;
        }
        Ok(())
    }

    /// Decides over one claim; `reserved` is what is reserved for its exchange already.
    pub(super) fn decide(
        &mut self,
        pending: &PendingClaim,
        reserved: &[ReservedMoney],
    ) -> Admission {
        let PendingClaim {
            claim, is_repriced, ..
        } = pending;
        for money in reserved {
            self.apply(money, i64::saturating_sub);
        }
        let at = Timestamp::from_microsecond(self.now).unwrap_or(claim.at);
        let (nanos, tokens, billing) = (claim.nanos, claim.tokens, claim.billing);
        let ask = Estimate {
            nanos,
            tokens,
            billing,
            at,
            arrived_at: claim.at,
            is_repriced: *is_repriced,
        };
        let mut granted = Vec::with_capacity(claim.scopes.len());
        let mut refusal: Option<Refusal> = None;
        for limits in &claim.scopes {
            match limits.admit(&self.state(claim, limits), ask, &self.shared.time_zone) {
                Ok(admitted) => granted.push((limits, admitted)),
                Err(worse) if refusal.as_ref().is_none_or(|known| is_worse(&worse, known)) => {
                    refusal = Some(worse);
                }
                Err(_) => {}
            }
        }
        if let Some(refusal) = refusal {
            // What was reserved before stays.
            for money in reserved {
                self.apply(money, i64::saturating_add);
            }
            return Admission::Refused(refusal);
        }
        let mut soft_crossed = Vec::new();
        for (limits, admitted) in granted {
            self.grant(pending, limits, &admitted);
            let budgets = admitted.soft_crossed.into_iter();
            soft_crossed.extend(budgets.map(|budget| (limits.scope.clone(), budget)));
        }
        Admission::Granted { soft_crossed }
    }

    /// Reserves what a claim asks of one scope, and moves the scope's buckets.
    fn grant(&mut self, pending: &PendingClaim, limits: &ScopeLimits, admitted: &Admitted) {
        let scope = limits.scope.as_text();
        self.reserve(&pending.claim, limits, &scope);
        if let Some(rate) = self.rates.get_mut(&scope)
            && !pending.is_repriced
        {
            *rate = RateState {
                in_flight: rate.in_flight + 1,
                requests: admitted.requests,
                tokens: admitted.tokens,
                is_changed: true,
            };
        }
    }

    /// The counts that a scope's limits are checked against.
    fn state(&self, claim: &Claim, limits: &ScopeLimits) -> ScopeState {
        let position = |key| self.positions.get(&key).copied().unwrap_or_default();
        let rate = self.rates.get(&limits.scope.as_text());
        let rate = rate.copied().unwrap_or_default();
        ScopeState {
            positions: position_keys(claim, limits, self.shared)
                .map(position)
                .collect(),
            in_flight: rate.in_flight,
            requests: rate.requests,
            tokens: rate.tokens,
        }
    }

    fn reserve(&mut self, claim: &Claim, limits: &ScopeLimits, scope: &str) {
        let day = local_day(claim.at, &self.shared.time_zone);
        let per_minute = limits.limits.tokens_per_minute;
        self.reservations.push(Reservation {
            id: claim.id.to_string(),
            scope: scope.to_owned(),
            billing: claim.billing.as_str(),
            day,
            nanos: claim.nanos,
            tokens: i64::try_from(claim.tokens).unwrap_or(i64::MAX),
            tokens_per_minute: per_minute.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)),
            instance: self.shared.instance.as_str().to_owned(),
        });
        let money = ReservedMoney {
            scope: scope.to_owned(),
            billing: claim.billing.as_str().to_owned(),
            day,
            nanos: claim.nanos,
        };
        self.apply(&money, i64::saturating_add);
    }

    fn apply(&mut self, money: &ReservedMoney, change: fn(i64, i64) -> i64) {
        for (key, position) in &mut self.positions {
            if counts_in(money, key) {
                position.reserved = change(position.reserved, money.nanos);
            }
        }
    }

    pub(super) async fn write(self, link: &mut Link<'_>) -> Result<(), LedgerError> {
        // Where one transaction holds several claims of one exchange, the last one counts.
        let mut rows: Vec<&Reservation> = Vec::new();
        for row in &self.reservations {
            rows.retain(|known| (&known.id, &known.scope) != (&row.id, &row.scope));
            rows.push(row);
        }
        link.insert(&RESERVATIONS, &rows).await?;
        let changed = self.rates.iter().filter(|(_, rate)| rate.is_changed);
        let buckets = changed.flat_map(|(scope, rate)| {
            [("requests", rate.requests), ("tokens", rate.tokens)]
                .into_iter()
                .filter(|(_, empty_at)| *empty_at != 0)
                .map(|(kind, empty_at)| Bucket {
                    scope: scope.clone(),
                    kind,
                    empty_at,
                })
        });
        let buckets: Vec<Bucket> = buckets.collect();
        link.insert(&BUCKETS, &buckets.iter().collect::<Vec<_>>())
            .await?;
        Ok(())
    }
}

/// A spent budget outweighs everything; among what passes by waiting, the longest wait does.
fn is_worse(refusal: &Refusal, known: &Refusal) -> bool {
    match (refusal.retry_after(), known.retry_after()) {
        (None, Some(_)) => true,
        (None | Some(_), None) => false,
        (Some(wait), Some(known)) => wait > known,
    }
}

/// The positions that a claim's budgets ask for, in their order.
fn position_keys<'c>(
    claim: &'c Claim,
    limits: &'c ScopeLimits,
    shared: &'c Shared,
) -> impl Iterator<Item = PositionKey> + 'c {
    limits.budgets.iter().map(|budget| {
        let days = days(budget.window.period(claim.at, &shared.time_zone));
        (limits.scope.as_text(), budget.billing, days)
    })
}
