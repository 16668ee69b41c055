//! Which instances are alive, and until when others believe so.

use crate::db::Link;
use crate::error::LedgerError;
use crate::ids::InstanceId;

/// Extends an instance's lease to a moment in microseconds.
pub(crate) async fn renew(
    link: &mut Link<'_>,
    instance: &InstanceId,
    until: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO leases (instance, expires_at) VALUES ($1, $2) \
               ON CONFLICT (instance) DO UPDATE SET expires_at = excluded.expires_at";
    let cells = vec![instance.as_str().into(), until.into()];
    link.execute(sql, cells).await.map(drop)
}

/// Other instances that left intents or reservations behind and whose lease is over, or that never
/// had one.
pub(crate) async fn expired_instances(
    link: &mut Link<'_>,
    own: &InstanceId,
    now: i64,
) -> Result<Vec<InstanceId>, LedgerError> {
    let sql = "SELECT DISTINCT instance FROM \
               (SELECT instance FROM intents UNION SELECT instance FROM reservations) AS held \
               WHERE instance <> $1 \
               AND instance NOT IN (SELECT instance FROM leases WHERE expires_at > $2)";
    let cells = vec![own.as_str().into(), now.into()];
    let rows = link.fetch(sql, cells).await?;
    rows.iter()
        .map(|row| row.some_text(0).map(InstanceId::new))
        .collect()
}
