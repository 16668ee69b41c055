#!/usr/bin/env bash
# Builds the image and runs it as deploy/compose.yaml does: read-only, without root and capabilities, two replicas on a PostgreSQL in
# a container. Then stops a replica under load, replaces it on its filled volume, and lets Prometheus scrape both.
#
# Needs root, docker, PyYAML and Prometheus (scripts/install-test-tools.sh yaml promtool). Where no registry is reachable, stand-ins
# for the base images come from scripts/container/stand-ins.sh. DOCKER_HOST names the engine. CONTAINER_PROFILE=dev builds faster;
# CONTAINER_IMAGE names an image that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

fail() {
  printf 'try-container: %s\n' "$1" >&2
  exit 1
}
scripts/container/stand-ins.sh >/dev/null
image=${CONTAINER_IMAGE:-}
if [ -z "$image" ]; then
  image=codex-gateway-try/gateway
  docker build --quiet --network none --build-arg "PROFILE=${CONTAINER_PROFILE:-release}" --tag "$image" . >/dev/null
fi
cargo build --quiet --locked --workspace --bin provider-sim
export PATH="$PATH:$root/tests/.tools/prometheus/usr/bin"

work=$(mktemp -d)
chmod 755 "$work"
name=codex-gateway-try-$$
pids=()
cleanup() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    for container in gateway-1 gateway-2 postgres; do
      docker logs --tail 5 "$name-$container" 2>&1 | sed "s/^/$container: /" >&2 || true
    done
  fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  docker rm --force "$name-gateway-1" "$name-gateway-2" "$name-postgres" >/dev/null 2>&1 || true
  docker volume rm "$name-1" "$name-2" >/dev/null 2>&1 || true
  docker network rm "$name" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

POSTGRES_PASSWORD=a-password CODEX_GATEWAY_ADMIN_TOKEN=$(openssl rand -hex 32) OPENAI_API_KEY=sk-example
export POSTGRES_PASSWORD CODEX_GATEWAY_ADMIN_TOKEN OPENAI_API_KEY
docker network create "$name" >/dev/null
host=$(docker network inspect --format '{{(index .IPAM.Config 0).Gateway}}' "$name")

# The upstream runs on this machine, at the address by which containers reach it; each event takes a moment, so that a stop finds
# streams that run.
printf '{"model": {"delay_ms": 150}}' >"$work/script.json"
"${CARGO_TARGET_DIR:-target}/debug/provider-sim" --listen "$host:0" --script "$work/script.json" >"$work/upstream.out" 2>"$work/upstream.err" &
pids+=($!)
for _ in $(seq 50); do grep -q base_url "$work/upstream.out" && break; sleep 0.1; done
upstream=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["base_url"])' "$work/upstream.out") \
  || fail "the upstream does not start: $(cat "$work/upstream.err")"
# The example that compose mounts, with the scripted upstream in the place of the real one.
sed -e "s|https://api.openai.com/v1|$upstream|" config/examples/team-postgres.toml >"$work/gateway.toml"
printf '\n[upstreams.openai]\nbase_url = "%s"\n' "$upstream" >>"$work/gateway.toml"

flags() { mapfile -t flags < <(python3 scripts/container/compose-flags.py "$1"); }
flags postgres
docker run --detach --name "$name-postgres" --network "$name" --network-alias postgres "${flags[@]}" \
  "$(grep -oE 'postgres:[0-9][^ ]*' deploy/compose.yaml | head -n 1)" >/dev/null
address_of() { docker inspect --format "{{(index .NetworkSettings.Networks \"$name\").IPAddress}}" "$name-$1"; }
postgres=$(address_of postgres)

