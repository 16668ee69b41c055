use super::*;
use crate::attempt::AttemptReason;
use crate::upstream::UpstreamName;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn key(session: &str, caller: &str, head: &str) -> SessionKey {
    SessionKey {
        session: Arc::from(session),
        caller_digest: Arc::from(caller),
        head: ModelId::new(head).unwrap(),
    }
}

fn by(model: &str) -> Sticky {
    Sticky {
        model: ModelId::new(model).unwrap(),
        upstream: UpstreamName::new("openai"),
        reason: AttemptReason::Fallback,
    }
}

#[test]
fn a_session_is_where_it_was_served_last() {
    let mut sessions = Sessions::default();
    sessions.served(key("s", "c", "gpt-5.5"), by("gpt-5.5"), at(0));
    sessions.served(key("s", "c", "gpt-5.5"), by("gpt-5.4"), at(1));
    assert_eq!(
        sessions.get(&key("s", "c", "GPT-5.5"), at(2)),
        Some(&by("gpt-5.4"))
    );
    assert_eq!(sessions.len(), 1);
    for other in [
        key("t", "c", "gpt-5.5"),
        key("s", "d", "gpt-5.5"),
        key("s", "c", "gpt-5.2"),
    ] {
        assert_eq!(sessions.get(&other, at(2)), None, "{other:?}");
    }
    sessions.clear();
    assert!(sessions.is_empty());
}

#[test]
fn a_silent_session_is_forgotten() {
    let mut sessions = Sessions::default();
    sessions.served(key("s", "c", "m"), by("m"), at(0));
    assert!(
        sessions
            .get(&key("s", "c", "m"), at(24 * 3600 - 1))
            .is_some()
    );
    assert!(sessions.get(&key("s", "c", "m"), at(24 * 3600)).is_none());
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    let mut sessions = Sessions::default();
    let count = i64::try_from(MAX_SESSIONS).unwrap();
    for number in 0..=count {
        sessions.served(key(&number.to_string(), "c", "m"), by("m"), at(number / 10));
    }
    assert!(sessions.len() <= MAX_SESSIONS);
    assert!(sessions.get(&key("0", "c", "m"), at(count / 10)).is_none());
    assert!(
        sessions
            .get(&key(&count.to_string(), "c", "m"), at(count / 10))
            .is_some()
    );
}
