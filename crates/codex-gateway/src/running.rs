//! The exchanges that this process has in flight, for people who look at what is happening. Holds
//! what the ledger will hold of them, and no content.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gateway_ledger::{EntryId, Intent};

gateway_wire::words! {
    /// How far an exchange has come.
    pub enum Phase {
        /// It was sent, and nothing has come back yet.
        Waiting = "waiting",
        /// Its answer is on its way to the client.
        Answering = "answering",
    }
}

/// One exchange in flight.
#[derive(Debug, Clone)]
pub struct RunningExchange {
    pub intent: Intent,
    pub phase: Phase,
}

/// All of them. Bounded by `max_concurrent`, which bounds the exchanges.
#[derive(Debug, Default)]
pub struct Running(Mutex<HashMap<EntryId, RunningExchange>>);

impl Running {
    /// An exchange goes to an upstream, or to another one than before.
    pub fn sent(&self, intent: Intent) {
        let id = intent.id.clone();
        let phase = Phase::Waiting;
        self.all().insert(id, RunningExchange { intent, phase });
    }

    /// Its answer begins.
    pub fn answers(&self, id: &EntryId) {
        if let Some(exchange) = self.all().get_mut(id) {
            exchange.phase = Phase::Answering;
        }
    }

    /// It has ended.
    pub fn ended(&self, id: &EntryId) {
        self.all().remove(id);
    }

    /// What runs now, the oldest first.
    pub fn list(&self) -> Vec<RunningExchange> {
        let mut list: Vec<_> = self.all().values().cloned().collect();
        list.sort_by(|a, b| {
            let order = a.intent.started_at.cmp(&b.intent.started_at);
            order.then_with(|| a.intent.id.as_str().cmp(b.intent.id.as_str()))
        });
        list
    }

    fn all(&self) -> MutexGuard<'_, HashMap<EntryId, RunningExchange>> {
        // A panic cannot leave a map of plain values half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use gateway_policy::AuthRoute;

    use super::*;
    use crate::testing::entry;

    #[test]
    fn an_exchange_is_listed_from_its_sending_to_its_end() {
        let running = Running::default();
        let at = |text: &str| entry(text.parse().unwrap(), AuthRoute::ApiKey, "gpt-5.5").intent;
        let (late, early) = (at("2026-11-20T12:00:01Z"), at("2026-11-20T12:00:00Z"));
        running.sent(late.clone());
        running.sent(early.clone());
        running.answers(&late.id);
        let seen: Vec<_> = running
            .list()
            .into_iter()
            .map(|it| (it.intent, it.phase))
            .collect();
        let expected = [
            (early.clone(), Phase::Waiting),
            (late.clone(), Phase::Answering),
        ];
        assert_eq!(seen, expected);
        running.ended(&early.id);
        running.ended(&late.id);
        running.answers(&late.id);
        assert!(running.list().is_empty());
    }
}
