//! What replicas share: rates, places, and what one of them learned.

use crate::team::{KNOWN_WITHIN, Key, OUTPUT_BOUND, Team, body, refusal};
use gateway_tests::client::Reply;
use gateway_tests::upstream::{
    Chunking, FixedResponse, Matcher, Payload, ReplyHead, Respond, Script, Step, Usage,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Sends so many at once over both replicas; answers the replies and how long it took.
async fn at_once(team: &Team, key: &Key, count: usize) -> (Vec<Reply>, Duration) {
    let started = Instant::now();
    let calls: Vec<_> = (0..count)
        .map(|number| tokio::spawn(team.ask(number % 2, key, "hi").send()))
        .collect();
    let mut replies = Vec::new();
    for call in calls {
        replies.push(call.await.expect("no request panics"));
    }
    (replies, started.elapsed())
}

/// How many were served; the others have to be told when to come again.
fn served(replies: &[Reply]) -> usize {
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!(
            refusal(reply),
            (429, "rate_limit_exceeded".to_owned()),
            "{}",
            reply.text()
        );
        assert!(reply.header("retry-after").is_some());
    }
    replies.iter().filter(|reply| reply.status == 200).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_per_minute_are_exact_across_replicas() {
    const PER_MINUTE: usize = 12;
    let team = Team::start(Script::default()).await;
    let key = team.key(&["--name", "slow", "--rpm", "12"]).await;
    let (replies, took) = at_once(&team, &key, 60).await;
    // The bucket leaks while they come: one more each five seconds.
    let leaked = usize::try_from(took.as_secs() / 5).unwrap_or(0);
    let count = served(&replies);
    assert!(
        (PER_MINUTE..=PER_MINUTE + leaked).contains(&count),
        "{count} in {took:?}"
    );
    // Both replicas took part.
    let first: Vec<bool> = replies.iter().map(|reply| reply.status == 200).collect();
    println!("{count} served in {took:?}, by {first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_per_minute_are_exact_across_replicas() {
    let mut script = Script::default();
    let input = body("hi").to_string().len().div_ceil(4) as u64;
    // As many as expected, so that nothing is corrected afterwards.
    script.model.usage = Some(Usage {
        input,
        cached: 0,
        output: OUTPUT_BOUND,
        ..Usage::default()
    });
    let team = Team::start(script).await;
    let each = input + OUTPUT_BOUND;
    let limit = (each * 10).to_string();
    let key = team.key(&["--name", "slow", "--tpm", &limit]).await;
    let (replies, took) = at_once(&team, &key, 40).await;
    let leaked = usize::try_from(took.as_secs() / 6).unwrap_or(0);
    let count = served(&replies);
    assert!((10..=10 + leaked).contains(&count), "{count} in {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_exact_across_replicas_and_free_again_at_once() {
    const PLACES: usize = 7;
    let team = Team::start(Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Text(": so far\n\n".to_owned()),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
        Step::Stall,
    ]))
    .await;
    team.administer(&["teams", "create", "core", "--concurrency", "7"]);
    let key = team.key(&["--name", "a", "--team", "core"]).await;
    let calls: Vec<_> = (0..24)
        .map(|number| tokio::spawn(team.ask(number % 2, &key, "hi").open()))
        .collect();
    let (mut open, mut refused) = (Vec::new(), Vec::new());
    for call in calls {
        let call = call.await.expect("no request panics");
        if call.reply.status == 200 {
            open.push(call);
        } else {
            refused.push(call.finish().await);
        }
    }
    assert_eq!((open.len(), served(&refused)), (PLACES, 0));
    assert_eq!(team.upstream.model_requests().len(), PLACES);
    drop(open.pop());
    team.until("SELECT COUNT(*) FROM reservations", "6", KNOWN_WITHIN)
        .await;
    let (eighth, ninth) = (
        team.ask(0, &key, "hi").open().await,
        team.ask(1, &key, "hi").open().await,
    );
    assert_eq!((eighth.reply.status, ninth.reply.status), (200, 429));
    drop((open, eighth));
    team.nothing_stays_open().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_learned_the_other_knows() {
    let refused = json!({"error": {"code": "model_not_found", "type": "invalid_request_error",
        "message": "The model `gpt-5.5` does not exist or you do not have access to it."}});
    let script = Script::default().rule(
        Matcher::model("gpt-5.5"),
        Respond::FixedResponse(FixedResponse::json(404, refused)),
    );
    let team = Team::start(script).await;
    let key = team.key(&["--name", "learner"]).await;
    let attempts = async |replica: usize| {
        let before = team.upstream.model_requests().len();
        let reply = team.ask(replica, &key, "hi").send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-gateway-decision"), Some("fell-back"));
        team.upstream.model_requests().len() - before
    };
    assert_eq!(attempts(0).await, 2, "the first has to find out");
    let learned = Instant::now();
    let mut tries = vec![attempts(1).await];
    while tries.last() != Some(&1) {
        assert!(learned.elapsed() < KNOWN_WITHIN, "{tries:?}");
        tries.push(attempts(1).await);
    }
    // And what one operator clears, every replica forgets.
    team.administer(&["facts", "clear"]);
    let cleared = Instant::now();
    while attempts(0).await != 2 {
        assert!(cleared.elapsed() < KNOWN_WITHIN);
    }
}
