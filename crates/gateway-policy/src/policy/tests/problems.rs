//! What `check` finds: every problem at once, each at its place.

use super::*;
use crate::problem::Severity;

/// Problems as `severity «text at the span»: message | hint`.
fn found(text: &str) -> Vec<String> {
    let text = format!("{HOME}{text}");
    let (policy, problems) = compile(&text);
    let has_error = problems.iter().any(Problem::is_error);
    assert_eq!(policy.is_none(), has_error, "{problems:?}");
    problems
        .iter()
        .map(|problem| {
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let place = problem
                .span
                .clone()
                .map(|span| text.get(span).unwrap().lines().next().unwrap().to_owned());
            let hint = problem
                .hint
                .as_ref()
                .map(|hint| format!(" | {hint}"))
                .unwrap_or_default();
            format!(
                "{severity} «{}»: {}{hint}",
                place.unwrap_or_default(),
                problem.message
            )
        })
        .collect()
}

fn rule(fields: &str) -> String {
    format!("[[rules]]\nname = \"r\"\n{fields}\n")
}

#[test]
fn a_sound_configuration_has_no_problems() {
    assert_eq!(found(""), Vec::<String>::new());
    assert_eq!(
        found(
            r#"
[[rules]]
name = "small jobs go to mini"
when = { route = "api_key", model = "gpt-5.5", effort = ["minimal", "low"] }
then = { rewrite = "gpt-5.4-mini" }
[[rules]]
name = "third party"
when = { model = "deepseek-*" }
then = { send = "deepseek" }
[fallback]
"gpt-5.5" = ["gpt-5.4", "deepseek-chat"]
"#
        ),
        Vec::<String>::new()
    );
}

#[test]
fn unknown_words_are_errors_with_a_hint() {
    let then = "then = \"allow\"";
    for (fields, expected) in [
        (
            "when = { route = \"api-key\" }\nthen = \"allow\"".to_owned(),
            "error «\"api-key\"»: unknown route `api-key` | did you mean `api_key`?",
        ),
        (
            format!("when = {{ kind = [\"turn\", \"compact\"] }}\n{then}"),
            "error «\"compact\"»: unknown kind `compact` | did you mean `compaction`?",
        ),
        (
            format!("when = {{ endpoint = \"completions\" }}\n{then}"),
            "error «\"completions\"»: unknown endpoint `completions` | one of `responses`, `chat`",
        ),
        (
            format!("when = {{ model = \"gpt-[\" }}\n{then}"),
            "error «\"gpt-[\"»: `gpt-[` is not a valid pattern: unclosed character class; missing \
             ']' | `*` matches any text, `?` one character; `\\` escapes one of them",
        ),
        (
            "then = { send = \"depseek\" }".to_owned(),
            "error «\"depseek\"»: unknown upstream `depseek` | did you mean `deepseek`?",
        ),
        (
            "then = { rewrite = \"gpt-*\" }".to_owned(),
            "error «\"gpt-*\"»: a rewrite must name one model, not a pattern",
        ),
        (
            "then = { rewrite = \" gpt\" }".to_owned(),
            "error «\" gpt\"»: the model id has leading or trailing white space",
        ),
        (
            "then = { reject = \"\" }".to_owned(),
            "error «\"\"»: a rejection needs a reason | the user sees it instead of a response",
        ),
        (
            format!("when = {{ effort = \"hihg\" }}\n{then}"),
            "warning «\"hihg\"»: no known client sends the effort `hihg` | did you mean `high`?",
        ),
    ] {
        assert_eq!(found(&rule(&fields)), [expected], "{fields}");
    }
}

#[test]
fn an_unknown_condition_is_reported_at_its_key() {
    let text = rule("when = { route = \"chatgpt\", rote = \"chatgpt\" }\nthen = \"allow\"");
    let error = toml::from_str::<File>(&text).unwrap_err();
    assert_eq!(
        error.message(),
        "unknown field `rote`, expected one of `route`, `model`, `endpoint`, `effort`, `plan`, \
         `team`, `key`, `kind`, `client`, `repo`"
    );
    assert_eq!(error.span().and_then(|span| text.get(span)), Some("rote"));
}

