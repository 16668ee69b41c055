//! One dollar, five hundred requests at once, two replicas.

use crate::team::{OUTPUT_BOUND, Team, likely_nanos, nanos};
use gateway_tests::upstream::{Script, Usage};
use serde_json::json;

const REQUESTS: usize = 500;
const DOLLAR: u64 = 1_000_000_000;
const PROMPT: &str = "hi";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_at_once_stay_within_a_dollar() {
    let used = Usage {
        input: 20,
        cached: 0,
        output: OUTPUT_BOUND,
        ..Usage::default()
    };
    // They cost less than was set aside, so not a nano-dollar may be too much.
    assert!(nanos(used.input, used.output) < likely_nanos(PROMPT));
    spend_a_dollar(used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cost_more_than_likely_overrun_by_the_difference_alone() {
    spend_a_dollar(Usage {
        input: 50,
        cached: 0,
        output: OUTPUT_BOUND + 30,
        ..Usage::default()
    })
    .await;
}

async fn spend_a_dollar(used: Usage) {
    let mut script = Script::default();
    script.model.usage = Some(used);
    script.model.delay_ms = 20;
    let team = Team::start(script).await;
    team.administer(&["teams", "create", "core"]);
    team.administer(&["budgets", "set", "team:core", "1.00/day"]);
    let key = team.key(&["--name", "many", "--team", "core"]).await;
    let calls = (0..REQUESTS).map(|number| team.ask(number % 2, &key, PROMPT));
    let calls: Vec<_> = calls.map(|call| tokio::spawn(call.send())).collect();
    let (mut served, mut refused) = (0, 0);
    for call in calls {
        let reply = call.await.expect("no request panics");
        if reply.status == 200 {
            served += 1;
            continue;
        }
        refused += 1;
        assert_eq!(reply.status, 429, "{}", reply.text());
        match reply.error_code().as_str() {
            "usage_limit_reached" => {
                assert_eq!(reply.json()["error"]["plan_type"], "team");
                assert!(reply.json()["error"]["resets_at"].is_i64());
            }
            "rate_limit_exceeded" => assert!(reply.header("retry-after").is_some()),
            other => panic!("{other}"),
        }
    }
    team.nothing_stays_open().await;

    // Whoever was only in others' way comes again, until the dollar is gone.
    loop {
        let reply = team.ask(served % 2, &key, PROMPT).send().await;
        if reply.status != 200 {
            assert_eq!(
                reply.error_code(),
                "usage_limit_reached",
                "{}",
                reply.text()
            );
            break;
        }
        served += 1;
    }
    let (each, likely) = (nanos(used.input, used.output), likely_nanos(PROMPT));
    let spent = each * served as u64;
    println!("{served} served, {refused} refused at first, {spent} nano-dollars spent");
    let estimate_error = each.saturating_sub(likely) * served as u64;
    assert!(
        spent <= DOLLAR + estimate_error,
        "{spent} for {served} requests"
    );
    assert!(
        spent + likely > DOLLAR,
        "{spent}: there was room for another request"
    );
    team.nothing_stays_open().await;
    assert_eq!(team.upstream.served().len(), served);
    let budgets = team.json(&["budgets", "list", "--json"]);
    assert_eq!(
        (&budgets[0]["spent_nanos"], &budgets[0]["reserved_nanos"]),
        (&json!(spent), &json!(0)),
        "{budgets}"
    );
    assert_eq!(team.total()["cost_nanos_metered"], json!(spent));
}
