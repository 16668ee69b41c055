//! Where the cache of a thread broke, and why, as far as the ledger knows: from the counts and names
//! of two exchanges that follow each other. No content is looked at, and none is kept, so a changed
//! list of tools shows as a changed beginning.

use gateway_ledger::LedgerEntry;
use gateway_policy::{ModelId, PriceTable};
use gateway_wire::codex::RequestKind;

/// Longest pause after which a cached beginning is usually still there.
const CACHE_LIFE_MS: i64 = 10 * 60 * 1000;
/// Below this many tokens, nothing is cached.
const SMALLEST: u64 = 1024;

/// Why an exchange found less in the cache than the one before had sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    Model,
    Upstream,
    Compaction,
    Pause,
    Beginning,
}

impl Break {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Model => "another model serves",
            Self::Upstream => "another upstream serves",
            Self::Compaction => "the history was compacted",
            Self::Pause => "a pause of more than ten minutes",
            Self::Beginning => "the beginning of the request changed, such as its tools",
        }
    }
}

/// A break: why, how many tokens were sent again in full, and what that cost more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) why: Break,
    pub(super) tokens: u64,
    pub(super) nanos: Option<i64>,
}

/// Whether `next` had to send again what `last` of the same thread had sent before.
pub(super) fn broken(
    last: &LedgerEntry,
    next: &LedgerEntry,
    prices: &PriceTable,
) -> Option<Broken> {
    let (before, now) = (last.result.usage?, next.result.usage?);
    // What both had in common, at most.
    let common = before.input().min(now.input());
    let missed = common.saturating_sub(now.cached_input());
    if common < SMALLEST || missed <= common / 2 {
        return None;
    }
    let was_compaction = last.intent.turn.request_kind.as_deref()
        == Some(RequestKind::Compaction.as_str())
        || now.input() < before.input() / 2;
    let pause = next.intent.started_at.as_millisecond() - last.result.finished_at.as_millisecond();
    let (then, here) = (&last.intent.dispatch, &next.intent.dispatch);
    let why = if then.upstream != here.upstream {
        Break::Upstream
    } else if then.model_served != here.model_served {
        Break::Model
    } else if was_compaction {
        Break::Compaction
    } else if pause > CACHE_LIFE_MS {
        Break::Pause
    } else {
        Break::Beginning
    };
    Some(Broken {
        why,
        tokens: missed,
        nanos: extra(next, missed, prices),
    })
}

/// What tokens cost in full beyond what they cost from the cache.
fn extra(entry: &LedgerEntry, tokens: u64, prices: &PriceTable) -> Option<i64> {
    let model = ModelId::new(entry.intent.dispatch.model_served.as_deref()?).ok()?;
    let day = entry
        .intent
        .started_at
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let input = entry.result.usage?.input();
    let tier = entry.result.service_tier.as_deref();
    let rates = prices.lookup(&model, day, tier, input).ok()?.rates;
    let full = gateway_wire::Usage::new(tokens, 0, 0, 0, 0).ok()?;
    let cached = gateway_wire::Usage::new(tokens, tokens, 0, 0, 0).ok()?;
    rates.charge(full)?.checked_sub(rates.charge(cached)?)
}

#[cfg(test)]
mod tests {
    use gateway_policy::AuthRoute;
    use gateway_wire::Usage;
    use jiff::Timestamp;

    use super::*;
    use crate::testing::{configured, entry};

    fn of(at: &str, input: u64, cached: u64) -> LedgerEntry {
        let at: Timestamp = at.parse().unwrap();
        let mut entry = entry(at, AuthRoute::ApiKey, "gpt-5.4");
        entry.result.usage = Some(Usage::new(input, cached, 0, 10, 0).unwrap());
        entry
    }

    #[test]
    fn a_break_names_its_reason_and_its_price() {
        let (settings, _) = configured("");
        let prices = &settings.prices.table;
        let last = of("2026-11-20T12:00:00Z", 20_000, 0);
        let why = |next: &LedgerEntry| broken(&last, next, prices).map(|it| it.why);
        assert_eq!(why(&of("2026-11-20T12:00:10Z", 21_000, 20_000)), None);
        let cold = of("2026-11-20T12:00:10Z", 21_000, 0);
        assert_eq!(why(&cold), Some(Break::Beginning));
        assert_eq!(
            why(&of("2026-11-20T12:11:00Z", 21_000, 0)),
            Some(Break::Pause)
        );
        assert_eq!(
            why(&of("2026-11-20T12:00:10Z", 5_000, 0)),
            Some(Break::Compaction)
        );
        let mut other = cold.clone();
        other.intent.dispatch.model_served = Some("gpt-5.5".to_owned());
        assert_eq!(why(&other), Some(Break::Model));
        other.intent.dispatch.upstream = Some("elsewhere".to_owned());
        assert_eq!(why(&other), Some(Break::Upstream));
        let found = broken(&last, &cold, prices).unwrap();
        assert_eq!(found.tokens, 20_000);
        // gpt-5.4: $2.50 a million, $0.25 from the cache.
        assert_eq!(found.nanos, Some(45_000_000));
        // What is too small to be cached breaks nothing.
        assert_eq!(
            broken(&of("2026-11-20T12:00:00Z", 900, 0), &cold, prices),
            None
        );
    }
}
