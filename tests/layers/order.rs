//! The layers of each crate, from the bottom to the top. A module may import from the layers below
//! its own, and from nothing else; what a folder does inside itself is left to the test of circles.

/// Modules that stand at one height, and why they stand there.
pub(crate) struct Layer {
    pub(crate) modules: &'static [&'static str],
    pub(crate) reason: &'static str,
}

const fn layer(reason: &'static str, modules: &'static [&'static str]) -> Layer {
    Layer { modules, reason }
}

/// The crates, each with its layers.
pub(crate) const ORDER: [(&str, &[Layer]); 4] = [
    ("gateway-wire", &WIRE),
    ("gateway-policy", &POLICY),
    ("gateway-ledger", &LEDGER),
    ("codex-gateway", &GATEWAY),
];

const WIRE: [Layer; 7] = [
    layer(
        "the vocabulary: JSON text, enums of words, shapes of errors",
        &["error_envelope", "json", "words"],
    ),
    layer(
        "one thing of a wire each: the protocols, what upstreams do differently, a request, usage",
        &[
            "chat",
            "dialect",
            "failure",
            "request",
            "responses",
            "splice",
            "usage",
            "wire_api",
        ],
    ),
    layer(
        "speak of requests and usage",
        &["codex", "hosted_tools", "stored_items", "stream_usage"],
    ),
    layer(
        "changes of a request, and what an event of a stream says",
        &["adjust", "stream"],
    ),
    layer(
        "read or write whole messages of one wire",
        &["reply", "sse", "synthesize"],
    ),
    layer(
        "carry an answer from one side to the other",
        &["relay", "socket", "translate"],
    ),
    layer("the names that other crates use", &["lib"]),
];

const POLICY: [Layer; 9] = [
    layer(
        "the vocabulary: ids, units, problems of a configuration",
        &[
            "auth_route",
            "degrees",
            "model_id",
            "money",
            "problem",
            "string_list",
            "units",
        ],
    ),
    layer(
        "one thing of the configuration each, and the question",
        &[
            "error_pattern",
            "lenient_parse",
            "model_pattern",
            "request",
            "upstream",
        ],
    ),
    layer(
        "speak of models, requests and upstreams",
        &["attempt", "price", "rule"],
    ),
    layer(
        "speak of prices, rules and attempts",
        &["catalog", "limit", "memory"],
    ),
    layer(
        "puts attempts in an order, by what the catalogue says",
        &["attempt_plan"],
    ),
    layer(
        "what comes out: a plan or a refusal; chains of plans",
        &["decision", "fallback"],
    ),
    layer("decides, from all of these", &["policy"]),
    layer("tells the same decision in words", &["explain"]),
    layer("the names that other crates use", &["lib"]),
];

const LEDGER: [Layer; 12] = [
    layer("errors are everybody's", &["error"]),
    layer(
        "the vocabulary, and the two databases",
        &["db", "group_commit", "ids", "secret", "time"],
    ),
    layer(
        "plain data, and the place that writers share",
        &["entry", "filter", "options", "revision", "shared"],
    ),
    layer("one table or file each", &["entries", "in_flight", "spool"]),
    layer(
        "write entries, and settle what a dead process left",
        &["recovery", "writer"],
    ),
    layer(
        "renews leases and sweeps, in the background",
        &["maintenance"],
    ),
    layer("runs the background work", &["driver"]),
    layer("the handle that everything is asked through", &["ledger"]),
    layer(
        "one kind of question each, asked through the handle",
        &[
            "account_limits",
            "audit",
            "budget_status",
            "directory",
            "exchanges",
            "reprice",
            "stored_ids",
            "usage",
        ],
    ),
    layer("what is to change about a key", &["key_update"]),
    layer(
        "changes that are written to the audit log",
        &["change", "keys", "model_refusals", "sessions"],
    ),
    layer("the names that other crates use", &["lib"]),
];

const GATEWAY: [Layer; 15] = [
    layer(
        "the vocabulary and the machine: errors, endpoints, time, tasks, files",
        &[
            "clock",
            "concurrency",
            "endpoint",
            "error",
            "message_socket",
            "model_labels",
            "secret",
            "socket_budget",
            "tasks",
            "telemetry",
            "tls",
        ],
    ),
    layer(
        "one thing of a request or of the machine each",
        &[
            "access",
            "administration",
            "bounded_map",
            "codex_catalog",
            "data_dir",
            "ids",
            "request_body",
        ],
    ),
    layer(
        "the two sides, who is asking, what is remembered, and the configuration",
        &["config", "identity", "reasoning", "server", "upstream"],
    ),
    layer(
        "what an exchange is made of; who may administer; what a caller may see; reports; the user's \
         Codex; an upstream to try things on",
        &[
            "admin_auth",
            "codex_home",
            "model_visibility",
            "record",
            "reports",
            "running",
            "scripted_upstream",
        ],
    ),
    layer(
        "look at records, keep what upstreams refused, or write the configuration of the user's Codex",
        &["learned", "metrics", "setup", "traces"],
    ),
    layer(
        "follows the limits that answers state, as a metric too",
        &["plan_limits"],
    ),
    layer(
        "hands each record to all who look at records",
        &["recorder"],
    ),
    layer("the walk of a request", &["exchange"]),
    layer("runs the walk for each message of a socket", &["websocket"]),
    layer("the handlers", &["http"]),
    layer("composes the process", &["app"]),
    layer("runs it inside a command", &["sandbox"]),
    layer("tries it out, or shows it", &["demo", "doctor"]),
    layer("the command line, which starts it", &["cli"]),
    layer("the list of modules", &["lib"]),
];
