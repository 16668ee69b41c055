//! Keeps learned refusals beyond this process, and takes over what other processes learned or
//! cleared.

use std::collections::HashSet;
use std::sync::Arc;

use gateway_ledger::{Ledger, LedgerError};
use gateway_policy::{LearnedRefusal, RefusalKey};
use tokio::sync::mpsc;

use crate::learned::Learned;
use crate::learned::stored::{from_stored, to_stored};

/// Carries refusals between memory and store.
pub struct LearnedSync {
    ledger: Ledger,
    waiting: mpsc::Receiver<(RefusalKey, LearnedRefusal)>,
    /// What the store held when it was last seen: what is missing from it now was cleared, unless
    /// it expired.
    seen: HashSet<RefusalKey>,
}

impl LearnedSync {
    /// Takes over what earlier processes learned.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(
        ledger: Ledger,
        waiting: mpsc::Receiver<(RefusalKey, LearnedRefusal)>,
        learned: &Learned,
    ) -> Result<Self, LedgerError> {
        let mut sync = Self {
            ledger,
            waiting,
            seen: HashSet::new(),
        };
        sync.refresh(learned).await?;
        Ok(sync)
    }

    /// Runs until the process stops. Dropping this future loses what waits to be kept, which costs
    /// one refused attempt each.
    pub async fn run(mut self, memory: Arc<Learned>) {
        let mut revision = self.ledger.changes();
        loop {
            let done = tokio::select! {
                learned = self.waiting.recv() => match learned {
                    Some((key, refusal)) => self.keep(key, &refusal).await,
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
                    "learned model refusals are kept only in this process for now"
                );
            }
        }
    }

    async fn keep(&mut self, key: RefusalKey, refusal: &LearnedRefusal) -> Result<(), LedgerError> {
        self.ledger
            .put_model_refusal(&to_stored(&key, refusal))
            .await?;
        self.seen.insert(key);
        Ok(())
    }

    async fn refresh(&mut self, learned: &Learned) -> Result<(), LedgerError> {
        let stored = self.ledger.model_refusals().await?;
        let stored: Vec<(RefusalKey, LearnedRefusal)> =
            stored.iter().filter_map(from_stored).collect();
        let present: HashSet<RefusalKey> = stored.iter().map(|(key, _)| key.clone()).collect();
        learned.apply_remote_clears(self.seen.difference(&present));
        learned.restore(stored);
        self.seen = present;
        Ok(())
    }
}
