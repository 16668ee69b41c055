//! What the upstream saw and what it served: the truth that tests compare the gateway with.

use super::answer::{Usage, Wire};
use crate::http1::{self, Fields};
use base64::Engine as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// One request as it came over the connection.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// From 1, over all connections.
    pub number: usize,
    /// From 1; requests on the same connection share it.
    pub connection: usize,
    /// Since the upstream started.
    pub at: Duration,
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    pub fields: Fields,
    /// The body's bytes as sent, transfer framing removed.
    pub raw: Bytes,
    /// The body with its content-encoding undone, or why that failed.
    pub decoded: Result<Bytes, String>,
    /// How the answer ended and when; `None` while it runs.
    pub outcome: Option<(AnswerEnd, Duration)>,
}

/// Headers of one connection, of proxies, or of the gateway's own that no upstream may see.
const BARRED: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "cookie",
    "forwarded",
    "via",
    "x-real-ip",
];
const BARRED_FAMILIES: [&str; 4] = ["x-gateway-", "x-forwarded-", "sec-websocket-", "sec-fetch-"];

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerEnd {
    /// All steps were done.
    Done,
    /// The peer closed or reset the connection first.
    PeerGone,
    /// The script reset or closed the connection.
    Cut,
}

impl Recorded {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        http1::field(&self.fields, name)
    }

    /// Names of the header fields, lower case, in order.
    pub fn header_names(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect()
    }

    /// The decoded body; panics with the reason when it does not decode.
    pub fn body(&self) -> &[u8] {
        self.decoded
            .as_ref()
            .unwrap_or_else(|reason| panic!("request {}: {reason}", self.number))
    }

    /// The decoded body as JSON, `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_default()
    }

    pub fn wants_upgrade(&self) -> bool {
        self.header("upgrade").is_some()
    }

    /// Panics when the request has something that may not cross a gateway.
    pub fn assert_sent_by_gateway(&self) {
        for (name, value) in &self.fields {
            let name = name.to_ascii_lowercase();
            let is_barred = BARRED.contains(&name.as_str())
                || BARRED_FAMILIES
                    .iter()
                    .any(|family| name.starts_with(family));
            assert!(
                !is_barred,
                "request {} upstream has `{name}: {value}`",
                self.number
            );
        }
    }

    /// The request as JSON for the control endpoint.
    pub fn describe(&self) -> Value {
        let decoded = self.decoded.as_ref();
        json!({
            "number": self.number,
            "connection": self.connection,
            "at_ms": millis(self.at),
            "method": self.method,
            "target": self.target,
            "headers": self.fields,
            "raw_length": self.raw.len(),
            "raw_base64": base64::engine::general_purpose::STANDARD.encode(&self.raw),
            "body": decoded.ok().and_then(|body| std::str::from_utf8(body).ok()),
            "decode_error": decoded.err(),
            "outcome": self.outcome.map(|(outcome, _)| outcome),
            "ended_ms": self.outcome.map(|(_, at)| millis(at)),
        })
    }
}

/// One model request and what it was answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// `Recorded::number` of the request.
    pub number: usize,
    pub path: String,
    pub wire: Wire,
    pub model: String,
    /// The answer was written whole, its terminal event included.
    pub completed: bool,
    /// What the answer said it used.
    pub usage: Option<Usage>,
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
