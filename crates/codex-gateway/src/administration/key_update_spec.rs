//! What is to change about a key, as flags and JSON describe it. Does not use the store.

use gateway_ledger::{FieldEdit, KeyUpdate};
use gateway_policy::AuthRoute;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::administration::error::AdminError;
use crate::administration::spec::{KeySpec, schemas, whole_number};

/// Changes to a key. What is absent stays; null removes a value, and an empty list allows all.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyUpdateSpec {
    #[schema(schema_with = schemas::name, required = false)]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(schema_with = schemas::optional_name, required = false)]
    pub team: FieldEdit<String>,
    #[serde(default)]
    #[schema(schema_with = schemas::optional_name, required = false)]
    pub owner: FieldEdit<String>,
    /// A duration from now such as `90d`, or a time such as `2027-01-31T00:00:00Z`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[1-9][0-9]{0,2}[hd]$")]
    pub expires: FieldEdit<String>,
    #[schema(schema_with = schemas::globs, required = false)]
    pub models: Option<Vec<String>>,
    #[schema(value_type = Vec<AuthRoute>, required = false)]
    pub routes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "whole_number_edit")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000)]
    pub requests_per_minute: FieldEdit<u64>,
    #[serde(default, deserialize_with = "whole_number_edit")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000)]
    pub tokens_per_minute: FieldEdit<u64>,
    #[serde(default, deserialize_with = "whole_number_edit")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000)]
    pub concurrency: FieldEdit<u64>,
}

impl KeyUpdateSpec {
    /// The changes that the words describe. The words mean what they mean for a new key.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for the first word that is not valid, and when nothing is to change.
    pub fn read(&self, now: Timestamp) -> Result<KeyUpdate, AdminError> {
        let words = KeySpec {
            // A name that stays is not read again.
            name: self.name.clone().unwrap_or_else(|| "unchanged".to_owned()),
            team: self.team.value().cloned(),
            owner: self.owner.value().cloned(),
            expires: self.expires.value().cloned(),
            models: self.models.clone().unwrap_or_default(),
            routes: self.routes.clone().unwrap_or_default(),
            budgets: Vec::new(),
            requests_per_minute: self.requests_per_minute.value().copied(),
            tokens_per_minute: self.tokens_per_minute.value().copied(),
            concurrency: self.concurrency.value().copied(),
        };
        let new = words.read(now)?;
        if self.is_empty() {
            return Err(AdminError::invalid("nothing is to change; name a value"));
        }
        Ok(KeyUpdate {
            name: self.name.is_some().then_some(new.name),
            owner: self.owner.with(new.owner),
            team: self.team.with(new.team),
            expires_at: self.expires.with(new.expires_at),
            models: self.models.is_some().then_some(new.models),
            routes: self.routes.is_some().then_some(new.routes),
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrency: self.concurrency,
        })
    }

    const fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.team.is_keep()
            && self.owner.is_keep()
            && self.expires.is_keep()
            && self.models.is_none()
            && self.routes.is_none()
            && self.requests_per_minute.is_keep()
            && self.tokens_per_minute.is_keep()
            && self.concurrency.is_keep()
    }
}

fn whole_number_edit<'de, D: Deserializer<'de>>(from: D) -> Result<FieldEdit<u64>, D::Error> {
    let number = whole_number(from)?;
    Ok(number.map_or(FieldEdit::Remove, FieldEdit::Set))
}
