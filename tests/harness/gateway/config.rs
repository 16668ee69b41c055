//! The configuration file of a gateway under test.

use crate::upstream::Upstream;
use std::fmt::Write as _;

/// A configuration file in the making: the two built-in upstreams pointed at scripted ones, and
/// what a test adds.
#[derive(Debug, Clone)]
pub struct Config {
    chatgpt: String,
    openai: String,
    server: Vec<String>,
    upstream: Vec<String>,
    rest: Vec<String>,
}

impl Config {
    /// Both sign-ins go to the same upstream, which checks from now on what a gateway may send.
    pub fn to(upstream: &Upstream) -> Self {
        upstream.expect_gateway();
        Self::of(&upstream.base_url(), &upstream.base_url())
    }

    /// The base URLs of the ChatGPT and of the API-key route.
    pub fn of(chatgpt: &str, openai: &str) -> Self {
        let (chatgpt, openai) = (chatgpt.to_owned(), openai.to_owned());
        Self {
            chatgpt,
            openai,
            server: Vec::new(),
            upstream: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// A line of `[server]`.
    #[must_use]
    pub fn server(mut self, line: &str) -> Self {
        self.server.push(line.to_owned());
        self
    }

    /// A line of both upstreams' tables.
    #[must_use]
    pub fn upstream(mut self, line: &str) -> Self {
        self.upstream.push(line.to_owned());
        self
    }

    /// Whole tables at the end of the file.
    #[must_use]
    pub fn rest(mut self, tables: &str) -> Self {
        self.rest.push(tables.to_owned());
        self
    }

    pub fn text(&self) -> String {
        let mut text = format!("[server]\n{}\n\n", self.server.join("\n"));
        let upstreams = [
            (
                "chatgpt",
                &self.chatgpt,
                "wire_api = \"responses\"",
                "request_encodings = [\"zstd\"]",
            ),
            (
                "openai",
                &self.openai,
                "wire_api = [\"responses\", \"chat\"]",
                "",
            ),
        ];
        for (name, base_url, wire_api, encodings) in upstreams {
            let own = self.upstream.join("\n");
            let _ = write!(
                text,
                "[upstreams.{name}]\nbase_url = \"{base_url}\"\n{wire_api}\n"
            );
            let _ = write!(text, "credential = \"caller\"\n{encodings}\n{own}\n\n");
        }
        text + &self.rest.join("\n")
    }
}
