//! The test of the search for leaked credentials that every gateway of the harness ends with: what
//! is planted is found.

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, FAKE_ACCOUNT, by_chatgpt, by_key, chatgpt_token};
use gateway_tests::secrets::{Secrets, leak_in_rows};
use gateway_tests::upstream::{FixedResponse, Respond, Script, Upstream};
use serde_json::json;

#[tokio::test]
async fn a_planted_credential_is_found_wherever_it_lies() {
    let upstream = Upstream::start().await;
    let mut gateway = Gateway::start(&Config::to(&upstream)).await;
    assert_eq!(by_key(&gateway.client()).send().await.status, 200);
    assert_eq!(by_chatgpt(&gateway.client()).send().await.status, 200);
    assert_eq!(gateway.leaks(), Vec::<String>::new());

    let token = std::fs::read_to_string(gateway.data_dir().join("admin-token")).expect("a token");
    let issued = format!("cgw_{}", "0123456789abcdef".repeat(3));
    let middle = chatgpt_token()
        .split('.')
        .nth(1)
        .expect("claims")
        .to_owned();
    for secret in [API_KEY, token.trim(), &issued, &middle, FAKE_ACCOUNT] {
        let planted = gateway.data_dir().join("planted");
        // Among bytes that are no text, and behind more of them than are read at once.
        let mut bytes = vec![0xff; 70_000];
        bytes.extend_from_slice(secret.as_bytes());
        std::fs::write(&planted, bytes).expect("it can be planted");
        let leaks = gateway.leaks();
        assert!(
            leaks.len() == 1 && leaks[0].starts_with("planted holds"),
            "{leaks:?}"
        );
        std::fs::remove_file(planted).expect("it can be taken away");
        gateway.plant_in_output(secret);
        let leaks = gateway.leaks();
        assert!(
            leaks.len() == 1 && leaks[0].starts_with("the log holds"),
            "{leaks:?}"
        );
        gateway.forget_output();
    }
    assert_eq!(gateway.leaks(), Vec::<String>::new());
}

#[tokio::test]
async fn a_planted_credential_in_an_answer_ends_the_test() {
    // An upstream that gives a credential back: nothing that the gateway would change, and nothing
    // that may pass unseen.
    let echo = FixedResponse::json(400, json!({ "echo": API_KEY }));
    let upstream = Upstream::with(Script::always(Respond::FixedResponse(echo))).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let call = by_key(&gateway.client());
    let ended = tokio::spawn(call.send()).await;
    assert!(ended.expect_err("the answer is refused").is_panic());
}

#[test]
fn rows_of_a_shared_database_are_searched_too() {
    let planted = "sk-canary-in-a-row-51d0";
    Secrets::default().note(planted);
    assert_eq!(leak_in_rows("(1,gpt-5.4)"), None);
    assert_eq!(
        leak_in_rows(&format!("(1,{planted})")).as_deref(),
        Some(planted)
    );
    let issued = format!("(cgw_{})", "0a".repeat(24));
    assert!(leak_in_rows(&issued).is_some());
}
