//! Requests and credentials that tests send. The credentials are canaries: a test can look for them
//! anywhere.

use crate::client::{Call, Client};
pub use crate::codex::{FAKE_ACCOUNT, chatgpt_token};
use serde_json::{Value, json};

/// A caller's API key.
pub const API_KEY: &str = "sk-canary-caller-key-7f3a";
/// A word of every prompt, which no log may hold.
pub const PROMPT_CANARY: &str = "canaryprompt-51c2";

/// The body of a Responses request as small as Codex would accept to send.
pub fn responses_body(prompt: &str) -> Value {
    json!({
        "model": "gpt-5.5",
        "stream": true,
        "store": false,
        "input": [{"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": format!("{PROMPT_CANARY} {prompt}")}]}],
    })
}

/// A Responses request by API key, answered as a stream.
pub fn by_key(client: &Client) -> Call {
    client
        .post("/v1/responses")
        .bearer(API_KEY)
        .json(&responses_body("hi"))
}

/// The same by ChatGPT sign-in.
pub fn by_chatgpt(client: &Client) -> Call {
    signed_in(client.post("/v1/responses")).json(&responses_body("hi"))
}

/// Adds the credentials of a ChatGPT sign-in.
pub fn signed_in(call: Call) -> Call {
    call.bearer(&chatgpt_token())
        .header("chatgpt-account-id", FAKE_ACCOUNT)
}
