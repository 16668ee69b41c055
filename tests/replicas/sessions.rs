//! Signing in: a link made anywhere works on one replica, its session on both.

use crate::team::Team;
use gateway_tests::client::Client;
use gateway_tests::gateway::Gateway;
use gateway_tests::upstream::Script;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_works_on_one_replica_and_its_session_on_both() {
    let team = Team::start(Script::default()).await;
    let printed = team.administer(&["dashboard"]);
    let (_, link) = printed
        .trim()
        .split_once("/dashboard#sign-in=")
        .expect("a link");
    let [first, second] = team.replicas.each_ref().map(Gateway::client);
    let sign_in = |client: &Client| {
        let call = client.post("/api/session");
        call.json(&json!({ "link": link })).send()
    };
    // Both are asked at once; the store gives it to one.
    let both = tokio::join!(sign_in(&first), sign_in(&second));
    let both = [both.0, both.1];
    let mut statuses = both.each_ref().map(|reply| reply.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
    let set = both
        .iter()
        .find_map(|reply| reply.header("set-cookie"))
        .expect("a cookie");
    let session = set.split(';').next().expect("a pair").to_owned();
    for client in [&first, &second] {
        let call = client.get("/api/usage").header("cookie", &session);
        assert_eq!(call.send().await.status, 200);
    }
    let out = first.call("DELETE", "/api/session");
    let out = out
        .header("cookie", &session)
        .header("x-gateway-session", "1");
    assert_eq!(out.send().await.json(), json!({ "ended": true }));
    for client in [&first, &second] {
        let call = client.get("/api/usage").header("cookie", &session);
        assert_eq!(call.send().await.status, 403);
    }
}
