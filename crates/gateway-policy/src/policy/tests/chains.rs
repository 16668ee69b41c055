//! Chains: which models follow, and which are passed over.

use super::*;

#[test]
fn chains_are_followed_in_order_and_go_on_with_that_of_their_last_model() {
    check(
        r#"
[fallback]
"gpt-5.5" = ["gpt-5.4", "gpt-5.3-codex"]
"gpt-5.3-codex" = ["gpt-5.2"]
"GPT-5.2" = ["gpt-5.1"]
"a" = []
"b" = ["c"]
"c" = ["d"]
"#,
        &[
            (
                "chatgpt gpt-5.5",
                "passed gpt-5.5@chatgpt then gpt-5.4 then gpt-5.3-codex then gpt-5.2",
            ),
            (
                "chatgpt gpt-5.3-codex",
                "passed gpt-5.3-codex@chatgpt then gpt-5.2 then gpt-5.1",
            ),
            ("chatgpt gpt-5.2", "passed gpt-5.2@chatgpt then gpt-5.1"),
            ("chatgpt gpt-5.1", "passed gpt-5.1@chatgpt"),
            ("chatgpt a", "passed a@chatgpt"),
            ("chatgpt b", "passed b@chatgpt then c then d"),
        ],
    );
}

#[test]
fn an_empty_chain_takes_the_built_in_one_away() {
    check(
        "[fallback]\n\"gpt-5.5\" = []\n",
        &[("chatgpt gpt-5.5", "passed gpt-5.5@chatgpt")],
    );
}

#[test]
fn candidates_are_judged_by_the_rules_on_their_own_route() {
    check(
        r#"
[[rules]]
name = "no 5.4 for keys"
when = { route = "api_key", model = "gpt-5.4" }
then = { reject = "too dear" }
[[rules]]
name = "5.3 is rewritten when asked for"
when = { model = "gpt-5.3-codex" }
then = { rewrite = "gpt-5.2" }
[[rules]]
name = "deepseek models"
when = { model = "deepseek-*" }
then = { send = "deepseek" }
[fallback]
"gpt-5.5" = ["gpt-5.4", "gpt-5.3-codex-spark", "gpt-5.3-codex", "gpt-5.2", "deepseek-chat"]
"#,
        &[
            // Rejected candidates do not count as hops.
            (
                "api_key gpt-5.5",
                "passed gpt-5.5@openai then gpt-5.3-codex then gpt-5.2 then \
                 deepseek-chat@deepseek/chat",
            ),
            (
                "chatgpt gpt-5.5",
                "passed gpt-5.5@chatgpt then gpt-5.4 then gpt-5.3-codex-spark then gpt-5.3-codex",
            ),
            // The chain belongs to what a rule made of the request.
            (
                "chatgpt gpt-5.3-codex",
                "rewritten gpt-5.2@chatgpt by 5.3 is rewritten when asked for",
            ),
        ],
    );
}

#[test]
fn a_hop_never_carries_the_callers_credential_to_another_party() {
    let text = r#"
[upstreams.mirror]
base_url = "https://mirror.example/v1"
[upstreams.other-path]
base_url = "https://api.openai.com/v2"
[[rules]]
name = "mirror"
when = { model = "mirrored" }
then = { send = "mirror" }
[[rules]]
name = "other path"
when = { model = "path" }
then = { send = "other-path" }
[fallback]
"gpt-5.5" = ["mirrored", "path"]
"#;
    check(
        text,
        &[
            (
                "api_key gpt-5.5",
                "passed gpt-5.5@openai then path@other-path",
            ),
            ("chatgpt gpt-5.5", "passed gpt-5.5@chatgpt"),
            // Asked for by name, the operator's rule holds.
            ("api_key mirrored", "sent mirrored@mirror by mirror"),
        ],
    );
}

#[test]
fn loops_are_errors() {
    let loops = |text: &str| {
        let (policy, problems) = compile(&format!("{HOME}{text}"));
        assert!(policy.is_none(), "{problems:?}");
        let errors: Vec<String> = problems
            .iter()
            .filter(|problem| problem.is_error())
            .map(|problem| problem.message.clone())
            .collect();
        (
            errors,
            problems.iter().find_map(|problem| problem.hint.clone()),
        )
    };
    assert_eq!(
        loops("[fallback]\n\"a\" = [\"A\"]\n").0,
        ["fallback loop: a -> a"]
    );
    assert_eq!(
        loops("[fallback]\n\"a\" = [\"b\"]\n\"b\" = [\"a\"]\n").0,
        ["fallback loop: a -> b -> a"]
    );
    assert_eq!(
        loops("[fallback]\n\"a\" = [\"x\", \"b\"]\n\"b\" = [\"c\", \"y\"]\n\"c\" = [\"a\"]\n").0,
        ["fallback loop: a -> b -> c -> a"]
    );
    let (errors, hint) = loops("[fallback]\n\"gpt-5.4\" = [\"gpt-5.5\"]\n");
    assert_eq!(errors, ["fallback loop: gpt-5.4 -> gpt-5.5 -> gpt-5.4"]);
    assert_eq!(
        hint.unwrap(),
        "the chain of `gpt-5.5` is built in; `\"gpt-5.5\" = []` removes it"
    );
}

#[test]
fn a_shared_tail_is_no_loop() {
    let (policy, problems) = compile(&format!(
        "{HOME}[fallback]\n\"gpt-5.2\" = [\"gpt-5.1\", \"gpt-5\"]\n\"gpt-5.1\" = [\"gpt-5\"]\n"
    ));
    assert!(policy.is_some(), "{problems:?}");
    assert!(problems.is_empty(), "{problems:?}");
}
