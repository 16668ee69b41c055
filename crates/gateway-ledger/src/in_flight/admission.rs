//! Admits requests against budgets and rate limits, atomically for all replicas, and reserves what
//! they are likely to cost. The arithmetic is policy's; here it is given the counts, and its answer
//! is written down in the same transaction.
//!
//! Money counts as spent when the entry is committed, and its reservation is released afterwards:
//! for a moment it counts twice, but it is never missed.

use crate::db::{Link, SqlDialect};
use crate::error::LedgerError;
use crate::ids::InstanceId;
use crate::shared::Shared;

use super::claim::{Admission, PendingClaim};
use super::counts::Counts;
use super::reservations::reserved_for;

/// Decides over claims in their order. The caller has begun a transaction and commits it.
pub(super) async fn decide(
    link: &mut Link<'_>,
    claims: &[PendingClaim],
    shared: &Shared,
) -> Result<Vec<Admission>, LedgerError> {
    let mut counts = Counts::new(claims, shared);
    lock(link, &counts.scopes(), &shared.instance).await?;
    counts.read(link).await?;
    let mut answers = Vec::with_capacity(claims.len());
    for pending in claims {
        let reserved = if pending.is_repriced {
            reserved_for(link, &pending.claim.id).await?
        } else {
            Vec::new()
        };
        answers.push(counts.decide(pending, &reserved));
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
        SqlDialect::Sqlite => {
            // Any write takes the file's lock, also one that finds nothing; reading first could
            // fail to turn into writing.
            let sql = "UPDATE leases SET expires_at = expires_at WHERE instance = $1";
            link.execute(sql, vec![instance.as_str().into()]).await?;
        }
        SqlDialect::Postgres => {
            // In one order for everybody, so that two replicas cannot wait for each other.
            let list = serde_json::to_string(scopes).unwrap_or_default();
            let sql = "SELECT COUNT(pg_advisory_xact_lock(hashtextextended(scope, 0))) \
                       FROM jsonb_array_elements_text($1::jsonb) AS scope";
            link.fetch(sql, vec![list.into()]).await?;
        }
    }
    Ok(())
}
