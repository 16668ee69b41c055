use super::*;
use crate::usage::UsageReading;

fn reading(raw: &str) -> UsageReading {
    read_usage(raw.as_bytes()).usage
}

fn reported(input: u64, cached: u64, written: u64, output: u64, reasoning: u64) -> UsageReading {
    UsageReading::Reported(Usage::new(input, cached, written, output, reasoning).unwrap())
}

#[test]
fn every_shape_of_usage_is_read() {
    for (raw, expected) in [
        (
            r#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":10,"cache_write_tokens":3},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":120}"#,
            reported(100, 10, 3, 20, 5),
        ),
        (
            r#"{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":10,"audio_tokens":0},"completion_tokens":20,"completion_tokens_details":{"reasoning_tokens":5},"total_tokens":120}"#,
            reported(100, 10, 0, 20, 5),
        ),
        (
            r#"{"prompt_tokens":100,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36,"completion_tokens":20,"total_tokens":120}"#,
            reported(100, 64, 0, 20, 0),
        ),
        (
            r#"{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":6},"completion_tokens":2,"cost":0.25}"#,
            reported(100, 4, 6, 2, 0),
        ),
        (
            r#"{"prompt_tokens":100,"cached_tokens":4,"completion_tokens":2}"#,
            reported(100, 4, 0, 2, 0),
        ),
        (
            r#"{"input_tokens":0,"output_tokens":0,"total_tokens":0}"#,
            reported(0, 0, 0, 0, 0),
        ),
        (
            r#"{"input_tokens":12.0,"output_tokens":"3","total_tokens":null}"#,
            reported(12, 0, 0, 3, 0),
        ),
        (
            r#"{"input_tokens":12,"total_tokens":15}"#,
            reported(12, 0, 0, 3, 0),
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":30},"total_tokens":42}"#,
            reported(10, 0, 0, 32, 30),
        ),
        ("null", UsageReading::Missing),
        ("{}", UsageReading::Missing),
        (r#"{"input_tokens":12}"#, UsageReading::Missing),
        (
            r#"{"input_tokens":-1,"output_tokens":2}"#,
            UsageReading::Refused(UsageError::NotACount),
        ),
        (
            r#"{"input_tokens":1.5,"output_tokens":2}"#,
            UsageReading::Refused(UsageError::NotACount),
        ),
        (
            r#"{"input_tokens":9007199254740993,"output_tokens":2}"#,
            UsageReading::Refused(UsageError::NotACount),
        ),
        (
            r#"{"input_tokens":1e400,"output_tokens":2}"#,
            UsageReading::Refused(UsageError::NotACount),
        ),
        (
            r#"{"input_tokens":[],"output_tokens":2}"#,
            UsageReading::Refused(UsageError::NotACount),
        ),
        (
            r#"{"input_tokens":1,"input_tokens_details":{"cached_tokens":2},"output_tokens":2}"#,
            UsageReading::Refused(UsageError::CacheExceedsInput),
        ),
        (
            r#"{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"reasoning_tokens":3}}"#,
            UsageReading::Refused(UsageError::ReasoningExceedsOutput),
        ),
        ("[1]", UsageReading::Refused(UsageError::NotACount)),
    ] {
        assert_eq!(reading(raw), expected, "{raw}");
    }
}

#[test]
fn an_upstreams_own_cost_is_kept_in_nano_dollars() {
    for (cost, nanos) in [
        ("0.00014", Some(140_000)),
        ("\"0.5\"", Some(500_000_000)),
        ("0", Some(0)),
        ("1.2345678912", Some(1_234_567_891)),
        ("-1", None),
        ("1e300", None),
        ("null", None),
        ("{}", None),
    ] {
        let raw = format!(r#"{{"prompt_tokens":1,"completion_tokens":1,"cost":{cost}}}"#);
        assert_eq!(read_usage(raw.as_bytes()).cost_nanos, nanos, "{cost}");
    }
}

#[test]
fn only_usage_that_codex_cannot_read_is_repaired() {
    for raw in [
        "null",
        r#"{"input_tokens":0,"output_tokens":0,"total_tokens":0}"#,
        r#"{"input_tokens":1,"input_tokens_details":null,"output_tokens":2,"total_tokens":3}"#,
        r#"{"input_tokens":1,"input_tokens_details":{"cached_tokens":9},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":3,"x":{}}"#,
    ] {
        assert_eq!(repair_usage(raw.as_bytes()), None, "{raw}");
    }
    for (raw, repaired) in [
        ("{}", "null"),
        ("[]", "null"),
        ("7", "null"),
        (
            r#"{"input_tokens":12.0,"output_tokens":"3","total_tokens":15}"#,
            r#"{"input_tokens":12,"output_tokens":3,"total_tokens":15}"#,
        ),
        (
            r#"{"input_tokens":12,"output_tokens":3}"#,
            r#"{"input_tokens":12,"output_tokens":3,"total_tokens":15}"#,
        ),
        (
            r#"{"input_tokens":-5,"output_tokens":2.6,"total_tokens":null}"#,
            r#"{"input_tokens":0,"output_tokens":3,"total_tokens":3}"#,
        ),
        (
            r#"{"input_tokens":1,"input_tokens_details":{},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":null,"z":1},"total_tokens":3}"#,
            r#"{"input_tokens":1,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0,"z":1},"total_tokens":3}"#,
        ),
        (
            r#"{"input_tokens":1,"input_tokens_details":{"cached_tokens":1,"cache_write_tokens":null},"output_tokens":2,"output_tokens_details":"","total_tokens":3}"#,
            r#"{"input_tokens":1,"input_tokens_details":{"cache_write_tokens":0,"cached_tokens":1},"output_tokens":2,"output_tokens_details":null,"total_tokens":3}"#,
        ),
        (
            r#"{"prompt_tokens":1,"completion_tokens":2}"#,
            r#"{"completion_tokens":2,"input_tokens":1,"output_tokens":2,"prompt_tokens":1,"total_tokens":3}"#,
        ),
    ] {
        assert_eq!(
            repair_usage(raw.as_bytes()).as_deref(),
            Some(repaired),
            "{raw}"
        );
    }
}
