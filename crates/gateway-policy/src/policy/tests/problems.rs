//! What `check` finds: every problem at once, each at its place.

use super::*;
use crate::problem::Severity;

/// Problems as `severity «text at the span»: message | hint`.
pub(super) fn found(text: &str) -> Vec<String> {
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

pub(super) fn rule(fields: &str) -> String {
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
