use super::*;

#[test]
fn names_are_unique_and_found() {
    for (name, dialect) in BUILTIN {
        assert_eq!(Dialect::named(name), Some(dialect), "{name}");
    }
    assert_eq!(Dialect::named("nobody"), None);
}

#[test]
fn single_flags_are_set_beside_a_named_dialect() {
    let overrides: DialectOverrides = serde_json::from_str(
        r#"{"images":true,"efforts":["low","high"],"tool_choice":"auto_only"}"#,
    )
    .unwrap();
    let base = Dialect::named("deepseek").unwrap();
    let dialect = base.with(&overrides);
    assert!(dialect.images);
    assert_eq!(dialect.tool_choice, ToolChoice::AutoOnly);
    assert_eq!(dialect.efforts.nearest("max"), Some("high"));
    assert_eq!(
        dialect.echo_reasoning,
        ReasoningEcho::ReasoningContent,
        "what is not named stays"
    );
    assert_eq!(base.with(&DialectOverrides::default()), *base);
}

#[test]
fn unknown_flags_and_values_are_errors() {
    for bad in [
        r#"{"imagse":true}"#,
        r#"{"efforts":[]}"#,
        r#"{"efforts":["huge"]}"#,
        r#"{"thinking":"on"}"#,
    ] {
        assert!(
            serde_json::from_str::<DialectOverrides>(bad).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn efforts_go_to_the_nearest_known_one() {
    let rows = [
        (Efforts::ALL, "brand-new", Some("brand-new")),
        (Efforts::CLASSIC, "none", Some("low")),
        (Efforts::CLASSIC, "minimal", Some("low")),
        (Efforts::CLASSIC, "xhigh", Some("high")),
        (Efforts::CLASSIC_OR_NONE, "minimal", Some("low")),
        (Efforts::UP_TO_XHIGH, "max", Some("xhigh")),
        (Efforts::HIGH_OR_MAX, "low", Some("high")),
        (Efforts::HIGH_OR_MAX, "xhigh", Some("high")),
        (Efforts::CLASSIC, "brand-new", None),
    ];
    for (efforts, wanted, sent) in rows {
        assert_eq!(efforts.nearest(wanted), sent, "{wanted}");
    }
}

#[test]
fn context_errors_are_recognised_by_their_text() {
    assert_eq!(
        known_code("This model's Maximum context length is 8192 tokens"),
        Some("context_length_exceeded")
    );
    assert_eq!(known_code("all is well"), None);
}
