//! Hosts, origins, addresses and URLs.

use super::{assert_said, checked, said};
use crate::config::source::Overrides;

#[test]
fn hosts_are_names_and_origins_are_origins() {
    const WILD: &str = "is not a host name: `hosts` does not support wildcards | list every name; \
                        loopback names and IP addresses are always accepted";
    const ORIGIN: &str = "is not an origin | write scheme and host, and the port if there is one, \
                          such as `https://tool.example`";
    assert_said(&[
        (
            "[server]\nhosts = [\"gateway.example\", \"a_b.local:8787\", \"[::1]\", \"10.0.0.1\"]\n",
            &[],
        ),
        (
            "[server]\nhosts = [\"https://gateway.example\"]\n",
            &[
                "2: `https://gateway.example` is not a host name | write the name alone: \
                 `gateway.example`",
            ],
        ),
        (
            "[server]\nhosts = [\"gateway.example/v1\"]\n",
            &[
                "2: `gateway.example/v1` is not a host name | write the name alone: \
                 `gateway.example`",
            ],
        ),
        (
            "[server]\nhosts = [\"*.example.com\", \"*\"]\n",
            &[
                &format!("2: `*.example.com` {WILD}"),
                &format!("2: `*` {WILD}"),
            ],
        ),
        (
            "[server]\nhosts = [\"a.example, b.example\"]\n",
            &[
                "2: `a.example, b.example` is not a host name | write one name per entry, such as \
                 `gateway.example`",
            ],
        ),
        (
            "[server]\nhosts = [\"\"]\n",
            &[
                "2: a host name must not be empty | use a name such as `gateway.example`, or \
                 remove the entry",
            ],
        ),
        (
            "[server]\norigins = [\"https://tool.example\", \"http://localhost:3000/\", \
             \"app://x\"]\n",
            &[],
        ),
        (
            "[server]\norigins = [\"tool.example\"]\n",
            &[&format!("2: `tool.example` {ORIGIN}")],
        ),
        (
            "[server]\norigins = [\"*\"]\n",
            &[&format!("2: `*` {ORIGIN}")],
        ),
        (
            "[server]\norigins = [\"https://tool.example/page\"]\n",
            &[&format!("2: `https://tool.example/page` {ORIGIN}")],
        ),
        (
            "[server]\ntrusted_proxies = [\"proxy.example\"]\n",
            &[
                "2: `proxy.example` is not a valid network | such as `10.0.0.0/8`, `fd00::/8` or \
                 `192.0.2.7`",
            ],
        ),
    ]);
}

#[test]
fn the_address_to_listen_on_is_explained_where_it_is_written() {
    let meant = |text: &str| {
        format!("`{text}` is not a valid listen address | did you mean `127.0.0.1:8787`?")
    };
    for text in [
        "8787",
        ":8787",
        "127.0.0.1",
        "http://127.0.0.1:8787",
        "http://127.0.0.1:8787/v1",
    ] {
        let loaded = checked(
            &format!("[server]\nlisten = \"{text}\"\n"),
            &Overrides::default(),
        );
        assert_eq!(said(&loaded), [format!("2: {}", meant(text))]);
        let flag = Overrides {
            listen: Some(text.to_owned()),
            ..Overrides::default()
        };
        let loaded = checked("[server]\nlisten = \"127.0.0.1:9999\"\n", &flag);
        assert_eq!(said(&loaded), [format!("--listen: {}", meant(text))]);
        let report = loaded.report(false);
        assert!(
            !report.contains("gateway.toml") && !report.contains("9999"),
            "{report}"
        );
    }
    let open = "is reachable from other machines, and no gateway key could be checked there";
    let flag = Overrides {
        listen: Some("0.0.0.0:8787".to_owned()),
        ..Overrides::default()
    };
    let loaded = checked("[server]\nlisten = \"127.0.0.1:9999\"\n", &flag);
    assert!(said(&loaded)[0].starts_with(&format!("--listen: `0.0.0.0:8787` {open}")));
    let loaded = checked(
        "[server]\nlisten = \"0.0.0.0:8787\"\n",
        &Overrides::default(),
    );
    assert!(said(&loaded)[0].starts_with(&format!("2: `0.0.0.0:8787` {open}")));
    let loaded = checked("[admin]\nlisten = \"8788\"\n", &Overrides::default());
    assert_eq!(
        said(&loaded),
        ["2: `8788` is not a valid listen address | did you mean `127.0.0.1:8788`?"]
    );
}

