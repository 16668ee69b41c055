//! Who may administer: holders of the admin token, and dashboard sessions. Denies by default, and
//! limits the rate of wrong guesses. Serves no endpoint.

pub mod session_cookie;
mod throttle;

use std::path::{Path, PathBuf};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum_extra::headers::HeaderMapExt as _;
use axum_extra::headers::authorization::{Authorization, Bearer};
use gateway_ledger::{Actor, Ledger, NewSession, Session};
use gateway_policy::AuthRoute;
use http::{HeaderMap, Method, header};

use crate::access::client_address::ClientAddr;
use crate::admin_auth::throttle::{SecretKind, Throttle};
use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::config::{self, AdminToken};
use crate::data_dir;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::credentials::RequestCredentials;
use crate::secret::Secret;

/// How often the token's file is read. A rotated token must be in force within two seconds.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Checks the credentials of administrators.
pub struct AdminAuth {
    token: ArcSwap<Secret>,
    /// The file that holds the token unless the configuration names another place.
    default_file: PathBuf,
    /// Where `admin rotate-token` looks whether this process has read the new token.
    read_note: PathBuf,
    throttle: Throttle,
    ledger: Ledger,
    clock: Clock,
}

/// An administrator whose credential was accepted.
#[derive(Debug, Clone)]
pub struct AdminPrincipal {
    /// The name and address that the audit log records.
    pub actor: Actor,
    /// Set when the credential was a session.
    pub session: Option<Session>,
}

impl AdminAuth {
    /// `token` is in force until [`Self::follow`] reads another one. `default_file` is the file of
    /// the data directory that holds the token unless the configuration names another place.
    pub fn new(token: Secret, default_file: PathBuf, ledger: Ledger, clock: Clock) -> Self {
        Self {
            token: ArcSwap::from_pointee(token),
            read_note: default_file.with_file_name(data_dir::ADMIN_TOKEN_READ),
            default_file,
            throttle: Throttle::default(),
            ledger,
            clock,
        }
    }

    /// Accepts the admin token, or a session whose request comes from the dashboard's own pages.
    ///
    /// # Errors
    /// [`ErrorCode::AdminRequired`] without a valid credential, [`ErrorCode::OriginNotAllowed`] for
    /// a session used by another page, [`ErrorCode::RateLimitExceeded`] after too many wrong
    /// guesses, and whatever the ledger reports.
    pub async fn authorize(
        &self,
        method: &Method,
        headers: &HeaderMap,
        client: ClientAddr,
    ) -> Result<AdminPrincipal, GatewayError> {
        // A program that sends a token means it, whatever cookies it has collected.
        let has_authorization = headers.contains_key(header::AUTHORIZATION);
        let secret = session_cookie::read(headers).filter(|_| !has_authorization);
        let Some(secret) = secret else {
            return self.authorize_token(headers, client);
        };
        session_cookie::check_sender(method, headers)?;
        self.check_rate(SecretKind::Session, client)?;
        let Some(session) = self.ledger.session(&secret).await? else {
            self.record_failure(SecretKind::Session, client);
            return Err(GatewayError::new(
                ErrorCode::AdminRequired,
                "this session has ended; `codex-gateway dashboard` prints a new sign-in link",
            ));
        };
        Ok(AdminPrincipal {
            actor: Actor {
                name: session.name.clone(),
                address: client.address,
            },
            session: Some(session),
        })
    }

    /// Accepts the admin token only.
    ///
    /// # Errors
    /// [`ErrorCode::AdminRequired`] without the token, [`ErrorCode::RateLimitExceeded`] for a wrong
    /// one after too many others.
    pub fn authorize_token(
        &self,
        headers: &HeaderMap,
        client: ClientAddr,
    ) -> Result<AdminPrincipal, GatewayError> {
        let refused = || {
            GatewayError::new(
                ErrorCode::AdminRequired,
                "send the admin token as a bearer token; it is in the file `admin-token` of the \
                 gateway's data directory, or where `[admin] token` says",
            )
        };
        let bearer: Option<Authorization<Bearer>> = headers.typed_get();
        let bearer = bearer.filter(|bearer| !bearer.token().is_empty());
        let bearer = bearer.ok_or_else(refused)?;
        // The right token always works: its comparison costs nothing, and whoever shares an address
        // with a guesser must not be locked out by it.
        if !self.token.load().matches(bearer.token()) {
            // A client that polls `/api` with the credential of its own traffic guesses nothing.
            if !is_of_another_kind(headers) {
                self.check_rate(SecretKind::Token, client)?;
                self.record_failure(SecretKind::Token, client);
            }
            return Err(refused());
        }
        Ok(AdminPrincipal {
            actor: Actor {
                name: "admin".to_owned(),
                address: client.address,
            },
            session: None,
        })
    }

