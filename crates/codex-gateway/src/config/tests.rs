//! What is said about the mistakes that people make: one mistake, one problem, with the right words.

mod addresses;

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
