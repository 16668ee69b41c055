use super::*;

#[derive(Debug, serde::Deserialize, PartialEq, Default)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    listen: String,
    port: u16,
    is_on: bool,
    inner: Inner,
    list: Vec<Inner>,
    rules: Vec<Rule>,
    word: Option<Word>,
}

#[derive(Debug, serde::Deserialize, PartialEq, Default)]
#[serde(deny_unknown_fields, default)]
struct Inner {
    name: String,
    names: Vec<String>,
}

#[derive(Debug, serde::Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    then: Then,
}

#[derive(Debug, serde::Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Then {
    Allow,
    Send(String),
    Reject(String),
}

#[derive(Debug, serde::Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Word {
    Text,
    Json,
}

fn read(text: &str) -> (Option<Sample>, Vec<Problem>) {
    parse(text, |_, _| ())
}

fn line(text: &str, problem: &Problem) -> usize {
    let start = problem.span.clone().unwrap().start;
    text.get(..start).unwrap().matches('\n').count() + 1
}

#[test]
fn every_mistake_is_reported_and_the_rest_is_kept() {
    let text = "lisen = \"a\"\nport = \"x\"\n[inner]\nnaem = \"b\"\n[[list]]\nname = \"kept\"\n\
                [[list]]\nname = 3\nnames = []\n";
    let (value, problems) = read(text);
    let value = value.unwrap();
    let kept = Inner {
        name: "kept".to_owned(),
        names: Vec::new(),
    };
    assert_eq!(value.list, [kept, Inner::default()]);
    let mut lines: Vec<_> = problems.iter().map(|problem| line(text, problem)).collect();
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 4, 8]);
    assert!(
        problems
            .iter()
            .any(|problem| problem.hint.as_deref() == Some("did you mean `listen`?")),
        "{problems:?}"
    );
}

#[test]
fn a_syntax_error_does_not_hide_the_others() {
    let (_, problems) = read("port = = 3\nlisen = \"a\"\n");
    assert!(problems.len() >= 2, "{problems:?}");
}

/// Each text has one mistake.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn one_mistake_is_one_problem() {
    for (text, message, hint) in [
        // Keys and words.
        (
            "lisen = \"a\"",
            "unknown key `lisen`",
            "did you mean `listen`?",
        ),
        (
            "[inner]\nx = 1",
            "unknown key `x`",
            "known keys: `name`, `names`",
        ),
        (
            "word = \"jsn\"",
            "`jsn` is not a valid value",
            "did you mean `json`?",
        ),
        (
            "word = \"xml\"",
            "`xml` is not a valid value",
            "valid values: `text`, `json`",
        ),
        ("word = 3", "expected a string or a table", ""),
        // Types.
        (
            "listen = 80",
            "expected a string, found a number",
            "write it in quotes; durations and sizes need a unit, such as `\"120s\"` or `\"64MiB\"`",
        ),
        (
            "listen = true",
            "expected a string, found true or false",
            "write it in quotes",
        ),
        (
            "port = \"8787\"",
            "expected a whole number that is not negative, found a string",
            "write it without quotes",
        ),
        (
            "port = -1",
            "expected a whole number that is not negative",
            "",
        ),
        (
            "is_on = \"yes\"",
            "expected true or false, found a string",
            "write it without quotes",
        ),
        ("inner = \"x\"", "expected a table, found a string", ""),
        (
            "[inner]\nnames = \"x\"",
            "expected a list, found a string",
            "write it in brackets, such as `[\"one\", \"two\"]`",
        ),
        // A key that is missing, or seems to be because of a mistake in it.
        ("[[rules]]\nname = \"r\"", "the key `then` is missing", ""),
        (
            "[[rules]]\nname = \"r\"\nthen = \"alow\"",
            "`alow` is not a valid value",
            "did you mean `allow`?",
        ),
        (
            "[[rules]]\nname = \"r\"\nthen = { sned = \"x\" }",
            "`sned` is not a valid value",
            "did you mean `send`?",
        ),
        (
            "[[rules]]\nname = \"r\"\nthen = { send = 3 }",
            "expected a string, found a number",
            "write it in quotes; durations and sizes need a unit, such as `\"120s\"` or `\"64MiB\"`",
        ),
        (
            "[[rules]]\nname = \"r\"\nthen = { send = \"x\", reject = \"y\" }",
            "expected exactly one key in this table",
            "",
        ),
        (
            "[[rules]]\nname = \"r\"\nten = \"allow\"",
            "unknown key `ten`",
            "did you mean `then`?",
        ),
        (
            "[[rules]]\nname = 3\nthen = \"allow\"",
            "expected a string, found a number",
            "write it in quotes; durations and sizes need a unit, such as `\"120s\"` or `\"64MiB\"`",
        ),
        // The TOML itself.
        (
            "listen = 127.0.0.1:8787",
            "a string must be in quotes",
            "write `listen = \"127.0.0.1:8787\"`",
        ),
        (
            "listen = sqlite # why",
            "a string must be in quotes",
            "write `listen = \"sqlite\"`",
        ),
        (
            "listen = 120s",
            "a string must be in quotes",
            "write `listen = \"120s\"`",
        ),
        (
            "listen = “x”",
            "quotes must be straight (`\"`), not typographic",
            "write `listen = \"x\"`",
        ),
        (
            "is_on = True",
            "`true` and `false` are written in lower case",
            "write `is_on = true`",
        ),
        (
            "listen = \"x",
            "the quoted string is not closed on this line",
            "",
        ),
        (
            "[inner]\nnames = [\n  x,\n]",
            "a string must be in quotes",
            "",
        ),
        ("port = 1\nport = 2", "the key `port` is set twice", ""),
        (
            "[inner]\nname = \"a\"\n[inner]\nnames = []",
            "the table `inner` is defined twice",
            "put all of its keys under one header",
        ),
        (
            "inner:\nport = 1",
            "this file must be TOML; this line looks like YAML",
            "tables are written `[name]`, values `key = value`",
        ),
        (
            "{\"port\": 1}",
            "this file must be TOML; it looks like JSON",
            "such as `[server]` and below it `listen = \"127.0.0.1:8787\"`",
        ),
    ] {
        let (value, problems) = read(text);
        let said: Vec<_> = problems
            .iter()
            .map(|problem| {
                (
                    problem.message.as_str(),
                    problem.hint.as_deref().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(said, [(message, hint)], "{text}");
        assert!(value.is_some(), "{text}");
    }
}

#[test]
fn what_is_rejected_beforehand_is_left_out_and_not_missed() {
    let text = "[[rules]]\nname = \"r\"\nthenn = \"allow\"\n";
    let (value, problems) = parse::<Sample>(text, |_, mistakes| {
        let problem = Problem::error(21..26, "another word is meant");
        mistakes.reject(21..26, problem, Some("then"));
    });
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(value.unwrap(), Sample::default());
}

#[test]
fn no_problem_repeats_a_value() {
    for text in [
        "inner = \"canary\"",
        "port = \"canary\"",
        "[inner]\nnames = \"canary\"",
        "[[rules]]\nname = \"r\"\nthen = [\"canary\"]",
    ] {
        let (_, problems) = read(text);
        assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
    }
}
