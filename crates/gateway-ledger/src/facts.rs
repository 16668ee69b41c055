//! What was learned at run time about models that an upstream refuses. Facts expire; whether to act
//! on one is policy's.

use gateway_policy::AuthRoute;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::audit::Actor;
use crate::db::{Kind, Row, Statement, Table};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::ledger::Ledger;

/// An upstream refused a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The upstream.
    pub upstream: String,
    /// The auth route on which it was asked.
    pub route: AuthRoute,
    /// The ChatGPT plan that it was asked with, where one was known.
    pub plan: Option<String>,
    /// A digest of the credential that was refused, never the credential; absent for an upstream's
    /// own.
    pub credential: Option<String>,
    /// The refused model.
    pub model: String,
    /// What the upstream said, shortened; no credential and no prompt.
    pub evidence: String,
    /// When.
    pub learned_at: Timestamp,
    /// Until when it is believed.
    pub expires_at: Timestamp,
}

const FACTS: Table = Table {
    name: "facts",
    columns: &[
        ("upstream", Kind::Text),
        ("route", Kind::Text),
        ("plan", Kind::Text),
        ("credential", Kind::Text),
        ("model", Kind::Text),
        ("evidence", Kind::Text),
        ("learned_at", Kind::Int),
        ("expires_at", Kind::Int),
    ],
    conflict: "ON CONFLICT (upstream, route, plan, credential, model) DO UPDATE SET evidence = excluded.evidence, \
               learned_at = excluded.learned_at, expires_at = excluded.expires_at",
};

/// Most facts that are kept in view. Model names come from callers; this many refused ones are no
/// accident.
const MOST: i64 = 10_000;

impl Ledger {
    /// Keeps a fact; a newer one about the same model, upstream, route, plan and credential
    /// replaces it.
    pub async fn learn(&self, fact: &Fact) -> Result<(), LedgerError> {
        let mut change = self.change().await?;
        let row = vec![
            fact.upstream.as_str().into(),
            fact.route.as_str().into(),
            fact.plan.as_deref().unwrap_or("").into(),
            fact.credential.as_deref().unwrap_or("").into(),
            fact.model.as_str().into(),
            fact.evidence.as_str().into(),
            fact.learned_at.as_microsecond().into(),
            fact.expires_at.as_microsecond().into(),
        ];
        let now = self.now();
        change
            .link()
            .execute("DELETE FROM facts WHERE expires_at <= $1", vec![now.into()])
            .await?;
        change.link().insert(&FACTS, vec![row]).await?;
        change.commit().await
    }

    /// The facts that have not expired, newest first.
    pub async fn facts(&self) -> Result<Vec<Fact>, LedgerError> {
        let mut statement = Statement::new(
            "SELECT upstream, route, plan, credential, model, evidence, learned_at, expires_at FROM facts WHERE expires_at > ",
        );
        statement
            .bind(self.now())
            .push(" ORDER BY learned_at DESC, upstream, model LIMIT ")
            .bind(MOST);
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        rows.iter().map(fact_of).collect()
    }

    /// Forgets the facts about one model, compared without case, or all of them. Answers how many.
    pub async fn clear_facts(
        &self,
        model: Option<&str>,
        actor: impl Into<Actor>,
    ) -> Result<u64, LedgerError> {
        let mut change = self.change().await?;
        let gone = match model {
            Some(model) => {
                let sql = "DELETE FROM facts WHERE LOWER(model) = $1";
                change
                    .link()
                    .execute(sql, vec![model.to_ascii_lowercase().into()])
                    .await?
            }
            None => {
                change
                    .link()
                    .execute("DELETE FROM facts", Vec::new())
                    .await?
            }
        };
        let detail = json!({ "forgotten": gone });
        self.finish(change, actor, "facts.clear", model.unwrap_or("*"), &detail)
            .await?;
        Ok(gone)
    }
}

fn fact_of(row: &Row) -> Result<Fact, LedgerError> {
    let corrupt = |context| LedgerError::bare(LedgerErrorKind::Corrupt, context);
    let time = |index| {
        let micros = row.some_int(index)?;
        Timestamp::from_microsecond(micros).map_err(|_| corrupt("a stored time is out of range"))
    };
    Ok(Fact {
        upstream: row.some_text(0)?,
        route: AuthRoute::parse(&row.some_text(1)?)
            .ok_or_else(|| corrupt("a stored route is unknown"))?,
        plan: row.text(2)?.filter(|plan| !plan.is_empty()),
        credential: row.text(3)?.filter(|digest| !digest.is_empty()),
        model: row.some_text(4)?,
        evidence: row.some_text(5)?,
        learned_at: time(6)?,
        expires_at: time(7)?,
    })
}
