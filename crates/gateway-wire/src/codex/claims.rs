//! The claims of a ChatGPT access token that choose a route and label usage. No signature is
//! checked: the upstream does that.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

/// Claims under `https://api.openai.com/auth`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatgptClaims {
    /// `chatgpt_account_id`.
    pub account_id: Option<String>,
    /// `chatgpt_plan_type`, as sent.
    pub plan: Option<String>,
    /// `chatgpt_user_id`, or `user_id`.
    pub user_id: Option<String>,
    /// `chatgpt_account_is_fedramp`.
    pub is_fedramp: bool,
}

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 32 * 1024;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[derive(Deserialize)]
struct JwtPayload {
    #[serde(rename = "https://api.openai.com/auth")]
    auth: serde_json::Map<String, serde_json::Value>,
}

impl ChatgptClaims {
    /// Reads a JWT (without `Bearer`). `None` when it is no JWT or has no such claims.
    pub fn from_jwt(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let payload: JwtPayload = serde_json::from_slice(&LENIENT.decode(payload).ok()?).ok()?;
        let text = |name: &str| {
            payload
                .auth
                .get(name)
                .and_then(serde_json::Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Some(Self {
            account_id: text("chatgpt_account_id"),
            plan: text("chatgpt_plan_type"),
            user_id: text("chatgpt_user_id").or_else(|| text("user_id")),
            is_fedramp: payload
                .auth
                .get("chatgpt_account_is_fedramp")
                .and_then(serde_json::Value::as_bool)
                .unwrap_or(false),
        })
    }
}
