//! What `check` warns about: configurations that are valid and hardly meant.

use super::problems::{found, rule};
use super::*;

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
