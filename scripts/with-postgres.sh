#!/usr/bin/env bash
# Runs a command with CODEX_GATEWAY_TEST_POSTGRES set to a PostgreSQL server: the one that the variable already names, or a
# fresh one of its own on loopback, which is stopped and deleted afterwards.
# Usage: scripts/with-postgres.sh COMMAND [ARGUMENT]...
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${CODEX_GATEWAY_TEST_POSTGRES:-}" ]; then
  exec "$@"
fi
scripts/install-test-tools.sh postgres

programs=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1 || command -v initdb)")
work=$(mktemp -d)
# The server refuses to run as root; Debian's package has made a user for it.
as_server=()
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$work"
  as_server=(runuser -u postgres --)
fi
server() { # program arguments...
  (cd "$work" && "${as_server[@]}" "$programs/$1" "${@:2}")
}
clean_up() {
  server pg_ctl --pgdata "$work/data" --mode immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT

server initdb --pgdata "$work/data" --username gateway --auth trust --encoding UTF8 --no-sync >/dev/null
# A port that is free; should somebody else take it in between, the next one is tried.
for port in $(shuf -i 20000-30000 -n 5); do
  options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$work -c max_connections=300"
  if server pg_ctl --pgdata "$work/data" --log "$work/log" --wait --options "$options" start >/dev/null 2>&1; then
    export CODEX_GATEWAY_TEST_POSTGRES="postgres://gateway@127.0.0.1:$port/postgres"
    "$@"
    exit
  fi
done
cat "$work/log" >&2
echo "with-postgres: the server does not start" >&2
exit 1
