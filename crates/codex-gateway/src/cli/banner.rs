//! What `serve` prints when it serves: to a person what to do next, to a machine one line.

use std::net::SocketAddr;
use std::path::Path;

use crate::server::Listener;

/// What is served, and from where.
pub(super) struct Served {
    /// Of the listener for clients, as a URL that this machine can open.
    url: String,
    /// As it is bound.
    bound: String,
    /// Of the listener for administration, if it is another one.
    administration: Option<String>,
}

impl Served {
    /// Reads it from the listeners.
    ///
    /// # Errors
    /// When a socket does not know its address.
    pub(super) fn by(listeners: &[Listener]) -> std::io::Result<Self> {
        let mut urls = Vec::new();
        for listener in listeners {
            let address = listener.socket.local_addr()?;
            let scheme = match listener.tls {
                Some(_) => "https",
                None => "http",
            };
            let named = if address.ip().is_unspecified() {
                SocketAddr::from(([127, 0, 0, 1], address.port()))
            } else {
                address
            };
            urls.push((
                format!("{scheme}://{address}"),
                format!("{scheme}://{named}"),
            ));
        }
        let mut urls = urls.into_iter();
        let (bound, url) = urls.next().unwrap_or_default();
        Ok(Self {
            url,
            bound,
            administration: urls.next().map(|(_, url)| url),
        })
    }

    /// Where the dashboard is.
    fn dashboard(&self) -> &str {
        self.administration.as_deref().unwrap_or(&self.url)
    }

    /// For a log: one line.
    pub(super) fn line(&self, config: &str, data_dir: &Path) -> String {
        let administration = self.administration.as_ref();
        let administration = administration
            .map(|url| format!(", administration: {url}"))
            .unwrap_or_default();
        format!(
            "codex-gateway {} serves on {} (configuration: {config}, data directory: {}\
             {administration}); in Codex's configuration: openai_base_url = \"{}/v1\"",
            env!("CARGO_PKG_VERSION"),
            self.bound,
            data_dir.display(),
            self.url,
        )
    }

    /// For a person: what to do next. `sign_in` is a one-time secret of the dashboard.
    pub(super) fn page(&self, config: &str, data_dir: &Path, sign_in: Option<&str>) -> String {
        let dashboard = self.dashboard();
        let dashboard = match sign_in {
            Some(secret) => format!("{dashboard}/dashboard#sign-in={secret}"),
            None => "codex-gateway dashboard (prints a link)".to_owned(),
        };
        format!(
            "codex-gateway {version} serves on {bound}\n\
             \n\
             \x20 point Codex at it   codex-gateway setup codex   (keeps your sign-in and your sessions)\n\
             \x20 or by hand          openai_base_url = \"{url}/v1\"   (top of ~/.codex/config.toml)\n\
             \x20 dashboard           {dashboard}\n\
             \x20 something is wrong  codex-gateway doctor\n\
             \x20 configuration       {config}\n\
             \x20 data                {data_dir}\n\
             \n\
             Ctrl-C stops it once running turns have ended. One line per request follows.",
            version = env!("CARGO_PKG_VERSION"),
            bound = self.bound,
            url = self.url,
            data_dir = data_dir.display(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> Served {
        Served {
            url: "http://127.0.0.1:1".to_owned(),
            bound: "http://0.0.0.0:1".to_owned(),
            administration: Some("http://127.0.0.1:2".to_owned()),
        }
    }

    #[test]
    fn a_person_gets_ten_lines_and_a_log_one() {
        let (config, dir) = ("(built-in defaults)", Path::new("/data"));
        let page = served().page(config, dir, Some("secret"));
        assert_eq!(page.lines().count(), 10, "{page}");
        for part in [
            "setup codex",
            "openai_base_url = \"http://127.0.0.1:1/v1\"",
            "http://127.0.0.1:2/dashboard#sign-in=secret",
            "doctor",
            "/data",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let line = served().line(config, dir);
        assert_eq!(line.lines().count(), 1);
        assert!(!line.contains("sign-in"), "{line}");
        for part in [
            "serves on http://0.0.0.0:1 ",
            "administration: http://127.0.0.1:2",
            "/data",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
