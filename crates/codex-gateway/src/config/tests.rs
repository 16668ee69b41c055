//! What is said about the mistakes that people make: one mistake, one problem, with the right words.

use std::fmt::Write as _;

use super::source::{Overrides, Source};
use super::{Loaded, check};

fn checked(text: &str, overrides: &Overrides) -> Loaded {
    let source = Source {
        path: "gateway.toml".to_owned(),
        text: text.to_owned(),
        file: None,
    };
    check(source, overrides)
}

/// Problems in the order of the file as `line: message | hint`; a warning has a `?` in front, and one that is not about the
/// file has no line.
fn said(loaded: &Loaded) -> Vec<String> {
    let mut problems: Vec<_> = loaded.problems.iter().collect();
    problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
    problems
        .into_iter()
        .map(|problem| {
            let mut said = if problem.is_error() { "" } else { "?" }.to_owned();
            if let Some(span) = &problem.span {
                let before = loaded.source.text.get(..span.start).unwrap();
                write!(said, "{}: ", before.matches('\n').count() + 1).unwrap();
            }
            said.push_str(&problem.message);
            if let Some(hint) = &problem.hint {
                write!(said, " | {hint}").unwrap();
            }
            said
        })
        .collect()
}

#[track_caller]
fn assert_said(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let loaded = checked(text, &Overrides::default());
        assert_eq!(said(&loaded), *expected, "{text}");
    }
}

const NUMBER: &str = "expected a string, found a number | write it in quotes; durations and sizes \
                      need a unit, such as `\"120s\"` or `\"64MiB\"`";

#[test]
fn one_wrong_key_is_one_error() {
    assert_said(&[
        (
            "[log]\nlevel = \"debug\"\n",
            &["2: unknown key `level` | known keys: `format`"],
        ),
        (
            "[server]\nlisen = \"127.0.0.1:1\"\n",
            &["2: unknown key `lisen` | did you mean `listen`?"],
        ),
        (
            "[sever]\nlisten = \"127.0.0.1:1\"\n",
            &["1: unknown key `sever` | did you mean `server`?"],
        ),
        (
            "listen = \"127.0.0.1:1\"\n",
            &["1: unknown key `listen` | it belongs in `[server]` or `[admin]`"],
        ),
        (
            "max_event = \"1MiB\"\n",
            &["1: unknown key `max_event` | it belongs in `[server]`"],
        ),
        (
            "[routes]\napi-key = \"openai\"\n",
            &["2: unknown key `api-key` | did you mean `api_key`?"],
        ),
        (
            "[upstreams.openai]\nwire = \"chat\"\n",
            &["2: unknown key `wire` | did you mean `wire_api`?"],
        ),
        (
            "[upstreams.openai]\nkeepalive = 15\n",
            &[&format!("2: {NUMBER}")],
        ),
        (
            "[upstreams.openai]\nrequest_max_retries = -1\n",
            &["2: expected a whole number that is not negative"],
        ),
        (
            "[upstreams.openai]\ndeviations = { imagess = false }\n",
            &["2: unknown key `imagess` | did you mean `images`?"],
        ),
        (
            "[[rules]]\nname = \"r\"\nwhen = { modle = \"a\" }\nthen = \"allow\"\n",
            &["3: unknown key `modle` | did you mean `model`?"],
        ),
        (
            "[[rules]]\nname = \"r\"\nthen = { rewrit = \"b\" }\n",
            &["3: `rewrit` is not a valid value | did you mean `rewrite`?"],
        ),
        (
            "[[rules]]\nname = \"r\"\nthen = \"alow\"\n",
            &["3: `alow` is not a valid value | did you mean `allow`?"],
        ),
        (
            "[[rules]]\nname = \"r\"\nthen = { rewrite = \"b\", send = \"openai\" }\n",
            &["3: expected exactly one key in this table"],
        ),
        (
            "[[rules]]\nname = \"r\"\n",
            &["1: the key `then` is missing"],
        ),
        (
            "[server]\nrequire_gateway_key = \"yes\"\n",
            &["2: expected \"auto\", true or false"],
        ),
        (
            "[server]\nmax_concurrent = 0\n",
            &["2: 0 would refuse every request | the default is 1024"],
        ),
    ]);
}

/// A rule or a route may name an upstream whose own section is wrong.
#[test]
fn an_upstream_that_cannot_be_read_is_not_unknown_as_well() {
    for (section, expected) in [
        (
            "wire_api = \"chat\"",
            "1: the key `base_url` is missing".to_owned(),
        ),
        (
            "url = \"https://api.team.example/v1\"",
            "2: unknown key `url` | did you mean `base_url`?".to_owned(),
        ),
        (
            "base_ulr = \"https://api.team.example/v1\"",
            "2: unknown key `base_ulr` | did you mean `base_url`?".to_owned(),
        ),
        ("base_url = 3", format!("2: {NUMBER}")),
    ] {
        let text = format!(
            "[upstreams.team]\n{section}\n[routes]\napi_key = \"team\"\n\
             [[rules]]\nname = \"r\"\nwhen = {{ model = \"a\" }}\nthen = {{ send = \"team\" }}\n"
        );
        let loaded = checked(&text, &Overrides::default());
        assert_eq!(said(&loaded), [expected], "{text}");
    }
}

