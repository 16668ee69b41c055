#!/usr/bin/env bash
# Checks deploy/: the Prometheus files with promtool, the unit with systemd-analyze and the compose file with docker where they
# are installed, what the containers promise (scripts/check-containers.py), then everything together in a real Prometheus
# (scripts/try-prometheus.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-test-tools.sh promtool yaml
export PATH="$PATH:$PWD/tests/.tools/bin"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The configuration names a file that exists in the container only; a copy names one that exists here.
cp deploy/prometheus/*.yaml "$work/"
printf 'a-token' >"$work/token"
sed -i "s|credentials_file: .*|credentials_file: $work/token|" "$work/prometheus.yaml"
promtool check config "$work/prometheus.yaml"
promtool check rules deploy/prometheus/recording.yaml deploy/prometheus/alerts.yaml
promtool test rules deploy/prometheus/rules_test.yaml

# The program's path is replaced, since it is not installed here.
if command -v systemd-analyze >/dev/null; then
  sed 's|/usr/local/bin/codex-gateway|/bin/true|' deploy/systemd/codex-gateway.service >"$work/codex-gateway.service"
  systemd-analyze verify "$work/codex-gateway.service"
  # Out of 100; a unit without any hardening has 96.
  systemd-analyze security --offline=true --threshold=20 "$work/codex-gateway.service" | tail -n 1
fi

python3 scripts/check-containers.py
if docker compose version >/dev/null 2>&1; then
  POSTGRES_PASSWORD=x CODEX_GATEWAY_ADMIN_TOKEN=x OPENAI_API_KEY=x docker compose -f deploy/compose.yaml config --quiet
fi

scripts/try-prometheus.sh
