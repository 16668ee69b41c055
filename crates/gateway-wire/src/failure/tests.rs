//! Every documented body and its verdict, from `tests/fixtures/failure/`, and the properties that
//! hold for all bodies.

use std::path::PathBuf;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    source: String,
    status: Option<u16>,
    in_stream: bool,
    sent_model: String,
    /// A text is the body itself, anything else its JSON.
    body: Value,
    verdict: String,
    /// What `Verdict::code` has to be, where the fixture is about it.
    code: Option<String>,
    #[serde(default)]
    truncated: bool,
}

impl Fixture {
    fn bytes(&self) -> Vec<u8> {
        self.body
            .as_str()
            .map_or_else(|| self.body.to_string(), str::to_owned)
            .into_bytes()
    }

    fn classify(&self, patterns: &[OperatorPattern]) -> Verdict {
        classify(&Evidence {
            status: self.status,
            body: &self.bytes(),
            truncated: self.truncated,
            in_stream: self.in_stream,
            sent_model: &self.sent_model,
            patterns,
        })
    }
}

fn fixtures() -> Vec<(String, Fixture)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failure");
    let mut found: Vec<(String, Fixture)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let fixture =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, fixture)
        })
        .collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

#[test]
fn every_documented_body_has_its_verdict() {
    let fixtures = fixtures();
    assert!(
        fixtures.len() > 100,
        "only {} fixtures were found",
        fixtures.len()
    );
    let wrong: Vec<String> = fixtures
        .iter()
        .filter_map(|(name, fixture)| {
            let found = fixture.classify(&[]);
            let code = fixture.code.is_none() || found.code == fixture.code;
            let right = found.failure.as_str() == fixture.verdict && code;
            (!right).then(|| {
                format!(
                    "{name} ({}): {found:?}, not {}",
                    fixture.source, fixture.verdict
                )
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn case_spacing_and_quotation_marks_do_not_matter() {
    for body in [
        "the \"GPT-5.5\" model is not supported  when using codex with a chatgpt account",
        " The \u{2018}gpt-5.5\u{2019} model is not\nsupported when using Codex with a ChatGPT account. ",
    ] {
        let body = json!({ "detail": body }).to_string();
        assert_eq!(
            failure_of(400, &body, "gpt-5.5"),
            Failure::UnsupportedModel,
            "{body}"
        );
    }
}

#[test]
fn a_truncated_body_never_leads_to_another_attempt() {
    for (name, mut fixture) in fixtures() {
        fixture.truncated = true;
        let failure = fixture.classify(&[]).failure;
        assert!(!failure.authorises_another_attempt(), "{name}: {failure}");
    }
}

#[test]
fn another_sent_model_never_leads_to_another_model() {
    for (name, mut fixture) in fixtures() {
        let body = String::from_utf8(fixture.bytes()).unwrap();
        if fixture.verdict != "unsupported_model" || !body.contains(&fixture.sent_model) {
            continue;
        }
        // Together's sentence is not in the table; its code alone decides.
        if name == "together-400" {
            continue;
        }
        fixture.sent_model = "another-model".to_owned();
        assert_eq!(fixture.classify(&[]).failure, Failure::OurMistake, "{name}");
    }
}

#[test]
fn operator_patterns_read_what_nobody_else_can() {
    let pattern = OperatorPattern {
        statuses: vec![],
        codes: vec![],
        message: Some("*sorry, * is gone*".to_owned()),
        verdict: Failure::UnsupportedModel,
    };
    let read = |status, body: &str, pattern: &OperatorPattern| {
        classify(&Evidence {
            status: Some(status),
            body: body.as_bytes(),
            truncated: false,
            in_stream: false,
            sent_model: "x",
            patterns: std::slice::from_ref(pattern),
        })
        .failure
    };
    let gone = r#"{"error":{"message":"We are  SORRY, x is gone for good"}}"#;
    assert_eq!(read(400, gone, &pattern), Failure::UnsupportedModel);
    assert_eq!(
        read(409, gone, &pattern),
        Failure::Unclassified,
        "not a status that refuses"
    );
    assert_eq!(
        read(400, r#"{"error":{"message":"x is here"}}"#, &pattern),
        Failure::BadRequest
    );
    // A limit stays a limit, whatever the operator's pattern says.
    assert_eq!(read(429, gone, &pattern), Failure::RateLimited);
    let limit = r#"{"error":{"message":"sorry, x is gone","code":"insufficient_quota"}}"#;
    assert_eq!(read(400, limit, &pattern), Failure::UsageLimit);

    let by_code = OperatorPattern {
        statuses: vec![409],
        codes: vec!["E_GONE".to_owned()],
        message: None,
        verdict: Failure::UnsupportedModel,
    };
    assert_eq!(
        read(409, r#"{"error":{"code":"e_gone"}}"#, &by_code),
        Failure::UnsupportedModel
    );
    assert_eq!(
        read(404, r#"{"error":{"code":"e_gone"}}"#, &by_code),
        Failure::Unclassified
    );
}

#[test]
fn words_are_read_back() {
    for failure in Failure::ANSWERS {
        assert_eq!(Failure::parse(failure.as_str()), Some(failure));
    }
    assert_eq!(Failure::parse("transport"), None);
    assert_eq!(
        Failure::Transport(SendState::Ambiguous).as_str(),
        "transport"
    );
}

#[test]
fn long_messages_are_cut_between_characters() {
    let body = json!({ "detail": "\u{e9}".repeat(MAX_MESSAGE) }).to_string();
    let verdict = classify(&Evidence {
        status: Some(400),
        body: body.as_bytes(),
        truncated: false,
        in_stream: false,
        sent_model: "x",
        patterns: &[],
    });
    assert!(
        verdict
            .message
            .is_some_and(|message| message.len() <= MAX_MESSAGE && message.len() > MAX_MESSAGE - 2)
    );
}

#[test]
fn tables_hold_no_row_that_another_hides() {
    for (rows, name) in [
        (table::NEVER, "NEVER"),
        (table::SOMETHING_ELSE, "SOMETHING_ELSE"),
        (table::BUSY, "BUSY"),
        (table::LAST_RESORT, "LAST_RESORT"),
    ] {
        for (at, row) in rows.iter().enumerate() {
            let hidden = rows
                .iter()
                .take(at)
                .any(|earlier| earlier.code.eq_ignore_ascii_case(row.code));
            assert!(!hidden, "{name}: {}", row.code);
        }
    }
    for row in table::NEVER_PHRASES.iter().chain(table::BUSY_PHRASES) {
        assert_eq!(
            row.phrase,
            sentence::normalised(row.phrase),
            "a phrase is compared with a normalised line"
        );
    }
}

fn failure_of(status: u16, body: &str, sent_model: &str) -> Failure {
    classify(&Evidence {
        status: Some(status),
        body: body.as_bytes(),
        truncated: false,
        in_stream: false,
        sent_model,
        patterns: &[],
    })
    .failure
}

proptest! {
    #[test]
    fn any_bytes_are_classified(
        status in proptest::option::of(100u16..600),
        body in proptest::collection::vec(any::<u8>(), 0..256),
        in_stream: bool,
        truncated: bool,
        sent_model in ".{0,20}",
    ) {
        classify(&Evidence { status, body: &body, truncated, in_stream, sent_model: &sent_model, patterns: &[] });
    }

    #[test]
    fn limits_never_lead_to_another_model(message in ".{0,80}", code in "[a-z_]{0,20}", status in prop::sample::select(vec![401u16, 402, 429, 500, 503])) {
        let body = json!({ "error": { "message": message, "code": code } }).to_string();
        prop_assert_ne!(failure_of(status, &body, "gpt-5.5"), Failure::UnsupportedModel);
    }

    #[test]
    fn a_sentence_counts_only_for_the_id_it_quotes(sent in "[a-z0-9./:-]{1,16}", quoted in "[a-z0-9./:-]{1,16}") {
        let body = json!({ "detail": format!("The '{quoted}' model is not supported when using Codex with a ChatGPT account.") }).to_string();
        let unsupported = failure_of(400, &body, &sent) == Failure::UnsupportedModel;
        prop_assert_eq!(unsupported, sent == quoted);
    }

    #[test]
    fn globs_agree_with_a_slow_reading(glob in "[ab*]{0,8}", line in "[ab]{0,10}") {
        prop_assert_eq!(sentence::glob_matches(&glob, &line), slow_glob(glob.as_bytes(), line.as_bytes()));
    }
}

fn slow_glob(glob: &[u8], line: &[u8]) -> bool {
    match glob.split_first() {
        None => line.is_empty(),
        Some((b'*', rest)) => (0..=line.len()).any(|skip| slow_glob(rest, &line[skip..])),
        Some((byte, rest)) => line
            .split_first()
            .is_some_and(|(first, line)| first == byte && slow_glob(rest, line)),
    }
}
