//! Turns a configuration into that of a rehearsal: rules, catalogue, fallback and prices stay; the
//! upstreams, the store, the addresses and all secrets are replaced.

use std::path::Path;

use toml::{Table, Value};

use crate::config::{self, Loaded, Overrides, SecretsRead, Settings, Source};
use crate::data_dir;

/// In place of the credentials of upstreams.
const CREDENTIAL: &str = "codex-gateway-rehearsal";

/// The configuration of a rehearsal of `source`, whose upstreams are `settings`' with another
/// address.
///
/// # Errors
/// When it cannot be used; the text says why.
pub fn rehearsal(
    source: &Source,
    settings: &Settings,
    upstream: &str,
    dir: &Path,
) -> Result<Loaded, String> {
    let credential = dir.join("credential");
    data_dir::ensure(dir)
        .and_then(|()| data_dir::replace(&credential, CREDENTIAL))
        .map_err(|error| format!("cannot write {}: {error}", credential.display()))?;
    let mut file: Table = toml::from_str(&source.text).map_err(|error| error.to_string())?;
    for name in ["storage", "admin", "log"] {
        file.remove(name);
    }
    if let Some(server) = file.get_mut("server").and_then(Value::as_table_mut) {
        server.remove("tls");
        server.remove("listen");
    }
    if let Some(server) = table(&mut file, "server") {
        server.insert("require_gateway_key".to_owned(), Value::Boolean(false));
    }
    for known in settings.policy.upstreams() {
        let tables = table(&mut file, "upstreams");
        let Some(own) = tables.and_then(|tables| table(tables, known.name.as_str())) else {
            continue;
        };
        own.insert("base_url".to_owned(), upstream.into());
        own.entry("wire_api").or_insert_with(|| {
            let words = known.wire_apis.iter().map(|wire| wire.as_str().into());
            Value::Array(words.collect())
        });
        let encodings = known
            .request_encodings
            .iter()
            .map(|encoding| encoding.as_str().into());
        own.entry("request_encodings")
            .or_insert_with(|| Value::Array(encodings.collect()));
        if let Some(Value::Table(secret)) = own.get_mut("credential") {
            secret.remove("env");
            secret.insert("file".to_owned(), credential.display().to_string().into());
        }
    }
    let text = toml::to_string(&file).map_err(|error| error.to_string())?;
    let overrides = Overrides {
        config: None,
        data_dir: Some(dir.to_owned()),
        listen: Some("127.0.0.1:0".to_owned()),
        secrets: SecretsRead::All,
    };
    // Files that it names are looked for where the configuration is.
    let source = Source {
        path: "(rehearsal)".to_owned(),
        text,
        file: source.file.clone(),
    };
    Ok(config::check(source, &overrides))
}

/// The table of that name, made where there is none.
fn table<'t>(parent: &'t mut Table, name: &str) -> Option<&'t mut Table> {
    let entry = parent.entry(name.to_owned());
    let value = entry.or_insert_with(|| Value::Table(Table::new()));
    value.as_table_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stay_and_upstreams_stores_and_secrets_do_not() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\n[storage]\nurl = \"sqlite:///nowhere/l.db\"\n\
                    [upstreams.team]\nbase_url = \"https://team.example/v1\"\ncredential = { env = \"UNSET_KEY\" }\n\
                    [routes]\ngateway_key = \"team\"\n\
                    [[rules]]\nname = \"r\"\nwhen = { model = \"gpt-5.5\" }\nthen = { reject = \"no\" }\n";
        let source = Source {
            path: "x".to_owned(),
            text: text.to_owned(),
            file: None,
        };
        let blind = Overrides {
            secrets: SecretsRead::None,
            ..Overrides::default()
        };
        let settings = config::check(source.clone(), &blind).settings.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let loaded = rehearsal(&source, &settings, "http://127.0.0.1:9/v1", dir.path()).unwrap();
        assert_eq!(loaded.report(false), "");
        let made = loaded.settings.unwrap();
        assert!(
            made.policy
                .upstreams()
                .all(|it| it.base_url == "http://127.0.0.1:9/v1")
        );
        assert_eq!(
            made.policy.upstreams().count(),
            settings.policy.upstreams().count()
        );
        assert_eq!(made.storage.url, "sqlite");
        assert!(loaded.source.text.contains("name = \"r\""));
    }
}
