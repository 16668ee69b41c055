//! Sessions stay where they are, known refusals are passed over, expired ones are probed once.

use super::*;

const LONG: &str =
    "[fallback]\n\"gpt-5.5\" = [\"gpt-5.4\", \"gpt-5.3-codex\", \"gpt-5.2\", \"gpt-5.1\"]\n";

#[test]
fn a_session_that_fell_back_stays_there() {
    let policy = policy(LONG);
    let memory = Told {
        sticky: Some(("chatgpt", "gpt-5.3-codex")),
        ..Told::default()
    };
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &memory),
        "fell-back gpt-5.3-codex@chatgpt then gpt-5.2 then gpt-5.1"
    );
    assert_eq!(
        planned(&policy, "chatgpt gpt-5.5", &memory).first.reason,
        AttemptReason::Sticky
    );
    // It goes on there with a kept response too, and does not hop.
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5 prev", &memory),
        "fell-back gpt-5.3-codex@chatgpt"
    );
    // Another model of the same session is another matter.
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.2", &memory),
        "passed gpt-5.2@chatgpt"
    );
}

#[test]
fn a_session_is_not_moved_by_what_others_learned() {
    let policy = policy(LONG);
    let refused = [
        ("chatgpt", "gpt-5.5", RefusalState::Refused),
        ("chatgpt", "gpt-5.3-codex", RefusalState::Refused),
    ];
    let served = Told {
        sticky: Some(("chatgpt", "gpt-5.5")),
        ..Told::refused(&refused)
    };
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &served),
        "passed gpt-5.5@chatgpt then gpt-5.4 then gpt-5.2 then gpt-5.1"
    );
    let fallen = Told {
        sticky: Some(("chatgpt", "gpt-5.3-codex")),
        ..Told::refused(&refused)
    };
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &fallen),
        "fell-back gpt-5.3-codex@chatgpt then gpt-5.2 then gpt-5.1"
    );
}

#[test]
fn a_place_that_the_rules_no_longer_allow_is_forgotten() {
    let text =
        "[[rules]]\nname = \"no\"\nwhen = { model = \"gpt-5.4\" }\nthen = { reject = \"gone\" }\n";
    let policy = policy(text);
    let memory = Told {
        sticky: Some(("chatgpt", "gpt-5.4")),
        ..Told::default()
    };
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &memory),
        "passed gpt-5.5@chatgpt"
    );
    let elsewhere = Told {
        sticky: Some(("openai", "gpt-5.4")),
        ..Told::default()
    };
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &elsewhere),
        "passed gpt-5.5@chatgpt"
    );
}

#[test]
fn a_known_refusal_spares_the_doomed_attempt() {
    let policy = policy(LONG);
    let memory = Told::refused(&[("chatgpt", "gpt-5.5", RefusalState::Refused)]);
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &memory),
        "fell-back gpt-5.4@chatgpt then gpt-5.3-codex then gpt-5.2 then gpt-5.1"
    );
    assert_eq!(
        planned(&policy, "chatgpt gpt-5.5", &memory).first.reason,
        AttemptReason::Learned
    );
    // It was learned about one upstream only.
    assert!(decided(&policy, "api_key gpt-5.5", &memory).starts_with("passed gpt-5.5@openai"));
    // A request that continues a kept response goes where that response is.
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5 prev", &memory),
        "passed gpt-5.5@chatgpt"
    );
}

#[test]
fn refused_candidates_are_passed_over() {
    let policy = policy(LONG);
    let memory = Told::refused(&[
        ("chatgpt", "gpt-5.5", RefusalState::Refused),
        ("chatgpt", "gpt-5.4", RefusalState::Refused),
        ("chatgpt", "gpt-5.2", RefusalState::Refused),
    ]);
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &memory),
        "fell-back gpt-5.3-codex@chatgpt then gpt-5.1"
    );
}

#[test]
fn when_everything_is_refused_the_upstream_says_so_itself() {
    let policy = policy("");
    let all = Told::refused(&[
        ("chatgpt", "gpt-5.5", RefusalState::Refused),
        ("chatgpt", "gpt-5.4", RefusalState::Refused),
        ("chatgpt", "gpt-5.2", RefusalState::Refused),
    ]);
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &all),
        "passed gpt-5.5@chatgpt"
    );
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.2", &all),
        "passed gpt-5.2@chatgpt",
        "it has no chain"
    );
}

#[test]
fn an_expired_refusal_is_probed_by_a_single_request() {
    let policy = policy("");
    let memory = Told::refused(&[("chatgpt", "gpt-5.5", RefusalState::Probe)]);
    with_request("chatgpt gpt-5.5", |request| {
        policy.explain(request, &memory)
    });
    assert!(
        memory.claimed.borrow().is_empty(),
        "a question takes no probe"
    );
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &memory),
        "passed gpt-5.5@chatgpt (probe) then gpt-5.4"
    );
    assert_eq!(
        decided(&policy, "chatgpt gpt-5.5", &memory),
        "fell-back gpt-5.4@chatgpt"
    );
}

#[test]
fn a_candidate_is_probed_when_it_comes_first() {
    let policy = policy(LONG);
    let memory = Told::refused(&[
        ("chatgpt", "gpt-5.5", RefusalState::Refused),
        ("chatgpt", "gpt-5.4", RefusalState::Probe),
    ]);
    assert!(
        decided(&policy, "chatgpt gpt-5.5", &memory)
            .starts_with("fell-back gpt-5.4@chatgpt (probe)")
    );
    assert!(
        decided(&policy, "chatgpt gpt-5.5", &memory)
            .starts_with("fell-back gpt-5.3-codex@chatgpt then")
    );
}

#[test]
fn stickiness_and_rewrites_meet_at_the_final_model() {
    let text = "[[rules]]\nname = \"alias\"\nwhen = { model = \"best\" }\nthen = { rewrite = \"gpt-5.5\" }\n";
    let policy = policy(text);
    let memory = Told {
        sticky: Some(("chatgpt", "gpt-5.4")),
        ..Told::default()
    };
    assert_eq!(
        decided(&policy, "chatgpt best", &memory),
        "fell-back gpt-5.4@chatgpt by alias"
    );
    let plan = planned(&policy, "chatgpt best", &memory);
    assert_eq!(
        plan.head.model,
        id("gpt-5.5"),
        "the key of the session's stickiness"
    );
}
