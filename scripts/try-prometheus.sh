#!/usr/bin/env bash
# Lets a real Prometheus scrape a running gateway and evaluates every expression of the dashboard and of the rules.
#
# Starts the scripted upstream, the gateway and Prometheus on free loopback ports, sends requests of both sign-ins, and fails when
# an expression is in error or one that must have data has none. Stops what it started, by pid.
# Usage: scripts/try-prometheus.sh    (binaries are built; Prometheus comes from scripts/install-test-tools.sh promtool)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

fail() {
  printf 'try-prometheus: %s\n' "$1" >&2
  exit 1
}

scripts/install-test-tools.sh promtool
export PATH="$PATH:$root/tests/.tools/bin:$root/tests/.tools/prometheus/usr/bin"
for tool in prometheus promtool curl python3; do
  command -v "$tool" >/dev/null || fail "\`$tool\` is missing"
done
# Of the whole workspace, as the tests before: a package alone has other features of its dependencies, which are then built anew.
cargo build --quiet --locked --workspace --bin codex-gateway --bin provider-sim
bin=${CARGO_TARGET_DIR:-target}/debug

work=$(mktemp -d)
pids=()
is_running=no
cleanup() {
  local status=$?
  if [ "$status" -ne 0 ] && [ "$is_running" = no ]; then
    tail -n 5 "$work"/*.err >&2
  fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

# What a file says within ten seconds, or failure.
wait_for() { # pattern file
  for _ in $(seq 100); do
    if grep -qE "$1" "$2" 2>/dev/null; then
      return
    fi
    sleep 0.1
  done
  fail "$2 never said $1"
}

# One model is refused, so that there is a fallback, and the ChatGPT sign-in learns where its plan stands; everything else is
# answered.
cat >"$work/script.json" <<'JSON'
{"model": {"headers": [["x-codex-primary-used-percent", "41"], ["x-codex-primary-window-minutes", "300"]]},
 "rules": [{"when": {"model": "gpt-5.5"}, "then": {"fixed_response": {"status": 400, "headers": [["content-type", "application/json"]],
  "body": {"json": {"error": {"message": "The model `gpt-5.5` does not exist or you do not have access to it.",
    "type": "invalid_request_error", "param": "model", "code": "model_not_found"}}}}}}]}
JSON
"$bin/provider-sim" --script "$work/script.json" >"$work/sim.out" 2>"$work/sim.err" &
pids+=($!)
wait_for base_url "$work/sim.out"
upstream=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["base_url"])' "$work/sim.out")

cat >"$work/gateway.toml" <<TOML
[server]
listen = "127.0.0.1:0"
[upstreams.openai]
base_url = "$upstream"
[upstreams.chatgpt]
base_url = "$upstream"
[[rules]]
name = "not here"
when = { model = "gpt-5.4-nano" }
then = { reject = "a refusal for the figures" }
TOML
# A key of one request a minute, so that there are refusals, and a budget that has something left.
gateway_of() { "$bin/codex-gateway" --config "$work/gateway.toml" --data-dir "$work/data" "$@"; }
key=$(gateway_of keys create --name figures --rpm 1 --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')
gateway_of budgets set gateway 1000.00/day >/dev/null

"$bin/codex-gateway" serve --config "$work/gateway.toml" --data-dir "$work/data" >"$work/gateway.out" 2>"$work/gateway.err" &
pids+=($!)
wait_for 'serves on' "$work/gateway.out"
gateway=$(sed -nE 's|.*serves on http://([^ ]+).*|\1|p' "$work/gateway.out")

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/prometheus.yaml" <<YAML
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: ["$root/deploy/prometheus/recording.yaml", "$root/deploy/prometheus/alerts.yaml"]
scrape_configs:
  - { job_name: codex-gateway, static_configs: [{ targets: ["$gateway"] }] }
YAML
prometheus --config.file="$work/prometheus.yaml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$port" \
  >"$work/prometheus.out" 2>"$work/prometheus.err" &
pids+=($!)
wait_for 'Server is ready' "$work/prometheus.err"
is_running=yes

ask() { # credential model stream [curl options]
  curl -sS -o /dev/null --max-time 20 "http://$gateway/v1/responses" -H 'content-type: application/json' \
    -H "authorization: Bearer $1" -d "{\"model\":\"$2\",\"stream\":$3,\"input\":\"hello\"}" "${@:4}"
}
ask_everything() {
  ask sk-example gpt-5.4 true
  ask sk-example gpt-5.4 false
  ask sk-example gpt-5.5 true
  ask sk-example gpt-5.4-nano true
  ask sk-example a-model-without-a-price true
  ask at-example gpt-5.4 true
  ask sk-example gpt-5.4 true -H "x-gateway-key: $key"
}
# A counter appears with its first value and grows with the second, which is what a rate needs to see.
for _ in 1 2 3; do
  ask_everything
  sleep 1.5
done
curl -sS "http://$gateway/metrics" >"$work/metrics.txt"
promtool check metrics <"$work/metrics.txt"

# Rules are evaluated one after another, so that a figure may need a moment; an expression in error (2) does not get better.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  ask_everything
  sleep 1.5
  status=0
  python3 scripts/evaluate-dashboard.py "http://127.0.0.1:$port" deploy/grafana/codex-gateway.json 2>"$work/evaluation.txt" || status=$?
  case "$status" in
    0) exit 0 ;;
    1) ;;
    *) break ;;
  esac
done
cat "$work/evaluation.txt" >&2
fail "see above (attempt $attempt)"
