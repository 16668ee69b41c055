use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn key(model: &str) -> RefusalKey {
    RefusalKey {
        upstream: UpstreamName::new("openai"),
        route: AuthRoute::ApiKey,
        plan: None,
        credential_digest: Some(Arc::from("d1")),
        model: ModelId::new(model).unwrap(),
    }
}

fn learned() -> LearnedRefusals {
    let mut facts = LearnedRefusals::new(DEFAULT_TTL);
    facts.learn(key("a"), at(0), Some("model_not_found".to_owned()), None);
    facts
}

#[test]
fn a_refusal_is_believed_until_it_expires() {
    let facts = learned();
    assert_eq!(facts.refusal(&key("a"), at(0)), RefusalState::Refused);
    assert_eq!(facts.refusal(&key("A"), at(599)), RefusalState::Refused);
    assert_eq!(facts.refusal(&key("a"), at(600)), RefusalState::Probe);
    assert_eq!(facts.refusal(&key("b"), at(0)), RefusalState::Unknown);
}

#[test]
fn every_part_of_the_key_counts() {
    let facts = learned();
    let others = [
        RefusalKey {
            upstream: UpstreamName::new("azure"),
            ..key("a")
        },
        RefusalKey {
            route: AuthRoute::Chatgpt,
            ..key("a")
        },
        RefusalKey {
            plan: Some(Arc::from("plus")),
            ..key("a")
        },
        RefusalKey {
            credential_digest: Some(Arc::from("d2")),
            ..key("a")
        },
        RefusalKey {
            credential_digest: None,
            ..key("a")
        },
    ];
    for other in others {
        assert_eq!(
            facts.refusal(&other, at(0)),
            RefusalState::Unknown,
            "{other:?}"
        );
    }
}

#[test]
fn one_probe_at_a_time_and_only_after_expiry() {
    let mut facts = learned();
    assert!(!facts.claim_probe(&key("a"), at(599)), "not expired");
    assert!(!facts.claim_probe(&key("b"), at(600)), "not known");
    assert!(facts.claim_probe(&key("a"), at(600)));
    assert!(!facts.claim_probe(&key("a"), at(601)), "taken");
    assert_eq!(
        facts.refusal(&key("a"), at(601)),
        RefusalState::Refused,
        "others wait for its outcome"
    );
    // A probe that never came back does not block the next for ever.
    assert_eq!(facts.refusal(&key("a"), at(720)), RefusalState::Probe);
    assert!(facts.claim_probe(&key("a"), at(720)));
    facts.release_probe(&key("a"));
    assert!(facts.claim_probe(&key("a"), at(721)), "given back");
}

#[test]
fn the_outcome_of_a_probe_settles_the_fact() {
    let mut facts = learned();
    assert!(facts.claim_probe(&key("a"), at(600)));
    facts.learn(key("a"), at(610), None, None);
    assert_eq!(facts.refusal(&key("a"), at(1209)), RefusalState::Refused);
    assert_eq!(facts.refusal(&key("a"), at(1210)), RefusalState::Probe);
    assert!(facts.forget(&key("a")));
    assert!(!facts.forget(&key("a")));
    assert_eq!(facts.refusal(&key("a"), at(1210)), RefusalState::Unknown);
}

#[test]
fn stored_facts_come_back_and_newer_ones_win() {
    let stored = learned()
        .iter()
        .next()
        .map(|(key, fact)| (key.clone(), fact.clone()))
        .unwrap();
    let mut facts = LearnedRefusals::new(DEFAULT_TTL);
    facts.learn(key("a"), at(100), None, None);
    facts.restore(stored.0.clone(), stored.1.clone());
    assert_eq!(facts.refusal(&key("a"), at(650)), RefusalState::Refused);
    facts.clear();
    facts.restore(stored.0, stored.1);
    assert_eq!(facts.refusal(&key("a"), at(599)), RefusalState::Refused);
    assert_eq!(facts.refusal(&key("a"), at(650)), RefusalState::Probe);
    assert_eq!(facts.clear(), 1);
    assert_eq!(facts.clear(), 0);
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    let mut facts = LearnedRefusals::new(DEFAULT_TTL);
    let count = i64::try_from(MAX_REFUSALS).unwrap();
    for number in 0..=count {
        facts.learn(key(&format!("m{number}")), at(number), None, None);
    }
    assert!(facts.iter().count() <= MAX_REFUSALS);
    assert_eq!(
        facts.refusal(&key("m0"), at(0)),
        RefusalState::Unknown,
        "the oldest made room"
    );
    assert_eq!(
        facts.refusal(&key(&format!("m{count}")), at(count)),
        RefusalState::Refused
    );
}

#[test]
fn time_has_an_end_too() {
    let mut facts = LearnedRefusals::new(Duration::MAX);
    facts.learn(key("a"), at(0), None, None);
    assert_eq!(
        facts.refusal(&key("a"), at(1_000_000_000)),
        RefusalState::Refused
    );
}
