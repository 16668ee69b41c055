//! What follows a failed attempt, and how a request is made to fit its new model.

use gateway_wire::{Failure, SendState, WireApi};

use super::*;
use crate::attempt_plan::{
    Adjustment, DecisionKind, EncryptedReasoning, Incompatibility, NextStep,
};
use crate::request::RequestNeeds;

const TARGETS: &str = r#"
[[rules]]
name = "deepseek models"
when = { model = "deepseek-*" }
then = { send = "deepseek" }
[[rules]]
name = "to lite"
when = { model = "modern" }
then = { rewrite = "gpt-6-luna" }
[[rules]]
name = "to plain"
when = { model = "plain" }
then = { rewrite = "gpt-5.5" }
[fallback]
"gpt-5.5" = ["gpt-5.3-codex-spark", "gpt-5.2-codex", "gpt-5.4"]
"gpt-6-sol" = ["gpt-6-luna", "gpt-5.5"]
"gpt-5.5-old" = ["gpt-5.4"]
"x" = ["deepseek-chat", "unheard-of"]
"#;

const NOTHING: RequestNeeds<'static> = RequestNeeds {
    approx_tokens: 0,
    images: false,
    effort: None,
    verbosity: None,
    lite: false,
    previous_response: false,
    encrypted_reasoning: false,
    compaction: false,
};

/// The models that follow when each refuses, with the changes made for each.
fn followed(request: &str, needs: &RequestNeeds<'_>) -> Vec<(String, Vec<Adjustment>)> {
    let plan = planned(&policy(TARGETS), request, &NoMemory);
    let mut tried = plan.first.clone();
    let mut found = Vec::new();
    while let NextStep::Attempt { attempt, adjust } =
        plan.next(&tried, Failure::UnsupportedModel, needs)
    {
        assert_eq!(attempt.reason, AttemptReason::Fallback);
        found.push((attempt.model.to_string(), adjust));
        tried = attempt;
        assert!(found.len() <= 3, "{found:?}");
    }
    found
}

fn names(request: &str, needs: &RequestNeeds<'_>) -> Vec<String> {
    followed(request, needs)
        .into_iter()
        .map(|(model, _)| model)
        .collect()
}

#[test]
fn refusals_go_along_the_chain_and_then_stop() {
    assert_eq!(
        names("chatgpt gpt-5.5", &NOTHING),
        ["gpt-5.3-codex-spark", "gpt-5.2-codex", "gpt-5.4"]
    );
    assert!(names("chatgpt gpt-5.4", &NOTHING).is_empty());
}

#[test]
fn only_an_unsupported_model_leads_to_another() {
    let plan = planned(&policy(TARGETS), "chatgpt gpt-5.5", &NoMemory);
    let mut all = Failure::ANSWERS.to_vec();
    all.extend([SendState::NotSent, SendState::Sent, SendState::Ambiguous].map(Failure::Transport));
    for failure in all {
        let next = plan.next(&plan.first, failure, &NOTHING);
        let hops =
            matches!(&next, NextStep::Attempt { attempt, .. } if attempt.model != plan.first.model);
        assert_eq!(
            hops,
            failure == Failure::UnsupportedModel,
            "{failure}: {next:?}"
        );
        assert_eq!(
            next == NextStep::Stop,
            failure != Failure::UnsupportedModel,
            "{failure}: {next:?}"
        );
    }
}

#[test]
fn candidates_that_cannot_take_the_request_are_skipped() {
    let long = RequestNeeds {
        approx_tokens: 300_000,
        ..NOTHING
    };
    assert_eq!(
        names("chatgpt gpt-5.5", &long),
        ["gpt-5.2-codex", "gpt-5.4"],
        "a source grants 400,000"
    );
    let longer = RequestNeeds {
        approx_tokens: 500_000,
        ..NOTHING
    };
    assert_eq!(names("chatgpt gpt-5.5", &longer), ["gpt-5.4"]);
    let longest = RequestNeeds {
        approx_tokens: 2_000_000,
        ..NOTHING
    };
    assert!(names("chatgpt gpt-5.5", &longest).is_empty());
    let images = RequestNeeds {
        images: true,
        ..NOTHING
    };
    assert_eq!(
        names("chatgpt gpt-5.5", &images),
        ["gpt-5.2-codex", "gpt-5.4"]
    );
    let kept = RequestNeeds {
        previous_response: true,
        ..NOTHING
    };
    assert!(names("chatgpt gpt-5.5", &kept).is_empty());
    // Nobody describes these two, so they count as capable.
    let all = RequestNeeds {
        approx_tokens: 2_000_000,
        images: true,
        ..NOTHING
    };
    assert_eq!(names("api_key x", &all), ["deepseek-chat", "unheard-of"]);
}

