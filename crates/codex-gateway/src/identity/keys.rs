//! Gateway keys as the request path sees them: from what was presented to an identity and what it
//! may do. Answered from memory; the store is read when something administered has changed, and for
//! a key that is not known yet. Decides nothing about money.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway_ledger::{Directory, KeyCheck, Ledger, LedgerError};
use gateway_policy::limit::{Budget, Scope, ScopeLimits};

use crate::clock::Clock;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::caller::KeyIdentity;
use crate::identity::credentials::{GATEWAY_KEY_PREFIX, RequestCredentials};
use crate::identity::grant::Grant;
use crate::identity::key_lookups::Lookups;

/// How long a request waits for the store to say whether it knows a key.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(2);
/// Pause after the store did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The keys this gateway issued, and what limits everybody.
pub struct Keys {
    known: ArcSwap<LoadedKeys>,
    lookups: Lookups,
    ledger: Ledger,
    clock: Clock,
}

/// The directory and what follows from it, worked out once a change and not once a request.
struct LoadedKeys {
    directory: Directory,
    grants: HashMap<String, Arc<Grant>>,
    gateway: Arc<Grant>,
    /// What limits each repository that has a budget.
    repos: HashMap<String, ScopeLimits>,
}

impl Keys {
    /// Over what the store held at the start.
    pub fn new(clock: Clock, ledger: Ledger, directory: Directory) -> Self {
        Self {
            known: ArcSwap::from_pointee(LoadedKeys::of(directory)),
            lookups: Lookups::default(),
            ledger,
            clock,
        }
    }

    /// Takes over what the store holds now.
    pub fn replace(&self, directory: Directory) {
        self.known.store(Arc::new(LoadedKeys::of(directory)));
    }

    /// Reads the store where a request presents a key that is not known here: it may have been
    /// made a moment ago, by another process. A key that the store does not know either is looked
    /// up once, and guesses only so often (see [`Lookups`]); beyond that, a new key is known when
    /// [`Self::follow`] has read it.
    ///
    /// # Errors
    /// [`ErrorCode::StorageUnavailable`] when the store does not answer in time.
    pub async fn find_new(
        &self,
        presented: &RequestCredentials,
        from: Option<IpAddr>,
    ) -> Result<(), GatewayError> {
        let Some(key) = &presented.gateway_key else {
            return Ok(());
        };
        let secret = key.expose();
        let is_known = match self.known.load().directory.check(secret, self.clock.now()) {
            KeyCheck::Unknown => false,
            KeyCheck::Valid(_) | KeyCheck::Revoked(_) | KeyCheck::Expired(_) => true,
        };
        if is_known || !secret.starts_with(GATEWAY_KEY_PREFIX) {
            return Ok(());
        }
        if !self.lookups.begin(secret, from, self.clock.instant()) {
            return Ok(());
        }
        let read = async {
            if self.ledger.has_key(secret).await? {
                self.replace(self.ledger.directory().await?);
            }
            Ok::<_, LedgerError>(())
        };
        let late = || {
            GatewayError::new(
                ErrorCode::StorageUnavailable,
                "the gateway key cannot be looked up now: the store does not answer; try again",
            )
        };
        match tokio::time::timeout(LOOKUP_DEADLINE, read).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.lookups.forget(secret);
                Err(error.into())
            }
            Err(_) => {
                self.lookups.forget(secret);
                Err(late())
            }
        }
    }

    /// Looks up the key that a request presents.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidGatewayKey`] when a key is presented that is unknown, revoked or
    /// expired. Which of the three is in the log only: whoever tries keys learns nothing.
    pub fn identify(
        &self,
        presented: &RequestCredentials,
    ) -> Result<Option<KeyIdentity>, GatewayError> {
        let Some(key) = &presented.gateway_key else {
            return Ok(None);
        };
        let known = self.known.load();
        let (state, record) = match known.directory.check(key.expose(), self.clock.now()) {
            KeyCheck::Valid(record) => {
                return Ok(Some(KeyIdentity {
                    id: record.id.clone(),
                    name: record.name.clone(),
                    team: record.team.clone(),
                    grant: known.grants.get(&record.id).cloned().unwrap_or_default(),
                }));
            }
            KeyCheck::Revoked(record) => ("revoked", Some(record)),
            KeyCheck::Expired(record) => ("expired", Some(record)),
            KeyCheck::Unknown => ("unknown", None),
        };
        tracing::info!(
            state,
            key = record.map(|record| record.id.as_str()),
            "a gateway key was refused"
        );
        let hint = if key.expose().starts_with(GATEWAY_KEY_PREFIX) {
            ""
        } else {
            " (gateway keys start with `cgw_`)"
        };
        Err(refused(hint))
    }

    /// Checks that a key that was looked up is still valid: a body can take longer to arrive than a
    /// revocation.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidGatewayKey`] when it is not.
    pub fn check_still_valid(&self, id: &str) -> Result<(), GatewayError> {
        let known = self.known.load();
        let now = self.clock.now();
        let is_good = known.directory.key(id).is_some_and(|key| {
            key.revoked_at.is_none() && key.expires_at.is_none_or(|expires_at| expires_at > now)
        });
        if is_good {
            return Ok(());
        }
        tracing::info!(
            key = id,
            "refused a gateway key that was valid when its request started"
        );
        Err(refused(""))
    }

    /// What holds for callers without a gateway key.
    pub fn keyless(&self) -> Arc<Grant> {
        Arc::clone(&self.known.load().gateway)
    }

    /// What limits a repository; `None` where nothing does.
    pub fn repo_limits(&self, repo: &str) -> Option<ScopeLimits> {
        self.known.load().repos.get(repo).cloned()
    }

    /// What a person calls a scope.
    pub fn describe(&self, scope: &Scope) -> String {
        match scope {
            Scope::Key(id) => {
                let known = self.known.load();
                let name = known.directory.key(id).map_or(id, |key| &key.name);
                format!("key `{name}`")
            }
            Scope::Team(name) => format!("team `{name}`"),
            Scope::Repo(name) => format!("repository `{name}`"),
            Scope::Gateway => "the whole gateway".to_owned(),
        }
    }

    /// The budgets whose scope may be a label: those of teams and of the gateway.
    pub fn shared_budgets(&self) -> Vec<(Scope, Budget)> {
        let known = self.known.load();
        let budgets = known.directory.budgets().iter();
        budgets
            .filter(|(scope, _)| match scope {
                Scope::Key(_) | Scope::Repo(_) => false,
                Scope::Team(_) | Scope::Gateway => true,
            })
            .cloned()
            .collect()
    }

    /// Reads the store again whenever something administered has changed, by any process. Ends with
    /// the ledger.
    pub async fn follow(&self) {
        let mut changes = self.ledger.changes();
        loop {
            match self.ledger.directory().await {
                Ok(directory) => self.replace(directory),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot read keys and limits; the previous ones stay in force"
                    );
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The same words for each reason.
fn refused(hint: &str) -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidGatewayKey,
        format!(
            "the gateway key is not valid here{hint}: it is unknown, revoked or expired; ask the \
             gateway's operator for a valid one"
        ),
    )
}