    /// Exchanges the secret of a one-time sign-in link for a session.
    ///
    /// # Errors
    /// [`ErrorCode::AdminRequired`] when the link is unknown, used or expired,
    /// [`ErrorCode::RateLimitExceeded`] after too many wrong ones, and whatever the ledger reports.
    pub async fn sign_in(
        &self,
        link: &str,
        client: ClientAddr,
    ) -> Result<NewSession, GatewayError> {
        self.check_rate(SecretKind::SignInLink, client)?;
        let actor = Actor {
            name: "sign-in link".to_owned(),
            address: client.address,
        };
        let session = self
            .ledger
            .redeem_sign_in(link, session_cookie::LIFETIME, &actor);
        let session = session.await?;
        session.ok_or_else(|| {
            self.record_failure(SecretKind::SignInLink, client);
            GatewayError::new(
                ErrorCode::AdminRequired,
                "this sign-in link is unknown, already used or older than ten minutes; \
                 `codex-gateway dashboard` prints a new one",
            )
        })
    }

    /// Ends the session that the request was authorized with. Returns whether there was one.
    ///
    /// # Errors
    /// Whatever the ledger reports.
    pub async fn sign_out(
        &self,
        principal: &AdminPrincipal,
        headers: &HeaderMap,
    ) -> Result<bool, GatewayError> {
        let (Some(_), Some(secret)) = (&principal.session, session_cookie::read(headers)) else {
            return Ok(false);
        };
        let actor = &principal.actor;
        let ended = self.ledger.end_sessions(Some(&secret), actor).await?;
        Ok(ended > 0)
    }

    fn check_rate(&self, kind: SecretKind, client: ClientAddr) -> Result<(), GatewayError> {
        let now = self.clock.instant();
        let checked = self.throttle.check(kind, client.address, now);
        checked.map_err(|seconds| {
            let mut error = GatewayError::new(
                ErrorCode::RateLimitExceeded,
                format!("too many wrong attempts to sign in; try again in {seconds} s"),
            );
            error.retry_after = Some(seconds);
            error
        })
    }

    fn record_failure(&self, kind: SecretKind, client: ClientAddr) {
        tracing::warn!(
            client.address = client.address.map(tracing::field::display),
            kind = ?kind,
            "refused an administrator's credential"
        );
        let now = self.clock.instant();
        self.throttle.record_failure(kind, client.address, now);
    }

    /// Keeps the token up to date: its file can be rewritten, and a reload can name another place.
    /// Never returns.
    pub async fn follow(&self, config: &SharedConfig) {
        let mut is_failing = false;
        let mut noted = String::new();
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let config = config.load();
            let configured = config.settings.admin.token.as_ref();
            // Taken before reading: a file that is replaced in between is noted the next time.
            let stamp = self.token_file(configured).map(data_dir::stamp);
            match self.current_token(configured) {
                Ok(token) => {
                    is_failing = false;
                    if !self.token.load().matches(token.expose()) {
                        self.token.store(token.into());
                        tracing::info!("the admin token has changed; the old one no longer works");
                    }
                    if let Some(Ok(stamp)) = stamp
                        && stamp != noted
                        && data_dir::replace(&self.read_note, &stamp).is_ok()
                    {
                        noted = stamp;
                    }
                }
                Err(problem) if !is_failing => {
                    is_failing = true;
                    tracing::error!(
                        "cannot reload the admin token, the old one stays in force: {problem}"
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// The file that holds the token; `None` where it comes from the environment.
    fn token_file<'a>(&'a self, configured: Option<&'a AdminToken>) -> Option<&'a Path> {
        match configured {
            None => Some(&self.default_file),
            Some(token) => token.file.as_deref(),
        }
    }

    fn current_token(&self, configured: Option<&AdminToken>) -> Result<Secret, String> {
        let file = match (self.token_file(configured), configured) {
            (None, Some(token)) => return Ok(token.secret.clone()),
            (file, _) => file.unwrap_or(&self.default_file),
        };
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let token = Secret::new(text.trim());
        config::is_hard_to_guess(&token)?;
        Ok(token)
    }

    #[cfg(test)]
    pub(crate) fn token(&self) -> Secret {
        Secret::clone(&self.token.load())
    }
}

/// Whether the bearer is a credential for model traffic: a ChatGPT sign-in or another JWT, a
/// provider's API key or a gateway key. Nobody finds an admin token by sending those.
fn is_of_another_kind(headers: &HeaderMap) -> bool {
    let credentials = RequestCredentials::read(headers);
    credentials.is_ok_and(|credentials| match credentials.route {
        AuthRoute::Chatgpt | AuthRoute::GatewayKey => true,
        AuthRoute::ApiKey => {
            let bearer: Option<Authorization<Bearer>> = headers.typed_get();
            bearer.is_some_and(|bearer| {
                let token = bearer.token();
                token.starts_with("sk-")
                    || (token.starts_with("ey") && token.split('.').count() == 3)
            })
        }
        AuthRoute::Anonymous => false,
    })
}
