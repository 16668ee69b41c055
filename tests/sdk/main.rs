//! OpenAI's own client libraries, Python and JavaScript, with their streaming helpers, on both
//! endpoints, before both kinds of upstream. What they raise or leave out shows whether an answer
//! is really what it claims to be. Needs the libraries (`scripts/install-test-tools.sh sdk`); `make
//! test-all` runs it.

use gateway_tests::gateway::{Gateway, Start};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{Ending, Matcher, ModelAnswer, Output, Respond, Script, Upstream};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The answers, by the model that is asked.
fn script() -> Script {
    let call = Output::Call {
        name: "weather".to_owned(),
        namespace: None,
        arguments: "{\"city\":\"Ulm\"}".to_owned(),
        call_id: "call_1".to_owned(),
    };
    let thought = Output::Reasoning {
        summary: "hm".to_owned(),
        encrypted: None,
    };
    let words = Output::Deltas(vec!["Hel".to_owned(), "lo".to_owned()]);
    let answers = [
        ("m-text", ModelAnswer::of(vec![thought, words])),
        ("m-tool", ModelAnswer::of(vec![call])),
        (
            "m-json",
            ModelAnswer::text("{\"city\":\"Ulm\",\"degrees\":7}"),
        ),
        (
            "m-fail",
            ModelAnswer::text("half").ending(Ending::Failed {
                code: Some("server_error".to_owned()),
                message: "out of GPUs".to_owned(),
            }),
        ),
    ];
    answers
        .into_iter()
        .fold(Script::default(), |script, (model, answer)| {
            script.rule(
                Matcher::model(model),
                Respond::ModelAnswer(Box::new(answer)),
            )
        })
}

/// Runs one library against a gateway before an upstream that speaks `wire`.
async fn run(program: PathBuf, script_file: &str, wire: &str) {
    assert!(
        program.exists() || program.components().count() == 1,
        "{} is missing; run scripts/install-test-tools.sh sdk (`make test-all` does)",
        program.display()
    );
    let upstream = Upstream::with(script()).await;
    upstream.expect_gateway();
    let config = format!(
        "[upstreams.third]\nbase_url = \"{}\"\nwire_api = \"{wire}\"\n[routes]\napi_key = \"third\"\n",
        upstream.base_url()
    );
    let gateway = Gateway::start_with(Start {
        config: Some(config),
        ..Start::default()
    })
    .await;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(program);
    command
        .arg(tests.join("sdk").join(script_file))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", tests.join(".tools"))
        .env("OPENAI_BASE_URL", gateway.base_url())
        .env("OPENAI_API_KEY", API_KEY)
        .env(
            "SDK",
            tests.join(".tools/sdk-node/node_modules/openai/index.mjs"),
        )
        .env("NO_PROXY", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .expect("the interpreter starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{wire}\n{stdout}\n{stderr}");
    let seen: Value = serde_json::from_str(stdout.trim()).unwrap_or_else(|_| panic!("{stdout}"));
    assert_eq!(seen, expected(), "{wire}");
}

/// What both libraries see, whatever the upstream speaks.
fn expected() -> Value {
    let tokens = json!([100, 20]);
    json!({
        "responses": {
            "text": ["Hello", "completed", tokens],
            "streamed text": ["Hello", "completed", tokens],
            "streamed tool": ["weather", "{\"city\":\"Ulm\"}", "call_1"],
            "parsed": {"city": "Ulm", "degrees": 7},
            "failed stream": "out of GPUs",
        },
        "chat": {
            "text": ["Hello", "stop", tokens],
            "streamed text": ["Hello", "stop", tokens],
            "streamed tool": ["weather", "{\"city\":\"Ulm\"}", "call_1"],
            "parsed": {"city": "Ulm", "degrees": 7},
            "failed stream": "out of GPUs",
        },
    })
}

fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/sdk-python/bin/python")
}

#[tokio::test]
async fn python_before_a_chat_upstream() {
    run(python(), "check.py", "chat").await;
}

#[tokio::test]
async fn python_before_a_responses_upstream() {
    run(python(), "check.py", "responses").await;
}

#[tokio::test]
async fn javascript_before_a_chat_upstream() {
    run(PathBuf::from("node"), "check.mjs", "chat").await;
}

#[tokio::test]
async fn javascript_before_a_responses_upstream() {
    run(PathBuf::from("node"), "check.mjs", "responses").await;
}
