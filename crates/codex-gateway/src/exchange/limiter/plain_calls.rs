//! Counts calls on the gateway's credential that buy no tokens, such as model lists: against requests
//! per minute and in flight, not against money.

use gateway_ledger::{Admission, Claim, EntryId, Ledger};
use gateway_policy::Billing;
use gateway_policy::limit::{Limits, ScopeLimits};

use super::{Limiter, Round, refused};
use crate::config::active::ActiveConfig;
use crate::error::GatewayError;
use crate::identity::grant::Grant;
use crate::ids::RequestId;

/// A call that is counted as in flight until this is dropped.
pub struct CountedCall {
    ledger: Ledger,
    id: EntryId,
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.ledger.withdraw(&self.id);
    }
}

impl Limiter {
    /// Counts a call that buys no tokens. `None` where nothing limits how many there may be.
    ///
    /// # Errors
    /// When the requests per minute or in flight are used up, or the store does not answer.
    pub async fn count_call(
        &self,
        config: &ActiveConfig,
        grant: &Grant,
    ) -> Result<Option<CountedCall>, GatewayError> {
        let scopes = without_money(grant.limits());
        if scopes.is_empty() {
            return Ok(None);
        }
        let id = RequestId::generate().entry().clone();
        let claim = Claim {
            id: id.clone(),
            at: self.clock.now(),
            billing: Billing::Metered,
            nanos: 0,
            tokens: 0,
            scopes,
        };
        match self.ask(claim, Round::First).await? {
            Admission::Granted { .. } => {
                let ledger = self.ledger.clone();
                Ok(Some(CountedCall { ledger, id }))
            }
            Admission::Refused(refusal) => {
                self.count_rejection(refusal.kind());
                Err(refused(&self.keys, config, &refusal))
            }
        }
    }
}

/// The limits on how many requests there may be.
fn without_money(scopes: &[ScopeLimits]) -> Vec<ScopeLimits> {
    let counted = scopes.iter().map(|scope| ScopeLimits {
        scope: scope.scope.clone(),
        budgets: Vec::new(),
        limits: Limits {
            tokens_per_minute: None,
            ..scope.limits
        },
    });
    counted
        .filter(|scope| scope.limits != Limits::default())
        .collect()
}
