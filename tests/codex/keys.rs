//! Gateway keys, budgets and limits as the person at the real Codex meets them: how it is set up,
//! how many requests a refusal costs, and what there is to read.

use crate::direct::{PROMPT, assert_whole_turn};
use gateway_tests::codex::{CURRENT, Codex, SetUp, Turn, chatgpt_token};
use gateway_tests::gateway::{Gateway, TEAM_CREDENTIAL};
use gateway_tests::sample::{API_KEY, responses_body};
use gateway_tests::upstream::{Matcher, Respond, Script, Step, Upstream};
use jiff::civil::Time;
use jiff::{ToSpan as _, Zoned};
use serde_json::Value;

const SAY_HI: &str = "say hi";

async fn turn(gateway: &Gateway, set_up: &SetUp, prompt: &str) -> Turn {
    let codex = Codex::new(CURRENT);
    codex.turn(set_up, &gateway.base_url(), prompt).await
}

/// The ways to use a key, and whose credential the upstream has to see.
fn ways(key: &str) -> [(SetUp, String); 3] {
    let beside = |set_up: SetUp| set_up.header_from_variable("x-gateway-key", key);
    [
        (SetUp::env_key(key), TEAM_CREDENTIAL.to_owned()),
        (beside(SetUp::chatgpt_provider()), chatgpt_token()),
        (beside(SetUp::env_key(API_KEY)), API_KEY.to_owned()),
    ]
}

/// Exchanges that the gateway has finished so far.
fn exchanges(gateway: &Gateway) -> usize {
    gateway.output().matches("INFO exchange ").count()
}

#[tokio::test]
async fn each_way_to_use_a_key_makes_a_whole_turn_that_is_booked_on_it() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (id, key) = gateway
        .new_key(&["--name", "person", "--team", "core"])
        .await;
    for (number, (set_up, credential)) in ways(&key).into_iter().enumerate() {
        upstream.reset();
        assert_whole_turn(&turn(&gateway, &set_up, PROMPT).await);
        let requests = upstream.model_requests();
        assert_eq!(requests.len(), 2, "a tool call and the answer to it");
        for request in &requests {
            let bearer = format!("Bearer {credential}");
            assert_eq!(request.header("authorization"), Some(bearer.as_str()));
            assert_eq!(request.header("x-gateway-key"), None);
            assert!(!format!("{:?}", request.fields).contains(&key));
        }
        let report = gateway.administer(&["usage", "--by", "key,team", "--format", "json"]);
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let row = &report["rows"][0];
        assert_eq!(
            (&row["key"], &row["team"], &row["requests"]),
            (
                &id.as_str().into(),
                &"core".into(),
                &((number + 1) * 2).into()
            ),
            "{report}"
        );
    }
    assert!(!gateway.output().contains(&key), "the log holds a key");
}

/// `Nov 21st, 2026 12:59 AM`, as Codex writes moments.
fn as_codex_writes(at: &Zoned) -> String {
    let ordinal = match at.day() {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    let day = at.day();
    format!(
        "{} {day}{ordinal}, {}",
        at.strftime("%b"),
        at.strftime("%Y %-I:%M %p")
    )
}

#[tokio::test]
async fn a_spent_budget_is_codexs_own_limit_screen_with_the_time_it_begins_anew() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let mut budgets = vec!["--name", "poor", "--budget", "0.000001/week"];
    let (_, metered) = gateway.new_key(&budgets).await;
    budgets.extend(["--billing", "plan"]);
    budgets[1] = "poor plan";
    let (_, plan) = gateway.new_key(&budgets).await;
    let ([bearer, _, by_api_key], [_, by_sign_in, _]) = (ways(&metered), ways(&plan));
    for (set_up, _) in [bearer, by_sign_in, by_api_key] {
        let before = exchanges(&gateway);
        let now = Zoned::now().in_tz("UTC").expect("UTC is known");
        let turn = turn(&gateway, &set_up, SAY_HI).await;
        let monday = i64::from(now.weekday().to_monday_zero_offset());
        let begins = now.checked_add((7 - monday).days()).expect("a date");
        let begins = begins
            .with()
            .time(Time::midnight())
            .build()
            .expect("a moment");
        let shown = format!(
            "You’ve hit your usage limit. To get more access now, send a request to your admin \
             or try again at {}.",
            as_codex_writes(&begins)
        );
        assert!(!turn.status.success());
        assert_eq!(turn.errors().last(), Some(&shown), "{}", turn.stdout);
        assert_eq!(
            exchanges(&gateway) - before,
            1,
            "one request, no reconnects"
        );
    }
    // A budget that never begins anew has no time to tell.
    let (_, total) = gateway
        .new_key(&["--name", "once", "--budget", "0.000001/total"])
        .await;
    let before = exchanges(&gateway);
    let turn = turn(&gateway, &SetUp::env_key(&total), SAY_HI).await;
    let last = turn.errors().pop().unwrap_or_default();
    assert!(last.starts_with("You’ve hit your usage limit"), "{last}");
    println!("{last}");
    assert_eq!(exchanges(&gateway) - before, 1);
    assert!(upstream.model_requests().is_empty());
}

