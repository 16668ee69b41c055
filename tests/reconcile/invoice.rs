//! Hand-checked invoices through the whole gateway: what the price table says of an answer's usage
//! stands in the ledger to the last nanodollar, in the right one of the two kinds of money.
//!
//! The arithmetic, per million tokens of gpt-5.5, USD (input, cached input, output): standard 5 /
//! 0.50 / 30; above 272,000 input tokens 10 / 1 / 45, for the whole request; flex above that 5 /
//! 0.50 / 22.50; priority 12.50 / 1.25 / 75, with no rate above 272,000.

use crate::store::Store;
use gateway_ledger::{CostSource, LedgerEntry};
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, responses_body, signed_in};
use gateway_tests::upstream::{ModelAnswer, Script, Upstream, Usage};
use serde_json::json;
use std::time::Duration;

/// 300,000 input tokens of which 200,000 cached, and 4,000 output.
const LONG: Usage = Usage {
    input: 300_000,
    cached: 200_000,
    cache_write: 0,
    output: 4_000,
    reasoning: 1_000,
};
/// The same below the long-context limit.
const SHORT: Usage = Usage {
    input: 100_000,
    cached: 60_000,
    cache_write: 0,
    output: 4_000,
    reasoning: 0,
};

struct Case {
    name: &'static str,
    model: &'static str,
    is_chatgpt: bool,
    asked: Option<&'static str>,
    served: Option<&'static str>,
    usage: Usage,
    /// USD × 10⁻⁹.
    cost: Option<i64>,
}

const LONG_STANDARD: Case = Case {
    name: "long",
    model: "gpt-5.5",
    is_chatgpt: false,
    asked: None,
    served: Some("default"),
    usage: LONG,
    // 100,000 × $10 + 200,000 × $1 + 4,000 × $45, per million: $1.00 + $0.20 + $0.18.
    cost: Some(1_380_000_000),
};

const CASES: [Case; 9] = [
    LONG_STANDARD,
    Case {
        name: "long by plan",
        is_chatgpt: true,
        ..LONG_STANDARD
    },
    Case {
        name: "long flex: asked and served",
        asked: Some("flex"),
        served: Some("flex"),
        // Half of everything: $0.50 + $0.10 + $0.09.
        cost: Some(690_000_000),
        ..LONG_STANDARD
    },
    Case {
        name: "flex asked, but served as default: an API bill says what was served",
        asked: Some("flex"),
        served: Some("default"),
        ..LONG_STANDARD
    },
    Case {
        name: "short priority",
        asked: Some("priority"),
        served: Some("priority"),
        usage: SHORT,
        // 40,000 × $12.50 + 60,000 × $1.25 + 4,000 × $75: $0.50 + $0.075 + $0.30.
        cost: Some(875_000_000),
        ..LONG_STANDARD
    },
    Case {
        name: "priority asked by plan: what is served is always called default there",
        is_chatgpt: true,
        asked: Some("priority"),
        served: Some("default"),
        usage: SHORT,
        cost: Some(875_000_000),
        ..LONG_STANDARD
    },
    Case {
        name: "priority asked, but served as default",
        asked: Some("priority"),
        served: Some("default"),
        usage: SHORT,
        // 40,000 × $5 + 60,000 × $0.50 + 4,000 × $30: $0.20 + $0.03 + $0.12.
        cost: Some(350_000_000),
        ..LONG_STANDARD
    },
    Case {
        name: "a model without a price",
        model: "nobody-knows-its-price",
        usage: SHORT,
        cost: None,
        ..LONG_STANDARD
    },
    Case {
        name: "a model without a price, by plan",
        model: "gpt-5.3-codex-spark",
        is_chatgpt: true,
        usage: SHORT,
        cost: None,
        ..LONG_STANDARD
    },
];

#[tokio::test]
async fn invoices_are_what_a_hand_makes_of_the_price_table() {
    let upstream = Upstream::start().await;
    let mut gateway = Gateway::start(&Config::to(&upstream)).await;
    for case in &CASES {
        upstream.set_script(Script::answer(ModelAnswer {
            service_tier: case.served.map(str::to_owned),
            ..ModelAnswer::text("an answer").usage(case.usage)
        }));
        let mut body = responses_body("what does this cost?");
        body["model"] = json!(case.model);
        if let Some(tier) = case.asked {
            body["service_tier"] = json!(tier);
        }
        let client = gateway.client();
        let call = client
            .post("/v1/responses")
            .json(&body)
            .header("session-id", case.name);
        let call = if case.is_chatgpt {
            signed_in(call)
        } else {
            call.bearer(API_KEY)
        };
        let reply = call.send().await;
        assert_eq!(reply.status, 200, "{}: {}", case.name, reply.text());
    }
    let metrics = gateway.client().get("/metrics").send().await.text();
    gateway.signal("TERM");
    gateway.wait_for_exit(Duration::from_secs(10)).await;

    let books = Store::sqlite().read(&gateway.data_dir()).await;
    for case in &CASES {
        let entry = books
            .entries
            .iter()
            .find(|entry| entry.intent.turn.session_id.as_deref() == Some(case.name))
            .unwrap_or_else(|| panic!("{}: no entry", case.name));
        case.check(entry);
    }
    let sum = |is_chatgpt: bool| -> i64 {
        CASES
            .iter()
            .filter(|case| case.is_chatgpt == is_chatgpt)
            .filter_map(|case| case.cost)
            .sum()
    };
    assert_eq!(books.total.cost_nanos_metered, sum(false));
    assert_eq!(books.total.cost_nanos_plan, sum(true));
    assert_eq!(books.total.unpriced_requests, 2);
    assert_eq!(unpriced(&metrics), 2, "{metrics}");
}

impl Case {
    fn check(&self, entry: &LedgerEntry) {
        let name = self.name;
        assert_eq!(entry.result.cost.nanos, self.cost, "{name}: {entry:?}");
        let source = match self.cost {
            Some(_) => CostSource::Calculated,
            None => CostSource::Unpriced,
        };
        assert_eq!(entry.result.cost.source, source, "{name}");
        assert_eq!(
            entry.result.cost.price_version.is_some(),
            self.cost.is_some(),
            "{name}"
        );
        let billing = if self.is_chatgpt { "plan" } else { "metered" };
        assert_eq!(entry.intent.dispatch.billing.as_str(), billing, "{name}");
        assert_eq!(
            entry.intent.service_tier_requested.as_deref(),
            self.asked,
            "{name}"
        );
        assert_eq!(entry.result.service_tier.as_deref(), self.served, "{name}");
        assert!(!entry.result.cost.is_estimated, "{name}");
        let usage = entry.result.usage.expect("the upstream reported it");
        assert_eq!(usage.input(), self.usage.input, "{name}");
        assert_eq!(usage.output(), self.usage.output, "{name}");
    }
}

/// The sum of the counter over all models.
fn unpriced(metrics: &str) -> u64 {
    metrics
        .lines()
        .filter(|line| line.starts_with("codex_gateway_unpriced_requests_total"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}
