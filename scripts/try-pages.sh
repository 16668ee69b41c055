#!/usr/bin/env bash
# Drives a real Chromium through the dashboard of a gateway of its own, on loopback, with a fresh data directory.
# CODEX_GATEWAY_BIN and PROVIDER_SIM_BIN name programs to try; without them the debug builds are taken. SHOTS names a
# directory for screenshots.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-test-tools.sh node chromium pages

program=${CODEX_GATEWAY_BIN:-} sim=${PROVIDER_SIM_BIN:-}
if [ -z "$program" ] || [ -z "$sim" ]; then
  cargo build --locked --quiet --workspace --bin codex-gateway --bin provider-sim
  program="${CARGO_TARGET_DIR:-target}/debug/codex-gateway" sim="${CARGO_TARGET_DIR:-target}/debug/provider-sim"
fi
work=$(mktemp -d)
pids=()
clean_up() {
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap clean_up EXIT

cat >"$work/script.json" <<'SCRIPT'
{"rules": [
  {"when": {"method": "POST", "model": "gpt-slow"}, "then": {"model_answer": {"output": [{"text": "hi"}], "usage": {"input": 100, "cached": 0, "output": 10, "reasoning": 0}, "delay_ms": 4000}}},
  {"when": {"method": "POST", "model": "gpt-5.4"}, "then": {"model_answer": {"output": [{"text": "hi"}], "usage": {"input": 48211, "cached": 41200, "output": 912, "reasoning": 301}}}},
  {"when": {"method": "POST", "model": "gpt-5.4-mini"}, "then": {"model_answer": {"output": [{"text": "hi"}], "usage": {"input": 12001, "cached": 9000, "output": 340, "reasoning": 20}}}},
  {"when": {"method": "POST", "model": "gpt-6.2-sol"}, "then": {"model_answer": {"output": [{"text": "hi"}], "usage": {"input": 91877, "cached": 64000, "output": 2950, "reasoning": 1800}}}},
  {"when": {"method": "POST"}, "then": {"model_answer": {"output": [{"text": "hi"}], "usage": {"input": 33012, "cached": 1000, "output": 1204, "reasoning": 512}}}}
]}
SCRIPT
"$sim" --script "$work/script.json" >"$work/sim" &
pids+=($!)
for _ in $(seq 100); do [ -s "$work/sim" ] && break; sleep 0.1; done
upstream=$(sed 's/.*"base_url":"\([^"]*\)".*/\1/' "$work/sim")

port=
for candidate in $(shuf -i 20000-30000 -n 5); do
  cat >"$work/gateway.toml" <<CONFIG
[server]
listen = "127.0.0.1:$candidate"
[storage]
time_zone = "UTC"
[upstreams.chatgpt]
base_url = "$upstream"
[upstreams.openai]
base_url = "$upstream"
[upstreams.team]
base_url = "$upstream"
wire_api = ["responses", "chat"]
credential = { env = "TEAM_KEY" }
[routes]
gateway_key = "team"
CONFIG
  env -i PATH="$PATH" HOME="$work" TEAM_KEY=sk-team "$program" --config "$work/gateway.toml" --data-dir "$work/data" serve >"$work/log" 2>&1 &
  gateway=$!
  for _ in $(seq 100); do
    if curl --silent --fail --noproxy '*' "http://127.0.0.1:$candidate/readyz" >/dev/null; then
      port=$candidate
      break 2
    fi
    kill -0 "$gateway" 2>/dev/null || break
    sleep 0.1
  done
  kill "$gateway" 2>/dev/null || true
done
if [ -z "$port" ]; then
  cat "$work/log" >&2
  echo "try-pages: the gateway does not start" >&2
  exit 1
fi
pids+=("$gateway")

own() {
  env -i PATH="$PATH" HOME="$work" TEAM_KEY=sk-team "$program" --config "$work/gateway.toml" --data-dir "$work/data" "$@"
}
key=$(own keys create --name alice --team core --owner alice --budget 5.00/day --json | sed 's/.*"key": *"\([^"]*\)".*/\1/' | tr -d '\n' | grep -o 'cgw_[A-Za-z0-9_-]*')
base="http://127.0.0.1:$port"
node -e 'import("./tests/page/traffic.mjs").then(({ traffic }) => traffic(process.argv[1], process.argv[2]))' "$base" "$key"
python3 tests/page/seed.py "$work/data/ledger.db" 13
link=$(own dashboard | grep -o 'http://[^ ]*#sign-in=[A-Za-z0-9_-]*')
NO_PROXY='*' timeout 300 node tests/page/check.mjs "$base" "$link" "$(cat "$work/data/admin-token")" "$PWD/tests/.tools/pages" "${SHOTS:-}"

if grep -E 'ERROR|panicked' "$work/log"; then
  echo "try-pages: the gateway logged errors" >&2
  exit 1
fi
