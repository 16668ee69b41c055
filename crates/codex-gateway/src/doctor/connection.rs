//! The way from Codex to the gateway: what of a request arrives, and whether a stream comes back as
//! it is sent. Finds proxies that drop headers, change bodies or hold streams back.

use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::network::{NETWORK, chain};
use super::report::{Check, Report};
use crate::clock::Clock;
use crate::http::connection_check::{Arrived, EVENTS, HEADERS, PAUSE};

/// A stand-in for a body of Codex's, compressed as Codex compresses it.
const BODY: &[u8] = b"{\"model\":\"codex-gateway-doctor\",\"stream\":true}";

/// What came back.
struct Answer {
    arrived: Arrived,
    /// Between the first and the last event.
    spread: Duration,
    /// What names a proxy.
    via: Option<String>,
}

/// Asks the gateway at Codex's base URL what arrives there.
pub(super) async fn examine(base_url: &str, clock: &Clock, report: &mut Report) {
    let base = base_url.trim_end_matches('/');
    let body = match zstd::encode_all(BODY, 3) {
        Ok(body) => body,
        Err(error) => {
            report.add(Check::failed(
                "connection",
                error.to_string(),
                "report this",
            ));
            return;
        }
    };
    let digest = hex::encode(Sha256::digest(&body));
    match ask(base, body, clock).await {
        Ok(answer) => {
            let via = answer
                .via
                .as_ref()
                .map(|via| format!(" ({via})"))
                .unwrap_or_default();
            report.add(headers(&answer, &via));
            report.add(encoding(&answer, &digest, &via));
            report.add(buffering(&answer, &via));
            report.add(web_socket(base).await);
        }
        Err(check) => report.add(*check),
    }
}

fn headers(answer: &Answer, via: &str) -> Check {
    let arrived = &answer.arrived.headers;
    let lost: Vec<&str> = HEADERS
        .into_iter()
        .filter(|name| !arrived.iter().any(|it| it == name))
        .collect();
    if lost.is_empty() {
        return Check::ok("connection.headers", "all headers of Codex arrive");
    }
    Check::failed(
        "connection.headers",
        format!(
            "a proxy between Codex and the gateway{via} drops {}: sessions, turns or keys are not \
             recognised",
            lost.join(", ")
        ),
        "let the proxy pass all headers (nginx: `underscores_in_headers on;`, and no \
         `proxy_set_header` that empties one)",
    )
}

fn encoding(answer: &Answer, digest: &str, via: &str) -> Check {
    if answer.arrived.encoding.as_deref() == Some("zstd") && answer.arrived.sha256 == digest {
        return Check::ok(
            "connection.zstd",
            "compressed bodies arrive as they are sent",
        );
    }
    Check::failed(
        "connection.zstd",
        format!("a proxy between Codex and the gateway{via} changes compressed bodies"),
        "turn decompression and body inspection off for this path",
    )
}

fn buffering(answer: &Answer, via: &str) -> Check {
    let sent = PAUSE * EVENTS.saturating_sub(1);
    if answer.spread * 2 >= sent {
        return Check::ok("connection.stream", "events arrive as they are sent");
    }
    Check::failed(
        "connection.stream",
        format!(
            "a proxy between Codex and the gateway{via} holds streams back: events sent over {} ms \
             arrived within {} ms",
            sent.as_millis(),
            answer.spread.as_millis()
        ),
        "turn response buffering and compression off for this path (nginx: `proxy_buffering off; \
         gzip off;`)",
    )
}

async fn ask(base: &str, body: Vec<u8>, clock: &Clock) -> Result<Answer, Box<Check>> {
    let failed = |message: String, fix: &str| Box::new(Check::failed("connection", message, fix));
    // As Codex does, through the proxies of the environment.
    let client = reqwest::Client::builder().timeout(NETWORK).build();
    let client = client.map_err(|error| failed(chain(&error), "report this"))?;
    let mut request = client
        .post(format!("{base}/doctor"))
        .header("content-type", "application/json")
        .header("content-encoding", "zstd")
        .body(body);
    for name in HEADERS {
        request = request.header(name, "codex-gateway-doctor");
    }
    let mut answer = request.send().await.map_err(|error| {
        failed(
            format!("nothing answers at {base}: {}", chain(&error)),
            "start the gateway with `codex-gateway serve`, or run `codex-gateway setup codex` again",
        )
    })?;
    let (status, via) = (answer.status(), proxy(answer.headers()));
    let is_gateway = status.is_success();
    let mut first = None;
    let mut last = None;
    let mut text = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        let now = clock.instant();
        first.get_or_insert(now);
        last = Some(now);
        text.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix("data: "));
    let arrived = line.and_then(|line| serde_json::from_str(line).ok());
    match (arrived, first.zip(last)) {
        (Some(arrived), Some((first, last))) if is_gateway => Ok(Answer {
            arrived,
            spread: last.saturating_duration_since(first),
            via,
        }),
        (Some(_) | None, _) => Err(failed(
            format!(
                "what answers at {base} ({}) is not this version of codex-gateway",
                status.as_u16()
            ),
            "check Codex's base URL: it is the gateway's address followed by /v1",
        )),
    }
}

/// How a proxy shows itself.
fn proxy(headers: &HeaderMap) -> Option<String> {
    ["via", "server"]
        .into_iter()
        .filter_map(|name| headers.get(name))
        .find_map(|value: &HeaderValue| value.to_str().ok())
        .map(|value| value.chars().take(60).collect())
}

/// Whether an upgrade gets through to the gateway, which accepts it, refuses it with the status on
/// which Codex goes over to HTTP at once, or asks for a credential.
async fn web_socket(base: &str) -> Check {
    let client = reqwest::Client::builder()
        .timeout(NETWORK)
        .http1_only()
        .build();
    let asked = async {
        let request = client?
            .get(format!("{base}/responses"))
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "Y29kZXgtZ2F0ZXdheS1kcg==");
        request.send().await
    };
    match asked.await.map(|answer| answer.status().as_u16()) {
        Ok(101) => Check::ok("connection.websocket", "WebSocket passes"),
        Ok(401 | 403) => Check::ok(
            "connection.websocket",
            "WebSocket passes (a credential is required)",
        ),
        Ok(426) => Check::ok(
            "connection.websocket",
            "the gateway answers 426, on which Codex goes over to HTTP at once",
        ),
        Ok(status) => Check::warning(
            "connection.websocket",
            format!(
                "an upgrade is answered with {status} on the way: Codex tries it several times \
                 before it goes over to HTTP"
            ),
            "let the proxy pass the headers `Upgrade` and `Connection`",
        ),
        Err(error) => Check::warning(
            "connection.websocket",
            format!("an upgrade fails: {}", chain(&error)),
            "let the proxy pass the headers `Upgrade` and `Connection`",
        ),
    }
}
