//! Which rule decides, and what comes of it.

use super::*;

#[test]
fn without_rules_everything_passes_but_spark_with_an_api_key() {
    check(
        "",
        &[
            ("chatgpt gpt-5.5", "passed gpt-5.5@chatgpt then gpt-5.4"),
            ("api_key gpt-5.5", "passed gpt-5.5@openai then gpt-5.4"),
            ("gateway_key gpt-5.5", "passed gpt-5.5@openai then gpt-5.4"),
            ("anonymous gpt-5.5", "unrouted anonymous"),
            ("chatgpt GPT-5.5", "passed GPT-5.5@chatgpt then gpt-5.4"),
            ("api_key gpt-5.4", "passed gpt-5.4@openai"),
            ("api_key gpt-5.4-mini", "passed gpt-5.4-mini@openai"),
            ("api_key gpt-6.1-sol", "passed gpt-6.1-sol@openai"),
            (
                "api_key never-heard-of-it",
                "passed never-heard-of-it@openai",
            ),
            (
                "chatgpt vendor/model:tag",
                "passed vendor/model:tag@chatgpt",
            ),
            ("chatgpt gpt-5.4/medium", "passed gpt-5.4/medium@chatgpt"),
            (
                "chatgpt gpt-5.3-codex-spark",
                "passed gpt-5.3-codex-spark@chatgpt",
            ),
            (
                "chatgpt gpt-5.3-codex-spark plan=plus",
                "passed gpt-5.3-codex-spark@chatgpt",
            ),
            (
                "chatgpt gpt-5.3-codex-spark plan=free",
                "passed gpt-5.3-codex-spark@chatgpt",
            ),
            (
                "chatgpt gpt-5.3-codex-spark plan=pro",
                "passed gpt-5.3-codex-spark@chatgpt",
            ),
            (
                "api_key gpt-5.3-codex-spark",
                "rejected gpt-5.3-codex-spark by spark needs a ChatGPT sign-in",
            ),
            (
                "api_key GPT-5.3-Codex-SPARK",
                "rejected GPT-5.3-Codex-SPARK by spark needs a ChatGPT sign-in",
            ),
            (
                "gateway_key gpt-5.3-codex-spark",
                "rejected gpt-5.3-codex-spark by spark needs a ChatGPT sign-in",
            ),
            (
                "api_key gpt-5.3-codex-spark-2",
                "passed gpt-5.3-codex-spark-2@openai",
            ),
            // A Chat Completions request keeps its wire, except for models that answer on the other
            // one only.
            (
                "api_key gpt-5.5 endpoint=chat",
                "passed gpt-5.5@openai/chat then gpt-5.4",
            ),
            (
                "api_key gpt-5.3-codex endpoint=chat",
                "passed gpt-5.3-codex@openai",
            ),
            (
                "api_key gpt-5-codex endpoint=chat",
                "passed gpt-5-codex@openai",
            ),
            (
                "chatgpt gpt-5.5 endpoint=chat",
                "passed gpt-5.5@chatgpt then gpt-5.4",
            ),
            (
                "api_key gpt-5.5 kind=compaction",
                "passed gpt-5.5@openai then gpt-5.4",
            ),
            ("api_key gpt-5.5 prev", "passed gpt-5.5@openai"),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_condition_decides() {
    check(
        r#"
[[rules]]
name = "route"
when = { route = "chatgpt", model = "m-route" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "routes"
when = { route = ["chatgpt", "gateway_key"], model = "m-routes" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "endpoint"
when = { endpoint = "chat", model = "m-endpoint" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "effort"
when = { effort = ["minimal", "low"], model = "m-effort" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "plan"
when = { plan = "plus", model = "m-plan" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "team"
when = { team = ["ci", "data"], model = "m-team" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "key"
when = { key = "nightly", model = "m-key" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "kind"
when = { kind = ["subagent", "review"], model = "m-kind" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "client"
when = { client = "codex_*", model = "m-client" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "repo"
when = { repo = ["acme/?*", "git.example/?*"], model = "m-repo" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "all of them"
when = { route = "api_key", endpoint = "responses", effort = "high", team = "ci", key = "k", kind = "turn", client = "*exec*", model = "m-all" }
then = { rewrite = "gpt-5.4" }
"#,
        &[
            ("chatgpt m-route", "rewritten gpt-5.4@chatgpt by route"),
            ("api_key m-route", "passed m-route@openai"),
            ("chatgpt m-routes", "rewritten gpt-5.4@chatgpt by routes"),
            ("gateway_key m-routes", "rewritten gpt-5.4@openai by routes"),
            ("api_key m-routes", "passed m-routes@openai"),
            (
                "api_key m-endpoint endpoint=chat",
                "rewritten gpt-5.4@openai/chat by endpoint",
            ),
            (
                "api_key m-endpoint endpoint=responses",
                "passed m-endpoint@openai",
            ),
            (
                "api_key m-effort effort=low",
                "rewritten gpt-5.4@openai by effort",
            ),
            (
                "api_key m-effort effort=MINIMAL",
                "rewritten gpt-5.4@openai by effort",
            ),
            ("api_key m-effort effort=medium", "passed m-effort@openai"),
            ("api_key m-effort", "passed m-effort@openai"),
            (
                "chatgpt m-plan plan=plus",
                "rewritten gpt-5.4@chatgpt by plan",
            ),
            (
                "chatgpt m-plan plan=Plus",
                "rewritten gpt-5.4@chatgpt by plan",
            ),
            ("chatgpt m-plan plan=pro", "passed m-plan@chatgpt"),
            ("chatgpt m-plan", "passed m-plan@chatgpt"),
            (
                "gateway_key m-team team=ci",
                "rewritten gpt-5.4@openai by team",
            ),
            (
                "gateway_key m-team team=data",
                "rewritten gpt-5.4@openai by team",
            ),
            ("gateway_key m-team team=CI", "passed m-team@openai"),
            ("gateway_key m-team team=ci2", "passed m-team@openai"),
            (
                "gateway_key m-key key=nightly",
                "rewritten gpt-5.4@openai by key",
            ),
            ("gateway_key m-key key=night", "passed m-key@openai"),
            ("gateway_key m-key", "passed m-key@openai"),
            (
                "api_key m-kind kind=subagent",
                "rewritten gpt-5.4@openai by kind",
            ),
            (
                "api_key m-kind kind=review",
                "rewritten gpt-5.4@openai by kind",
            ),
            ("api_key m-kind kind=turn", "passed m-kind@openai"),
            ("api_key m-kind kind=compaction", "passed m-kind@openai"),
            ("api_key m-kind kind=memory", "passed m-kind@openai"),
            ("api_key m-kind kind=prewarm", "passed m-kind@openai"),
            ("api_key m-kind kind=other", "passed m-kind@openai"),
            (
                "api_key m-client client=codex_exec",
                "rewritten gpt-5.4@openai by client",
            ),
            (
                "api_key m-client client=Codex_VSCode",
                "rewritten gpt-5.4@openai by client",
            ),
            ("api_key m-client client=curl", "passed m-client@openai"),
            ("api_key m-client", "passed m-client@openai"),
            (
                "api_key m-repo repo=github.com/acme/shop",
                "rewritten gpt-5.4@openai by repo",
            ),
            (
                "api_key m-repo repo=github.com/ACME/tools/cli",
                "rewritten gpt-5.4@openai by repo",
            ),
            (
                "api_key m-repo repo=git.example/other/shop",
                "rewritten gpt-5.4@openai by repo",
            ),
            (
                "api_key m-repo repo=github.com/other/acme/shop",
                "passed m-repo@openai",
            ),
            ("api_key m-repo", "passed m-repo@openai"),
            (
                "api_key m-all effort=high team=ci key=k client=codex_exec",
                "rewritten gpt-5.4@openai by all of them",
            ),
            (
                "api_key m-all effort=high team=ci key=k client=codex_exec kind=review",
                "passed m-all@openai",
            ),
            (
                "api_key m-all effort=high team=ci key=k client=vscode",
                "passed m-all@openai",
            ),
            (
                "api_key m-all effort=low team=ci key=k client=codex_exec",
                "passed m-all@openai",
            ),
            (
                "api_key m-all team=ci key=k client=codex_exec",
                "passed m-all@openai",
            ),
            (
                "chatgpt m-all effort=high team=ci key=k client=codex_exec",
                "passed m-all@chatgpt",
            ),
        ],
    );
}

#[test]
fn globs_are_case_insensitive_and_cross_slashes() {
    check(
        r#"
[[rules]]
name = "exact"
when = { model = "Vendor/Model:Tag" }
then = { rewrite = "a" }
[[rules]]
name = "suffix"
when = { model = "*-latest" }
then = { rewrite = "b" }
[[rules]]
name = "middle"
when = { model = "x*y" }
then = { rewrite = "c" }
[[rules]]
name = "one"
when = { model = "gpt-?" }
then = { rewrite = "d" }
[[rules]]
name = "either"
when = { model = ["{red,blue}-*", "green"] }
then = { rewrite = "e" }
[[rules]]
name = "literal bracket"
when = { model = 'glm-5\[1m\]' }
then = { rewrite = "f" }
[[rules]]
name = "prefix"
when = { model = "GPT-4*" }
then = { rewrite = "g" }
"#,
        &[
            ("api_key vendor/model:tag", "rewritten a@openai by exact"),
            ("api_key VENDOR/MODEL:TAG", "rewritten a@openai by exact"),
            (
                "api_key vendor/model:tag2",
                "passed vendor/model:tag2@openai",
            ),
            ("api_key a/b/c-latest", "rewritten b@openai by suffix"),
            ("api_key latest", "passed latest@openai"),
            ("api_key x/1/y", "rewritten c@openai by middle"),
            ("api_key xy", "rewritten c@openai by middle"),
            ("api_key xyz", "passed xyz@openai"),
            ("api_key gpt-5", "rewritten d@openai by one"),
            ("api_key gpt-55", "passed gpt-55@openai"),
            ("api_key gpt-", "passed gpt-@openai"),
            ("api_key red-1", "rewritten e@openai by either"),
            ("api_key BLUE-", "rewritten e@openai by either"),
            ("api_key green", "rewritten e@openai by either"),
            ("api_key greens", "passed greens@openai"),
            ("api_key glm-5[1m]", "rewritten f@openai by literal bracket"),
            ("api_key glm-51", "passed glm-51@openai"),
            ("api_key gpt-4", "rewritten d@openai by one"),
            ("api_key gpt-4o-mini", "rewritten g@openai by prefix"),
        ],
    );
}

#[test]
fn the_first_match_wins_whatever_its_kind_of_pattern() {
    check(
        r#"
[[rules]]
name = "1 prefix"
when = { model = "a*", effort = "low" }
then = { rewrite = "one" }
[[rules]]
name = "2 exact"
when = { model = "abc" }
then = { rewrite = "two" }
[[rules]]
name = "3 mixed"
when = { model = ["abc", "abd", "z*"] }
then = { rewrite = "three" }
[[rules]]
name = "4 anything"
when = { kind = "memory" }
then = { rewrite = "four" }
[[rules]]
name = "5 named twice"
when = { model = ["q", "Q"] }
then = { rewrite = "five" }
"#,
        &[
            ("api_key abc effort=low", "rewritten one@openai by 1 prefix"),
            ("api_key abc", "rewritten two@openai by 2 exact"),
            ("api_key abd", "rewritten three@openai by 3 mixed"),
            ("api_key zed", "rewritten three@openai by 3 mixed"),
            ("api_key abe", "passed abe@openai"),
            (
                "api_key abe kind=memory",
                "rewritten four@openai by 4 anything",
            ),
            ("api_key abc kind=memory", "rewritten two@openai by 2 exact"),
            (
                "api_key q kind=memory",
                "rewritten four@openai by 4 anything",
            ),
            ("api_key q", "rewritten five@openai by 5 named twice"),
        ],
    );
}

#[test]
fn operators_rules_come_before_built_in_ones() {
    check(
        r#"
[[rules]]
name = "we have access"
when = { route = "gateway_key", model = "*-spark" }
then = "allow"
[[rules]]
name = "spark elsewhere"
when = { route = "api_key", model = "gpt-5.3-codex-spark" }
then = { rewrite = "gpt-5.4-mini" }
"#,
        &[
            (
                "gateway_key gpt-5.3-codex-spark",
                "passed gpt-5.3-codex-spark@openai by we have access",
            ),
            (
                "api_key gpt-5.3-codex-spark",
                "rewritten gpt-5.4-mini@openai by spark elsewhere",
            ),
        ],
    );
}

#[test]
fn the_final_model_is_judged_again_but_not_rewritten_again() {
    check(
        r#"
[[rules]]
name = "alias"
when = { model = "gpt-5-codex" }
then = { rewrite = "gpt-5.3-codex" }
[[rules]]
name = "to spark"
when = { model = "fast" }
then = { rewrite = "gpt-5.3-codex-spark" }
[[rules]]
name = "to the forbidden"
when = { model = "sneaky" }
then = { rewrite = "forbidden" }
[[rules]]
name = "to deepseek"
when = { model = "cheap" }
then = { rewrite = "deepseek-chat" }
[[rules]]
name = "not this one"
when = { model = "forbidden" }
then = { reject = "nobody uses it" }
[[rules]]
name = "deepseek models"
when = { model = "deepseek-*" }
then = { send = "deepseek" }
[[rules]]
name = "5.3 goes on"
when = { model = "gpt-5.3-codex" }
then = { rewrite = "gpt-5.4" }
[[rules]]
name = "there"
when = { model = "a" }
then = { rewrite = "b" }
[[rules]]
name = "and back"
when = { model = "b" }
then = { rewrite = "a" }
"#,
        &[
            (
                "api_key gpt-5-codex",
                "rewritten gpt-5.3-codex@openai by alias",
            ),
            (
                "api_key gpt-5.3-codex",
                "rewritten gpt-5.4@openai by 5.3 goes on",
            ),
            (
                "chatgpt fast",
                "rewritten gpt-5.3-codex-spark@chatgpt by to spark",
            ),
            (
                "api_key fast",
                "rejected gpt-5.3-codex-spark by spark needs a ChatGPT sign-in",
            ),
            ("api_key sneaky", "rejected forbidden by not this one"),
            ("api_key forbidden", "rejected forbidden by not this one"),
            (
                "api_key cheap",
                "rewritten deepseek-chat@deepseek/chat by to deepseek",
            ),
            (
                "anonymous cheap",
                "rewritten deepseek-chat@deepseek/chat by to deepseek",
            ),
            (
                "api_key deepseek-chat",
                "sent deepseek-chat@deepseek/chat by deepseek models",
            ),
            (
                "anonymous deepseek-chat",
                "sent deepseek-chat@deepseek/chat by deepseek models",
            ),
            ("anonymous gpt-5-codex", "unrouted anonymous"),
            ("api_key a", "rewritten b@openai by there"),
            ("api_key b", "rewritten a@openai by and back"),
        ],
    );
}

#[test]
fn a_rewrite_to_the_same_id_is_no_change_of_model() {
    check(
        "[[rules]]\nname = \"spelling\"\nwhen = { model = \"gpt-5.4\" }\nthen = { rewrite = \"gpt-5.4\" }\n",
        &[("api_key GPT-5.4", "passed gpt-5.4@openai by spelling")],
    );
}

#[test]
fn a_rejection_names_the_rule_the_reason_and_what_works() {
    let policy = policy(
        r#"
[[rules]]
name = "house model"
when = { model = "house-1", route = "api_key" }
then = "allow"
[[rules]]
name = "small only"
when = { route = "api_key", model = "gpt-5*" }
then = { reject = "this key is for small jobs. " }
"#,
    );
    let message = |request: &str| {
        with_request(request, |request| match policy.decide(request, &NoMemory) {
            Decision::Reject(rejection) => rejection.message(),
            other @ (Decision::Forward(_) | Decision::Unrouted(_)) => panic!("{}", told(&other)),
        })
    };
    assert_eq!(
        message("api_key gpt-5.5"),
        "Rule \"small only\" rejects gpt-5.5 on the api_key route: this key is for small jobs. \
         Models that work: house-1, gpt-6.2-sol, gpt-6.2-astra, gpt-6.1-terra, gpt-6-luna, gpt-6.1-sol"
    );
    // What the built-in rule suggests comes first.
    assert_eq!(
        message("gateway_key gpt-5.3-codex-spark"),
        "Rule \"spark needs a ChatGPT sign-in\" rejects gpt-5.3-codex-spark on the gateway_key route: \
         this research preview is offered to ChatGPT Pro sign-ins only; it has no API access. \
         Models that work: gpt-5.3-codex, gpt-5.4-mini, house-1, gpt-5.4, gpt-6.2-sol, gpt-6.2-astra"
    );
}

#[test]
fn a_rejection_does_not_offer_what_was_refused_recently() {
    let policy = policy("");
    let refused = Told::refused(&[("openai", "gpt-5.3-codex", RefusalState::Refused)]);
    with_request("api_key gpt-5.3-codex-spark", |request| {
        let Decision::Reject(rejection) = policy.decide(request, &refused) else {
            panic!("it passed")
        };
        assert!(!rejection.allowed.contains(&id("gpt-5.3-codex")));
        assert_eq!(rejection.allowed.first(), Some(&id("gpt-5.4-mini")));
    });
}

#[test]
fn nothing_works_where_everything_is_rejected() {
    let policy =
        policy("[[rules]]\nname = \"closed\"\nthen = { reject = \"closed for repairs\" }\n");
    with_request("api_key gpt-5.5", |request| {
        let Decision::Reject(rejection) = policy.decide(request, &NoMemory) else {
            panic!("it passed")
        };
        assert!(rejection.allowed.is_empty());
        assert!(
            rejection
                .message()
                .ends_with("Ask the operator of this gateway which models work here.")
        );
    });
}

#[test]
fn only_rules_about_the_effort_need_the_whole_body() {
    assert!(!policy("").reads_whole_body());
    let rule = "[[rules]]\nname = \"r\"\nwhen = { effort = \"low\" }\nthen = { rewrite = \"gpt-5.4-mini\" }\n";
    assert!(policy(rule).reads_whole_body());
}

#[test]
fn the_upstreams_of_routes_follow_the_order_of_the_enum() {
    for (at, route) in AuthRoute::ALL.into_iter().enumerate() {
        assert_eq!(at, route as usize);
    }
}
