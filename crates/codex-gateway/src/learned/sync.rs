//! Keeps learned refusals beyond this process, and takes over what other processes learned or
//! cleared.

use std::collections::HashSet;
use std::sync::Arc;

use gateway_ledger::{Ledger, LedgerError};
use gateway_policy::{LearnedRefusal, RefusalKey};
use tokio::sync::mpsc;

use crate::learned::Learned;
use crate::reports::facts::{from_stored, to_stored};

/// Carries facts between memory and store.
pub struct Keeper {
    ledger: Ledger,
    waiting: mpsc::Receiver<(RefusalKey, LearnedRefusal)>,
    /// What the store held when it was last seen: what is missing from it now was cleared, unless
    /// it expired.
    seen: HashSet<RefusalKey>,
}

impl Keeper {
    /// Takes over what earlier processes learned.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(
        ledger: Ledger,
        waiting: mpsc::Receiver<(RefusalKey, LearnedRefusal)>,
        learned: &Learned,
    ) -> Result<Self, LedgerError> {
        let mut keeper = Self {
            ledger,
            waiting,
            seen: HashSet::new(),
        };
        keeper.refresh(learned).await?;
        Ok(keeper)
    }

    /// Runs until the process stops. Dropping this future loses what waits to be kept, which costs
    /// one refused attempt each.
    pub async fn run(mut self, memory: Arc<Learned>) {
        let mut revision = self.ledger.changes();
        loop {
            let done = tokio::select! {
                learned = self.waiting.recv() => match learned {
                    Some((key, fact)) => self.keep(key, &fact).await,
                    None => return,
                },
                changed = revision.changed() => match changed {
                    Ok(()) => self.refresh(&memory).await,
                    Err(_) => return,
                },
            };
            if let Err(error) = done {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "learned refusals live in this process only for now"
                );
            }
        }
    }

    async fn keep(&mut self, key: RefusalKey, fact: &LearnedRefusal) -> Result<(), LedgerError> {
        self.ledger
            .put_model_refusal(&to_stored(&key, fact))
            .await?;
        self.seen.insert(key);
        Ok(())
    }

    async fn refresh(&mut self, learned: &Learned) -> Result<(), LedgerError> {
        let stored = self.ledger.model_refusals().await?;
        let stored: Vec<(RefusalKey, LearnedRefusal)> =
            stored.iter().filter_map(from_stored).collect();
        let present: HashSet<RefusalKey> = stored.iter().map(|(key, _)| key.clone()).collect();
        learned.cleared_elsewhere(self.seen.difference(&present));
        learned.restore(stored);
        self.seen = present;
        Ok(())
    }
}
