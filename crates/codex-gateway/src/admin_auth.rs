//! Who may administer: holders of the admin token, and sessions of the dashboard. Denies by
//! default, and slows guessing down.

pub mod throttle;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway_ledger::{Actor, Session};
use http::{HeaderMap, Method, header};

use crate::access::client_address::Visitor;
use crate::admin_auth::throttle::{Guess, Throttle};
use crate::app::App;
use crate::config;
use crate::config::active::ActiveConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::http::admin::session;
use crate::secret::Secret;

/// How often the token's file is looked at. A rotated token must be in force within two seconds.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The admin token in force, and who guessed wrong lately.
pub struct Gate {
    token: ArcSwap<Secret>,
    /// Where the token is when the configuration names none.
    kept: PathBuf,
    throttle: Throttle,
}

/// Whoever was let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// As the audit log calls them.
    pub actor: Actor,
    /// Set when they came with a session.
    pub session: Option<Session>,
}

impl Gate {
    /// `kept` is the file of the data directory that holds the token unless the configuration names
    /// another place.
    pub fn new(token: Secret, kept: PathBuf) -> Self {
        Self {
            token: ArcSwap::from_pointee(token),
            kept,
            throttle: Throttle::default(),
        }
    }

    /// Lets in who has the token or a session. A session of a browser has to show that its request
    /// comes from the dashboard.
    pub async fn admit(
        &self,
        app: &App,
        method: &Method,
        headers: &HeaderMap,
        visitor: Visitor,
    ) -> Result<Admitted, GatewayError> {
        let Some(secret) = session::cookie(headers) else {
            return self.admit_token(app, headers, visitor);
        };
        // A program that was given a token means it, whatever cookies it collected.
        if headers.contains_key(header::AUTHORIZATION) {
            return self.admit_token(app, headers, visitor);
        }
        session::check_sender(method, headers)?;
        self.check(app, Guess::Session, visitor.address)?;
        let found = app.books.ledger().session(secret).await;
        let found = found.map_err(|error| crate::http::admin::params::ledger_error(&error))?;
        let Some(session) = found else {
            self.failed(app, Guess::Session, visitor.address);
            return Err(GatewayError::new(
                ErrorCode::AdminRequired,
                "this session has ended; `codex-gateway dashboard` prints a new sign-in link",
            ));
        };
        Ok(Admitted {
            actor: Actor {
                name: session.name.clone(),
                address: visitor.address,
            },
            session: Some(session),
        })
    }

    /// Lets in who has the token.
    pub fn admit_token(
        &self,
        app: &App,
        headers: &HeaderMap,
        visitor: Visitor,
    ) -> Result<Admitted, GatewayError> {
        let refused = || {
            GatewayError::new(
                ErrorCode::AdminRequired,
                "send the admin token as bearer token; it is in the file `admin-token` of the gateway's data directory, \
                 or where `[admin] token` says",
            )
        };
        let token = bearer(headers).ok_or_else(refused)?;
        self.check(app, Guess::Token, visitor.address)?;
        if !self.token.load().matches(token) {
            self.failed(app, Guess::Token, visitor.address);
            return Err(refused());
        }
        Ok(Admitted {
            actor: Actor {
                name: "admin".to_owned(),
                address: visitor.address,
            },
            session: None,
        })
    }

    /// Refuses whoever guessed wrong too often.
    pub fn check(&self, app: &App, kind: Guess, from: Option<IpAddr>) -> Result<(), GatewayError> {
        let now = app.clock.instant();
        self.throttle.check(kind, from, now).map_err(|seconds| {
            let mut error = GatewayError::new(
                ErrorCode::RateLimitExceeded,
                format!("too many wrong attempts to sign in; try again in {seconds} s"),
            );
            error.retry_after = Some(seconds);
            error
        })
    }

    /// Notes a wrong guess.
    pub fn failed(&self, app: &App, kind: Guess, from: Option<IpAddr>) {
        tracing::warn!(
            client.address = from.map(tracing::field::display),
            kind = ?kind,
            "somebody tried to administer with a wrong secret"
        );
        self.throttle.failed(kind, from, app.clock.instant());
    }

    /// Keeps the token up to date: its file can be written anew, and a reload can name another
    /// place.
    pub async fn follow(&self, app: &App) {
        let mut is_bad = false;
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            match self.present(&app.live.load_full()) {
                Ok(token) => {
                    is_bad = false;
                    if !self.token.load().matches(token.expose()) {
                        self.token.store(token.into());
                        tracing::info!(
                            "the admin token has changed; the old one opens nothing any more"
                        );
                    }
                }
                Err(why) if !is_bad => {
                    is_bad = true;
                    tracing::error!(
                        "the admin token cannot be read again, the old one stays in force: {why}"
                    );
                }
                Err(_) => {}
            }
        }
    }

    fn present(&self, live: &ActiveConfig) -> Result<Secret, String> {
        let path = match &live.settings.admin.token {
            None => &self.kept,
            Some(token) => match &token.file {
                None => return Ok(token.secret.clone()),
                Some(path) => path,
            },
        };
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let token = Secret::new(text.trim());
        config::is_hard_to_guess(&token)?;
        Ok(token)
    }

    #[cfg(test)]
    pub(crate) fn token(&self) -> Secret {
        Secret::clone(&self.token.load())
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}