#[test]
fn efforts_and_verbosity_are_clamped_to_what_the_target_takes() {
    let changes = |request: &str, effort, verbosity| {
        let needs = RequestNeeds {
            effort,
            verbosity,
            ..NOTHING
        };
        followed(request, &needs)
            .into_iter()
            .map(|(_, changes)| changes)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        changes("chatgpt gpt-6-sol", Some("ultra"), None),
        [
            vec![Adjustment::Effort("max".to_owned())],
            vec![Adjustment::Effort("xhigh".to_owned())],
            vec![],
        ],
        "gpt-6-luna stops at max, gpt-5.5 at xhigh, of spark nobody says"
    );
    assert_eq!(
        changes("chatgpt gpt-6-sol", Some("minimal"), None).first(),
        Some(&vec![Adjustment::Effort("low".to_owned())]),
        "nothing lower is taken, so the least"
    );
    assert_eq!(
        changes("chatgpt gpt-5.5-old", Some("minimal"), None),
        [vec![Adjustment::Effort("low".to_owned())]],
        "gpt-5.4 takes `none`, which is no lesser `minimal`"
    );
    assert_eq!(changes("chatgpt gpt-5.5-old", Some("none"), None), [vec![]]);
    assert_eq!(
        changes("chatgpt gpt-5.5-old", Some("max"), None),
        [vec![Adjustment::Effort("xhigh".to_owned())]]
    );
    assert_eq!(
        changes("chatgpt gpt-6-sol", Some("HIGH"), None).first(),
        Some(&vec![])
    );
    assert_eq!(
        changes("chatgpt gpt-6-sol", Some("unheard-of"), None).first(),
        Some(&vec![])
    );
    assert_eq!(
        changes("chatgpt gpt-5.5", None, Some("low")),
        [
            vec![],
            vec![Adjustment::Verbosity("medium".to_owned())],
            vec![]
        ]
    );
}

#[test]
fn lite_requests_become_ordinary_ones_where_the_target_is_not_lite() {
    let lite = RequestNeeds {
        lite: true,
        ..NOTHING
    };
    assert_eq!(
        followed("chatgpt gpt-6-sol", &lite),
        [
            ("gpt-6-luna".to_owned(), vec![]),
            ("gpt-5.5".to_owned(), vec![Adjustment::LiftLiteTools]),
            (
                "gpt-5.3-codex-spark".to_owned(),
                vec![Adjustment::LiftLiteTools]
            ),
        ]
    );
    // A rewrite is adjusted before its first attempt; the requested model never is.
    let begin = |request: &str| planned(&policy(TARGETS), request, &NoMemory).begin(&lite).1;
    assert_eq!(begin("chatgpt plain"), [Adjustment::LiftLiteTools]);
    assert_eq!(begin("chatgpt modern"), []);
    assert_eq!(begin("chatgpt gpt-5.5"), []);
}

#[test]
fn another_upstream_cannot_read_this_ones_encrypted_history() {
    let reasoning = RequestNeeds {
        encrypted_reasoning: true,
        ..NOTHING
    };
    assert_eq!(
        followed("api_key x", &reasoning),
        [
            ("deepseek-chat".to_owned(), vec![Adjustment::StripReasoning]),
            ("unheard-of".to_owned(), vec![]),
        ]
    );
    let compaction = RequestNeeds {
        compaction: true,
        ..NOTHING
    };
    assert_eq!(names("api_key x", &compaction), ["unheard-of"]);
    let mut plan = planned(&policy(TARGETS), "api_key x", &NoMemory);
    plan.encrypted = EncryptedReasoning::Refuse;
    let second = plan.rest.first().unwrap();
    assert_eq!(
        plan.incompatibility(second, &reasoning),
        Some(Incompatibility::ForeignHistory)
    );
}

#[test]
fn foreign_reasoning_is_stripped_once_unless_configured_otherwise() {
    let mut plan = planned(&policy(TARGETS), "chatgpt gpt-5.5", &NoMemory);
    let with = RequestNeeds {
        encrypted_reasoning: true,
        ..NOTHING
    };
    let next = |plan: &AttemptPlan, needs| plan.next(&plan.first, Failure::ForeignReasoning, needs);
    assert_eq!(next(&plan, &with), NextStep::StripForeignReasoning);
    assert_eq!(
        next(&plan, &NOTHING),
        NextStep::Stop,
        "nothing is left to strip"
    );
    let compacted = RequestNeeds {
        compaction: true,
        ..with
    };
    assert_eq!(
        next(&plan, &compacted),
        NextStep::Stop,
        "the history would go with it"
    );
    plan.encrypted = EncryptedReasoning::Refuse;
    assert_eq!(next(&plan, &with), NextStep::Stop);
}