#[test]
fn storage_urls_are_checked() {
    const PASSWORD: &str = "2: the storage URL contains a password, and secrets do not belong in \
                            this file | remove it; the password is read from the environment \
                            variable `PGPASSWORD`, or from `~/.pgpass`";
    const DATABASE: &str =
        "2: the storage URL has no database name | write `postgres://user@host/database`";
    const FORMS: &str = "2: this is not a valid storage URL | use `sqlite` (in the data \
                         directory), `sqlite:///path/file.db` or `postgres://user@host/database`";
    for (url, expected) in [
        ("sqlite", None),
        ("sqlite:///var/lib/x.db", None),
        ("postgres://user@db.example/x", None),
        ("postgresql://user@db.example:5432/x?sslmode=require", None),
        ("postgres:///x?host=/run/postgresql", None),
        ("postgres://user@db.example?dbname=x", None),
        ("postgres://user:canary@db.example/x", Some(PASSWORD)),
        ("postgres://user:can/ary@db.example/x", Some(PASSWORD)),
        (
            "postgres://user@db.example/x?password=canary",
            Some(PASSWORD),
        ),
        ("postgres://user@db.example", Some(DATABASE)),
        ("postgres://user@db.example/", Some(DATABASE)),
        (
            "postgres://user@db.example/?sslmode=require",
            Some(DATABASE),
        ),
        ("mysql://user:canary@db.example/x", Some(FORMS)),
        ("canary", Some(FORMS)),
        (
            "/var/lib/x.db",
            Some("2: this is not a valid storage URL | did you mean `sqlite:///var/lib/x.db`?"),
        ),
        (
            "sqlite:/var/lib/x.db",
            Some("2: this is not a valid storage URL | did you mean `sqlite:///var/lib/x.db`?"),
        ),
        (
            "sqlite://",
            Some(
                "2: the storage URL has no file name | write `sqlite:///path/file.db`, or \
                 `sqlite` for a file in the data directory",
            ),
        ),
    ] {
        let loaded = checked(
            &format!("[storage]\nurl = \"{url}\"\n"),
            &Overrides::default(),
        );
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(said(&loaded), expected, "{url}");
    }
}

/// A report ends up in logs and in questions to others.
#[test]
fn base_urls_that_are_hardly_meant_are_suspicious() {
    let ends = "ends in an endpoint, and the gateway appends the endpoint itself | did you mean";
    let path = "has no path, but most services serve their API below `/v1` | did you mean";
    let own = "is the address of this gateway | use another service; a request that comes back is \
               refused as a loop";
    for (url, expected) in [
        ("https://api.team.example/v1", None),
        ("https://api.team.example/openai/v1/", None),
        ("http://127.0.0.1:11434/v1", None),
        (
            "https://api.team.example/v1/chat/completions",
            Some(format!("{ends} `https://api.team.example/v1`?")),
        ),
        (
            "https://api.team.example/v1/responses/",
            Some(format!("{ends} `https://api.team.example/v1`?")),
        ),
        (
            "https://api.team.example/v1/models",
            Some(format!("{ends} `https://api.team.example/v1`?")),
        ),
        (
            "https://api.team.example",
            Some(format!("{path} `https://api.team.example/v1`?")),
        ),
        (
            "https://api.team.example/",
            Some(format!("{path} `https://api.team.example/v1`?")),
        ),
        ("http://127.0.0.1:8787/v1", Some(own.to_owned())),
        ("http://localhost:8787", Some(own.to_owned())),
        ("http://[::1]:8787/v1", Some(own.to_owned())),
        ("http://127.0.0.1:8788/v1", Some(own.to_owned())),
    ] {
        let text = format!(
            "[admin]\nlisten = \"127.0.0.1:8788\"\n[upstreams.team]\nbase_url = \"{url}\"\n"
        );
        let loaded = checked(&text, &Overrides::default());
        let expected: Vec<String> = expected
            .iter()
            .map(|said| format!("?4: `{url}` {said}"))
            .collect();
        assert_eq!(said(&loaded), expected, "{text}");
        assert!(loaded.settings.is_some(), "{url}");
    }
    let text = "[server]\nlisten = \"0.0.0.0:443\"\nhosts = [\"gateway.example\"]\nrequire_gateway_key = false\n\
                [upstreams.team]\nbase_url = \"https://gateway.example/v1\"\n";
    let loaded = checked(text, &Overrides::default());
    assert_eq!(
        said(&loaded),
        [format!("?6: `https://gateway.example/v1` {own}")]
    );
}