#[test]
fn text_needs_quotes_and_lists_need_brackets() {
    assert_said(&[
        (
            "[server]\nlisten = 127.0.0.1:8787\n",
            &["2: a string must be in quotes | write `listen = \"127.0.0.1:8787\"`"],
        ),
        (
            "[server]\nlisten = 0.0.0.0:8787\nhosts = [\"a.example\"]\n",
            &["2: a string must be in quotes | write `listen = \"0.0.0.0:8787\"`"],
        ),
        (
            "[storage]\nurl = sqlite\n",
            &["2: a string must be in quotes | write `url = \"sqlite\"`"],
        ),
        (
            "[server]\nshutdown_grace = 120s\n",
            &["2: a string must be in quotes | write `shutdown_grace = \"120s\"`"],
        ),
        (
            "[server]\nshutdown_grace = 120\n",
            &[&format!("2: {NUMBER}")],
        ),
        (
            "[server]\nhosts = \"gateway.example\"\n",
            &[
                "2: expected a list, found a string | write it in brackets, such as `[\"one\", \
                 \"two\"]`",
            ],
        ),
        (
            "[fallback]\n\"gpt-5.5\" = \"gpt-5.4\"\n",
            &[
                "2: expected a list, found a string | write it in brackets, such as `[\"one\", \
                 \"two\"]`",
            ],
        ),
        (
            "[fallback]\ngpt-5.5 = [\"gpt-5.4\"]\ngpt-5.4 = [\"gpt-5.3-codex\"]\n",
            &[
                "2: the model `gpt-5.5` must be in quotes, as its name contains a dot | write \
                 `\"gpt-5.5\" = […]`",
                "3: the model `gpt-5.4` must be in quotes, as its name contains a dot | write \
                 `\"gpt-5.4\" = […]`",
            ],
        ),
        (
            "server:\n  listen: \"127.0.0.1:8787\"\n",
            &[
                "1: this file must be TOML; this line looks like YAML | tables are written \
                 `[name]`, values `key = value`",
            ],
        ),
        (
            "{\"server\": {\"listen\": \"127.0.0.1:8787\"}}\n",
            &[
                "1: this file must be TOML; it looks like JSON | such as `[server]` and below it \
                 `listen = \"127.0.0.1:8787\"`",
            ],
        ),
    ]);
}

/// What is inside single brackets is read, so that its own mistakes are found as well.
#[test]
fn lists_of_tables_have_double_brackets() {
    assert_said(&[
        (
            "[rules]\nname = \"r\"\nwhen = { model = \"a\" }\nthen = { send = \"nowhere\" }\n",
            &[
                "1: `rules` is a list, so its tables are in double brackets | write `[[rules]]`",
                "4: unknown upstream `nowhere`",
            ],
        ),
        (
            "[error_patterns]\nverdict = \"unsupported_model\"\nstatus = [400]\n",
            &[
                "1: `error_patterns` is a list, so its tables are in double brackets | write \
                 `[[error_patterns]]`",
            ],
        ),
        (
            "[catalog.entries]\nmodel = \"m\"\n",
            &[
                "1: `catalog.entries` is a list, so its tables are in double brackets | write \
                 `[[catalog.entries]]`",
            ],
        ),
    ]);
}