#[test]
fn the_lite_header_is_taken_off_once() {
    let plan = planned(&policy(TARGETS), "chatgpt gpt-5.5", &NoMemory);
    let lite = RequestNeeds {
        lite: true,
        ..NOTHING
    };
    assert_eq!(
        plan.next(&plan.first, Failure::LiteHeaderRefused, &lite),
        NextStep::SameModelWithoutLiteHeader
    );
    assert_eq!(
        plan.next(&plan.first, Failure::LiteHeaderRefused, &NOTHING),
        NextStep::Stop
    );
}

#[test]
fn the_other_endpoint_is_tried_once_for_the_same_model() {
    let plan = planned(&policy(TARGETS), "api_key gpt-5.5 endpoint=chat", &NoMemory);
    assert_eq!(plan.first.wire, WireApi::Chat);
    let NextStep::Attempt { attempt, .. } =
        plan.next(&plan.first, Failure::WrongEndpoint, &NOTHING)
    else {
        panic!("it stopped");
    };
    assert_eq!(
        (attempt.model.as_str(), attempt.wire),
        ("gpt-5.5", WireApi::Responses)
    );
    assert_eq!(attempt.reason, AttemptReason::Requested);
    assert_eq!(
        plan.next(&attempt, Failure::WrongEndpoint, &NOTHING),
        NextStep::Stop
    );
    // A refusal after that goes along the chain as usual.
    assert!(matches!(
        plan.next(&attempt, Failure::UnsupportedModel, &NOTHING),
        NextStep::Attempt { .. }
    ));
    let chat_only = planned(
        &policy(TARGETS),
        "api_key deepseek-chat endpoint=chat",
        &NoMemory,
    );
    assert_eq!(
        chat_only.next(&chat_only.first, Failure::WrongEndpoint, &NOTHING),
        NextStep::Stop
    );
}

#[test]
fn what_memory_proposes_gives_way_when_it_cannot_take_the_request() {
    let policy = policy(TARGETS);
    let memory = Told::refused(&[("chatgpt", "gpt-5.5", RefusalState::Refused)]);
    let begin = |needs: &RequestNeeds<'_>| {
        planned(&policy, "chatgpt gpt-5.5", &memory)
            .begin(needs)
            .0
            .model
            .to_string()
    };
    assert_eq!(begin(&NOTHING), "gpt-5.3-codex-spark");
    assert_eq!(
        begin(&RequestNeeds {
            images: true,
            ..NOTHING
        }),
        "gpt-5.2-codex"
    );
    assert_eq!(
        begin(&RequestNeeds {
            approx_tokens: 2_000_000,
            ..NOTHING
        }),
        "gpt-5.5"
    );
    // What the rules chose is sent as it is: its upstream knows best.
    let asked = planned(&policy, "chatgpt gpt-5.3-codex-spark", &NoMemory);
    assert_eq!(
        asked
            .begin(&RequestNeeds {
                images: true,
                ..NOTHING
            })
            .0
            .model,
        id("gpt-5.3-codex-spark")
    );
}

#[test]
fn decisions_are_told_in_the_contracts_words() {
    let policy = policy(TARGETS);
    let kind = |request: &str, memory: &dyn Memory| {
        let plan = planned(&policy, request, memory);
        plan.decision(&plan.first).as_str()
    };
    assert_eq!(kind("chatgpt gpt-5.5", &NoMemory), "passed");
    assert_eq!(kind("chatgpt deepseek-chat", &NoMemory), "sent");
    assert_eq!(kind("chatgpt plain", &NoMemory), "rewritten");
    let refused = Told::refused(&[("chatgpt", "gpt-5.5", RefusalState::Refused)]);
    assert_eq!(kind("chatgpt gpt-5.5", &refused), "fell-back");
    let sticky = Told {
        sticky: Some(("chatgpt", "gpt-5.4")),
        ..Told::default()
    };
    assert_eq!(kind("chatgpt gpt-5.5", &sticky), "fell-back");
    let plan = planned(&policy, "chatgpt gpt-5.5", &NoMemory);
    let NextStep::Attempt { attempt, .. } =
        plan.next(&plan.first, Failure::UnsupportedModel, &NOTHING)
    else {
        panic!("it stopped");
    };
    assert_eq!(plan.decision(&attempt).as_str(), "fell-back");
    assert_eq!(DecisionKind::Rejected.as_str(), "rejected");
}
