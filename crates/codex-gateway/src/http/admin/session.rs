//! `/api/session`: a one-time link becomes a session of a browser, and a session ends. The link
//! comes in the body of a `POST`, so that whoever looks a link up in advance, a mail scanner or a
//! chat's preview, does not use it up.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use gateway_ledger::Actor;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::json;

use crate::access::client_address::Visitor;
use crate::admin_auth::Admitted;
use crate::admin_auth::throttle::Guess;
use crate::app::App;
use crate::error::{ErrorCode, GatewayError};
use crate::http::admin::params::ledger_error;
use crate::http::admin::team::read;

/// The cookie of a session. The name with `__Host-` is taken by browsers over TLS only, and then
/// from nobody but this host.
const COOKIE: &str = "codex_gateway_session";
const SECURE_COOKIE: &str = "__Host-codex_gateway_session";
/// What the dashboard's own page sends with each change. Another origin's page cannot without
/// asking first, and is told no.
const PROOF: HeaderName = HeaderName::from_static("x-gateway-session");
/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

type Answer = Result<Response, GatewayError>;

/// The secret of a request's session. The name that only this host can set goes first, whatever
/// order they come in: a plain cookie that a neighbour on another port planted, or that is left
/// from before TLS, must not stand before it.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    [SECURE_COOKIE, COOKIE].into_iter().find_map(|wanted| {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, secret)| *name == wanted && !secret.is_empty())
            .map(|(_, secret)| secret)
    })
}

/// A browser sends cookies along whoever made it ask. So a request by session comes from our own
/// page or the address line, and a change shows a header that only our own page can add. The guard
/// before has refused foreign origins already; origins that the configuration lists may call with a
/// token, not with somebody's session.
pub(crate) fn check_sender(method: &Method, headers: &HeaderMap) -> Result<(), GatewayError> {
    let refused = || {
        GatewayError::new(
            ErrorCode::OriginNotAllowed,
            "a session works from the dashboard's own pages only; programs send the admin token",
        )
    };
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_change = !matches!(*method, Method::GET | Method::HEAD);
    let is_own = match site {
        None | Some(b"same-origin") => true,
        Some(b"none") => !is_change,
        Some(_) => false,
    };
    if !is_own || is_change && !headers.contains_key(PROOF) {
        return Err(refused());
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let authority = origin.to_str().ok().and_then(|text| text.split_once("://"));
        let is_same = authority.is_some_and(|(_, authority)| {
            host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes()))
        });
        if !is_same {
            return Err(refused());
        }
    }
    Ok(())
}

/// A one-time link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    link: String,
}

/// `POST /api/session`, for everybody: the secret of a link becomes a cookie.
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let SignIn { link } = read(&headers, &body)?;
    app.admin.check(&app, Guess::SignIn, visitor.address)?;
    let actor = Actor {
        name: "sign-in link".to_owned(),
        address: visitor.address,
    };
    let redeemed = app.books.ledger().redeem_sign_in(&link, LIFETIME, &actor);
    let redeemed = redeemed.await.map_err(|error| ledger_error(&error))?;
    let Some(session) = redeemed else {
        app.admin.failed(&app, Guess::SignIn, visitor.address);
        return Err(GatewayError::new(
            ErrorCode::AdminRequired,
            "this sign-in link is unknown, was used or is older than ten minutes; `codex-gateway \
             dashboard` prints another one",
        ));
    };
    let secret = session.secret.reveal();
    let seconds = LIFETIME.as_secs();
    let cookie = if visitor.is_secure {
        format!(
            "{SECURE_COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict; Secure"
        )
    } else {
        format!("{COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
    };
    let mut response = Json(json!({ "expires_at": session.expires_at })).into_response();
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `GET /api/session`: who is signed in.
pub(super) async fn state(Extension(admitted): Extension<Admitted>) -> Response {
    let expires_at = admitted.session.map(|session| session.expires_at);
    Json(json!({ "actor": admitted.actor.name, "expires_at": expires_at })).into_response()
}

/// `DELETE /api/session`: signs out. Without a session there is nothing to end, which is what was
/// wanted.
pub(super) async fn sign_out(
    State(app): State<Arc<App>>,
    Extension(admitted): Extension<Admitted>,
    headers: HeaderMap,
) -> Answer {
    let ended = match (&admitted.session, cookie(&headers)) {
        (Some(_), Some(secret)) => {
            let ledger = app.books.ledger();
            let ended = ledger.end_sessions(Some(secret), &admitted.actor).await;
            ended.map_err(|error| ledger_error(&error))? > 0
        }
        _ => false,
    };
    let mut response = Json(json!({ "ended": ended })).into_response();
    for name in [COOKIE, SECURE_COOKIE] {
        let secure = if name == SECURE_COOKIE {
            "; Secure"
        } else {
            ""
        };
        let gone = format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{secure}");
        if let Ok(gone) = HeaderValue::from_str(&gone) {
            response.headers_mut().append(header::SET_COOKIE, gone);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let cookies = headers(&[
            ("cookie", "theme=dark; codex_gateway_session=abc; x=y"),
            ("cookie", "other=1"),
        ]);
        assert_eq!(cookie(&cookies), Some("abc"));
        let secure = headers(&[("cookie", "__Host-codex_gateway_session=def")]);
        assert_eq!(cookie(&secure), Some("def"));
        let planted = headers(&[(
            "cookie",
            "codex_gateway_session=planted; __Host-codex_gateway_session=def",
        )]);
        assert_eq!(cookie(&planted), Some("def"));
        for none in ["", "codex_gateway_session=", "xcodex_gateway_session=a"] {
            assert_eq!(cookie(&headers(&[("cookie", none)])), None, "{none}");
        }
    }

    #[test]
    fn a_session_is_no_use_to_other_pages() {
        let check = |method: Method, fields: &[(&'static str, &str)]| {
            let mut all = vec![("host", "gw.example:8787")];
            all.extend_from_slice(fields);
            check_sender(&method, &headers(&all)).is_ok()
        };
        let proof = ("x-gateway-session", "1");
        assert!(check(Method::GET, &[]));
        assert!(check(Method::GET, &[("sec-fetch-site", "none")]));
        assert!(check(Method::GET, &[("sec-fetch-site", "same-origin")]));
        // Another port of the same machine is the same site, and gets the same cookies.
        assert!(!check(Method::GET, &[("sec-fetch-site", "same-site")]));
        assert!(!check(Method::GET, &[("sec-fetch-site", "cross-site")]));
        assert!(!check(Method::POST, &[]));
        assert!(check(Method::POST, &[proof]));
        assert!(check(
            Method::DELETE,
            &[proof, ("sec-fetch-site", "same-origin")]
        ));
        assert!(!check(Method::POST, &[proof, ("sec-fetch-site", "none")]));
        assert!(!check(
            Method::POST,
            &[proof, ("sec-fetch-site", "same-site")]
        ));
        assert!(check(
            Method::POST,
            &[proof, ("origin", "https://gw.example:8787")]
        ));
        assert!(!check(
            Method::POST,
            &[proof, ("origin", "https://tool.example")]
        ));
        assert!(!check(Method::GET, &[("origin", "null")]));
        // Without a host to compare with, no origin is the dashboard's own.
        let bare = headers(&[("origin", "https://tool.example")]);
        assert!(check_sender(&Method::GET, &bare).is_err());
    }
}
