//! The cookie of a dashboard session: reads it, writes it, and checks that a request which carries
//! it comes from the dashboard's own pages. Knows nothing about which sessions exist.

use std::time::Duration;

use axum_extra::extract::cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::error::{ErrorCode, GatewayError};

/// How long a session lasts.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The cookie's name without TLS.
pub const NAME: &str = "codex_gateway_session";
/// The cookie's name with TLS. Browsers accept a name with `__Host-` over TLS only, and only from
/// this very host.
const SECURE_NAME: &str = "__Host-codex_gateway_session";
/// What the dashboard's own page sends with each change. A page of another origin cannot send it
/// without a preflight request, which is refused.
const PROOF: HeaderName = HeaderName::from_static("x-gateway-session");

/// The secret in the session cookie of a request. [`SECURE_NAME`] goes first, whatever order the
/// cookies come in: a plain cookie that a neighbour on another port planted, or that is left from
/// before TLS, must not shadow it.
pub(super) fn read(headers: &HeaderMap) -> Option<String> {
    [SECURE_NAME, NAME].into_iter().find_map(|name| {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(Cookie::split_parse)
            .flatten()
            .find(|cookie| cookie.name() == name && !cookie.value().is_empty())
            .map(|cookie| cookie.value().to_owned())
    })
}

/// The `set-cookie` header that begins a session.
pub fn set(secret: &str, is_secure: bool) -> Option<HeaderValue> {
    let mut cookie = blank(if is_secure { SECURE_NAME } else { NAME });
    cookie.set_value(secret.to_owned());
    cookie.set_max_age(LIFETIME.try_into().ok());
    as_header(&cookie)
}

/// The `set-cookie` headers that delete the cookie, under either name.
pub fn delete() -> impl Iterator<Item = HeaderValue> {
    [NAME, SECURE_NAME].into_iter().filter_map(|name| {
        let mut cookie = blank(name);
        cookie.make_removal();
        as_header(&cookie)
    })
}

/// A cookie with the attributes that every session cookie has, but neither value nor lifetime.
fn blank(name: &'static str) -> Cookie<'static> {
    Cookie::build(name)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(name == SECURE_NAME)
        .build()
}

fn as_header(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Browsers attach cookies to every request to this host, whoever caused it. So a request with a
/// session must come from our own page or the address bar, and a change must carry a header that
/// only our own page can add. Foreign origins have already been refused by the request guard;
/// origins that the configuration lists may use a token, but not someone's session.
///
/// # Errors
/// [`ErrorCode::OriginNotAllowed`] when the request comes from anywhere else.
pub(super) fn check_sender(method: &Method, headers: &HeaderMap) -> Result<(), GatewayError> {
    let refused = || {
        GatewayError::new(
            ErrorCode::OriginNotAllowed,
            "a session works only from the dashboard's own pages; programs must send the admin \
             token",
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
        for (fields, expected) in [
            (
                &[
                    ("cookie", "theme=dark; codex_gateway_session=abc; x=y"),
                    ("cookie", "other=1"),
                ][..],
                Some("abc"),
            ),
            (
                &[("cookie", "__Host-codex_gateway_session=def")],
                Some("def"),
            ),
            // A planted plain cookie does not shadow the one that only this host can set.
            (
                &[(
                    "cookie",
                    "codex_gateway_session=planted; __Host-codex_gateway_session=def",
                )],
                Some("def"),
            ),
            (
                &[
                    ("cookie", "codex_gateway_session=planted"),
                    ("cookie", "__Host-codex_gateway_session=def"),
                ],
                Some("def"),
            ),
            // Of several with the same name, the first that has a value counts.
            (
                &[(
                    "cookie",
                    "codex_gateway_session=; codex_gateway_session=a; codex_gateway_session=b",
                )],
                Some("a"),
            ),
            (&[("cookie", "")], None),
            (&[("cookie", "codex_gateway_session=")], None),
            (&[("cookie", "xcodex_gateway_session=a")], None),
            (&[("cookie", "codex_gateway_session")], None),
        ] {
            assert_eq!(read(&headers(fields)).as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_cookie_is_for_this_host_and_out_of_reach_of_scripts() {
        let plain = set("abc", false).unwrap();
        assert!(plain.is_sensitive());
        let expected =
            "codex_gateway_session=abc; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200";
        assert_eq!(plain, expected);
        let secure = set("abc", true).unwrap();
        let expected = "__Host-codex_gateway_session=abc; HttpOnly; SameSite=Strict; Secure; \
                        Path=/; Max-Age=43200";
        assert_eq!(secure, expected);
        let deleted: Vec<HeaderValue> = delete().collect();
        assert_eq!(deleted.len(), 2);
        for header in deleted {
            let text = header.to_str().unwrap();
            assert!(text.contains("Max-Age=0"), "{text}");
            let is_secure = text.starts_with(SECURE_NAME);
            assert_eq!(text.contains("; Secure"), is_secure, "{text}");
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
