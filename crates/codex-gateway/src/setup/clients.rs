//! Clients other than Codex, whose base URL is one setting: data, printed and never written.

use serde::Deserialize;

const DATA: &str = include_str!("clients.toml");

/// A client, and what to put into its settings.
#[derive(Debug, Clone, Deserialize)]
pub struct Client {
    pub name: String,
    pub about: String,
    text: String,
}

#[derive(Deserialize)]
struct Clients {
    clients: Vec<Client>,
}

impl Client {
    /// The setting, with the gateway's address.
    pub fn text(&self, base_url: &str) -> String {
        self.text.replace("{base_url}", base_url)
    }
}

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    let value = |line: &'static str| line.strip_prefix("name = \"")?.strip_suffix('"');
    DATA.lines().filter_map(value)
}

/// All of them.
pub fn all() -> Vec<Client> {
    toml::from_str::<Clients>(DATA)
        .map(|data| data.clients)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_gets_the_address() {
        let names: Vec<String> = all().into_iter().map(|client| client.name).collect();
        assert_eq!(names, ["openai-sdk", "opencode", "aider", "cline"]);
        assert!(super::names().eq(names));
        for client in all() {
            assert!(
                client.text("http://x/v1").contains("http://x/v1"),
                "{}",
                client.name
            );
            assert!(
                !client.text("http://x/v1").contains("{base_url}"),
                "{}",
                client.name
            );
        }
    }
}
