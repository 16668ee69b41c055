//! Refusals of models by upstreams, as they were seen at run time. They expire; whether to act on
//! one is policy's.

use gateway_policy::AuthRoute;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::audit::Actor;
use crate::db::{Row, Statement, TableSchema, int, key, replaced, text};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::time::stored_time;

/// An upstream refused a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelRefusal {
    /// The upstream's name.
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
    /// When it refused.
    pub learned_at: Timestamp,
    /// Until when it is believed.
    pub expires_at: Timestamp,
}

/// The commands and the table have called these facts since the first version.
const MODEL_REFUSALS: TableSchema<ModelRefusal> = TableSchema {
    name: "facts",
    columns: &[
        key(text("upstream", |refusal| Some(refusal.upstream.clone()))),
        key(text("route", |refusal| {
            Some(refusal.route.as_str().to_owned())
        })),
        key(text("plan", |refusal| {
            Some(refusal.plan.clone().unwrap_or_default())
        })),
        key(text("credential", |refusal| {
            Some(refusal.credential.clone().unwrap_or_default())
        })),
        key(text("model", |refusal| Some(refusal.model.clone()))),
        replaced(text("evidence", |refusal| Some(refusal.evidence.clone()))),
        replaced(int("learned_at", |refusal| {
            Some(refusal.learned_at.as_microsecond())
        })),
        replaced(int("expires_at", |refusal| {
            Some(refusal.expires_at.as_microsecond())
        })),
    ],
    change_if: "",
};

/// Most refusals that are listed. Model names come from callers; this many refused ones are no
/// accident.
const MOST: i64 = 10_000;

impl Ledger {
    /// Keeps a refusal; it replaces an older one of the same model, upstream, route, plan and
    /// credential.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn put_model_refusal(&self, refusal: &ModelRefusal) -> Result<(), LedgerError> {
        let mut change = self.change().await?;
        let expired = "DELETE FROM facts WHERE expires_at <= $1";
        change
            .link()
            .execute(expired, vec![self.now().into()])
            .await?;
        change.link().insert(&MODEL_REFUSALS, &[refusal]).await?;
        change.commit().await
    }

    /// The refusals that have not expired, newest first.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn model_refusals(&self) -> Result<Vec<ModelRefusal>, LedgerError> {
        let mut statement = Statement::new(format!(
            "SELECT {} FROM facts WHERE expires_at > ",
            MODEL_REFUSALS.names()
        ));
        statement
            .bind(self.now())
            .push(" ORDER BY learned_at DESC, upstream, model LIMIT ")
            .bind(MOST);
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        rows.iter().map(read_refusal).collect()
    }

    /// Forgets the refusals of one model, compared without case, or all of them. Answers how many.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn clear_model_refusals(
        &self,
        model: Option<&str>,
        actor: impl Into<Actor>,
    ) -> Result<u64, LedgerError> {
        let mut change = self.change().await?;
        let gone = if let Some(model) = model {
            let sql = "DELETE FROM facts WHERE LOWER(model) = $1";
            let cells = vec![model.to_ascii_lowercase().into()];
            change.link().execute(sql, cells).await?
        } else {
            let sql = "DELETE FROM facts";
            change.link().execute(sql, Vec::new()).await?
        };
        let detail = json!({ "forgotten": gone });
        change
            .commit_audited(actor, "facts.clear", model.unwrap_or("*"), detail)
            .await?;
        Ok(gone)
    }
}

fn read_refusal(row: &Row) -> Result<ModelRefusal, LedgerError> {
    Ok(ModelRefusal {
        upstream: row.some_text("upstream")?,
        route: row.word("route", AuthRoute::parse)?,
        plan: row.text("plan")?.filter(|plan| !plan.is_empty()),
        credential: row.text("credential")?.filter(|digest| !digest.is_empty()),
        model: row.some_text("model")?,
        evidence: row.some_text("evidence")?,
        learned_at: stored_time(row.some_int("learned_at")?)?,
        expires_at: stored_time(row.some_int("expires_at")?)?,
    })
}
