//! What is to change about a gateway key, and what changed. Writes nothing.

use gateway_policy::AuthRoute;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::directory::KeyRecord;

/// What is to happen to a value that can be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FieldEdit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is removed.
    Remove,
    /// It is replaced.
    Set(T),
}

impl<T> FieldEdit<T> {
    /// The new value, if there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Remove => None,
        }
    }

    /// Whether the value stays as it is.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The same edit with the value in another form.
    pub fn with<U>(&self, value: Option<U>) -> FieldEdit<U> {
        match (self, value) {
            (Self::Keep, _) => FieldEdit::Keep,
            (Self::Set(_), Some(value)) => FieldEdit::Set(value),
            (Self::Remove | Self::Set(_), _) => FieldEdit::Remove,
        }
    }

    fn apply(&self, old: &mut Option<T>)
    where
        T: Clone,
    {
        match self {
            Self::Keep => {}
            Self::Remove => *old = None,
            Self::Set(value) => *old = Some(value.clone()),
        }
    }
}

/// A value that is there is an edit: null removes. One that is absent is
/// [`FieldEdit::Keep`], by `#[serde(default)]`.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for FieldEdit<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Option::deserialize(from)?;
        Ok(value.map_or(Self::Remove, Self::Set))
    }
}

/// New values for a key. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct KeyUpdate {
    /// What to call it; not empty.
    pub name: Option<String>,
    /// Whose it is.
    pub owner: FieldEdit<String>,
    /// Its team; made if there is none of that name.
    pub team: FieldEdit<String>,
    /// When it stops working by itself.
    pub expires_at: FieldEdit<Timestamp>,
    /// Globs over the models it may use; empty: all.
    pub models: Option<Vec<String>>,
    /// The auth routes it may use; empty: all.
    pub routes: Option<Vec<AuthRoute>>,
    /// Its limit on requests per minute.
    pub requests_per_minute: FieldEdit<u64>,
    /// Its limit on tokens per minute.
    pub tokens_per_minute: FieldEdit<u64>,
    /// Its limit on exchanges at a time.
    pub concurrency: FieldEdit<u64>,
}

impl KeyUpdate {
    /// The key as it is to be.
    pub(crate) fn apply(&self, before: &KeyRecord) -> KeyRecord {
        let mut after = before.clone();
        let limits = &mut after.limits;
        self.requests_per_minute
            .apply(&mut limits.requests_per_minute);
        self.tokens_per_minute.apply(&mut limits.tokens_per_minute);
        self.concurrency.apply(&mut limits.concurrency);
        self.owner.apply(&mut after.owner);
        self.team.apply(&mut after.team);
        self.expires_at.apply(&mut after.expires_at);
        if let Some(name) = &self.name {
            after.name.clone_from(name);
        }
        if let Some(models) = &self.models {
            after.models.clone_from(models);
        }
        if let Some(routes) = &self.routes {
            after.routes.clone_from(routes);
        }
        after
    }
}

/// For the audit log: each value that changed, with its old and its new form.
pub(crate) fn changed(before: &KeyRecord, after: &KeyRecord) -> Value {
    let (Value::Object(before), Value::Object(after)) = (json!(before), json!(after)) else {
        return Value::Null;
    };
    let changed = after.into_iter().filter_map(|(name, new)| {
        let old = before.get(&name).cloned().unwrap_or_default();
        (old != new).then(|| (name, json!({ "from": old, "to": new })))
    });
    Value::Object(changed.collect::<Map<_, _>>())
}