#[tokio::test]
async fn a_rate_limit_is_a_pause_and_the_turn_goes_on() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway.new_key(&["--name", "brisk", "--rpm", "20"]).await;
    let client = gateway.client();
    let ask = || {
        let call = client.post("/v1/responses").bearer(&key);
        call.json(&responses_body("hi")).send()
    };
    while ask().await.status == 200 {}
    let turn = turn(&gateway, &SetUp::env_key(&key), SAY_HI).await;
    println!("{:?} {:?}", turn.took, turn.errors());
    assert!(turn.status.success(), "{}", turn.stdout);
    assert_eq!(turn.messages(), ["hello from the scripted upstream"]);
}

#[tokio::test]
async fn a_full_house_is_a_pause_and_the_turn_goes_on() {
    let stalls = Matcher {
        body_contains: Some("holds the place".to_owned()),
        ..Matcher::default()
    };
    let script = Script::default().rule(stalls, Respond::Steps(vec![Step::Stall]));
    let upstream = Upstream::with(script).await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway
        .new_key(&["--name", "one at a time", "--concurrency", "1"])
        .await;
    let client = gateway.client();
    let holder = tokio::spawn({
        let call = client.post("/v1/responses").bearer(&key);
        call.json(&responses_body("holds the place")).send()
    });
    upstream
        .wait_until("the place is taken", |requests| {
            requests.iter().any(|request| request.method == "POST")
        })
        .await;
    let set_up = SetUp::env_key(&key);
    let (turn, ()) = tokio::join!(turn(&gateway, &set_up, SAY_HI), async {
        gateway.wait_for_output("rate_limit_exceeded").await;
        holder.abort();
    });
    println!("{:?} {:?}", turn.took, turn.errors());
    assert!(turn.status.success(), "{}", turn.stdout);
    assert_eq!(turn.messages(), ["hello from the scripted upstream"]);
}

#[tokio::test]
async fn a_revoked_key_is_said_clearly_and_tried_a_few_times_only() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (id, key) = gateway.new_key(&["--name", "leaver"]).await;
    gateway.administer(&["keys", "revoke", &id]);
    let client = gateway.client();
    while client.get("/v1/models").bearer(&key).send().await.status != 401 {}
    for (set_up, _) in ways(&key) {
        let before = exchanges(&gateway);
        let turn = turn(&gateway, &set_up, SAY_HI).await;
        let tries = exchanges(&gateway) - before;
        println!("{tries} tries in {:?}: {:?}", turn.took, turn.errors());
        assert!(!turn.status.success());
        let last = turn.errors().pop().unwrap_or_default();
        assert!(last.contains("the gateway key is not valid here"), "{last}");
        assert!((1..=6).contains(&tries), "{tries}");
        assert!(!turn.stdout.contains(&key) && !turn.stderr.contains(&key));
    }
    assert!(upstream.model_requests().is_empty());
}

#[tokio::test]
async fn a_model_that_the_key_may_not_use_is_one_request_and_the_reason_alone() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway
        .new_key(&["--name", "narrow", "--models", "gpt-5.4*"])
        .await;
    let turn = turn(&gateway, &SetUp::env_key(&key), SAY_HI).await;
    let expected =
        "gateway key `narrow` may not use gpt-5.5. Models it may use: gpt-5.4*".to_owned();
    assert_eq!(turn.errors().last(), Some(&expected), "{}", turn.stdout);
    assert_eq!(exchanges(&gateway), 1);
    assert!(upstream.model_requests().is_empty());
}
