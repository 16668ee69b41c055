//! Keys, budgets and rate limits as flags and JSON describe them, and what the words mean. Does not
//! use the store.

pub(super) mod schemas;

use gateway_ledger::NewKey;
use gateway_policy::limit::{Budget, Limits, Window};
use gateway_policy::units::parse_duration;
use gateway_policy::{AuthRoute, Billing, ModelPattern};
use gateway_wire::codex;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::administration::error::AdminError;

/// Longest name of a key, an owner or a team, in characters: they appear in tables and log lines.
const MAX_NAME: usize = 100;

/// Highest rate limit that makes sense.
const MAX_LIMIT: u64 = 1_000_000_000;

/// A key to create.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    #[schema(schema_with = schemas::name)]
    pub name: String,
    #[schema(schema_with = schemas::optional_name)]
    pub team: Option<String>,
    #[schema(schema_with = schemas::optional_name)]
    pub owner: Option<String>,
    /// A duration from now such as `90d`, or a time such as `2027-01-31T00:00:00Z`.
    #[schema(pattern = "^[1-9][0-9]{0,2}[hd]$")]
    pub expires: Option<String>,
    #[serde(default)]
    #[schema(schema_with = schemas::globs)]
    pub models: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Vec<AuthRoute>)]
    pub routes: Vec<String>,
    #[serde(default)]
    pub budgets: Vec<BudgetSpec>,
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub requests_per_minute: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub tokens_per_minute: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub concurrency: Option<u64>,
}

impl KeySpec {
    /// The key that the words describe.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for the first word that is not valid.
    pub fn read(&self, now: Timestamp) -> Result<NewKey, AdminError> {
        for glob in &self.models {
            if glob.is_empty() || ModelPattern::new(glob).is_err() {
                let problem = format!("`{glob}` is not a valid glob of model ids");
                return Err(AdminError::invalid(problem));
            }
        }
        let name_of = |what, name: &Option<String>| {
            let name = name.as_deref();
            name.map(|name| self::name(what, name)).transpose()
        };
        let expires = self.expires.as_deref();
        let limits = RateLimitSpec {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrency: self.concurrency,
        };
        Ok(NewKey {
            name: name("a key", &self.name)?,
            owner: name_of("an owner", &self.owner)?,
            team: name_of("a team", &self.team)?,
            expires_at: expires.map(|text| expiry(text, now)).transpose()?,
            models: self.models.clone(),
            routes: self.routes.iter().map(route).collect::<Result<_, _>>()?,
            limits: limits.read()?,
            budgets: self
                .budgets
                .iter()
                .map(BudgetSpec::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A budget to set.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// USD and a window: `5.00/day`.
    #[schema(
        example = "5.00/day",
        pattern = r"^[1-9][0-9]{0,5}(\.[0-9]{1,2})?/(day|week|month|total)$"
    )]
    pub amount: String,
    /// Share of the amount from which warnings are given: `80%`.
    #[schema(pattern = "^([1-9][0-9]?|100)%$")]
    pub soft: Option<String>,
    /// `metered` (default) or `plan`.
    #[schema(value_type = Option<Billing>)]
    pub billing: Option<String>,
}

impl BudgetSpec {
    /// The budget that the words describe.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] when one of them is not valid.
    pub fn read(&self) -> Result<Budget, AdminError> {
        let billing = billing(self.billing.as_deref())?;
        Budget::parse(&self.amount, self.soft.as_deref(), billing)
            .map_err(|error| AdminError::invalid(format!("budget `{}`: {error}", self.amount)))
    }
}

/// The rate limits of a key or a team; absent means unlimited.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSpec {
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub requests_per_minute: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub tokens_per_minute: Option<u64>,
    /// Exchanges at a time.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub concurrency: Option<u64>,
}

impl RateLimitSpec {
    /// The limits.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for zero, which would be a revoked key by another name, and for
    /// numbers too high to limit anything.
    pub fn read(&self) -> Result<Limits, AdminError> {
        let limits = Limits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrency: self.concurrency,
        };
        let all = [
            limits.requests_per_minute,
            limits.tokens_per_minute,
            limits.concurrency,
        ];
        if all.contains(&Some(0)) {
            let problem = "a limit must be at least 1; to stop a key, revoke it";
            return Err(AdminError::invalid(problem));
        }
        if all.into_iter().flatten().any(|limit| limit > MAX_LIMIT) {
            return Err(AdminError::invalid(format!(
                "a limit must be at most {MAX_LIMIT}; for no limit, omit it"
            )));
        }
        Ok(limits)
    }
}

/// Reads `metered` or `plan`; `metered` if absent.
///
/// # Errors
/// [`AdminError::Invalid`] for other words.
pub fn billing(word: Option<&str>) -> Result<Billing, AdminError> {
    let word = word.unwrap_or("metered");
    Billing::parse(word).ok_or_else(|| {
        AdminError::invalid(format!(
            "`{word}` is not a valid billing; use `metered` or `plan`"
        ))
    })
}

/// Reads `day`, `week`, `month` or `total`.
///
/// # Errors
/// [`AdminError::Invalid`] for other words.
pub fn window(word: &str) -> Result<Window, AdminError> {
    Window::parse(word).ok_or_else(|| {
        AdminError::invalid(format!(
            "`{word}` is not one of `day`, `week`, `month`, `total`"
        ))
    })
}

/// Reads the name of a key, an owner or a team. `what` is the word for it with its article.
///
/// # Errors
/// [`AdminError::Invalid`] when it is empty, too long, or has control characters.
pub(super) fn name(what: &str, text: &str) -> Result<String, AdminError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AdminError::invalid(format!("{what} needs a name")));
    }
    if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(AdminError::invalid(format!(
            "the name of {what} must have at most {MAX_NAME} characters and no control characters"
        )));
    }
    Ok(text.to_owned())
}

/// A repository by a remote of it, by its host and path, or by the digest that is recorded instead.
pub(super) fn repository(text: &str) -> Result<String, AdminError> {
    let text = text.trim();
    if text.len() == 16 && text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let named = codex::repository(text);
    named
        .or_else(|| codex::repository(&format!("https://{text}")))
        .ok_or_else(|| {
            AdminError::invalid(format!(
                "`{text}` is not a repository; write its host and path, such as \
                 `github.com/acme/shop`"
            ))
        })
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, AdminError> {
    let at = match parse_duration(text) {
        Ok(duration) => jiff::SignedDuration::try_from(duration)
            .ok()
            .and_then(|duration| now.checked_add(duration).ok()),
        Err(_) => text.parse().ok(),
    };
    at.filter(|at| *at > now).ok_or_else(|| {
        AdminError::invalid(format!(
            "expiry `{text}` is not valid; use a duration such as `90d`, or a future time such as \
             `2027-01-31T00:00:00Z`"
        ))
    })
}

fn route(word: &String) -> Result<AuthRoute, AdminError> {
    AuthRoute::parse(word).ok_or_else(|| {
        let known = AuthRoute::ALL.map(AuthRoute::as_str).join("`, `");
        AdminError::invalid(format!("`{word}` is not one of the auth routes `{known}`"))
    })
}

/// A whole number as JSON writes it: some programs write `5.0`.
pub(super) fn whole_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else {
        return Ok(None);
    };
    let whole = number.as_u64().or_else(|| {
        let text = number.to_string();
        text.strip_suffix(".0")?.parse().ok()
    });
    let problem = || serde::de::Error::custom(format!("`{number}` is not a whole number"));
    whole.map(Some).ok_or_else(problem)
}

#[cfg(test)]
mod tests;