#[test]
fn another_programs_file_is_recognised() {
    const HINT: &str = "this is Codex's own configuration, not the gateway's | Codex's file stays `~/.codex/config.toml`; \
                        the gateway's has tables such as `[server]` and `[upstreams.NAME]`, see config/gateway.toml";
    let first = format!("1: {HINT}");
    assert_said(&[
        (
            "model = \"gpt-5.4\"\nmodel_provider = \"gateway\"\n\n[model_providers.gateway]\nname = \"g\"\n\
             base_url = \"http://127.0.0.1:8787/v1\"\n",
            &[&first],
        ),
        (
            "approval_policy = \"on-request\"\nunheard_of = 1\n[mcp_servers.x]\ncommand = \"y\"\n",
            &[&first],
        ),
        (
            "model = \"gpt-5.4\"\n[log]\nformat = \"json\"\n",
            &["1: unknown key `model` | it belongs in Codex's own `~/.codex/config.toml`"],
        ),
        (
            "[upstreams.team]\nname = \"Team\"\nbase_url = \
             \"https://api.team.example/v1\"\nenv_key = \"TEAM_KEY\"\n",
            &[
                "2: unknown key `name` | an upstream's name is in its header: `[upstreams.NAME]`",
                "4: unknown key `env_key` | the credential is written `credential = { env = \
                 \"NAME\" }`",
            ],
        ),
    ]);
}

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
fn no_report_shows_a_secret() {
    for (line, expected) in [
        (
            "[admin]\ntoken = \"hunter2canary\"",
            "2: the admin token itself must not be in this file | write `token = { env = \"NAME\" \
             }` or `token = { file = \"PATH\" }`",
        ),
        (
            "[admin]\ntoken = { env = \"sk-canary\" }",
            "2: `env` must be the name of an environment variable | such as `TEAM_API_KEY`; the \
             secret itself does not belong in this file",
        ),
        (
            "[upstreams.team]\nbase_url = \"https://user:canary@api.team.example/v1\"",
            "2: this base URL contains a credential | remove it, and use `credential`",
        ),
        (
            "[upstreams.team]\nbase_url = \"https://canary@api.team.example/v1\"",
            "2: this base URL contains a credential | remove it, and use `credential`",
        ),
        (
            "[upstreams.team]\nbase_url = \"https://api.team.example/v1?api_key=canary\"",
            "",
        ),
        ("[upstreams.openai]\ncredential = \"sk-canary\"", ""),
        (
            "[upstreams.openai]\ncredential = { env = \"sk-canary\" }",
            "2: `env` must be the name of an environment variable | such as `TEAM_API_KEY`; the \
             secret itself does not belong in this file",
        ),
        (
            "[upstreams.openai]\napi_key = \"sk-canary\"",
            "2: unknown key `api_key` | secrets do not belong in this file; write `credential = { \
             env = \"NAME\" }` or `credential = { file = \"PATH\" }`",
        ),
        (
            "[upstreams.openai]\ntoken = \"hunter2canary\"",
            "2: unknown key `token` | secrets do not belong in this file; write `credential = { \
             env = \"NAME\" }` or `credential = { file = \"PATH\" }`",
        ),
        (
            "[upstreams.openai]\nhttp_headers = { Authorization = \"Bearer canary\" }",
            "",
        ),
        ("[storage]\nurl = \"postgres://user:canary@db.example\"", ""),
        ("[storage]\nurl = \"postgres://user:canary", ""),
        ("[admin]\ntoken = sk-canary", ""),
    ] {
        let loaded = checked(&format!("{line}\n"), &Overrides::default());
        let said = said(&loaded);
        assert_eq!(said.len(), 1, "{said:?}");
        if !expected.is_empty() {
            assert_eq!(said, [expected], "{line}");
        }
        let report = loaded.report(false);
        assert!(!report.contains("canary"), "{report}");
        assert!(loaded.settings.is_none(), "{line}");
    }
}

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

#[test]
fn files_that_the_configuration_names_are_reported_with_path_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let prices = "[[price]]\nmodel = \"a\"\nstandrd = { input = \"1\", output = \"2\" }\nsource = \"s\"\n\
                  [[price]]\nmodel = \"b\"\nstandard = { input = \"x\", output = \"2\" }\nsource = \"s\"\n";
    std::fs::write(at("prices.toml"), prices).unwrap();
    std::fs::write(
        at("models.toml"),
        "[[model]]\nid = \"a\"\nstatuss = \"x\"\n[[modl]]\n",
    )
    .unwrap();
    let checked_here = |text: &str| {
        let source = Source {
            path: "gateway.toml".to_owned(),
            text: text.to_owned(),
            file: Some(dir.path().join("gateway.toml")),
        };
        said(&check(source, &Overrides::default()))
    };
    let (file, models) = (at("prices.toml"), at("models.toml"));
    assert_eq!(
        checked_here("[prices]\nfile = \"prices.toml\"\n"),
        [
            format!("2: {file} line 3: unknown key `standrd` | did you mean `standard`?"),
            format!(
                "2: {file} line 7: `x`: not a decimal number | write USD per million tokens as \
                 digits, for example \"0.125\""
            ),
        ]
    );
    assert_eq!(
        checked_here("[catalog]\nmodels = \"models.toml\"\n"),
        [
            format!("2: {models} line 3: unknown key `statuss` | known keys: `id`, `says`"),
            format!("2: {models} line 4: unknown key `modl` | did you mean `model`?"),
        ]
    );
    let gone = "No such file or directory (os error 2)";
    assert_eq!(
        checked_here("[prices]\nfile = \"gone.toml\"\n[catalog]\nmodels = \"gone.toml\"\n"),
        [
            format!("2: cannot read the price file {}: {gone}", at("gone.toml")),
            format!("4: cannot read the models file {}: {gone}", at("gone.toml")),
        ]
    );
}

/// The tables are listed for the search of misplaced keys, too.
#[test]
fn every_table_is_listed() {
    let loaded = checked("zqx = 1\n", &Overrides::default());
    let known: Vec<String> = super::common_mistakes::TABLES
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    assert_eq!(
        said(&loaded),
        [format!(
            "1: unknown key `zqx` | known keys: {}",
            known.join(", ")
        )]
    );
}
