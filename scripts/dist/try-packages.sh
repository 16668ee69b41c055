#!/usr/bin/env bash
# Installs each package of dist/ as its user would, and lets each do its job: serve one request to a scripted upstream, record it and
# stop. The Debian package is installed in a clean root made by debootstrap, which needs root; PACKAGES_ROOT names one to take.
# Usage: scripts/dist.sh && scripts/dist/try-packages.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

fail() {
  printf 'try-packages: %s\n' "$1" >&2
  exit 1
}

cargo build --quiet --locked --workspace --bin provider-sim
simulator=${CARGO_TARGET_DIR:-target}/debug/provider-sim
work=$(mktemp -d)
clean_root=
pids=()
cleanup() {
  local status=$?
  [ "$status" -eq 0 ] || tail -n 5 "$work"/*.log >&2 || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  [ -z "$clean_root" ] || rm -rf "$clean_root"
  rm -rf "$work"
}
trap cleanup EXIT

echo '{}' >"$work/script.json"
"$simulator" --script "$work/script.json" >"$work/upstream.log" &
pids+=($!)
until grep -q base_url "$work/upstream.log"; do sleep 0.1; done
upstream=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["base_url"])' "$work/upstream.log")
version=$(sed -nE '/^\[workspace\.package\]/,/^\[/s/^version = "(.*)"/\1/p' Cargo.toml)

# The job of a program: its arguments are how it is called, then its place (a directory as it sees it, and as we see it).
try_program() { # name place place_here command...
  local name=$1 place=$2 here=$3 address pid
  shift 3
  "$@" --version | grep -qE "^codex-gateway $version( \(.+\))?$" || fail "$name: --version says $("$@" --version)"
  printf '[server]\nlisten = "127.0.0.1:0"\n[upstreams.openai]\nbase_url = "%s"\n' "$upstream" >"$here/gateway.toml"
  "$@" --config "$place/gateway.toml" --data-dir "$place/data" check >/dev/null
  "$@" --config "$place/gateway.toml" --data-dir "$place/data" serve >"$work/$name.log" 2>&1 &
  pid=$!
  pids+=("$pid")
  for _ in $(seq 100); do
    grep -q 'serves on' "$work/$name.log" && break
    sleep 0.1
  done
  address=$(sed -nE 's|.*serves on http://([^ ]+).*|\1|p' "$work/$name.log")
  [ -n "$address" ] || fail "$name does not serve"
  curl -fsS --max-time 20 "http://$address/v1/responses" -H 'content-type: application/json' -H 'authorization: Bearer sk-example' \
    -d '{"model":"gpt-5.4","input":"hello"}' | grep -q '"completed"' || fail "$name: no completed response"
  kill -TERM "$pid"
  wait "$pid" || fail "$name: exit code $? after SIGTERM"
  "$@" --config "$place/gateway.toml" --data-dir "$place/data" usage --format json \
    | python3 -c 'import json, sys; assert json.load(sys.stdin)["total"]["requests"] == 1' || fail "$name: the request is not recorded"
  printf '%-10s installed, served and recorded one request, stopped in order\n' "$name"
}

(cd dist && sha256sum --quiet --check SHA256SUMS)
python3 - dist/*.cdx.json <<'PYTHON'
import json, sys
bom = json.load(open(sys.argv[1]))
names = {part["name"] for part in bom["components"]}
references = {part["bom-ref"] for part in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
assert bom["bomFormat"] == "CycloneDX" and {"tokio", "sqlx", "gateway-ledger"} <= names and "insta" not in names
assert all(dep in references for node in bom["dependencies"] for dep in node["dependsOn"])
assert all("licenses" in part for part in bom["components"]), [part["name"] for part in bom["components"] if "licenses" not in part]
PYTHON

mkdir "$work/tarball"
tar -xzf dist/codex-gateway-"$version"-*.tar.gz -C "$work/tarball" --strip-components 1
for file in completions/codex-gateway.bash completions/_codex-gateway completions/codex-gateway.fish completions/_codex-gateway.ps1 \
  man/codex-gateway.1 man/codex-gateway-serve.1 config/gateway.toml LICENSE-MIT; do
  [ -s "$work/tarball/$file" ] || fail "the tarball lacks $file"
done
bash -n "$work/tarball/completions/codex-gateway.bash"
if command -v zsh >/dev/null; then zsh -n "$work/tarball/completions/_codex-gateway"; fi
if command -v man >/dev/null; then man --warnings -l "$work/tarball/man/codex-gateway.1" >/dev/null; fi
try_program tarball "$work/tarball" "$work/tarball" "$work/tarball/codex-gateway"

mkdir "$work/npm"
(cd "$work/npm" && npm init --yes >/dev/null && npm install --no-audit --no-fund --offline --loglevel=error "$root"/dist/codex-gateway-*"$version".tgz >/dev/null)
try_program npm "$work/npm" "$work/npm" "$work/npm/node_modules/.bin/codex-gateway"
(cd "$work/npm" && npx --offline codex-gateway --version >/dev/null)

python3 -m venv "$work/wheel"
"$work/wheel/bin/pip" install --quiet --disable-pip-version-check --no-index dist/*.whl
try_program wheel "$work/wheel" "$work/wheel" "$work/wheel/bin/codex-gateway"

if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
  fail "the Debian package needs root and debootstrap to be tried"
fi
clean_root=$(mktemp -d)
if [ -n "${PACKAGES_ROOT:-}" ]; then
  cp -a "$PACKAGES_ROOT/." "$clean_root/"
else
  debootstrap --variant=minbase --include=ca-certificates bookworm "$clean_root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log"
fi
chmod 755 "$clean_root"
cp dist/*.deb "$clean_root/"
chroot "$clean_root" dpkg -i "/codex-gateway_${version}_$(dpkg --print-architecture).deb" >"$work/dpkg.log" 2>&1
[ "$(stat -c %a "$clean_root/var/lib/codex-gateway")" = 700 ] || fail "deb: the data directory is open to others"
# As the unit runs it: as its own user, on its own directory, with the configuration that was installed.
as_service=(chroot --userspec=codex-gateway:codex-gateway "$clean_root" /usr/bin/codex-gateway)
"${as_service[@]}" --data-dir /var/lib/codex-gateway check >/dev/null || fail "deb: the installed configuration is not valid"
mkdir "$clean_root/tmp/try"
chroot "$clean_root" chown codex-gateway /tmp/try
try_program deb /tmp/try "$clean_root/tmp/try" "${as_service[@]}"
if command -v systemd-analyze >/dev/null; then
  sed 's|/usr/bin/codex-gateway|/bin/true|' "$clean_root/usr/lib/systemd/system/codex-gateway.service" >"$work/codex-gateway.service"
  systemd-analyze security --offline=true --threshold=20 "$work/codex-gateway.service" | tail -n 1
fi
# What its administrator changed survives an upgrade and a removal.
echo '# changed' >>"$clean_root/etc/codex-gateway/gateway.toml"
chroot "$clean_root" dpkg -i "/codex-gateway_${version}_$(dpkg --print-architecture).deb" >>"$work/dpkg.log" 2>&1
chroot "$clean_root" dpkg -r codex-gateway >>"$work/dpkg.log" 2>&1
grep -q '# changed' "$clean_root/etc/codex-gateway/gateway.toml" || fail "deb: the configuration is lost"
chroot "$clean_root" dpkg -P codex-gateway >>"$work/dpkg.log" 2>&1
[ ! -e "$clean_root/etc/codex-gateway" ] || fail "deb: purging leaves the configuration"
printf 'deb        upgraded, removed and purged\n'
