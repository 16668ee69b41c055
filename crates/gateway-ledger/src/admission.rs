//! Lets requests in against budgets and rate limits, atomically for all replicas, and sets aside
//! what they are likely to cost. The arithmetic is policy's; here it is given the counts and its
//! answer is written down, in one transaction.
//!
//! Money counts as spent when the entry is committed, and its reservation goes afterwards: for a
//! moment it counts twice, never not at all.

mod counts;

use std::collections::{BTreeMap, HashMap};

use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Position, RateLimit, Refusal, Scope, ScopeLimits};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::db::{Dialect, Link};
use crate::entry::{EntryId, InstanceId};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::shared::Shared;

use counts::{Counts, QUESTIONS, Question, days, held, read_positions};

/// What a request is likely to need, and whose limits it falls under.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The exchange.
    pub id: EntryId,
    /// When its request arrived; decides in which day its money counts.
    pub at: Timestamp,
    /// Which budgets count it.
    pub billing: Billing,
    /// Likely cost, USD × 10⁻⁹.
    pub nanos: i64,
    /// Likely tokens, input and output.
    pub tokens: u64,
    /// The limits of its key, its team and the gateway.
    pub scopes: Vec<ScopeLimits>,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may go on.
    Granted {
        /// Budgets whose soft threshold is reached with it.
        soft_crossed: Vec<(Scope, Budget)>,
    },
    /// It may not; nothing is set aside for it.
    Refused(Refusal),
}

/// A claim on its way through the lane.
pub(crate) struct Pending {
    pub(crate) claim: Claim,
    /// Whether it replaces what is set aside for the same exchange, after a fallback to another
    /// model.
    pub(crate) is_repriced: bool,
    pub(crate) reply: oneshot::Sender<Result<Admission, LedgerError>>,
}

/// Decides over claims in their order. The caller has begun a transaction and commits it.
pub(crate) async fn decide(
    link: &mut Link<'_>,
    pending: &[Pending],
    shared: &Shared,
) -> Result<Vec<Admission>, LedgerError> {
    let mut counts = Counts::new(pending, shared);
    lock(link, &counts.scopes(), &shared.instance).await?;
    counts.read(link).await?;
    let mut answers = Vec::with_capacity(pending.len());
    for pending in pending {
        let held = if pending.is_repriced {
            held(link, &pending.claim.id).await?
        } else {
            Vec::new()
        };
        answers.push(counts.decide(pending, &held));
    }
    counts.write(link).await?;
    Ok(answers)
}

/// Keeps other replicas from deciding over the same scopes until the transaction ends.
async fn lock(
    link: &mut Link<'_>,
    scopes: &[&str],
    instance: &InstanceId,
) -> Result<(), LedgerError> {
    match link.dialect() {
        Dialect::Sqlite => {
            // Any write takes the file's lock, also one that finds nothing; reading first could
            // fail to turn into writing.
            let sql = "UPDATE leases SET expires_at = expires_at WHERE instance = $1";
            link.execute(sql, vec![instance.as_str().into()]).await?;
        }
        Dialect::Postgres => {
            // In one order for everybody, so that two replicas cannot wait for each other.
            let list = serde_json::to_string(scopes).unwrap_or_default();
            let sql = "SELECT COUNT(pg_advisory_xact_lock(hashtextextended(scope, 0))) \
                       FROM jsonb_array_elements_text($1::jsonb) AS scope";
            link.fetch(sql, vec![list.into()]).await?;
        }
    }
    Ok(())
}

/// Where a budget stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whose.
    pub scope: Scope,
    /// Which.
    pub budget: Budget,
    /// Spent and set aside in its current period.
    pub position: Position,
    /// When it begins anew; `None`: never.
    pub resets_at: Option<Timestamp>,
}

impl Ledger {
    /// Where budgets stand now. Opens a connection of its own: for dashboards and scrapes, not for
    /// requests.
    pub async fn standings(
        &self,
        budgets: &[(Scope, Budget)],
    ) -> Result<Vec<Standing>, LedgerError> {
        let at = self.timestamp();
        let zone = self.time_zone();
        let question = |(scope, budget): &(Scope, Budget)| {
            (
                scope.as_text(),
                budget.billing,
                days(budget.window.period(at, zone)),
            )
        };
        let questions: Vec<Question> = budgets.iter().map(question).collect();
        let questions: Vec<&Question> = questions.iter().collect();
        let mut connection = self.live_target().connect().await?;
        let mut positions = Vec::with_capacity(budgets.len());
        for questions in questions.chunks(QUESTIONS) {
            positions.extend(read_positions(&mut connection.link(), questions).await?);
        }
        connection.close().await?;
        let standing = |((scope, budget), position): (&(Scope, Budget), Position)| {
            let resets_at = budget.window.period(at, zone).resets_at;
            Standing {
                scope: scope.clone(),
                budget: *budget,
                position,
                resets_at,
            }
        };
        Ok(budgets.iter().zip(positions).map(standing).collect())
    }
}

/// Gives back what was set aside for exchanges, and sets token buckets right by what they really
/// used.
pub(crate) async fn release(
    link: &mut Link<'_>,
    done: &[(EntryId, Option<u64>)],
) -> Result<(), LedgerError> {
    if done.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = done.iter().map(|(id, _)| id.as_str()).collect();
    let list = serde_json::to_string(&ids).unwrap_or_default();
    let sql = match link.dialect() {
        Dialect::Sqlite => {
            "DELETE FROM reservations WHERE id IN (SELECT value FROM json_each($1)) \
             RETURNING id, scope, tokens, tokens_per_minute"
        }
        Dialect::Postgres => {
            "DELETE FROM reservations WHERE id IN (SELECT jsonb_array_elements_text($1::jsonb)) \
             RETURNING id, scope, tokens, tokens_per_minute"
        }
    };
    let rows = link.fetch(sql, vec![list.into()]).await?;
    let used: HashMap<&str, u64> = done
        .iter()
        .filter_map(|(id, tokens)| Some((id.as_str(), (*tokens)?)))
        .collect();
    let mut moves: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let (Some(used), Some(per_minute)) = (used.get(row.some_text(0)?.as_str()), row.int(3)?)
        else {
            continue;
        };
        let expected = u64::try_from(row.some_int(2)?).unwrap_or(0);
        let rate = RateLimit::per_minute(u64::try_from(per_minute).unwrap_or(0));
        let moved = moves.entry(row.some_text(1)?).or_default();
        *moved = moved.saturating_add(rate.correction(expected, *used));
    }
    for (scope, nanos) in moves {
        let sql =
            "UPDATE buckets SET empty_at = empty_at + $1 WHERE scope = $2 AND kind = 'tokens'";
        link.execute(sql, vec![nanos.into(), scope.into()]).await?;
    }
    Ok(())
}