#[test]
fn names_of_rules_are_there_and_unique() {
    assert_eq!(
        found("[[rules]]\nname = \"\"\nthen = \"allow\"\n"),
        ["error «\"\"»: a rule needs a name: it appears in headers, logs and messages"]
    );
    assert_eq!(
        found("[[rules]]\nname = \"a\\u0007\"\nthen = \"allow\"\n"),
        ["error «\"a\\u0007\"»: this rule's name contains a control character"]
    );
    let twice = "[[rules]]\nname = \"One\"\nwhen = { model = \"a\" }\nthen = \
                 \"allow\"\n[[rules]]\nname = \"one\"\nwhen = { model = \"b\" }\nthen = \
                 \"allow\"\n";
    assert_eq!(
        found(twice),
        [
            "error «\"one\"»: a second rule named `one` | names must be unique, so that messages, \
             headers and metrics identify the rule that decided"
        ]
    );
    let built_in = "[[rules]]\nname = \"spark needs a ChatGPT sign-in\"\nwhen = { model = \"a\" \
                    }\nthen = \"allow\"\n";
    assert_eq!(
        found(built_in),
        [
            "error «\"spark needs a ChatGPT sign-in\"»: a second rule named `spark needs a \
             ChatGPT sign-in` | a built-in rule has this name"
        ]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn upstreams_are_checked_field_by_field() {
    let upstream = |fields: &str| found(&format!("[upstreams.u]\n{fields}\n"));
    let url = "base_url = \"https://u.example/v1\"\n";
    for (fields, expected) in [
        (
            "base_url = \"u.example/v1\"",
            "error «\"u.example/v1\"»: `u.example/v1` is not a valid base URL: it must begin with \
             `https://` or `http://` | such as `https://api.example.com/v1`",
        ),
        (
            "base_url = \"https://\"",
            "error «\"https://\"»: `https://` is not a valid base URL: it has no host | such as \
             `https://api.example.com/v1`",
        ),
        (
            "base_url = \"https://a:b@c/v1\"",
            "error «\"https://a:b@c/v1\"»: this base URL contains a credential | remove it, and \
             use `credential`",
        ),
        (
            "base_url = \"https://a:b/d@c/v1\"",
            "error «\"https://a:b/d@c/v1\"»: this base URL contains a credential | remove it, and \
             use `credential`",
        ),
        (
            "base_url = \"https://c/v1?x=1\"",
            "error «\"https://c/v1?x=1\"»: `https://c/v1?x=1` is not a valid base URL: put the \
             query into `query_params` | such as `https://api.example.com/v1`",
        ),
        (
            "base_url = \"https://c:99999/v1\"",
            "error «\"https://c:99999/v1\"»: `https://c:99999/v1` is not a valid base URL: its \
             port is not a number up to 65535 | such as `https://api.example.com/v1`",
        ),
        (
            "base_url = \"http://u.example/v1\"",
            "warning «\"http://u.example/v1\"»: `http://u.example/v1` sends credentials in clear \
             text | use https, or `credential = \"none\"`",
        ),
    ] {
        assert_eq!(upstream(fields), [expected], "{fields}");
    }
    assert_eq!(
        upstream("base_url = \"http://127.0.0.1:11434/v1\""),
        Vec::<String>::new()
    );
    assert_eq!(
        upstream("base_url = \"http://[::1]:8080/v1\""),
        Vec::<String>::new()
    );
    assert_eq!(
        upstream("base_url = \"http://u.example/v1\"\ncredential = \"none\""),
        Vec::<String>::new()
    );
    for (field, expected) in [
        (
            "wire_api = \"respones\"",
            "error «\"respones\"»: unknown wire API `respones` | did you mean `responses`?",
        ),
        (
            "credential = \"calller\"",
            "error «\"calller\"»: this is not a valid credential source | did you mean `caller`?",
        ),
        (
            "credential = { header = \"api-key\" }",
            "error «{ header = \"api-key\" }»: a credential needs `env = \"NAME\"` or `file = \
             \"PATH\"`",
        ),
        (
            "credential = { env = \"A\", file = \"b\" }",
            "error «{ env = \"A\", file = \"b\" }»: a credential comes from `env` or from `file`, \
             not from both",
        ),
        (
            "dialect = \"depseek\"",
            "error «\"depseek\"»: unknown dialect `depseek` | did you mean `deepseek`?",
        ),
        (
            "headers_timeout = \"120\"",
            "error «\"120\"»: `120` is not a valid duration; write a number and a unit, such as `500ms`, \
             `120s`, `10m`, `12h`, `90d` or `2w`",
        ),
        (
            "stream_idle_timeout = \"0s\"",
            "error «\"0s\"»: a timeout of zero would fail every request",
        ),
        (
            "request_max_retries = 30",
            "error «30»: at most 10 retries | the client retries failed requests too, so the two \
             numbers multiply",
        ),
        (
            "request_encodings = [\"zst\"]",
            "error «\"zst\"»: unknown encoding `zst` | did you mean `zstd`?",
        ),
        (
            "http_headers = { Authorization = \"x\" }",
            "error «Authorization»: the header `authorization` cannot be set here | use \
             `credential`",
        ),
        (
            "http_headers = { \"a b\" = \"x\" }",
            "error «\"a b\"»: `a b` is not a valid header name",
        ),
        (
            "http_headers = { X-Title = \"a\\nb\" }",
            "error «\"a\\nb\"»: the value of `x-title` contains a control character",
        ),
    ] {
        assert_eq!(upstream(&format!("{url}{field}")), [expected], "{field}");
    }
    assert_eq!(
        found("[upstreams.\"two words\"]\nbase_url = \"https://u.example/v1\"\n"),
        [
            "error «\"two words\"»: upstream name `two words` is not valid | use letters, digits, \
             `-`, `_` and `.`: the name appears in headers and labels"
        ]
    );
}

#[test]
fn error_patterns_are_checked() {
    let pattern = |fields: &str| found(&format!("[[error_patterns]]\n{fields}\n"));
    assert_eq!(
        pattern("message = \"* gone\"\nverdict = \"unsupported\""),
        [
            "error «\"unsupported\"»: unknown verdict `unsupported` | did you mean \
             `unsupported_model`?"
        ]
    );
    assert_eq!(
        pattern("verdict = \"capacity\""),
        [
            "error «[[error_patterns]]»: this pattern would match every error | add a `status`, a \
             `code` or a `message`"
        ]
    );
    assert_eq!(
        pattern("status = [400, 429]\nverdict = \"unsupported_model\""),
        [
            "error «429»: a 429 must not lead to another model | limits, credentials and overload \
             do not depend on the model; a fallback would hide or evade them"
        ]
    );
    assert_eq!(
        pattern("status = [200]\nverdict = \"capacity\""),
        ["error «200»: `200` is not an error status"]
    );
    assert_eq!(
        pattern("upstream = \"opnai\"\ncode = \"x\"\nverdict = \"capacity\""),
        ["error «\"opnai\"»: unknown upstream `opnai` | did you mean `openai`?"]
    );
}

#[test]
fn patterns_go_to_the_upstreams_they_are_about() {
    let policy = policy(
        "[[error_patterns]]\nupstream = \"openai\"\ncode = \"x\"\nverdict = \
         \"capacity\"\n[[error_patterns]]\nmessage = \"* gone\"\nverdict = \
         \"unsupported_model\"\n",
    );
    assert_eq!(policy.upstream("openai").unwrap().patterns.len(), 2);
    assert_eq!(policy.upstream("chatgpt").unwrap().patterns.len(), 1);
}

#[test]
fn routes_name_upstreams_that_exist() {
    let text = "[upstreams.openai]\nbase_url = \"https://api.openai.com/v1\"\n[routes]\napi_key = \
                \"opnai\"\n";
    let (policy, problems) = compile(text);
    assert!(policy.is_none());
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "unknown upstream `opnai`");
    assert_eq!(
        text.get(problems[0].span.clone().unwrap()),
        Some("\"opnai\"")
    );
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean `openai`?"));
}

#[test]
fn all_errors_are_reported_at_once() {
    let text = r#"
[[rules]]
name = "a"
when = { route = "x", kind = "y", model = "[" }
then = { send = "z" }
[[rules]]
name = "a"
then = { reject = "" }
[fallback]
"m" = ["m"]
"n*" = ["o"]
"#;
    let errors = found(text)
        .iter()
        .filter(|problem| problem.starts_with("error"))
        .count();
    assert_eq!(errors, 8, "{:#?}", found(text));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn rules_that_can_never_match_are_suspicious() {
    let second = |first: &str, second: &str| {
        let text = format!(
            "[[rules]]\nname = \"first\"\n{first}\nthen = {{ reject = \"no\" }}\n[[rules]]\nname \
             = \"second\"\n{second}\nthen = {{ reject = \"no\" }}\n"
        );
        found(&text)
    };
    let hidden = [
        "warning «[[rules]]»: rule `second` can never match: rule `first` matches everything \
         before it | the first match wins; put the narrower rule first",
    ];
    for (first, covered) in [
        ("", "when = { model = \"gpt-5.5\" }"),
        ("when = { model = \"*\" }", "when = { model = \"gpt-5.5\" }"),
        (
            "when = { model = \"gpt-*\" }",
            "when = { model = \"gpt-5*\" }",
        ),
        (
            "when = { model = \"gpt-*\" }",
            "when = { model = [\"gpt-5.5\", \"GPT-5.4\"] }",
        ),
        (
            "when = { model = \"gpt-*\" }",
            "when = { model = \"gpt-5?-mini\" }",
        ),
        (
            "when = { route = [\"api_key\", \"chatgpt\"] }",
            "when = { route = \"api_key\", team = \"ci\" }",
        ),
        (
            "when = { effort = [\"low\", \"minimal\"] }",
            "when = { effort = \"LOW\", kind = \"review\" }",
        ),
        (
            "when = { client = \"codex*\" }",
            "when = { client = \"codex_exec\" }",
        ),
        (
            "when = { key = [\"a\", \"b\"] }",
            "when = { key = \"b\", team = \"t\" }",
        ),
    ] {
        assert_eq!(second(first, covered), hidden, "{first} / {covered}");
    }
    for (first, open) in [
        (
            "when = { model = \"gpt-5*\" }",
            "when = { model = \"gpt-*\" }",
        ),
        (
            "when = { model = \"gpt-5.5\" }",
            "when = { model = [\"gpt-5.5\", \"gpt-5.4\"] }",
        ),
        (
            "when = { route = \"api_key\" }",
            "when = { route = [\"api_key\", \"chatgpt\"] }",
        ),
        ("when = { team = \"ci\" }", ""),
        ("when = { key = \"a\" }", "when = { key = \"A\" }"),
        ("when = { kind = \"review\" }", "when = { kind = \"turn\" }"),
        ("when = { model = \"a?\" }", "when = { model = \"a*\" }"),
    ] {
        assert_eq!(
            second(first, open),
            Vec::<String>::new(),
            "{first} / {open}"
        );
    }
    assert_eq!(
        found(&rule("when = { model = [] }\nthen = \"allow\"")),
        [
            "warning «[[rules]]»: rule `r` can never match: a condition is an empty list | omit \
             the condition to match everything"
        ]
    );
    assert_eq!(
        found(&rule(
            "when = { route = \"api_key\", plan = \"plus\" }\nthen = \"allow\""
        )),
        [
            "warning «[[rules]]»: rule `r` can never match: only ChatGPT sign-ins claim a plan | \
             add `route = \"chatgpt\"`, or remove `plan`"
        ]
    );
    assert_eq!(
        found(&rule("when = { route = \"anonymous\" }\nthen = \"allow\"")),
        [
            "warning «[[rules]]»: rule `r` allows requests that no route serves: its routes have \
             no upstream"
        ]
    );
}

#[test]
fn targets_that_nobody_knows_are_suspicious() {
    assert_eq!(
        found(&rule(
            "when = { model = \"a\" }\nthen = { rewrite = \"gpt-5.4-mni\" }"
        )),
        [
            "warning «{ rewrite = \"gpt-5.4-mni\" }»: `gpt-5.4-mni` is not in any catalogue or \
             rule | did you mean `gpt-5.4-mini`?"
        ]
    );
    assert_eq!(
        found("[fallback]\n\"gpt-5.5\" = [\"qqq\"]\n\"zzz\" = [\"gpt-5.4\"]\n"),
        [
            "warning «\"qqq\"»: `qqq` is not in any catalogue or rule",
            "warning «\"zzz\"»: `zzz` is not in any catalogue or rule",
        ]
    );
    assert_eq!(
        found("[fallback]\n\"gpt-5.2\" = [\"gpt-5.1\", \"gpt-5.1\"]\n"),
        ["warning «\"gpt-5.1\"»: `gpt-5.1` is already in this chain"]
    );
    assert_eq!(
        found(
            "[fallback]\n\"gpt-5.5\" = [\"gpt-5.4\", \"gpt-5.3-codex\", \"gpt-5.2\", \"gpt-5.1\"]\n"
        ),
        [
            "warning «\"gpt-5.1\"»: only 3 models are tried after `gpt-5.5`; this one is used \
             only if a rule removes an earlier one"
        ]
    );
}

#[test]
fn what_the_price_table_knows_is_known() {
    let text = format!("{HOME}[fallback]\n\"gpt-5.5\" = [\"gpt-5-nano\"]\n");
    let file: File = toml::from_str(&text).unwrap();
    let (_, problems) = Policy::compile(&PolicyInput {
        upstreams: file.upstreams,
        routes: file.routes,
        fallback: file.fallback,
        catalog: catalog(),
        known_models: vec![id("gpt-5-nano")],
        ..PolicyInput::default()
    });
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn mixed_request_shapes_are_suspicious() {
    let lite = "`gpt-6-sol` uses Responses-Lite, `gpt-5.5` does not, and an upstream may refuse \
                the other format";
    assert_eq!(
        found("[fallback]\n\"gpt-6-sol\" = [\"gpt-5.5\"]\n"),
        [format!(
            "warning «\"gpt-5.5\"»: this chain mixes request formats: {lite}"
        ),]
    );
    assert_eq!(
        found("[fallback]\n\"gpt-5.5\" = [\"gpt-6-sol\"]\n"),
        [format!(
            "warning «\"gpt-6-sol\"»: this chain mixes request formats: {lite}"
        )]
    );
    // Of gpt-5.4 nobody says what shape it takes: it is older than the new one, and is asked in the
    // old one.
    assert_eq!(
        found("[fallback]\n\"gpt-6-sol\" = [\"gpt-5.4\"]\n"),
        [
            "warning «\"gpt-5.4\"»: this chain mixes request formats: `gpt-6-sol` uses \
             Responses-Lite, `gpt-5.4` does not, and an upstream may refuse the other format"
        ]
    );
    // A model of which nobody says anything can be either.
    assert_eq!(
        found(
            "[fallback]\n\"gpt-6-sol\" = [\"house\"]\n[[rules]]\nname = \"house\"\nwhen = { model \
             = \"house\" }\nthen = \"allow\"\n"
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        found(
            "[fallback]\n\"gpt-6-sol\" = [\"house\"]\n\"house\" = [\"gpt-5.5\"]\n[[rules]]\nname \
             = \"house\"\nwhen = { model = \"house\" }\nthen = \"allow\"\n"
        ),
        [format!(
            "warning «\"gpt-6-sol\"»: this chain continues with that of its last model and then \
             mixes request formats: {lite}"
        )]
    );
    assert_eq!(
        found(&rule(
            "when = { model = \"gpt-6-sol\" }\nthen = { rewrite = \"gpt-5.5\" }"
        )),
        [format!(
            "warning «{{ rewrite = \"gpt-5.5\" }}»: rule `r` mixes request formats: {lite}"
        )]
    );
    assert!(
        found(&rule(
            "when = { model = \"gpt-6*\" }\nthen = { rewrite = \"gpt-5.5\" }"
        ))[0]
            .contains("mixes request formats")
    );
}

#[test]
fn rewrites_into_a_rejection_are_suspicious() {
    assert_eq!(
        found(&rule(
            "when = { route = \"api_key\", model = \"a\" }\nthen = { rewrite = \
             \"gpt-5.3-codex-spark\" }"
        )),
        [
            "warning «{ rewrite = \"gpt-5.3-codex-spark\" }»: rule `r` rewrites to \
             `gpt-5.3-codex-spark`, which rule `spark needs a ChatGPT sign-in` rejects on the \
             api_key route | put a rule that allows it before that one, or restrict the routes of \
             the rewrite"
        ]
    );
    assert_eq!(
        found(&rule(
            "when = { route = \"chatgpt\", model = \"a\" }\nthen = { rewrite = \
             \"gpt-5.3-codex-spark\" }"
        )),
        Vec::<String>::new()
    );
    let by_team = "[[rules]]\nname = \"a\"\nwhen = { team = \"ci\", model = \"x\" }\nthen = { \
                   rewrite = \"gpt-5.4\" }\n[[rules]]\nname = \"b\"\nwhen = { team = \"TEAM\", \
                   model = \"gpt-5.4\" }\nthen = { reject = \"no\" }\n";
    assert_eq!(found(by_team), Vec::<String>::new());
    assert_eq!(found(&by_team.replace("TEAM", "ci")).len(), 1);
}

#[test]
fn moving_compaction_off_its_session_is_suspicious() {
    for (kind, expected) in [
        (
            "\"compaction\"",
            "changes the model for compaction but not for the turns of the session | remove \
             `compaction` from `kind`: a compacted history may be encrypted for the model that \
             wrote it",
        ),
        (
            "[\"compaction\", \"memory\"]",
            "changes the model for compaction but not for the turns of the session | remove \
             `compaction` from `kind`: a compacted history may be encrypted for the model that \
             wrote it",
        ),
        (
            "[\"turn\"]",
            "changes the model for turns but not for their compaction, which then runs on another \
             model | add \"compaction\" to `kind`: a compacted history may be encrypted for the \
             model that wrote it",
        ),
    ] {
        let problems = found(&rule(&format!(
            "when = {{ kind = {kind}, model = \"gpt-5.5\" }}\nthen = {{ rewrite = \"gpt-5.4\" }}"
        )));
        assert_eq!(
            problems,
            [format!("warning «[[rules]]»: rule `r` {expected}")]
        );
    }
    for kind in [
        "[\"turn\", \"compaction\"]",
        "\"subagent\"",
        "[\"memory\", \"review\"]",
    ] {
        let problems = found(&rule(&format!(
            "when = {{ kind = {kind}, model = \"gpt-5.5\" }}\nthen = {{ rewrite = \"gpt-5.4\" }}"
        )));
        assert_eq!(problems, Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn handing_a_sign_in_to_another_party_is_suspicious() {
    let text = "[upstreams.other]\nbase_url = \"https://other.example/v1\"\n[[rules]]\nname = \
                \"r\"\nwhen = { ROUTE model = \"other-*\" }\nthen = { send = \"other\" }\n";
    assert_eq!(
        found(&text.replace("ROUTE", "")),
        [
            "warning «{ send = \"other\" }»: rule `r` sends the callers' chatgpt credentials, \
             meant for https://chatgpt.com, to https://other.example | give upstream `other` its \
             own `credential`, or restrict `route` in `when`"
        ]
    );
    assert_eq!(
        found(&text.replace("ROUTE", "route = \"anonymous\",")),
        Vec::<String>::new()
    );
}

#[test]
fn a_pattern_that_looks_like_a_regular_expression_is_suspicious() {
    for pattern in [
        "^gpt-5.4",
        "gpt-5.4$",
        ".*mini",
        "gpt-.*",
        "(gpt|o3)-.*",
        "gpt-5|gpt-4",
        "gpt-\\\\d",
        "gpt-5\\\\.4",
        "gpt-.+",
        "gpt-[0-9]+",
    ] {
        let found = found(&rule(&format!(
            "when = {{ model = \"{pattern}\" }}\nthen = \"allow\""
        )));
        let shown = pattern.replace("\\\\", "\\");
        assert_eq!(
            found.first().map(String::as_str),
            Some(
                format!(
                    "warning «\"{pattern}\"»: `{shown}` looks like a regular expression, but \
                     patterns are globs | `*` matches any text and `?` one character; the whole id \
                     must match, ignoring case"
                )
                .as_str()
            ),
            "{found:?}"
        );
    }
    for pattern in [
        "gpt-5.*",
        "gpt-5.4",
        "gpt-*",
        "gpt-[45]*",
        "{gpt,o3}*",
        "a.b*",
    ] {
        let found = found(&rule(&format!(
            "when = {{ model = \"{pattern}\" }}\nthen = \"allow\""
        )));
        assert!(
            found.iter().all(|problem| !problem.contains("regular")),
            "{found:?}"
        );
    }
}
