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
            reported(1, 0, 0, 2, 0),
        ),
        (
            r#"{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"reasoning_tokens":3}}"#,
            reported(1, 0, 0, 5, 3),
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
fn tokens_that_only_the_total_shows_are_output() {
    for (raw, expected) in [
        (
            r#"{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":3100}"#,
            reported(1000, 0, 0, 2100, 0),
        ),
        (
            r#"{"prompt_tokens":1000,"completion_tokens":100,"completion_tokens_details":{"reasoning_tokens":40},"total_tokens":3100}"#,
            reported(1000, 0, 0, 2100, 40),
        ),
        (
            r#"{"prompt_tokens":1000,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":317}}"#,
            reported(1000, 0, 0, 319, 317),
        ),
        (
            r#"{"prompt_tokens":1000,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":317},"total_tokens":1002}"#,
            reported(1000, 0, 0, 2, 2),
        ),
        (
            r#"{"input_tokens":1000,"output_tokens":100,"total_tokens":900}"#,
            reported(1000, 0, 0, 100, 0),
        ),
        (
            r#"{"input_tokens":1000,"output_tokens":100,"total_tokens":"many"}"#,
            reported(1000, 0, 0, 100, 0),
        ),
    ] {
        assert_eq!(reading(raw), expected, "{raw}");
    }
}

#[test]
fn an_impossible_detail_takes_nothing_else_with_it() {
    let whole = reported(1000, 0, 0, 100, 0);
    for details in [
        r#""prompt_tokens_details":{"cached_tokens":-1}"#,
        r#""prompt_tokens_details":{"cached_tokens":1001}"#,
        r#""prompt_tokens_details":{"cached_tokens":"some"}"#,
        r#""prompt_tokens_details":{"cached_tokens":1.5}"#,
        r#""prompt_tokens_details":{"cached_tokens":true}"#,
        r#""prompt_tokens_details":{"cache_write_tokens":-7}"#,
        r#""prompt_tokens_details":{"cache_write_tokens":1001}"#,
        r#""prompt_tokens_details":[1]"#,
        r#""prompt_tokens_details":"none""#,
        r#""completion_tokens_details":{"reasoning_tokens":-1}"#,
        r#""completion_tokens_details":{"reasoning_tokens":1e300}"#,
        r#""completion_tokens_details":7"#,
        r#""prompt_cache_hit_tokens":-3"#,
    ] {
        for total in ["", r#","total_tokens":1100"#] {
            let raw =
                format!(r#"{{"prompt_tokens":1000,"completion_tokens":100,{details}{total}}}"#);
            assert_eq!(reading(&raw), whole, "{raw}");
        }
    }
    // One of two details is impossible: the other one stays.
    assert_eq!(
        reading(
            r#"{"input_tokens":1000,"output_tokens":100,"input_tokens_details":{"cached_tokens":400,"cache_write_tokens":-1}}"#
        ),
        reported(1000, 400, 0, 100, 0)
    );
    assert_eq!(
        reading(
            r#"{"input_tokens":1000,"output_tokens":100,"input_tokens_details":{"cached_tokens":700,"cache_write_tokens":400}}"#
        ),
        reported(1000, 0, 400, 100, 0)
    );
}

#[test]
fn cache_counts_with_other_names_are_part_of_the_input_or_beside_it() {
    for (raw, expected) in [
        // Without `prompt_tokens` these names mean that the input leaves the cache out.
        (
            r#"{"input_tokens":100,"cache_read_input_tokens":400,"cache_creation_input_tokens":50,"output_tokens":9}"#,
            reported(550, 400, 50, 9, 0),
        ),
        (
            r#"{"prompt_tokens":550,"completion_tokens":9,"total_tokens":559,"input_tokens":100,"output_tokens":9,"cache_read_input_tokens":400,"cache_creation_input_tokens":50}"#,
            reported(550, 400, 50, 9, 0),
        ),
        (
            r#"{"prompt_tokens":550,"completion_tokens":9,"cache_read_input_tokens":400}"#,
            reported(550, 400, 0, 9, 0),
        ),
        // The total says that the cache stands beside the prompt.
        (
            r#"{"prompt_tokens":100,"completion_tokens":9,"total_tokens":559,"cache_read_input_tokens":400,"cache_creation_input_tokens":50}"#,
            reported(550, 400, 50, 9, 0),
        ),
        (
            r#"{"prompt_tokens":100,"completion_tokens":9,"cache_read_input_tokens":0,"cache_creation_input_tokens":0}"#,
            reported(100, 0, 0, 9, 0),
        ),
    ] {
        assert_eq!(reading(raw), expected, "{raw}");
    }
}

#[test]
fn a_cost_is_read_in_every_form() {
    for (members, nanos) in [
        (
            r#""cost":{"total_cost":0.0125,"input_tokens_cost":0.01}"#,
            Some(12_500_000),
        ),
        (
            r#""cost":{"input_tokens_cost":0.01,"output_tokens_cost":0.0025,"request_cost":0.005}"#,
            Some(17_500_000),
        ),
        (
            r#""cost":{"amount":"0.5","currency":"USD"}"#,
            Some(500_000_000),
        ),
        (r#""cost":{"amount":0.5,"currency":"EUR"}"#, None),
        (r#""cost":[]"#, None),
        (r#""cost_in_usd_ticks":37756000"#, Some(3_775_600)),
        (r#""cost_in_usd_ticks":5"#, Some(1)),
        (r#""cost_in_usd_ticks":-5"#, None),
        (r#""total_cost":0.25"#, Some(250_000_000)),
        (r#""estimated_cost":0.0001"#, Some(100_000)),
        (
            r#""cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0360795}"#,
            Some(36_079_500),
        ),
        (
            r#""cost":0.001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.02}"#,
            Some(21_000_000),
        ),
        (
            r#""cost":0.001,"is_byok":false,"cost_details":{"upstream_inference_cost":0.02}"#,
            Some(1_000_000),
        ),
        (
            r#""cost":0.001,"is_byok":true,"cost_details":null"#,
            Some(1_000_000),
        ),
    ] {
        let raw = format!(r#"{{"prompt_tokens":1,"completion_tokens":1,{members}}}"#);
        assert_eq!(read_usage(raw.as_bytes()).cost_nanos, nanos, "{members}");
    }
}

#[test]
fn zeros_and_nothing_erase_no_count() {
    let counted = reported(1000, 400, 0, 100, 20);
    let refused = UsageReading::Refused(UsageError::NotACount);
    for (earlier, later, expected) in [
        (counted, UsageReading::Missing, counted),
        (counted, reported(0, 0, 0, 0, 0), counted),
        (counted, refused, counted),
        (UsageReading::Missing, refused, refused),
        (refused, counted, counted),
        (
            reported(1000, 400, 0, 0, 0),
            reported(0, 0, 0, 100, 20),
            counted,
        ),
        (reported(1000, 0, 0, 1, 0), counted, counted),
        (
            UsageReading::Missing,
            reported(0, 0, 0, 0, 0),
            reported(0, 0, 0, 0, 0),
        ),
    ] {
        assert_eq!(
            earlier.followed_by(later),
            expected,
            "{earlier:?} then {later:?}"
        );
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
