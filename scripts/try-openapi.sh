#!/usr/bin/env bash
# Lets schemathesis try the admin API against the description that it serves itself: a gateway of its own, on loopback, with a
# fresh data directory. CODEX_GATEWAY_BIN names a program to try; without it the debug build is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-test-tools.sh schemathesis

program=${CODEX_GATEWAY_BIN:-}
if [ -z "$program" ]; then
  cargo build --locked --quiet -p codex-gateway --bin codex-gateway
  program="${CARGO_TARGET_DIR:-target}/debug/codex-gateway"
fi
work=$(mktemp -d)
gateway=
clean_up() {
  if [ -n "$gateway" ]; then
    kill "$gateway" 2>/dev/null && wait "$gateway" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap clean_up EXIT

# A model id is measured in bytes, which a description cannot say: more is taken than described. Whatever stands in a path is text, so a list or a number in the place of a name is another name. A cursor is what an earlier answer gave: the pattern of it can be described, a good one cannot be made up.
# The globs of a key are described in part: other characters, and sets such as `[ab]`, are accepted too.
cat >"$work/schemathesis.toml" <<'CONFIG'
[[operations]]
include-name = "GET /api/exchanges"

[operations.checks]
positive_data_acceptance.enabled = false

# A change that names nothing to change is refused, which a description cannot say.
[[operations]]
include-name = "PATCH /api/keys/{key}"

[operations.checks]
positive_data_acceptance.enabled = false
negative_data_rejection.enabled = false

[[operations]]
include-path-regex = "^/api/((teams|keys)/|keys$|explain$|facts$)"

[operations.checks]
negative_data_rejection.enabled = false
CONFIG

# A port that is free; should somebody else take it in between, the next one is tried.
for port in $(shuf -i 20000-30000 -n 5); do
  printf '[server]\nlisten = "127.0.0.1:%s"\n' "$port" >"$work/gateway.toml"
  env -i PATH="$PATH" HOME="$work" "$program" --config "$work/gateway.toml" --data-dir "$work/data" serve >"$work/log" 2>&1 &
  gateway=$!
  for _ in $(seq 100); do
    if curl --silent --fail --noproxy '*' "http://127.0.0.1:$port/readyz" >/dev/null; then
      break 2
    fi
    kill -0 "$gateway" 2>/dev/null || break
    sleep 0.1
  done
  kill "$gateway" 2>/dev/null || true
  gateway=
done
if [ -z "$gateway" ]; then
  cat "$work/log" >&2
  echo "try-openapi: the gateway does not start" >&2
  exit 1
fi

# Guesses at the token are slowed down, so calls with a wrong one would lock this address out; tests/e2e/administration.rs makes
# them for every route. The seed is fixed: a failure here is a failure on the next run too.
tools="$PWD/tests/.tools/schemathesis"
cd "$work"
HYPOTHESIS_STORAGE_DIRECTORY="$work/hypothesis" NO_PROXY='*' timeout 120 "$tools/bin/schemathesis" \
  run "http://127.0.0.1:$port/api/openapi.json" \
  --header "Authorization: Bearer $(cat "$work/data/admin-token")" \
  --exclude-checks ignored_auth --max-examples 25 --seed 20261121 --max-time 50 --no-color

# What it sent must have been served by the one process from beginning to end, without a fault in the log.
kill -0 "$gateway"
if grep -E 'ERROR|panicked' "$work/log"; then
  echo "try-openapi: the gateway logged errors" >&2
  exit 1
fi