impl LoadedKeys {
    fn of(directory: Directory) -> Self {
        let keys = directory.keys().iter();
        Self {
            grants: keys
                .map(|key| (key.id.clone(), Arc::new(Grant::new(&directory, Some(key)))))
                .collect(),
            gateway: Arc::new(Grant::new(&directory, None)),
            repos: directory.repo_limits(),
            directory,
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_ledger::NewKey;

    use super::*;
    use crate::testing::Process;

    #[tokio::test]
    async fn a_key_works_until_the_moment_it_expires() {
        let clock = Clock::manual("2026-11-20T12:00:00Z");
        let process = Process::start_at("", clock.clone()).await;
        let (ledger, keys) = (process.part::<Ledger>(), process.part::<Arc<Keys>>());
        let new = NewKey {
            name: "ci".to_owned(),
            expires_at: Some(clock.now() + Duration::from_secs(3600)),
            ..NewKey::default()
        };
        let made = ledger.create_key(&new, "test").await.unwrap();
        keys.replace(ledger.directory().await.unwrap());
        let mut headers = http::HeaderMap::new();
        let secret = made.secret.reveal();
        headers.insert("x-gateway-key", secret.parse().unwrap());
        let credentials = RequestCredentials::read(&headers).unwrap();
        clock.advance(Duration::from_secs(3599));
        let key = keys.identify(&credentials).unwrap().unwrap();
        assert_eq!(key.name, "ci");
        keys.check_still_valid(&key.id).unwrap();
        clock.advance(Duration::from_secs(1));
        for refused in [
            keys.identify(&credentials).unwrap_err(),
            keys.check_still_valid(&key.id).unwrap_err(),
        ] {
            assert_eq!(refused.code, ErrorCode::InvalidGatewayKey);
        }
        process.stop().await;
    }
}
