//! Two replicas before one upstream and one database, and the command line beside them.

use gateway_tests::TEST_TIMEOUT;
use gateway_tests::client::{Call, Reply};
use gateway_tests::gateway::{Config, Gateway, Start, command};
use gateway_tests::postgres::{Database, VARIABLE};
use gateway_tests::sample::responses_body;
use gateway_tests::upstream::{Script, Upstream};
use gateway_tests::wait;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// The contract: a change made by any process is known everywhere within so long.
pub(crate) const KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// What replicas pay upstreams with.
const TEAM_CREDENTIAL: &str = "sk-canary-team-credential-5e1c";
/// What every request of these tests may write, so that its likely cost is known.
pub(crate) const OUTPUT_BOUND: u64 = 100;
/// gpt-5.5 in `config/prices.toml`, nano-dollars a token.
const INPUT_NANOS: u64 = 5_000;
const OUTPUT_NANOS: u64 = 30_000;

/// Two replicas and all that is around them.
pub(crate) struct Team {
    pub(crate) replicas: [Gateway; 2],
    pub(crate) upstream: Upstream,
    pub(crate) database: Database,
}

/// A gateway key.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// A database for one test; these tests make no sense without.
pub(crate) fn database() -> Database {
    Database::create("replicas").unwrap_or_else(|| {
        panic!("{VARIABLE} is not set; run this by scripts/with-postgres.sh (`make test-all` does)")
    })
}

impl Team {
    pub(crate) async fn start(script: Script) -> Self {
        let database = database();
        let urls = [database.url(), database.url()];
        Self::start_on(script, database, urls, "").await
    }

    /// Each replica reaches the database by a URL of its own.
    pub(crate) async fn start_on(
        script: Script,
        database: Database,
        urls: [String; 2],
        more: &str,
    ) -> Self {
        let upstream = Upstream::with(script).await;
        let start = |url: &str| {
            let mut tables = format!(
                "[upstreams.team]\nbase_url = \"{}\"\nwire_api = [\"responses\", \"chat\"]\ncredential = {{ env = \"TEAM_KEY\" }}\n\n",
                upstream.base_url()
            );
            let _ = write!(
                tables,
                "[routes]\ngateway_key = \"team\"\n\n[storage]\nurl = \"{url}\"\n\n{more}\n"
            );
            Start {
                config: Some(Config::to(&upstream).rest(&tables).text()),
                environment: vec![("TEAM_KEY".to_owned(), TEAM_CREDENTIAL.to_owned())],
                ..Start::default()
            }
        };
        let starts = urls.map(|url| start(&url));
        let replicas = [
            Gateway::start_with(starts[0].clone()).await,
            Gateway::start_with(starts[1].clone()).await,
        ];
        Self {
            replicas,
            upstream,
            database,
        }
    }

    /// Runs a command in a process of its own, straight at the database, as an operator anywhere
    /// would.
    pub(crate) fn administer(&self, arguments: &[&str]) -> String {
        let place = tempfile::tempdir().expect("a temporary directory");
        let config = format!("[storage]\nurl = \"{}\"\n", self.database.url());
        std::fs::write(place.path().join("gateway.toml"), config).expect("a file can be written");
        let mut all = vec!["--data-dir", "data", "--config", "gateway.toml"];
        all.extend(arguments);
        let output = command(place.path(), &all)
            .output()
            .expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.administer(arguments)).expect("JSON")
    }

    /// A new key that both replicas know.
    pub(crate) async fn key(&self, arguments: &[&str]) -> Key {
        let mut all = vec!["keys", "create", "--json"];
        all.extend(arguments);
        let made = self.json(&all);
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        let key = Key {
            id: text("id"),
            secret: text("key"),
        };
        self.everywhere("the key is known", &key, |reply| reply.status != 401)
            .await;
        key
    }

    /// Waits until both replicas answer a harmless request of this key as expected.
    pub(crate) async fn everywhere(&self, what: &str, key: &Key, expected: fn(&Reply) -> bool) {
        let started = Instant::now();
        for replica in &self.replicas {
            let ask = || {
                let call = replica
                    .client()
                    .get("/v1/models?client_version=0")
                    .bearer(&key.secret);
                call.send()
            };
            while !expected(&ask().await) {
                let waited = started.elapsed();
                assert!(waited < KNOWN_WITHIN, "not within {waited:?}: {what}");
            }
        }
    }

    pub(crate) fn ask(&self, replica: usize, key: &Key, prompt: &str) -> Call {
        let client = self.replicas[replica].client();
        client
            .post("/v1/responses")
            .bearer(&key.secret)
            .json(&body(prompt))
    }

    /// What the ledger sums up to.
    pub(crate) fn total(&self) -> Value {
        let mut usage = self.json(&["usage", "--format", "json", "--since", "1d"]);
        usage["total"].take()
    }

    /// Waits until a query has this answer.
    pub(crate) async fn until(&self, sql: &str, expected: &str, within: Duration) {
        let what = format!("`{sql}` gives `{expected}`");
        wait::within(within, &what, async || {
            self.database.query(sql).join("\n") == expected
        })
        .await;
    }

    /// When all is over nothing is in flight, nothing is set aside, and nothing waits in a spool.
    pub(crate) async fn nothing_stays_open(&self) {
        let sql =
            "SELECT (SELECT COUNT(*) FROM intents) + (SELECT COUNT(*) FROM reservations) AS open";
        self.until(sql, "0", TEST_TIMEOUT).await;
        for replica in &self.replicas {
            let started = Instant::now();
            loop {
                let metrics = replica.client().get("/metrics").send().await.text();
                if metrics.contains("codex_gateway_ledger_queue_depth 0") {
                    break;
                }
                assert!(started.elapsed() < TEST_TIMEOUT, "{metrics}");
            }
        }
    }
}

pub(crate) fn body(prompt: &str) -> Value {
    let mut body = responses_body(prompt);
    body["max_output_tokens"] = json!(OUTPUT_BOUND);
    body
}

/// What is set aside for a request, as docs/keys.md says: a token for each four bytes, and all the
/// output it may write.
pub(crate) fn likely_nanos(prompt: &str) -> u64 {
    let bytes = body(prompt).to_string().len() as u64;
    nanos(bytes.div_ceil(4), OUTPUT_BOUND)
}

pub(crate) fn nanos(input: u64, output: u64) -> u64 {
    input * INPUT_NANOS + output * OUTPUT_NANOS
}

/// Status and code of a refusal, for comparing.
pub(crate) fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.error_code())
}