start() { # number
  flags "gateway-$1"
  docker run --detach --name "$name-gateway-$1" --network "$name" --add-host "postgres:$postgres" "${flags[@]}" \
    --volume "$work/gateway.toml:/etc/codex-gateway/gateway.toml:ro" --volume "$name-$1:/data" "$image" >/dev/null
}
wait_healthy() { # number
  for _ in $(seq 60); do
    docker exec "$name-gateway-$1" /bin/codex-gateway health >/dev/null 2>&1 && return
    # A gateway that found no database yet has ended; compose would restart it.
    [ "$(docker inspect --format '{{.State.Running}}' "$name-gateway-$1")" = true ] || docker start "$name-gateway-$1" >/dev/null
    sleep 0.5
  done
  fail "gateway-$1 does not become healthy"
}
ask() { # number
  curl -sS --max-time 60 "http://$(address_of "$1"):8787/v1/responses" -H 'content-type: application/json' \
    -H 'authorization: Bearer sk-example' -d '{"model":"gpt-5.4","stream":true,"input":"hello"}'
}
in_ledger() {
  docker exec "$name-gateway-2" /bin/codex-gateway usage --format json \
    | python3 -c 'import json, sys; total = json.load(sys.stdin)["total"]; print(total["requests"])'
}

start 1
start 2
wait_healthy 1
wait_healthy 2
[ "$(docker inspect --format '{{.Config.User}}' "$name-gateway-1")" = 65532:65532 ] || fail "the program runs as root"
docker exec "$name-gateway-1" /bin/sh -c true >/dev/null 2>&1 && fail "the image has a shell"
ask gateway-1 | grep -q 'response.completed' || fail "gateway-1 does not answer"
ask gateway-2 | grep -q 'response.completed' || fail "gateway-2 does not answer"
[ "$(in_ledger)" = 2 ] || fail "the replicas do not share a ledger: $(in_ledger)"
printf 'two replicas serve read-only, as 65532, and share one ledger\n'

# Under load: a stop lets the streams finish that it finds.
for number in $(seq 20); do ask gateway-1 >"$work/answer.$number" 2>/dev/null & asked+=($!); done
sleep 0.3
before=$(date +%s%N)
docker stop "$name-gateway-1" >/dev/null
took=$((($(date +%s%N) - before) / 1000000))
for pid in "${asked[@]}"; do wait "$pid" || true; done
[ "$(docker inspect --format '{{.State.ExitCode}}' "$name-gateway-1")" = 0 ] || fail "gateway-1 ended with an error when it was stopped"
begun=0 whole=0
for number in $(seq 20); do
  grep -q 'response.created' "$work/answer.$number" && begun=$((begun + 1))
  grep -q 'response.completed' "$work/answer.$number" && whole=$((whole + 1))
done
[ "$begun" -gt 0 ] && [ "$begun" = "$whole" ] || fail "of $begun streams that had begun, $whole were finished"
printf 'stopped under load in %d ms: %d of %d streams that had begun were finished\n' "$took" "$whole" "$begun"

# An upgrade: a new container on the old volume.
docker rm "$name-gateway-1" >/dev/null
start 1
wait_healthy 1
ask gateway-1 | grep -q 'response.completed' || fail "the new container does not answer"
[ "$(in_ledger)" = $((3 + whole)) ] || fail "the ledger has $(in_ledger) entries, not $((3 + whole))"
printf 'replaced on its filled volume: %d entries, none lost\n' "$(in_ledger)"

printf '%s' "$CODEX_GATEWAY_ADMIN_TOKEN" >"$work/token"
cat >"$work/prometheus.yaml" <<YAML
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: codex-gateway
    authorization: { credentials_file: $work/token }
    static_configs: [{ targets: ["$(address_of gateway-1):8787", "$(address_of gateway-2):8787"] }]
YAML
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
prometheus --config.file="$work/prometheus.yaml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$port" >/dev/null 2>"$work/prometheus.err" &
pids+=($!)
for _ in $(seq 40); do
  up=$(curl -s "http://127.0.0.1:$port/api/v1/query?query=sum(up)" | grep -oE '"[0-9]+"\]' || true)
  [ "$up" = '"2"]' ] && break
  sleep 0.5
done
[ "$up" = '"2"]' ] || fail "Prometheus does not scrape both replicas"
printf 'Prometheus scrapes both replicas with the admin token\n'
